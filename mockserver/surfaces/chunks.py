"""The chunks of a chat stream, as recorded from api.openai.com; those of a voice are unverified."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mockserver.generating import usage
from mockserver.surfaces.choice import Choice

Delta = dict[str, Any]

_SOUND = 12_000  # letters of base64 in a chunk, a multiple of four


class Chunk(NamedTuple):
    """What one chunk adds: a delta, the tokens of its text (None where it carries no text), and why the choice ends."""

    delta: Delta
    tokens: tuple[bytes, ...] | None = None
    finish_reason: str | None = None


def chunks(choice: Choice, *, model: str) -> Iterator[Chunk]:
    """The chunks of one choice; the last one says why it ends."""
    if choice.voice is not None:
        yield from _voice(choice.voice, model)
    elif choice.text is None and len(choice.tool_calls) == 1:
        # a lone call is opened together with the role
        first = choice.tool_calls[0]
        opened = _function_opened(first) if choice.legacy else {"tool_calls": [_opened(first, 0)]}
        yield Chunk({**_role(None), **opened, "refusal": None})
        yield from _arguments(first, None if choice.legacy else 0, model)
    else:
        yield from _text_and_calls(choice, model)
    yield Chunk({}, finish_reason=choice.finish_reason)


def _text_and_calls(choice: Choice, model: str) -> Iterator[Chunk]:
    yield Chunk({**_role(choice.text), "refusal": None}, None if choice.text is None else ())
    yield from (Chunk({"content": text}, tokens) for text, tokens in usage.pieces(choice.text or "", model=model))
    if choice.annotations:
        yield Chunk({"annotations": list(choice.annotations)})  # unverified: no stream of a search was recorded
    for index, call in enumerate(choice.tool_calls):
        yield Chunk({"tool_calls": [_opened(call, index)]})
        yield from _arguments(call, index, model)


def _voice(voice: Mapping[str, Any], model: str) -> Iterator[Chunk]:
    """Transcript and sound in pieces, then until when the sound can be referred to."""
    yield Chunk({"role": "assistant", "content": None, "refusal": None, "audio": {"id": voice["id"], "transcript": ""}})
    for piece in usage.pieces(voice["transcript"], model=model):
        yield Chunk({"audio": {"transcript": piece.text}})
    for start in range(0, len(voice["data"]), _SOUND):
        yield Chunk({"audio": {"data": voice["data"][start : start + _SOUND]}})
    yield Chunk({"audio": {"expires_at": voice["expires_at"]}})


def _role(text: str | None) -> Delta:
    return {"role": "assistant", "content": None if text is None else ""}


def _opened(call: Mapping[str, Any], index: int) -> Delta:
    """The start of a call: its name, and arguments yet to come."""
    kind, field = _spelling(call)
    return {"index": index, "id": call["id"], "type": kind, kind: {"name": call[kind]["name"], field: ""}}


def _function_opened(call: Mapping[str, Any]) -> Delta:
    return {"function_call": {"name": call["function"]["name"], "arguments": ""}}


def _arguments(call: Mapping[str, Any], index: int | None, model: str) -> Iterator[Chunk]:
    """The arguments in pieces; `index` is None for a call as the older `functions` have it."""
    kind, field = _spelling(call)
    for piece in usage.pieces(call[kind][field], model=model):
        part = {field: piece.text}
        yield Chunk({"function_call": part} if index is None else {"tool_calls": [{"index": index, kind: part}]})


def _spelling(call: Mapping[str, Any]) -> tuple[str, str]:
    return ("custom", "input") if call["type"] == "custom" else ("function", "arguments")
