"""What comes back, checked: an object of this module is an answer, never a page of HTML or a body without choices.

The shapes are those of https://platform.openai.com/docs/api-reference/chat/object and of recorded replies of both
dialects.
"""

import array
import base64
import binascii
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar

from llmkit.errors import Attempt, LLMError, MalformedResponse, excerpt, from_api

K = TypeVar("K")
T = TypeVar("T")
Said = TypeVar("Said", str, bytes)

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


def judged(parse: Callable[[Said], T], said: Said, *, hide: Callable[[Said], Said]) -> T:
    """What `parse` finds in what was said; where that is no answer, the error quotes it as `hide` leaves it."""
    failure: LLMError
    try:
        return parse(said)
    except LLMError as error:
        failure = error
    try:
        parse(hide(said))
    except LLMError as error:
        failure = error
    raise failure


def parse_json(data: bytes) -> Mapping[str, Any]:
    """The JSON object of a reply with a status of success; raises MalformedResponse, or the error hidden in it."""
    try:
        payload = loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"The answer is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        shown = excerpt(data.decode("utf-8", "replace"))
        raise MalformedResponse(f"The answer is not JSON ({error}); it begins {shown}") from None
    body: dict[str, Any] = expect(payload, dict, "The JSON")
    if body.get("error"):
        raise from_api(body["error"])
    return body


def error_object(text: str) -> object:
    """What the body of a refusal says: its `error` object, all of its JSON where it has none, or the text."""
    try:
        body = loads(text)
    except ValueError:
        return text
    return body.get("error", body) if isinstance(body, dict) else body


def loads(text: str) -> object:
    """The value of a JSON text; raises ValueError for every text that has none that Python can hold."""
    try:
        return json.loads(text)
    except RecursionError:
        pass
    raise ValueError("it is nested too deeply")


def completion(payload: Mapping[str, Any], *, request_id: str | None = None) -> Completion:
    """The answer in a chat completion's JSON; raises MalformedResponse where it holds none."""
    choice = _first(payload, "choices")
    message = expect(choice.get("message"), dict, "choices[0].message")
    text = text_or_none(message.get("content"), "choices[0].message.content")
    refusal = text_or_none(message.get("refusal"), "choices[0].message.refusal")
    calls = tuple(_tool_call(call) for call in _list(message.get("tool_calls"), "choices[0].message.tool_calls"))
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
        request_id=request_id,
        payload=payload,
    )


def embedding(payload: Mapping[str, Any], *, texts: int, request_id: str | None = None) -> Embedding:
    """The vectors in an embeddings reply, one for each text and all of one length; raises MalformedResponse.

    Too many or too few will not be asked for again: the request was understood otherwise, and would be billed again.
    """
    rows = _in_order([expect(row, dict, "data[…]") for row in _list(payload.get("data"), "data")], texts=texts)
    vectors = tuple(_vector(row.get("embedding")) for row in rows)
    lengths = sorted({len(vector) for vector in vectors})
    if len(lengths) > 1:
        raise MalformedResponse(f"The vectors of the answer have different lengths: {lengths}")
    return Embedding(
        vectors=vectors,
        model=text_or_none(payload.get("model"), "model") or "",
        usage=usage(payload.get("usage")),
        request_id=request_id,
    )


def expect(value: object, kind: type[K], place: str) -> K:
    """`value`, which has to be of this kind; raises MalformedResponse that names its place in the reply."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise MalformedResponse(f"{place} in the reply is {excerpt(value)}, not a {kind.__name__}")
    return value


def text_or_none(value: object, place: str) -> str | None:
    """A text that can be written somewhere, or None; raises MalformedResponse, also for half a surrogate pair."""
    if value is None:
        return None
    text = expect(value, str, place)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MalformedResponse(f"{place} in the reply is no Unicode text: {excerpt(ascii(text))}") from None
    return text


def usage(billed: object) -> Usage | None:
    """The billed tokens, None where the API did not tell them as numbers: an answer is worth more than its bill."""
    if not isinstance(billed, Mapping):
        return None
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    if not all(_is_count(billed.get(name) or 0) for name in names):
        return None
    prompt, answer, total = (_count(billed, name) for name in names)
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
    name = text_or_none(function.get("name"), "tool_calls[…].function.name")
    if not name:
        raise MalformedResponse("A tool call in the reply does not name its function")
    return ToolCall(
        id=text_or_none(fields.get("id"), "tool_calls[…].id") or "",
        name=name,
        arguments=text_or_none(arguments, "tool_calls[…].function.arguments") or "",
    )


def _in_order(rows: list[dict[str, Any]], *, texts: int) -> list[dict[str, Any]]:
    """The rows by their index; as they come where none has one."""
    if len(rows) != texts:
        raise MalformedResponse(f"The answer has {len(rows)} vectors for {texts} texts", should_retry=False)
    told = [row["index"] for row in rows if row.get("index") is not None]
    if not told:
        return rows
    if sorted(expect(index, int, "data[…].index") for index in told) != list(range(texts)):
        raise MalformedResponse(f"The vectors of the answer are numbered {excerpt(told)}, not 0 to {texts - 1}")
    return sorted(rows, key=lambda row: int(row["index"]))


def _vector(value: object) -> list[float]:
    vector = _base64_vector(value) if isinstance(value, str) else _numbers(value)
    if not vector or not all(map(math.isfinite, vector)):
        raise MalformedResponse(f"data[…].embedding is no vector of numbers: {excerpt(value)}")
    return vector


def _numbers(value: object) -> list[float]:
    numbers = expect(value, list, "data[…].embedding")
    if not all(type(number) in (int, float) for number in numbers):
        raise MalformedResponse(f"data[…].embedding holds something that is no number: {excerpt(value)}")
    try:
        return [float(number) for number in numbers]
    except OverflowError:
        raise MalformedResponse("data[…].embedding holds a number that is too large for a float") from None


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


def _count(fields: object, name: str) -> int:
    value = fields.get(name) if isinstance(fields, Mapping) else None
    return value if _is_count(value) else 0


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
