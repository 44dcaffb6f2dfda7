"""What a response costs: messages framed as in chat, declarations of tools, calls and their results.

Nothing of this is documented. The numbers are those that fit the `usage` of recorded responses;
`tests/contract/test_recorded_responses.py` holds them to it. Text is exact; calls, images and files are near.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mockserver.catalogue import Model
from mockserver.generating import usage
from mockserver.generating.declarations import begins_bare, declarations
from mockserver.surfaces.responses.conversation import Item, call_text, kind_of, text_of
from mockserver.wire import compact


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Tokens billed beside the text: of tools, a schema, a call that came in or went out, a result, a message out."""

    tools: int
    schema: int
    call_in: int
    result: int
    message_out: int
    call_out: int
    more_calls: int


_CHAT = _Frame(tools=3, schema=-11, call_in=7, result=6, message_out=1, call_out=8, more_calls=15)
_GPT_5 = _Frame(tools=9, schema=-12, call_in=15, result=7, message_out=4, call_out=11, more_calls=12)
_IMAGE = 765  # of 1024 by 1024 in high detail on gpt-4o; others differ, and sizes are not looked at


def input_tokens(items: Sequence[Item], *, asked: Mapping[str, Any], model: Model) -> int:
    """What these items are billed with the instructions, tools and format of the request `asked`."""
    instructions = asked.get("instructions")
    frame = _frame(model)
    system = [{"role": "system", "content": instructions}] if isinstance(instructions, str) and instructions else []
    messages = [_as_chat(item) for item in items if kind_of(item) == "message"]
    framed = usage.prompt_tokens([*system, *messages], model=model.name)
    rest = sum(_item_tokens(item, frame, model) for item in items)
    declared = _tools_tokens(asked.get("tools"), frame, model) + _schema_tokens(asked.get("text"), frame, model)
    # gpt-4 alone was billed one token less than in chat
    return framed + rest + declared - (model.family == "gpt-4")


def text_tokens(text: str, *, model: Model) -> int:
    """The tokens of a text alone."""
    return usage.text_tokens(text, model=model.name)


def message_frame(model: Model) -> int:
    """What a message that the model says is billed beside its text."""
    return _frame(model).message_out


def call_frame(model: Model, *, nth: int) -> int:
    """What the call number `nth` (0-based) of a response is billed beside name and arguments."""
    frame = _frame(model)
    return frame.call_out + (frame.more_calls if nth == 1 else 0)


def _frame(model: Model) -> _Frame:
    return _GPT_5 if model.family.startswith("gpt-5") else _CHAT


def _as_chat(item: Item) -> dict[str, Any]:
    role = item.get("role") if isinstance(item.get("role"), str) else "user"
    return {"role": role, "content": _joined(item)}


def _joined(item: Item) -> str:
    """Parts are joined without a blank between them, as they are billed."""
    parts = item.get("content")
    parts = [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
    texts = [part.get("text") or part.get("refusal") for part in parts]
    return "".join(text for text in texts if isinstance(text, str))


def _item_tokens(item: Item, frame: _Frame, model: Model) -> int:
    called = call_text(item)
    if called is not None:
        return frame.call_in + sum(text_tokens(text, model=model) for text in called)
    if kind_of(item).endswith("_call_output"):
        return frame.result + text_tokens(text_of(item), model=model)
    return sum(map(_part_tokens, item.get("content") or ())) if kind_of(item) == "message" else 0


def _part_tokens(part: Any) -> int:
    """Of an image or a file, whose contents nobody looks at."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "input_image":
        return 85 if part.get("detail") == "low" else _IMAGE
    return len(str(part.get("file_data") or "")) // 4 if kind == "input_file" else 0


def _tools_tokens(tools: Any, frame: _Frame, model: Model) -> int:
    """Of functions; what hosted tools cost was recorded of some, and differs too much to say."""
    given = [tool for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else []
    functions = [tool for tool in given if tool.get("type") == "function"]
    if not functions:
        return 0
    undescribed = model.family.startswith("gpt-5") and not functions[0].get("description")
    declared = text_tokens(declarations(functions), model=model)
    return frame.tools + declared - sum(map(begins_bare, functions)) - undescribed


def _schema_tokens(options: Any, frame: _Frame, model: Model) -> int:
    """Of a JSON schema that the answer is to conform to."""
    output = options.get("format") if isinstance(options, Mapping) else None
    if not isinstance(output, Mapping) or not isinstance(output.get("schema"), Mapping):
        return 0
    schema = {name: part for name, part in output["schema"].items() if name != "$schema"}
    comment = f"// {output['description']}\n" if output.get("description") else ""
    text = f"# Response Formats\n\n## {output.get('name')}\n\n{comment}{compact(schema).decode()}"
    return max(frame.schema + text_tokens(text, model=model), 0)
