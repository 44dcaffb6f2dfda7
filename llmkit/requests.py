"""What is sent: one frozen object a surface, checked before it leaves."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmkit.errors import ContextOverflow, InvalidRequest, excerpt
from llmkit.messages import Message, conversation
from llmkit.models import ModelSpec, Surface, problems
from llmkit.tokens import TokenCount, count_inputs, count_response_tokens, count_tokens

Texts = str | Iterable[str] | Iterable[int] | Iterable[Iterable[int]]

_ELSEWHERE = {
    "stream": "call client.stream(...) for events, client.chat(...) for the whole",
    "input": "it is the first argument",
    "messages": "it is the first argument",
    "prompt": "it is the first argument",
    "timeout": "deadline_s=… bounds a call with all its requests",
    "max_retries": "max_attempts=… is the number of requests, the first included",
    "extra_body": "what the API knows, and llmkit does not, is a keyword argument like any other",
    "extra_headers": "a call has no headers of its own",
    "extra_query": "a call has no query of its own",
}
_STORED = ("responses", "prompt")  # there it is the name of a prompt that the API keeps
# as the SDK sorts a body: these, what is asked (of a response it is one among the rest), and the rest by their names
_LEADING = ("model", "stream", "service_tier")
_MAIN = {"chat": "messages", "completions": "prompt", "embeddings": "input"}
_USAGE = {"include_usage": True}
_ROOMS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_canonical = json.JSONEncoder(sort_keys=True, allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Request:
    """One API request: its surface, the body as the API documents it, and `content`, the same as JSON.

    The JSON is byte for byte what the SDK would send. Raises InvalidRequest for what JSON or UTF-8 cannot carry.
    """

    surface: Surface
    body: Mapping[str, Any]
    content: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "content", _encode(self.body).encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"The request cannot be sent as JSON: {_culprit(self.body)}{error}") from None

    @property
    def model(self) -> str:
        """The model, or on Azure the deployment."""
        return str(self.body["model"])

    @property
    def streamed(self) -> bool:
        """Whether the reply comes as events."""
        return bool(self.body.get("stream"))

    @property
    def choices(self) -> int:
        """How many replies it asks for."""
        n = self.body.get("n")
        return n if isinstance(n, int) else 1

    @property
    def fingerprint(self) -> str:
        """A SHA-256 of what is asked, the same for any order of keys."""
        return hashlib.sha256(_canonical([self.surface, self.body]).encode()).hexdigest()

    def to(self, model: str) -> "Request":
        """The same for another model."""
        return Request(self.surface, {**self.body, "model": model})

    def without_usage(self) -> "Request":
        """The same without the option that asks a stream for its usage, if that is all that it asks."""
        options = self.body.get("stream_options")
        if options != _USAGE:
            return self
        return Request(self.surface, {name: value for name, value in self.body.items() if name != "stream_options"})

    def with_messages(self, messages: Iterable[Message]) -> "Request":
        """The same with another conversation."""
        return Request(self.surface, {**self.body, "messages": conversation(messages)})


def chat_request(
    messages: str | Iterable[Message], *, model: str, stream: bool = False, parameters: Mapping[str, Any]
) -> Request:
    """A chat completion; a plain string is one user message.

    A stream asks for its usage, unless `stream_options` says otherwise; None there leaves the option out, for servers
    that refuse it. Raises InvalidRequest for messages that are none, for parameters that are the client's own, and for
    what JSON cannot say.
    """
    found = conversation(messages)
    if not found:
        raise InvalidRequest("There are no messages: give a string, or a list of {'role': …, 'content': …}")
    body: dict[str, Any] = {"messages": found, "model": model}
    if stream:
        parameters = {"stream_options": dict(_USAGE), **parameters}
        if parameters["stream_options"] is None:
            parameters = {name: value for name, value in parameters.items() if name != "stream_options"}
        return _checked("chat", body, parameters, stream=True)
    return _checked("chat", body, parameters)


def completion_request(prompt: Texts, *, model: str, parameters: Mapping[str, Any]) -> Request:
    """A completion of the older kind: the text goes on where `prompt` ends, which may also be a list of token ids."""
    if not isinstance(prompt, str):
        prompt = _inputs(prompt, "complete", "prompt")
    return _checked("completions", {"model": model, "prompt": prompt}, parameters)


def embedding_request(texts: Texts, *, model: str, parameters: Mapping[str, Any]) -> Request:
    """Embeddings of one text or several, each a string or a list of token ids.

    They are asked for in base64, which is a fifth of the bytes of decimal numbers. Raises InvalidRequest for anything
    else, since what the API makes of it would be billed.
    """
    body = {"input": _inputs(texts, "embed", "texts"), "model": model}
    return _checked("embeddings", body, {"encoding_format": "base64", **parameters})


def response_request(
    question: str | Iterable[Message], *, model: str, stream: bool = False, parameters: Mapping[str, Any]
) -> Request:
    """A response of the Responses API: to a text, or to a list of its items, of which messages are one kind."""
    items = question if isinstance(question, str) else _items(question)
    if not items and "prompt" not in parameters:
        raise InvalidRequest("There is no question: give a string, or a list of {'role': …, 'content': …}")
    body = ({"input": items} if items else {}) | {"model": model}
    return _checked("responses", body, parameters, **({"stream": True} if stream else {}))


def text_count(request: Request) -> int:
    """How many vectors are due for an embedding request: one list of token ids is one text."""
    return len(_apart(request.body["input"]))


def check(request: Request, spec: ModelSpec) -> Request:
    """The request itself, if the model takes it.

    Raises InvalidRequest for what the API would refuse, and ContextOverflow for what is longer than the model's window,
    with the answer that it asks for, even where the count is as wrong as it can be.
    """
    found = problems(spec, request.body, surface=request.surface)
    if found:
        more = f" (and {len(found) - 1} more: {'; '.join(map(str, found[1:]))})" if len(found) > 1 else ""
        raise InvalidRequest(f"{found[0]}{more}", param=found[0].parameter)
    _check_window(request, spec)
    return request


def tokens_of(request: Request, spec: ModelSpec) -> int:
    """What the request may cost, estimated for a limit of tokens a minute: its own, and the room for an answer."""
    body = request.body
    room = next((body[name] for name in _ROOMS if isinstance(body.get(name), int)), 0)
    if request.surface != "chat":
        return len(request.content) // 4 + int(room)
    try:
        return count_tokens(body["messages"], model=spec.name, tools=body.get("tools")).tokens + int(room)
    except InvalidRequest:
        return len(request.content) // 4 + int(room)


def _check_window(request: Request, spec: ModelSpec) -> None:
    window, room = spec.max_input or spec.context_window, _room(request, spec)
    if window is None or len(request.content) + room <= window:  # no token is shorter than a byte: no need to count
        return
    try:
        counts = list(_counts(request, spec))
    except InvalidRequest:
        return  # the API may know parts that the counter does not
    for place, count in counts:
        if count.tokens - count.margin + room > window:
            answer = f"with {room:,} for the answer " if room else ""
            raise ContextOverflow(
                f"There are {count.tokens:,} tokens (give or take {count.margin}) in {place}, {answer}more than the "
                f"{window:,} of {spec.name}: shorten it, or take a model with a larger window",
                param=place.partition("[")[0],
            )


def _room(request: Request, spec: ModelSpec) -> int:
    """The tokens of the answer that the API adds to those of the question; of models that reason, it adds none."""
    if spec.family == "reasoning" or request.surface == "responses" or spec.max_input:
        return 0
    return max((value for name in _ROOMS if isinstance(value := request.body.get(name), int)), default=0)


def _counts(request: Request, spec: ModelSpec) -> Iterator[tuple[str, TokenCount]]:
    """What has to fit into the window, each with its name: a conversation, or every text by itself."""
    body = request.body
    if request.surface == "chat":
        extras = {name: body.get(name) for name in ("tools", "tool_choice", "response_format")}
        yield "messages", count_tokens(body["messages"], model=spec.name, **extras)
    elif request.surface != "responses":
        name = "prompt" if request.surface == "completions" else "input"
        for index, text in enumerate(_apart(body[name])):
            yield f"{name}[{index}]", count_inputs(text, model=spec.name)
    elif body.get("truncation") != "auto" and "context_management" not in body:  # else the API shortens it
        extras = {name: body.get(name) for name in ("instructions", "tools", "tool_choice", "text", "reasoning")}
        yield "input", count_response_tokens(body.get("input", ""), model=spec.name, **extras)


def _apart(inputs: Any) -> list[Any]:
    """The texts, of which one may be a string or a list of token ids."""
    return [inputs] if isinstance(inputs, str) or isinstance(inputs[0], int) else inputs


def _culprit(body: Mapping[str, Any]) -> str:
    """The first entry that cannot be sent, for a message; "" if only all of them together can't."""
    for name, value in body.items():
        try:
            _encode(value).encode()
        except (TypeError, ValueError, RecursionError):
            return f"{name} = {excerpt(value)}: "
    return ""


def _inputs(texts: object, call: str, argument: str) -> list[Any]:
    if isinstance(texts, str):
        return [texts]
    if not isinstance(texts, Iterable) or isinstance(texts, bytes | bytearray | Mapping):
        raise InvalidRequest(f"{call}() was given {excerpt(texts)}: it takes a text or a list of texts")
    inputs: list[object] = [text if isinstance(text, str | int | bytes) else _tokens(text) for text in texts]
    if not inputs:
        raise InvalidRequest(f"There is nothing to {call}: {call}() needs a text or a non-empty list of texts")
    kind = type(inputs[0])
    for index, text in enumerate(inputs):
        if type(text) is not kind or not _is_text(text):
            raise InvalidRequest(
                f"{argument}[{index}] is {excerpt(text)}: {call}() takes texts, or token ids, or lists of token ids"
            )
    return inputs


def _items(question: object) -> list[Any]:
    """Items of the Responses API: messages are checked, all others go as they are."""
    if not isinstance(question, list | tuple):
        return list(conversation(question))  # type: ignore[arg-type] # it refuses what is no list of messages
    return [item if isinstance(item, Mapping) and "role" not in item else conversation([item])[0] for item in question]


def _tokens(text: object) -> object:
    return list(text) if isinstance(text, Iterable) and not isinstance(text, bytearray | Mapping) else text


def _is_text(text: object) -> bool:
    tokens = text if isinstance(text, list) else [text]
    return isinstance(text, str) or (bool(tokens) and all(type(token) is int and token >= 0 for token in tokens))


def _checked(surface: Surface, body: dict[str, Any], parameters: Mapping[str, Any], **more: Any) -> Request:
    """The request, if every parameter goes into its body; its keys follow each other as in the SDK's."""
    for name in parameters:
        if name in _ELSEWHERE and name not in more and (surface, name) != _STORED:
            raise InvalidRequest(f"{name} is not a parameter here: {_ELSEWHERE[name]}")
    given = {**body, **parameters, **more}
    order = dict.fromkeys([*_LEADING, _MAIN.get(surface), *sorted(given)])
    return Request(surface, {name: given[name] for name in order if name in given})
