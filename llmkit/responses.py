"""What comes back, checked: an object of this module is an answer, never a page of HTML or a body without choices.

The shapes are those of https://platform.openai.com/docs/api-reference/chat/object and of recorded replies of both
dialects.
"""

import array
import base64
import binascii
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from llmkit.errors import Attempt, MalformedResponse, excerpt, from_api

K = TypeVar("K")

COMPLETE = frozenset({"stop", "tool_calls", "function_call"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The billed tokens; `cached_tokens` are part of the prompt's, `reasoning_tokens` of the completion's."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function that the model wants called; `arguments` is the JSON text as the model wrote it, valid or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A chat reply: the first choice, and all of the reply as the API sent it in `payload`.

    `usage` is None where the API did not tell it; `attempts` has one entry for each HTTP request made, the last of them
    for this reply.
    """

    text: str
    finish_reason: str | None
    model: str
    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    payload: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """False where the reply was cut short, by its length or by a content filter."""
        return self.finish_reason in COMPLETE


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """One vector for each text, in the order of the texts."""

    vectors: tuple[list[float], ...]
    model: str
    usage: Usage | None = None
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()


def parse_json(data: bytes) -> Mapping[str, Any]:
    """The JSON object of a reply with status 200; raises MalformedResponse, or the error that a gateway hid in it."""
    try:
        payload = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"The answer is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        shown = excerpt(data.decode("utf-8", "replace"))
        raise MalformedResponse(f"The answer is not JSON ({error}); it begins {shown}") from None
    body: dict[str, Any] = expect(payload, dict, "The JSON")
    if body.get("error"):
        raise from_api(body["error"])
    return body


def completion(payload: Mapping[str, Any], *, request_id: str | None = None) -> Completion:
    """The answer in a chat completion's JSON; raises MalformedResponse where it holds none."""
    choice = _first(payload, "choices")
    message = expect(choice.get("message"), dict, "choices[0].message")
    text = _text(message.get("content"), "choices[0].message.content")
    refusal = _text(message.get("refusal"), "choices[0].message.refusal")
    calls = tuple(_tool_call(call) for call in _list(message.get("tool_calls"), "choices[0].message.tool_calls"))
    finish = _text(choice.get("finish_reason"), "choices[0].finish_reason")
    if text is None and refusal is None and not calls and not _may_be_silent(message, finish):
        raise MalformedResponse(f"The answer has neither text nor tool calls: its message is {excerpt(message)}")
    return Completion(
        text=text or "",
        finish_reason=finish,
        model=_text(payload.get("model"), "model") or "",
        usage=usage(payload.get("usage")),
        tool_calls=calls,
        refusal=refusal,
        request_id=request_id,
        payload=payload,
    )


def embedding(payload: Mapping[str, Any], *, texts: int, request_id: str | None = None) -> Embedding:
    """The vectors in an embeddings reply, which must be as many as the texts; raises MalformedResponse."""
    rows = [expect(row, dict, "data[…]") for row in _list(payload.get("data"), "data")]
    rows.sort(key=lambda row: expect(row.get("index", 0), int, "data[…].index"))
    if len(rows) != texts:
        raise MalformedResponse(f"The answer has {len(rows)} vectors for {texts} texts")
    return Embedding(
        vectors=tuple(_vector(row.get("embedding")) for row in rows),
        model=_text(payload.get("model"), "model") or "",
        usage=usage(payload.get("usage")),
        request_id=request_id,
    )


def expect(value: object, kind: type[K], place: str) -> K:
    """`value`, which has to be of this kind; raises MalformedResponse that names its place in the reply."""
    if not isinstance(value, kind):
        raise MalformedResponse(f"{place} in the reply is {excerpt(value)}, not a {kind.__name__}")
    return value


def usage(billed: object) -> Usage | None:
    """The billed tokens, None where the API did not tell them: an answer is worth more than its bill."""
    if not isinstance(billed, Mapping):
        return None
    prompt, answer, total = (_count(billed, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=answer,
        total_tokens=total or prompt + answer,
        cached_tokens=_count(billed.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(billed.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _may_be_silent(message: Mapping[str, Any], finish: str | None) -> bool:
    """Whether a message may lack text: an old function call, sound, or all of it lost to a limit or filter."""
    return bool(message.get("function_call") or message.get("audio")) or finish in ("length", "content_filter")


def _tool_call(call: object) -> ToolCall:
    fields = expect(call, dict, "choices[0].message.tool_calls[…]")
    function = expect(fields.get("function") or fields.get("custom"), dict, "choices[0].message.tool_calls[…].function")
    arguments = function.get("arguments", function.get("input"))
    return ToolCall(
        id=_text(fields.get("id"), "tool_calls[…].id") or "",
        name=_text(function.get("name"), "tool_calls[…].function.name") or "",
        arguments=_text(arguments, "tool_calls[…].function.arguments") or "",
    )


def _vector(value: object) -> list[float]:
    if isinstance(value, str):
        return _base64_vector(value)
    numbers = expect(value, list, "data[…].embedding")
    if not all(isinstance(number, int | float) for number in numbers):
        raise MalformedResponse(f"data[…].embedding holds something that is no number: {excerpt(value)}")
    return list(numbers)


def _base64_vector(text: str) -> list[float]:
    """Little-endian 32-bit floats, as `encoding_format: base64` sends them."""
    floats = array.array("f")
    try:
        floats.frombytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise MalformedResponse(f"data[…].embedding is no base64 of 32-bit floats: {excerpt(text)}") from None
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()


def _first(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    items = _list(payload.get(name), name)
    if not items:
        raise MalformedResponse(f"The answer has no {name}: it is {excerpt(dict(payload))}")
    return expect(items[0], dict, f"{name}[0]")


def _list(value: object, place: str) -> list[Any]:
    return [] if value is None else expect(value, list, place)


def _text(value: object, place: str) -> str | None:
    return None if value is None else expect(value, str, place)


def _count(fields: object, name: str) -> int:
    value = fields.get(name) if isinstance(fields, Mapping) else None
    return value if isinstance(value, int) else 0
