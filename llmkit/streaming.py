"""Bytes → frames → events → Completion: the one place where a reply is read piece by piece.

Frames are server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). What is in them is
https://platform.openai.com/docs/api-reference/chat-streaming, and what Azure makes of it: a first frame without
choices, content-filter frames without a delta, and sometimes no [DONE].
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmkit.errors import LLMError, MalformedResponse, StreamTruncated, excerpt, from_api
from llmkit.responses import Completion, completion, expect

_LINE_END = re.compile(rb"\r\n|\n|\r(?=.)", re.DOTALL)  # a last \r may be half of \r\n


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
            json.loads("\n".join(lines))
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


@dataclass(slots=True)
class StreamReader:
    """Reads a chat stream into events, and builds the Completion that they add up to.

    `finished` once the finish reason has come, `done` once nothing more will.
    """

    text: str = ""
    finished: bool = False
    done: bool = False
    _decoder: FrameDecoder = field(default_factory=FrameDecoder)
    _message: dict[str, Any] = field(default_factory=dict)
    _calls: dict[int, dict[str, Any]] = field(default_factory=dict)
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
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason}
        return completion(self._payload | {"choices": [choice]})

    def _read(self, frame: Frame, events: list[StreamEvent]) -> None:
        if self.done:
            return
        if frame.data.strip() == "[DONE]":
            self._stop()
            return
        chunk = _chunk(frame)
        for name in ("id", "created", "model", "system_fingerprint", "service_tier", "usage"):
            if chunk.get(name):
                self._payload[name] = chunk[name]
        choices = expect(chunk.get("choices") or [], list, "choices")
        ours = [choice for choice in choices if expect(choice, dict, "choices[…]").get("index", 0) == 0]
        if ours and (event := self._add(ours[0])):
            events.append(event)

    def _stop(self) -> None:
        if not self.finished:
            raise StreamTruncated("The stream said [DONE] without a finish reason, so the reply is incomplete")
        self.done = True

    def _add(self, choice: Mapping[str, Any]) -> StreamEvent:
        delta = expect(choice.get("delta") or {}, dict, "delta")
        event = StreamEvent(
            text=expect(delta.get("content") or "", str, "delta.content"),
            refusal=expect(delta.get("refusal") or "", str, "delta.refusal"),
            tool_calls=tuple(expect(delta.get("tool_calls") or [], list, "delta.tool_calls")),
            finish_reason=expect(choice.get("finish_reason") or "", str, "finish_reason") or None,
        )
        self._keep("content", delta)
        self._keep("refusal", delta)
        self.text += event.text
        for call in event.tool_calls:
            self._add_call(expect(call, dict, "delta.tool_calls[…]"))
        self._finish_reason = event.finish_reason or self._finish_reason
        self.finished = self._finish_reason is not None
        return event

    def _keep(self, name: str, delta: Mapping[str, Any]) -> None:
        """Joins the pieces of a text; null and "" differ, for only one of them is a text."""
        if isinstance(delta.get(name), str):
            self._message[name] = self._message.get(name, "") + delta[name]

    def _add_call(self, fragment: Mapping[str, Any]) -> None:
        """Fragments of one call share an index; id and name come once, arguments in pieces."""
        index = expect(fragment.get("index", 0), int, "delta.tool_calls[…].index")
        call = self._calls.setdefault(index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] = fragment.get("id") or call["id"]
        function = expect(fragment.get("function") or {}, dict, "delta.tool_calls[…].function")
        call["function"]["name"] += expect(function.get("name") or "", str, "delta.tool_calls[…].function.name")
        call["function"]["arguments"] += expect(
            function.get("arguments") or "", str, "delta.tool_calls[…].function.arguments"
        )


def _chunk(frame: Frame) -> Mapping[str, Any]:
    try:
        chunk = json.loads(frame.data)
    except ValueError as error:
        raise MalformedResponse(f"A frame of the stream is not JSON ({error}): {excerpt(frame.data)}") from None
    fields: dict[str, Any] = expect(chunk, dict, "a frame")
    if frame.event == "error" or fields.get("error"):
        raise from_api(fields.get("error") or fields)
    return fields


def _utf8(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"The stream is not UTF-8 text: {error.reason} in {excerpt(line)}") from None
