"""The clients: `AsyncClient` for code that awaits, `Client` for code that does not; two thin drivers of one engine."""

from collections.abc import Coroutine, Iterable
from functools import partial
from typing import Any, Self

from llmkit import _background
from llmkit._exchange import AsyncStream, exchange
from llmkit._flow import Call
from llmkit._transport import Transport
from llmkit.config import AzureSettings, OpenAISettings
from llmkit.errors import ConfigError, InvalidRequest
from llmkit.messages import Message
from llmkit.models import spec_for
from llmkit.policies.retry import Limits
from llmkit.requests import Texts, chat_request, embedding_request, text_count
from llmkit.responses import Completion, Embedding, completion, embedding
from llmkit.streaming import StreamEvent

EMBEDDING_MODEL = "text-embedding-3-small"
"""What embeds where neither call nor client names an embedding model; on Azure, the deployment of that name."""

Messages = str | Iterable[Message]


class _Engine:
    """What both clients are made of: settings, a transport, and calls that are ready to be awaited.

    `settings` are ready-made ones, instead of all other arguments.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        embedding_model: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        settings: OpenAISettings | AzureSettings | None = None,
    ) -> None:
        self._settings = settings or OpenAISettings.load(
            model=model,
            embedding_model=embedding_model,
            api_key=api_key,
            base_url=base_url,
            organization=organization,
            project=project,
            deadline_s=deadline_s,
            max_attempts=max_attempts,
        )
        self._transport = Transport(self._settings)

    @classmethod
    def azure(
        cls,
        *,
        deployment: str | None = None,
        embedding_deployment: str | None = None,
        endpoint: str | None = None,
        api_key: str | None = None,
        api_version: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
    ) -> Self:
        """A client of an Azure OpenAI resource, where `deployment` stands for the model.

        What is not given comes from AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_KEY, OPENAI_API_VERSION or `llmkit.toml`.
        Without an API version it uses the resource's v1 route, which needs none.
        """
        settings = AzureSettings.load(
            model=deployment,
            embedding_model=embedding_deployment,
            endpoint=endpoint,
            api_key=api_key,
            api_version=api_version,
            deadline_s=deadline_s,
            max_attempts=max_attempts,
        )
        return cls(settings=settings)

    def _model(self, model: str | None) -> str:
        chosen = self._settings.model if model is None else _checked_name(model)
        if chosen is None:
            raise ConfigError(
                "No model is chosen: pass model=… to the call or to the client (deployment=… on Azure), "
                "set the environment variable LLMKIT_MODEL, or write model to llmkit.toml"
            )
        return chosen

    def _embedding_model(self, model: str | None) -> str:
        """The client's own model if it embeds; a chat model can't, so beside one it is the embedding model."""
        if model is not None:
            return _checked_name(model)
        own = self._settings.model
        if self._settings.embedding_model is None and own and spec_for(own).family == "embedding":
            return own
        return self._settings.embedding_model or EMBEDDING_MODEL

    def _call(self, deadline_s: float | None, max_attempts: int | None) -> Call:
        """One call, under its own limits or the client's."""
        return Call(
            Limits(
                deadline_s=self._settings.deadline_s if deadline_s is None else deadline_s,
                max_attempts=self._settings.max_attempts if max_attempts is None else max_attempts,
            )
        )

    def _chat(
        self,
        messages: Messages,
        *,
        model: str | None,
        deadline_s: float | None,
        max_attempts: int | None,
        parameters: dict[str, Any],
    ) -> Coroutine[Any, Any, Completion]:
        request = chat_request(messages, model=self._model(model), parameters=parameters)
        return exchange(self._transport, request, self._call(deadline_s, max_attempts), completion)

    def _stream(
        self,
        messages: Messages,
        *,
        model: str | None,
        deadline_s: float | None,
        max_attempts: int | None,
        parameters: dict[str, Any],
    ) -> AsyncStream:
        request = chat_request(messages, model=self._model(model), stream=True, parameters=parameters)
        return AsyncStream(self._transport, request, partial(self._call, deadline_s, max_attempts))

    def _embed(
        self,
        texts: Texts,
        *,
        model: str | None,
        deadline_s: float | None,
        max_attempts: int | None,
        parameters: dict[str, Any],
    ) -> Coroutine[Any, Any, Embedding]:
        request = embedding_request(texts, model=self._embedding_model(model), parameters=parameters)
        parse = partial(embedding, texts=text_count(request))
        return exchange(self._transport, request, self._call(deadline_s, max_attempts), parse)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), settings=self._settings), ()


def _checked_name(model: object) -> str:
    if not (isinstance(model, str) and model.strip()):
        raise InvalidRequest(f"model = {model!r}: it has to be the name of a model or deployment, for example 'gpt-4o'")
    return model


class AsyncClient(_Engine):
    """A client of the OpenAI API for code that awaits.

    What is not given comes from OPENAI_API_KEY, OPENAI_BASE_URL, LLMKIT_MODEL, LLMKIT_DEADLINE_S, LLMKIT_MAX_ATTEMPTS
    and the like, then from `.env`, then from `llmkit.toml`; see `llmkit.config`. `deadline_s` bounds each call with all
    its requests and the pauses between them, `max_attempts` the requests; a single call may set its own.
    Other keyword arguments of a call go to the API as they are.

    Every failure is an LLMError. One client serves any number of tasks, threads and successive event loops.

    A pickle of it holds no key: where it is unpickled, the key comes from the environment there, or a ConfigError where
    there is none.
    """

    async def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        **parameters: Any,
    ) -> Completion:
        """The reply to a list of chat messages, or to a string as the one user message.

        A message is a mapping, or the message of a reply of the SDK.
        """
        return await self._chat(
            messages, model=model, deadline_s=deadline_s, max_attempts=max_attempts, parameters=parameters
        )

    def stream(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        **parameters: Any,
    ) -> AsyncStream:
        """The same reply as it is written: `async with client.stream(…) as stream: async for event in stream: …`."""
        return self._stream(
            messages, model=model, deadline_s=deadline_s, max_attempts=max_attempts, parameters=parameters
        )

    async def embed(
        self,
        texts: Texts,
        *,
        model: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        **parameters: Any,
    ) -> Embedding:
        """One vector for each text; a text may also be a list of token ids."""
        return await self._embed(
            texts, model=model, deadline_s=deadline_s, max_attempts=max_attempts, parameters=parameters
        )

    async def aclose(self) -> None:
        """Closes the connections; another call would open them again."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()


class Client(_Engine):
    """A client of the OpenAI API; what AsyncClient says holds here too, but for its `await`."""

    def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        **parameters: Any,
    ) -> Completion:
        """The reply to a list of chat messages, or to a string as the one user message.

        A message is a mapping, or the message of a reply of the SDK.
        """
        return _background.run(
            self._chat(messages, model=model, deadline_s=deadline_s, max_attempts=max_attempts, parameters=parameters)
        )

    def stream(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        **parameters: Any,
    ) -> "Stream":
        """The same reply as it is written: `with client.stream(…) as stream`, then `for event in stream`."""
        return Stream(
            self._stream(messages, model=model, deadline_s=deadline_s, max_attempts=max_attempts, parameters=parameters)
        )

    def embed(
        self,
        texts: Texts,
        *,
        model: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        **parameters: Any,
    ) -> Embedding:
        """One vector for each text; a text may also be a list of token ids."""
        return _background.run(
            self._embed(texts, model=model, deadline_s=deadline_s, max_attempts=max_attempts, parameters=parameters)
        )

    def close(self) -> None:
        """Closes the connections; another call would open them again."""
        _background.run(self._transport.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Stream:
    """A reply as it is written; what AsyncStream says holds here too, but for its `await`."""

    def __init__(self, stream: AsyncStream) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        """The text that has arrived so far."""
        return self._stream.text

    @property
    def reply(self) -> Completion:
        """The whole reply, once every event has been read."""
        return self._stream.reply

    def __enter__(self) -> Self:
        _background.run(self._stream.__aenter__())
        return self

    def __exit__(self, *exception: object) -> None:
        _background.run(self._stream.__aexit__())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent:
        event = self._stream.ready() or _background.run(self._stream.next())
        if event is None:
            raise StopIteration
        return event
