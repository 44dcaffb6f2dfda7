"""Bytes → frames → events → Completion: the one place where a reply is read piece by piece.

Frames are server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). What is in them is
https://platform.openai.com/docs/api-reference/chat-streaming, and what Azure makes of it: a first frame without
choices, content-filter frames without a delta, and sometimes no [DONE].
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from llmkit.errors import LLMError, MalformedResponse, StreamTruncated, excerpt, from_api
from llmkit.responses import Completion, completion, expect, judged, loads, text_or_none

_LINE_END = re.compile(rb"\r\n|\n|\r(?=.)", re.DOTALL)  # a last \r may be half of \r\n
_PAYLOAD = ("id", "created", "model", "system_fingerprint", "service_tier", "usage")


@dataclass(frozen=True, slots=True)
class Frame:
    """One server-sent event."""

    data: str
    event: str = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """What one frame added to the reply; `tool_calls` are the API's fragments, their arguments pieces of JSON."""

    text: str = ""
    refusal: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None

    def __bool__(self) -> bool:
        return bool(self.text or self.refusal or self.tool_calls or self.finish_reason)


class FrameDecoder:
    """Cuts a stream of bytes into frames, wherever the network cut the bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._event = "message"

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that `data` completes; raises MalformedResponse for bytes that are not UTF-8."""
        *lines, self._rest = _LINE_END.split(self._rest + data)
        for line in lines:
            yield from self._line(line)

    def holds_json(self) -> bool:
        """Whether a whole frame lacks nothing but its blank line."""
        lines = [*self._data, self._rest.decode("utf-8", "replace").rstrip("\r").removeprefix("data:")]
        try:
            loads("\n".join(lines))
        except ValueError:
            return False
        return True

    def _line(self, raw: bytes) -> Iterator[Frame]:
        if not raw:
            if self._data:
                yield Frame("\n".join(self._data), self._event)
            self._data, self._event = [], "message"
            return
        name, _, value = _utf8(raw).removeprefix("\ufeff").partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
        elif name == "event":
            self._event = value.removeprefix(" ")


class _ToolCalls:
    """Tool calls, put together from their fragments: those of one call share an index.

    Some gateways leave the index out. Then a fragment with an id of its own begins a call, and others go on with it.
    """

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, Any]] = {}
        self._last = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def in_order(self) -> list[dict[str, Any]]:
        """All calls, as a whole reply has them."""
        return [self._calls[index] for index in sorted(self._calls)]

    def add(self, fragments: Sequence[Mapping[str, Any]]) -> None:
        """Adds the fragments of one frame; `_fragment` has checked each."""
        nameless = [one for one in fragments if one.get("index") is None and not one.get("id")]
        if nameless and len(fragments) > 1:
            raise MalformedResponse("A frame of the stream has pieces of several tool calls, but neither index nor id")
        for fragment in fragments:
            self._add(fragment)

    def _add(self, fragment: Mapping[str, Any]) -> None:
        """The id and name of a call come once, its arguments in pieces."""
        self._last = self._index(fragment)
        call = self._calls.setdefault(
            self._last, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = fragment.get("id") or call["id"]
        function = fragment.get("function") or {}
        for name in ("name", "arguments"):
            call["function"][name] += function.get(name) or ""

    def _index(self, fragment: Mapping[str, Any]) -> int:
        index, identity = fragment.get("index"), fragment.get("id")
        if index is not None:
            return int(index)
        if not identity or not self._calls:
            return self._last
        known = [place for place, call in self._calls.items() if call["id"] == identity]
        return known[0] if known else max(self._calls) + 1


@dataclass(slots=True)
class StreamReader:
    """Reads a chat stream into events, and builds the Completion that they add up to.

    `finished` once the finish reason has come, `done` once nothing more will. Errors quote what was streamed as `hide`
    leaves it.
    """

    hide: Callable[[str], str] = str
    text: str = ""
    finished: bool = False
    done: bool = False
    _decoder: FrameDecoder = field(default_factory=FrameDecoder)
    _message: dict[str, Any] = field(default_factory=dict)
    _calls: _ToolCalls = field(default_factory=_ToolCalls)
    _payload: dict[str, Any] = field(default_factory=dict)
    _finish_reason: str | None = None
    _failure: LLMError | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that `data` completes; raises a typed error for an error frame and for frames that are none.

        What came before the error is handed out first, however the network cut it: the next call raises the error.
        """
        self.check()
        events: list[StreamEvent] = []
        try:
            for frame in self._decoder.feed(data):
                self._read(frame, events)
        except LLMError as error:
            if not events:
                raise
            self._failure = error
        return events

    def check(self) -> None:
        """Raises the error that `feed` came upon after its events."""
        if self._failure is not None:
            raise self._failure

    def end(self) -> list[StreamEvent]:
        """The last events; the connection has ended. Raises StreamTruncated where the reply had not."""
        events = self.feed(b"\n\n") if self._failure or self._decoder.holds_json() else []
        self.done = self.finished
        if not self.finished and not events:
            raise StreamTruncated("The stream ended before its finish reason, so the reply is incomplete")
        return events

    def completion(self) -> Completion:
        """The whole reply, once the stream is `finished`."""
        message = {"role": "assistant", "content": None} | self._message
        if self._calls:
            message["tool_calls"] = self._calls.in_order()
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason}
        return completion(self._payload | {"choices": [choice]})

    def _read(self, frame: Frame, events: list[StreamEvent]) -> None:
        if self.done:
            return
        if frame.data.strip() == "[DONE]":
            self._stop()
            return
        chunk = judged(partial(_chunk, event=frame.event), frame.data, hide=self.hide)
        for name in _PAYLOAD:
            if chunk.fields.get(name):
                self._payload[name] = chunk.fields[name]
        self._add(chunk.event, chunk.delta)
        if chunk.event:
            events.append(chunk.event)

    def _stop(self) -> None:
        if not self.finished:
            raise StreamTruncated("The stream said [DONE] without a finish reason, so the reply is incomplete")
        self.done = True

    def _add(self, event: StreamEvent, delta: Mapping[str, Any]) -> None:
        self._calls.add(event.tool_calls)
        self._keep("content", delta)
        self._keep("refusal", delta)
        self.text += event.text
        self._finish_reason = event.finish_reason or self._finish_reason
        self.finished = self._finish_reason is not None

    def _keep(self, name: str, delta: Mapping[str, Any]) -> None:
        """Joins the pieces of a text; null and "" differ, for only one of them is a text."""
        if isinstance(delta.get(name), str):
            self._message[name] = self._message.get(name, "") + delta[name]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One frame of a chat stream, checked: its fields, and what it adds to the first choice."""

    fields: Mapping[str, Any]
    delta: Mapping[str, Any]
    event: StreamEvent


def _chunk(data: str, *, event: str) -> _Chunk:
    fields = _fields(data, event=event)
    text_or_none(fields.get("model"), "model")
    choices = expect(fields.get("choices") or [], list, "choices")
    ours: dict[str, Any] = next((choice for choice in choices if _is_first(expect(choice, dict, "choices[…]"))), {})
    delta: dict[str, Any] = expect(ours.get("delta") or {}, dict, "delta")
    return _Chunk(
        fields,
        delta,
        StreamEvent(
            text=_piece(delta.get("content"), "delta.content"),
            refusal=_piece(delta.get("refusal"), "delta.refusal"),
            tool_calls=tuple(map(_fragment, expect(delta.get("tool_calls") or [], list, "delta.tool_calls"))),
            finish_reason=_piece(ours.get("finish_reason"), "finish_reason") or None,
        ),
    )


def _fields(data: str, *, event: str) -> Mapping[str, Any]:
    try:
        chunk = loads(data)
    except ValueError as error:
        raise MalformedResponse(f"A frame of the stream is not JSON ({error}): {excerpt(data)}") from None
    fields: dict[str, Any] = expect(chunk, dict, "a frame")
    if event == "error" or fields.get("error"):
        raise from_api(fields.get("error") or fields)
    return fields


def _is_first(choice: Mapping[str, Any]) -> bool:
    index = choice.get("index")
    return index is None or expect(index, int, "choices[…].index") == 0


def _fragment(call: object) -> Mapping[str, Any]:
    """A piece of a tool call, checked; it is handed to the caller as it came."""
    fragment: dict[str, Any] = expect(call, dict, "delta.tool_calls[…]")
    index = fragment.get("index")
    if index is not None and expect(index, int, "delta.tool_calls[…].index") < 0:
        raise MalformedResponse(f"delta.tool_calls[…].index in the reply is {index}, below 0")
    _piece(fragment.get("id"), "delta.tool_calls[…].id")
    function = expect(fragment.get("function") or {}, dict, "delta.tool_calls[…].function")
    for name in ("name", "arguments"):
        _piece(function.get(name), f"delta.tool_calls[…].function.{name}")
    return fragment


def _piece(value: object, place: str) -> str:
    return text_or_none(value, place) or ""


def _utf8(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"The stream is not UTF-8 text: {error.reason} at byte {error.start}") from None
