"""Replies in words: of chat, of the older completions and of the Responses API, all as one kind of object.

The shapes are those of https://platform.openai.com/docs/api-reference/chat/object, …/completions/object and
…/responses/object, and of recorded replies of both dialects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from llmkit.errors import Attempt, MalformedResponse, excerpt
from llmkit.responses.origin import Origin
from llmkit.responses.reading import expect, list_of, text_or_none
from llmkit.responses.usage import Usage, usage

if TYPE_CHECKING:
    from llmkit.policies.fallback import Degraded

COMPLETE = frozenset({"stop", "tool_calls", "function_call"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function that the model wants called; `arguments` is the JSON text as the model wrote it, valid or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A reply: the first choice, and all of the reply as the API sent it in `payload`.

    `usage` is None where the API did not tell it; `attempts` has one entry for each HTTP request made, the last of them
    for this reply. `parsed` is what the call's parser made of it. `cached` tells an answer out of the cache, and
    `not_cached` why this one was not kept. `degraded` tells that a fallback stands in for what was asked, and why.
    """

    text: str
    finish_reason: str | None
    model: str
    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    parsed: Any = None
    cached: bool = False
    not_cached: str | None = None
    degraded: "Degraded | None" = None
    payload: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """False where the reply was cut short, by its length or by a content filter."""
        return self.finish_reason in COMPLETE

    @property
    def id(self) -> str | None:
        """The API's name for this reply."""
        name = self.payload.get("id")
        return name if isinstance(name, str) else None

    @property
    def choices(self) -> tuple["Completion", ...]:
        """Every reply, where `n` asked for several; each with the usage of all."""
        if "choices" not in self.payload:
            return (self,)
        each = [{**self.payload, "choices": [choice]} for choice in self.payload["choices"]]
        return tuple((completion if "message" in one["choices"][0] else text_completion)(one) for one in each)

    @property
    def message(self) -> Mapping[str, Any]:
        """What to append to the conversation before the next question."""
        for choice in self.payload.get("choices", ()):
            if "message" in choice:
                return {name: value for name, value in choice["message"].items() if value is not None}
        return {"role": "assistant", "content": self.text}


def completion(payload: Mapping[str, Any], **origin: Unpack[Origin]) -> Completion:
    """The answer in a chat completion's JSON; raises MalformedResponse where it holds none."""
    choice = _first(payload, "choices")
    message = expect(choice.get("message"), dict, "choices[0].message")
    text = text_or_none(message.get("content"), "choices[0].message.content")
    refusal = text_or_none(message.get("refusal"), "choices[0].message.refusal")
    calls = tuple(_tool_call(call) for call in list_of(message.get("tool_calls"), "choices[0].message.tool_calls"))
    finish = text_or_none(choice.get("finish_reason"), "choices[0].finish_reason")
    if text is None and refusal is None and not calls and not _may_be_silent(message, finish):
        raise MalformedResponse(f"The answer has neither text nor tool calls: its message is {excerpt(message)}")
    return Completion(
        text=text or "",
        finish_reason=finish,
        model=text_or_none(payload.get("model"), "model") or "",
        usage=usage(payload.get("usage")),
        tool_calls=calls,
        refusal=refusal,
        payload=payload,
        **origin,
    )


def text_completion(payload: Mapping[str, Any], **origin: Unpack[Origin]) -> Completion:
    """The answer in the JSON of a completion of the older kind; raises MalformedResponse where it holds none."""
    choice = _first(payload, "choices")
    text = text_or_none(choice.get("text"), "choices[0].text")
    if text is None:
        raise MalformedResponse(f"The answer has no text: its first choice is {excerpt(choice)}")
    return Completion(
        text=text,
        finish_reason=text_or_none(choice.get("finish_reason"), "choices[0].finish_reason"),
        model=text_or_none(payload.get("model"), "model") or "",
        usage=usage(payload.get("usage")),
        payload=payload,
        **origin,
    )


def _may_be_silent(message: Mapping[str, Any], finish: str | None) -> bool:
    """Whether a message may lack text: an old function call, sound, or all of it lost to a limit or filter."""
    return bool(message.get("function_call") or message.get("audio")) or finish in ("length", "content_filter")


def _tool_call(call: object) -> ToolCall:
    fields = expect(call, dict, "choices[0].message.tool_calls[…]")
    function = expect(fields.get("function") or fields.get("custom"), dict, "choices[0].message.tool_calls[…].function")
    arguments = function.get("arguments", function.get("input"))
    name = text_or_none(function.get("name"), "tool_calls[…].function.name")
    if not name:
        raise MalformedResponse("A tool call in the reply does not name its function")
    return ToolCall(
        id=text_or_none(fields.get("id"), "tool_calls[…].id") or "",
        name=name,
        arguments=text_or_none(arguments, "tool_calls[…].function.arguments") or "",
    )


def _first(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    items = list_of(payload.get(name), name)
    if not items:
        raise MalformedResponse(f"The answer has no {name}: it is {excerpt(dict(payload))}")
    return expect(items[0], dict, f"{name}[0]")
