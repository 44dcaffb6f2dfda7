"""What a stream adds to a reply with each frame, and what every reader of a stream has in common."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from llmkit.errors import LLMError, MalformedResponse, StreamTruncated, excerpt, from_api
from llmkit.responses import Completion, cleared, expect, loads, text_or_none
from llmkit.streaming.frames import Frame, FrameDecoder

_decode = json.JSONDecoder().raw_decode
_NOTHING: Mapping[str, Any] = {}


class StreamEvent(NamedTuple):
    """What one frame added to the reply.

    `tool_calls` are the API's fragments, their arguments pieces of JSON. `choice` is the reply that grew, where `n`
    asked for several. `more` is what else the frame added, such as the reasoning that some servers send.
    """

    text: str = ""
    refusal: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None
    choice: int = 0
    more: Mapping[str, Any] = _NOTHING

    def __bool__(self) -> bool:
        return bool(self.text or self.refusal or self.tool_calls or self.finish_reason or self.more)


class StreamReader(ABC):
    """Reads the bytes of a stream into events, and builds the Completion that they add up to.

    `finished` once the finish reason has come, `done` once nothing more will. What was streamed is read as `hide`
    leaves it, which takes out secrets.
    """

    def __init__(self, *, hide: Callable[[str], str] = str) -> None:
        self.finished = False
        self.done = False
        self._hide = hide
        self._decoder = FrameDecoder()
        self._failure: LLMError | None = None

    @property
    @abstractmethod
    def text(self) -> str:
        """The text so far."""

    @abstractmethod
    def completion(self) -> Completion:
        """The whole reply, once the stream is `finished`; raises MalformedResponse where it is none."""

    @abstractmethod
    def read(self, frame: Frame) -> StreamEvent | None:
        """What a frame adds, None if it adds nothing; raises a typed error for an error frame or one that is none."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that `data` completes.

        What came before an error is handed out first, however the network cut it: the next call raises the error.
        """
        self.check()
        events: list[StreamEvent] = []
        try:
            for frame in self._decoder.feed(data):
                event = None if self.done else self.read(frame)
                if event:
                    events.append(event)
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

    def fields(self, frame: Frame) -> dict[str, Any]:
        """The JSON object of a frame; raises the error that it tells, or MalformedResponse."""
        data = self._hide(frame.data)
        try:
            chunk, end = _decode(data)
            if end != len(data):
                chunk = loads(data)
        except (ValueError, RecursionError):
            chunk = _loads(data)
        chunk = cleared(chunk, data, self._hide)
        fields: dict[str, Any] = chunk if type(chunk) is dict else expect(chunk, dict, "a frame")
        if frame.event == "error" or fields.get("error"):
            raise from_api(fields.get("error") or fields)
        return fields


def piece(value: object, place: str) -> str:
    """A text that may be absent."""
    return text_or_none(value, place) or ""


def _loads(data: str) -> object:
    try:
        return loads(data)
    except ValueError as error:
        raise MalformedResponse(f"A frame of the stream is not JSON ({error}): {excerpt(data)}") from None
