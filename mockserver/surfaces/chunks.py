"""The chunks of a chat stream, as recorded from api.openai.com."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mockserver.generating import usage
from mockserver.surfaces.choices import Choice

Delta = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one chunk adds: a delta, the tokens of its text (None where it carries no text), and why the choice ends."""

    delta: Delta
    tokens: tuple[bytes, ...] | None = None
    finish_reason: str | None = None


def chunks(choice: Choice, *, model: str) -> Iterator[Chunk]:
    """The chunks of one choice; the last one says why it ends."""
    if choice.text is None and len(choice.tool_calls) == 1:
        # a lone call is opened together with the role
        yield Chunk({**_role(None), "tool_calls": [_opened(choice.tool_calls[0], 0)], "refusal": None})
        yield from _arguments(choice.tool_calls[0], 0, model)
    else:
        yield Chunk({**_role(choice.text), "refusal": None}, None if choice.text is None else ())
        yield from (Chunk({"content": text}, tokens) for text, tokens in usage.pieces(choice.text or "", model=model))
        for index, call in enumerate(choice.tool_calls):
            yield Chunk({"tool_calls": [_opened(call, index)]})
            yield from _arguments(call, index, model)
    yield Chunk({}, finish_reason=choice.finish_reason)


def _role(text: str | None) -> Delta:
    return {"role": "assistant", "content": None if text is None else ""}


def _opened(call: Mapping[str, Any], index: int) -> Delta:
    """The start of a call: its name, and arguments yet to come."""
    kind, field = _spelling(call)
    return {"index": index, "id": call["id"], "type": kind, kind: {"name": call[kind]["name"], field: ""}}


def _arguments(call: Mapping[str, Any], index: int, model: str) -> Iterator[Chunk]:
    kind, field = _spelling(call)
    for piece in usage.pieces(call[kind][field], model=model):
        yield Chunk({"tool_calls": [{"index": index, kind: {field: piece.text}}]})


def _spelling(call: Mapping[str, Any]) -> tuple[str, str]:
    return ("custom", "input") if call["type"] == "custom" else ("function", "arguments")
