"""What is sent: one frozen object a surface, checked before it leaves."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llmkit.errors import InvalidRequest, excerpt

Message = Mapping[str, Any]
Surface = Literal["chat", "embeddings"]


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
    none, for `stream` among the parameters, and for what JSON cannot say.
    """
    if "stream" in parameters:
        raise InvalidRequest(
            "stream is not a parameter here: call client.stream(...) for events, client.chat(...) for the whole"
        )
    body: dict[str, Any] = {"model": model, "messages": _messages(messages), **parameters}
    if stream:
        body = {"stream_options": {"include_usage": True}} | body | {"stream": True}
    return Request("chat", _checked(body))


def embedding_request(texts: str | Iterable[str], *, model: str, parameters: Mapping[str, Any]) -> Request:
    """Embeddings of one text or several; asked for in base64, which is a fifth of the bytes of decimal numbers."""
    inputs = [texts] if isinstance(texts, str) else list(texts)
    if not inputs:
        raise InvalidRequest("There is nothing to embed: embed() needs a text or a non-empty list of texts")
    return Request("embeddings", _checked({"encoding_format": "base64", "model": model, "input": inputs, **parameters}))


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    """The body, if JSON and UTF-8 can carry it."""
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"The request cannot be sent as JSON: {error}") from None
    return body


def _messages(messages: str | Iterable[Message]) -> list[dict[str, Any]]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if isinstance(messages, Mapping):
        raise InvalidRequest("messages is one message: put it into a list, [{'role': 'user', 'content': …}]")
    found: list[object] = list(messages)
    if not found:
        raise InvalidRequest("There are no messages: give a string, or a list of {'role': …, 'content': …}")
    for index, message in enumerate(found):
        if not (isinstance(message, Mapping) and message.get("role")):
            raise InvalidRequest(
                f"messages[{index}] is {excerpt(message)}, not a message like {{'role': 'user', 'content': …}}"
            )
    return [dict(message) for message in found if isinstance(message, Mapping)]
