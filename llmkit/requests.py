"""What is sent: one frozen object a surface, checked before it leaves."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llmkit.errors import InvalidRequest, excerpt
from llmkit.messages import Message, conversation

Surface = Literal["chat", "embeddings"]
Texts = str | Iterable[str] | Iterable[int] | Iterable[Iterable[int]]

_ELSEWHERE = {
    "stream": "call client.stream(...) for events, client.chat(...) for the whole",
    "input": "texts is the first argument",
    "timeout": "deadline_s=… bounds a call with all its requests",
    "max_retries": "max_attempts=… is the number of requests, the first included",
    "extra_body": "what the API knows, and llmkit does not, is a keyword argument like any other",
    "extra_headers": "a call has no headers of its own",
    "extra_query": "a call has no query of its own",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One API request: its surface, and the body as the API documents it."""

    surface: Surface
    body: Mapping[str, Any]

    @property
    def model(self) -> str:
        """The model, or on Azure the deployment."""
        return str(self.body["model"])

    @property
    def streamed(self) -> bool:
        """Whether the reply comes as events."""
        return bool(self.body.get("stream"))

    @property
    def fingerprint(self) -> str:
        """A SHA-256 of what is asked, the same for any order of keys."""
        canonical = json.dumps([self.surface, self.body], sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def chat_request(
    messages: str | Iterable[Message], *, model: str, stream: bool = False, parameters: Mapping[str, Any]
) -> Request:
    """A chat completion; a plain string is one user message.

    A stream asks for its usage, unless `stream_options` says otherwise. Raises InvalidRequest for messages that are
    none, for parameters that are the client's own, and for what JSON cannot say.
    """
    found = conversation(messages)
    if not found:
        raise InvalidRequest("There are no messages: give a string, or a list of {'role': …, 'content': …}")
    body: dict[str, Any] = {"model": model, "messages": found, **parameters}
    if stream:
        _check_one_choice(parameters.get("n"))
        body = {"stream_options": {"include_usage": True}} | body | {"stream": True}
    return Request("chat", _checked(body, parameters))


def embedding_request(texts: Texts, *, model: str, parameters: Mapping[str, Any]) -> Request:
    """Embeddings of one text or several, each a string or a list of token ids.

    They are asked for in base64, which is a fifth of the bytes of decimal numbers. Raises InvalidRequest for anything
    else, since what the API makes of it would be billed.
    """
    body = {"encoding_format": "base64", "model": model, "input": _inputs(texts), **parameters}
    return Request("embeddings", _checked(body, parameters))


def text_count(request: Request) -> int:
    """How many vectors are due for an embedding request: one list of token ids is one text."""
    inputs = request.body["input"]
    return 1 if isinstance(inputs[0], int) else len(inputs)


def _inputs(texts: object) -> list[Any]:
    if isinstance(texts, str):
        return [texts]
    if not isinstance(texts, Iterable) or isinstance(texts, bytes | bytearray | Mapping):
        raise InvalidRequest(f"embed() was given {excerpt(texts)}: it takes a text or a list of texts")
    inputs: list[object] = [text if isinstance(text, str | int | bytes) else _tokens(text) for text in texts]
    if not inputs:
        raise InvalidRequest("There is nothing to embed: embed() needs a text or a non-empty list of texts")
    kind = type(inputs[0])
    for index, text in enumerate(inputs):
        if type(text) is not kind or not _is_text(text):
            raise InvalidRequest(
                f"texts[{index}] is {excerpt(text)}: embed() takes texts, or token ids, or lists of token ids"
            )
    return inputs


def _tokens(text: object) -> object:
    return list(text) if isinstance(text, Iterable) and not isinstance(text, bytearray | Mapping) else text


def _is_text(text: object) -> bool:
    tokens = text if isinstance(text, list) else [text]
    return isinstance(text, str) or (bool(tokens) and all(type(token) is int and token >= 0 for token in tokens))


def _check_one_choice(n: object) -> None:
    if isinstance(n, int) and n > 1:
        raise InvalidRequest(f"n = {n}: a stream carries one reply, since its events do not tell whose they are")


def _checked(body: dict[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The body, if every parameter goes into one, and JSON and UTF-8 can carry it."""
    for name in parameters:
        if name in _ELSEWHERE:
            raise InvalidRequest(f"{name} is not a parameter here: {_ELSEWHERE[name]}")
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"The request cannot be sent as JSON: {error}") from None
    return body
