"""The stream of a response: https://platform.openai.com/docs/api-reference/responses-streaming."""

from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

from llmkit.errors import MalformedResponse, StreamTruncated, from_api
from llmkit.responses import Completion, expect, finish_reason, response, text_or_none
from llmkit.streaming.events import StreamEvent, StreamReader, piece
from llmkit.streaming.frames import Frame

_ENDS = frozenset({"response.completed", "response.incomplete"})
_CALLS = ("function_call", "custom_tool_call")


class ResponseReader(StreamReader):
    """Reads the events of the Responses API; its last one holds the whole reply."""

    def __init__(self, *, hide: Callable[[str], str] = str) -> None:
        super().__init__(hide=hide)
        self._text = StringIO()
        self._payload: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return self._hide(self._text.getvalue())

    def completion(self) -> Completion:
        """The whole reply, once the stream is `finished`."""
        if self._payload is None:
            raise MalformedResponse("The stream ended without its response")
        return response(self._payload)

    def read(self, frame: Frame) -> StreamEvent | None:
        """What a frame adds."""
        if frame.data[:6] == "[DONE]":
            if not self.finished:
                raise StreamTruncated("The stream said [DONE] before its response was complete")
            self.done = True
            return None
        fields = self.fields(frame)
        kind = text_or_none(fields.get("type"), "type") or frame.event
        if kind in _ENDS:
            return self._end(fields)
        if kind in ("response.failed", "error"):
            failed: dict[str, Any] = expect(fields.get("response") or {}, dict, "response")
            raise from_api(failed.get("error") or {"message": "The API failed to make this response"} | fields)
        return self._piece(kind, fields)

    def _end(self, fields: Mapping[str, Any]) -> StreamEvent:
        payload: dict[str, Any] = expect(fields.get("response"), dict, "response")
        self._payload = payload
        self.finished = self.done = True
        reply = response(payload)
        return StreamEvent(finish_reason=finish_reason(payload, calls=bool(reply.tool_calls)))

    def _piece(self, kind: str, fields: Mapping[str, Any]) -> StreamEvent | None:
        if kind == "response.output_text.delta":
            text = piece(fields.get("delta"), "delta")
            self._text.write(text)
            return StreamEvent(text)
        if kind == "response.refusal.delta":
            return StreamEvent(refusal=piece(fields.get("delta"), "delta"))
        if kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
            return _fragment(fields, {"arguments": piece(fields.get("delta"), "delta")})
        if kind == "response.output_item.added":
            item: dict[str, Any] = expect(fields.get("item") or {}, dict, "item")
            if item.get("type") in _CALLS:
                return _fragment(fields, {"name": piece(item.get("name"), "item.name"), "arguments": ""}, item)
        if kind.startswith("response.reasoning") and kind.endswith(".delta"):
            return StreamEvent(more={kind: fields.get("delta")})
        return None


def _fragment(
    fields: Mapping[str, Any], function: Mapping[str, str], item: Mapping[str, Any] | None = None
) -> StreamEvent:
    """A piece of a tool call, as a chat stream would have it."""
    place = fields.get("output_index")
    named = {"id": piece(item.get("call_id"), "item.call_id")} if item else {}
    return StreamEvent(tool_calls=({"index": place, **named, "function": function},))
