"""What a response costs: its input as the tokenizer counts a request, its output in the frames that were billed.

Nothing of this is documented. The numbers are those that fit the `usage` of recorded responses;
`tests/contract/test_recorded_responses.py` holds them to it. Text and functions are exact but for a token or two; the
hosted tools, whose declarations nobody has seen, are estimates, and so are images and files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mockserver.catalogue import Model
from mockserver.generating import usage
from mockserver.surfaces.responses.conversation import Item, kind_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Tokens billed beside the text of what goes out: of a message, a call, the second call of a response."""

    message: int
    call: int
    more_calls: int


_CHAT = _Frame(message=1, call=8, more_calls=15)
_GPT_5 = _Frame(message=4, call=11, more_calls=12)
_RESULTS = ("function_call_output", "custom_tool_call_output")


def input_tokens(items: Sequence[Item], *, asked: Mapping[str, Any], model: Model) -> int:
    """What these items are billed with the instructions, tools and format of the request `asked`."""
    return usage.response_tokens(list(_countable(items)), model=model.name, **_options(asked))


def functions_of(tools: Any) -> list[Any]:
    """The functions among these tools."""
    listed = tools if isinstance(tools, list) else []
    return [tool for tool in listed if isinstance(tool, Mapping) and tool.get("type") == "function"]


def text_tokens(text: str, *, model: Model) -> int:
    """The tokens of a text alone."""
    return usage.text_tokens(text, model=model.name)


def message_frame(model: Model) -> int:
    """What a message that the model says is billed beside its text."""
    return _frame(model).message


def call_frame(model: Model, *, nth: int) -> int:
    """What the call number `nth` (0-based) of a response is billed beside name and arguments."""
    frame = _frame(model)
    return frame.call + (frame.more_calls if nth == 1 else 0)


def _frame(model: Model) -> _Frame:
    return _GPT_5 if model.generation >= (5, 0) else _CHAT


def _options(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What counts beside the items, without what a lenient server lets pass in another type."""
    instructions, tools = asked.get("instructions"), asked.get("tools")
    objects = {name: value for name in ("text", "reasoning") if isinstance(value := asked.get(name), Mapping)}
    return {
        **objects,
        "instructions": instructions if isinstance(instructions, str) else None,
        "tools": [tool for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else None,
        "tool_choice": asked.get("tool_choice"),
    }


def _countable(items: Sequence[Item]) -> Iterator[Item]:
    """The items as the tokenizer takes them, with parts that are objects."""
    for item in items:
        kind = kind_of(item)
        if kind == "message":
            role = item.get("role")
            yield {**item, "role": role if isinstance(role, str) else "user", "content": _parts(item.get("content"))}
        elif kind in _RESULTS:
            yield {**item, "output": _parts(item.get("output"))}
        elif kind != "item_reference":
            yield item


def _parts(content: Any) -> Any:
    return [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else content
