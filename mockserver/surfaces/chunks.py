"""The chunks of a chat stream, as recorded from api.openai.com."""

from collections.abc import Iterator, Mapping
from typing import Any

from mockserver import usage
from mockserver.surfaces.choices import Choice

Delta = dict[str, Any]


def deltas(choice: Choice, *, model: str) -> Iterator[tuple[Delta, str | None]]:
    """What each chunk of one choice adds, and on the last one why it ends."""
    if choice.text is None and len(choice.tool_calls) == 1:
        # a lone call is opened together with the role
        yield {**_role(None), "tool_calls": [_opened(choice.tool_calls[0], 0)], "refusal": None}, None
        yield from _arguments(choice.tool_calls[0], 0, model)
    else:
        yield {**_role(choice.text), "refusal": None}, None
        yield from (({"content": piece}, None) for piece in usage.pieces(choice.text or "", model=model))
        for index, call in enumerate(choice.tool_calls):
            yield {"tool_calls": [_opened(call, index)]}, None
            yield from _arguments(call, index, model)
    yield {}, choice.finish_reason


def _role(text: str | None) -> Delta:
    return {"role": "assistant", "content": None if text is None else ""}


def _opened(call: Mapping[str, Any], index: int) -> Delta:
    """The start of a call: its name, and arguments yet to come."""
    kind, field = _spelling(call)
    return {"index": index, "id": call["id"], "type": kind, kind: {"name": call[kind]["name"], field: ""}}


def _arguments(call: Mapping[str, Any], index: int, model: str) -> Iterator[tuple[Delta, None]]:
    kind, field = _spelling(call)
    for piece in usage.pieces(call[kind][field], model=model):
        yield {"tool_calls": [{"index": index, kind: {field: piece}}]}, None


def _spelling(call: Mapping[str, Any]) -> tuple[str, str]:
    return ("custom", "input") if call["type"] == "custom" else ("function", "arguments")
