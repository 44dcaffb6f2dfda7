"""The events of a streamed response, as recorded from api.openai.com: their order, their keys, their numbers.

The keys of events about reasoning summaries were recorded from Azure in September 2025; those about the input of custom
tools are unverified, and spelt as in the official SDK.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mockserver.generating import usage
from mockserver.generating.dice import Dice
from mockserver.surfaces.responses.bodies import Body, started

Event = tuple[str, dict[str, Any]]
_Payload = dict[str, Any]

_ARGUMENTS = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}
_TEXT_WIDTH = 16  # padding fills each delta up to a multiple of this


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    """How a response is put into events: the model whose tokens they are, and the dice of their padding, if any."""

    model: str
    padding: Dice | None


def events(body: Body, streaming: Streaming) -> tuple[Event, ...]:
    """All events of a finished response, numbered from 0."""
    return tuple(
        (name, {"type": name, **dict(sorted({**payload, "sequence_number": number}.items()))})
        for number, (name, payload) in enumerate(_unnumbered(body, streaming))
    )


def _unnumbered(body: Body, streaming: Streaming) -> Iterator[Event]:
    yield "response.created", {"response": started(body, "queued" if body["background"] else "in_progress")}
    if body["background"]:
        yield "response.queued", {"response": started(body, "queued")}
    yield "response.in_progress", {"response": started(body)}
    for index, item in enumerate(body["output"]):
        yield from _item(item, index, streaming)
    yield f"response.{body['status']}", {"response": body}


def _item(item: Mapping[str, Any], index: int, streaming: Streaming) -> Iterator[Event]:
    at: _Payload = {"item_id": item["id"], "output_index": index}
    yield "response.output_item.added", {"item": _opened(item), "output_index": index}
    if item["type"] == "message":
        for number, part in enumerate(item["content"]):
            yield from _part(part, {**at, "content_index": number}, streaming)
    elif item["type"] in _ARGUMENTS:
        yield from _call(item, at, streaming)
    else:
        for number, summary in enumerate(item.get("summary", ())):
            yield from _summary(summary, {**at, "summary_index": number}, streaming)
    yield "response.output_item.done", {"item": item, "output_index": index}


def _opened(item: Mapping[str, Any]) -> _Payload:
    """The item before anything is in it; reasoning has no status."""
    status = {"status": "in_progress"} if "status" in item else {}
    blank = {"content": [], "summary": [], "arguments": "", "input": ""}
    return {**item, **{key: value for key, value in blank.items() if key in item}, **status}


def _part(part: Mapping[str, Any], at: _Payload, streaming: Streaming) -> Iterator[Event]:
    likely = iter(part["logprobs"])
    yield "response.content_part.added", {**at, "part": {**part, "logprobs": [], "text": ""}}
    for piece in usage.pieces(part["text"], model=streaming.model):
        taken = [entry for _, entry in zip(piece.tokens, likely, strict=False)] if part["logprobs"] else []
        delta = {"delta": piece.text, "logprobs": taken}
        yield "response.output_text.delta", {**at, **delta, **_padding(piece.text, streaming)}
    yield "response.output_text.done", {**at, "logprobs": part["logprobs"], "text": part["text"]}
    yield "response.content_part.done", {**at, "part": dict(part)}


def _call(item: Mapping[str, Any], at: _Payload, streaming: Streaming) -> Iterator[Event]:
    name, field = _ARGUMENTS[item["type"]]
    for piece in usage.pieces(item[field], model=streaming.model):
        yield f"{name}.delta", {**at, "delta": piece.text, **_padding(piece.text, streaming)}
    yield f"{name}.done", {**at, field: item[field]}


def _summary(part: Mapping[str, Any], at: _Payload, streaming: Streaming) -> Iterator[Event]:
    yield "response.reasoning_summary_part.added", {**at, "part": {**part, "text": ""}}
    for piece in usage.pieces(part["text"], model=streaming.model):
        delta = {"delta": piece.text, **_padding(piece.text, streaming)}
        yield "response.reasoning_summary_text.delta", {**at, **delta}
    yield "response.reasoning_summary_text.done", {**at, "text": part["text"]}
    yield "response.reasoning_summary_part.done", {**at, "part": dict(part)}


def _padding(text: str, streaming: Streaming) -> _Payload:
    """Letters that hide how long a delta is; background streams were recorded without."""
    if streaming.padding is None:
        return {}
    return {"obfuscation": streaming.padding.token(-len(text) % _TEXT_WIDTH)}
