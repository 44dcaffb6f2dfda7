"""The items of a conversation: what a request puts in, and what was kept of earlier turns.

Items as in https://platform.openai.com/docs/api-reference/responses/create#responses-create-input. Nothing here fails:
what is malformed has been refused before, and a lenient server answers it all the same.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mockserver.generating.dice import Dice

Item = dict[str, Any]

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "compaction": "cmp",
}
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def items_of(value: Any) -> list[Item]:
    """The `input` of a request as items: a text is one message of the user."""
    if isinstance(value, str):
        return [_message({"role": "user", "content": value})]
    items = [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
    return [_message(item) if kind_of(item) == "message" else dict(item) for item in items]


def kind_of(item: Mapping[str, Any]) -> str:
    """The type of an item; one without a type is a message, or a reference where it has nothing but an id."""
    if isinstance(item.get("type"), str):
        return str(item["type"])
    return "item_reference" if "id" in item and "role" not in item else "message"


def identified(items: Iterable[Item], dice: Dice) -> list[Item]:
    """The items as they are kept: each with an id, messages and calls with a status."""
    return [_kept(item, dice) for item in items]


def references(items: Iterable[Item]) -> list[str]:
    """The ids of the items that are referred to."""
    return [str(item.get("id")) for item in items if kind_of(item) == "item_reference"]


def resolved(items: Iterable[Item], known: Mapping[str, Item]) -> list[Item]:
    """The items with references replaced by what they refer to; one that refers to nothing known is left out."""
    found = [known.get(str(item.get("id"))) if kind_of(item) == "item_reference" else item for item in items]
    return [item for item in found if item is not None]


def text_of(item: Mapping[str, Any]) -> str:
    """The text of a message, or what a tool gave."""
    content = item.get("output") if kind_of(item) in _OUTPUTS else item.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return "" if content is None else json.dumps(content, ensure_ascii=False)
    parts = [part for part in content if isinstance(part, Mapping)]
    return " ".join(text for part in parts if isinstance(text := part.get("text") or part.get("refusal"), str))


def users_latest(items: Sequence[Item]) -> list[Item]:
    """The messages of the user since the conversation was last compacted."""
    compacted = max((index for index, item in enumerate(items) if kind_of(item) == "compaction"), default=-1)
    return [item for item in items[compacted + 1 :] if kind_of(item) == "message" and item.get("role") == "user"]


def said_by_user(items: Sequence[Item]) -> str:
    """What the user said last."""
    return next((text_of(item) for item in reversed(items) if item.get("role") == "user"), "")


def said(items: Sequence[Item]) -> str:
    """All that the messages say."""
    return "\n".join(text_of(item) for item in items if kind_of(item) == "message")


def latest_results(items: Sequence[Item]) -> list[tuple[str, str]]:
    """Tools and what they gave, of the results at the end of the conversation."""
    names = {str(item.get("call_id")): str(item.get("name")) for item in items if kind_of(item) in _CALLS}
    latest: list[tuple[str, str]] = []
    for item in reversed(items):
        if kind_of(item) not in _OUTPUTS:
            break
        latest.insert(0, (names.get(str(item.get("call_id")), "the tool"), text_of(item)))
    return latest


def is_users_turn_over(items: Sequence[Item]) -> bool:
    """Whether the user spoke last, so that a tool may be called now; after a tool's result the model answers."""
    return bool(items) and kind_of(items[-1]) == "message" and items[-1].get("role") != "assistant"


def _message(item: Mapping[str, Any]) -> Item:
    """A message whose content is a list of parts."""
    content, role = item.get("content"), item.get("role") or "user"
    if isinstance(content, str):
        content = [_text_part(content, role)]
    return {**item, "type": "message", "role": role, "content": content if isinstance(content, list) else []}


def _text_part(text: str, role: Any) -> Item:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}


def _kept(item: Item, dice: Dice) -> Item:
    kind = kind_of(item)
    name = item.get("id") if isinstance(item.get("id"), str) else None
    kept = {"id": name or new_id(kind, dice), "type": kind}
    # as recorded of input_items: a message that came in is completed
    status = {"status": "completed"} if kind in ("message", *_CALLS, *_OUTPUTS) else {}
    return {**kept, **status, **{key: value for key, value in item.items() if key not in ("id", "type")}}


def new_id(kind: str, dice: Dice) -> str:
    """An id for an item of this type: a prefix and 48 hexadecimal digits, as recorded; other prefixes are `item`."""
    return f"{_PREFIXES.get(kind, 'item')}_{dice.hexadecimal(50)}"
