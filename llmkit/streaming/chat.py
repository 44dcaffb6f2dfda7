"""The stream of a chat completion.

Its frames are https://platform.openai.com/docs/api-reference/chat-streaming, and what Azure makes of it: a first frame
without choices, content-filter frames without a delta, and sometimes no [DONE].
"""

from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

from llmkit.errors import MalformedResponse, StreamTruncated
from llmkit.responses import Completion, completion, expect, scrubbed, text_or_none
from llmkit.streaming.events import StreamEvent, StreamReader, piece
from llmkit.streaming.frames import Frame
from llmkit.streaming.tool_calls import ToolCalls, fragment

MOST_CHOICES = 128  # https://platform.openai.com/docs/api-reference/chat/create#chat-create-n
_PAYLOAD = ("id", "created", "model", "system_fingerprint", "service_tier", "usage", "prompt_filter_results")


class ChatReader(StreamReader):
    """Reads a chat stream of `choices` replies; `text` is that of the first."""

    def __init__(self, *, hide: Callable[[str], str] = str, choices: int = 1) -> None:
        super().__init__(hide=hide)
        self._expected = choices
        self._first = _Choice(0)
        self._choices = {0: self._first}
        self._payload: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The text so far, of the first choice."""
        return self._hide(self._first.text.getvalue())

    def completion(self) -> Completion:
        """The whole reply, once the stream is `finished`."""
        choices = [self._choices[index].payload(self._hide) for index in sorted(self._choices)]
        return completion({"object": "chat.completion"} | self._payload | {"choices": choices})

    def read(self, frame: Frame) -> StreamEvent | None:
        """What a frame adds."""
        if frame.data[:6] == "[DONE]":
            if not self.finished:
                raise StreamTruncated("The stream said [DONE] without a finish reason, so the reply is incomplete")
            self.done = True
            return None
        fields = self.fields(frame)
        text = _plain_text(fields)
        if text is not None and self._payload:
            self._first.text.write(text)
            self._first.spoke = True
            return StreamEvent(text)
        return self._add(fields)

    def _add(self, fields: dict[str, Any]) -> StreamEvent | None:
        text_or_none(fields.get("model"), "model")
        for name in _PAYLOAD:
            if fields.get(name):
                self._payload[name] = fields[name]
        told = None
        for choice in expect(fields.get("choices") or [], list, "choices"):
            event = self._choice(expect(choice, dict, "choices[…]")).add(choice)
            told = told or event  # a frame speaks of one choice; who packs several in hands out the first
        finishes = [choice.finish_reason is not None for choice in self._choices.values()]
        self.finished = all(finishes) and len(finishes) >= self._expected
        return told

    def _choice(self, fields: Mapping[str, Any]) -> "_Choice":
        index = fields.get("index")
        place = 0 if index is None else expect(index, int, "choices[…].index")
        if not 0 <= place < MOST_CHOICES:
            raise MalformedResponse(f"choices[…].index in the reply is {place}, not from 0 to {MOST_CHOICES - 1}")
        if place >= self._expected:
            return _Choice(place)  # nobody asked for it, and it does not mix with what was asked for
        return self._choices.setdefault(place, _Choice(place))


class _Choice:
    """One of the replies of a stream."""

    def __init__(self, index: int) -> None:
        self.text = StringIO()
        self.spoke = False  # null and "" differ, for only one of them is a text
        self.finish_reason: str | None = None
        self._index = index
        self._refusal: str | None = None
        self._calls = ToolCalls()
        self._message: dict[str, Any] = {}
        self._beside: dict[str, Any] = {}

    def add(self, choice: Mapping[str, Any]) -> StreamEvent:
        """What a choice of a frame adds."""
        delta: dict[str, Any] = expect(choice.get("delta") or {}, dict, "delta")
        text, refusal = piece(delta.get("content"), "delta.content"), piece(delta.get("refusal"), "delta.refusal")
        calls = tuple(map(fragment, expect(delta.get("tool_calls") or [], list, "delta.tool_calls")))
        finish = piece(choice.get("finish_reason"), "finish_reason") or None
        self._calls.add(calls)
        self.text.write(text)
        self.spoke = self.spoke or delta.get("content") is not None
        if delta.get("refusal") is not None:
            self._refusal = (self._refusal or "") + refusal
        self.finish_reason = finish or self.finish_reason
        more = {name: value for name, value in delta.items() if value and name not in _NAMED}
        for name, value in more.items():
            self._message[name] = _joined(self._message.get(name), value)
        for name in ("logprobs", "content_filter_results"):
            if choice.get(name):
                self._beside[name] = _joined(self._beside.get(name), choice[name])
        return StreamEvent(text, refusal, calls, finish, self._index, more)

    def payload(self, hide: Callable[[str], str]) -> dict[str, Any]:
        """The choice as a whole reply has it; a secret may have come in pieces, so `hide` looks again."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text.getvalue() if self.spoke else None}
        message["refusal"] = self._refusal
        message |= self._message
        if self._calls:
            message["tool_calls"] = self._calls.in_order()
        said = scrubbed(message, hide)
        return {"index": self._index, "message": said, "finish_reason": self.finish_reason} | self._beside


_NAMED = frozenset({"role", "content", "refusal", "tool_calls"})


def _plain_text(fields: Mapping[str, Any]) -> str | None:
    """The text of a frame that adds nothing else, as nearly all do; None for every other frame."""
    choices = fields.get("choices")
    if type(choices) is not list or len(choices) != 1 or fields.get("usage"):
        return None
    choice = choices[0]
    if type(choice) is not dict or choice.get("index") != 0 or choice.get("finish_reason") or choice.get("logprobs"):
        return None
    delta = choice.get("delta")
    if type(delta) is not dict or len(delta) != 1 or choice.get("content_filter_results"):
        return None
    text = delta.get("content")
    return text if type(text) is str and text.isascii() else None


def _joined(known: Any, new: Any) -> Any:
    """What two frames say of one thing: texts and lists go on, and so do those within an object."""
    if isinstance(known, dict) and isinstance(new, dict):
        return known | {name: _joined(known.get(name), value) for name, value in new.items()}
    if isinstance(known, list) and isinstance(new, list):
        known.extend(new)  # it is a list of our own, from the second frame on
        return known
    if isinstance(known, str) and isinstance(new, str):
        return known + new
    if known is None and isinstance(new, list):
        return list(new)
    return known if new is None else new
