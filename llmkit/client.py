"""The clients: `AsyncClient` for code that awaits, `Client` for code that does not; two thin drivers of one engine."""

import asyncio
from collections.abc import Iterable
from typing import Any, Self, cast

from llmkit import _background
from llmkit._engine import Engine, Messages
from llmkit._flow import Observer
from llmkit._services import Errand
from llmkit._streams import AsyncStream
from llmkit.bulk import calls as bulk
from llmkit.bulk.calls import Errors, Path
from llmkit.bulk.progress import Progress
from llmkit.config import AzureSettings
from llmkit.options import CallOptions
from llmkit.requests import Texts
from llmkit.responses import Completion, Embedding
from llmkit.streaming import StreamEvent
from llmkit.telemetry import Telemetry
from llmkit.telemetry.totals import Totals
from llmkit.telemetry.watchers import Watchers
from llmkit.tokens import Calibration


class _Client(Engine):
    """What both clients share beside the engine: how they are made, and watched."""

    _watchers: Watchers

    @property
    def totals(self) -> Totals:
        """What the calls of this client have used and cost; `snapshot()` and `reset()` tell it."""
        return self._watchers.totals

    @property
    def calibration(self) -> Calibration:
        """What the API billed beyond our counts; empty unless the client was made with Telemetry(calibrate=True)."""
        return self._watchers.calibration

    def _watching(self, *, telemetry: Telemetry | bool) -> Iterable[Observer]:
        self._watchers = Watchers(self.settings, telemetry=telemetry)
        return self._watchers.observers

    @classmethod
    def azure(
        cls,
        *,
        deployment: str | None = None,
        embedding_deployment: str | None = None,
        endpoint: str | None = None,
        api_key: str | None = None,
        api_version: str | None = None,
        model: str | None = None,
        embedding_model: str | None = None,
        **settings: Any,
    ) -> Self:
        """A client of an Azure OpenAI resource, where `deployment`, or `model`, names the deployment that is asked.

        What is not given comes from AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_KEY, OPENAI_API_VERSION or `llmkit.toml`.
        Without an API version it uses the resource's v1 route, which needs none. `auth='entra'` or a `token_provider`
        stands in the place of a key; all other settings are those of any client.
        """
        return cls(
            provider=AzureSettings,
            model=model if deployment is None else deployment,
            embedding_model=embedding_model if embedding_deployment is None else embedding_deployment,
            endpoint=endpoint,
            api_key=api_key,
            api_version=api_version,
            **settings,
        )

    def with_options(self, **options: Any) -> Self:
        """The same client, on the same connections, with other defaults for its calls: those of `CallOptions`."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other.options = CallOptions(**options).over(self.options)
        return other


class AsyncClient(_Client):
    """A client of the OpenAI API for code that awaits.

    What is not given comes from OPENAI_API_KEY, OPENAI_BASE_URL, LLMKIT_MODEL, LLMKIT_DEADLINE_S and the like, then
    from `.env`, then from `llmkit.toml`; every setting is in `llmkit.config`. `deadline_s` bounds each call with all
    its requests and the pauses between them, `first_token_s` and `idle_s` the silence of a stream, `max_attempts` the
    requests to one model, `rpm` and `tpm` the requests and tokens a minute. `cache` is a path, or True for that of
    `state_url`; `fallback` names who answers where the model can't.

    A call takes the options of `llmkit.CallOptions`; its other keyword arguments go to the API as they are.
    Every failure is an LLMError. One client serves any number of tasks, threads and successive event loops.

    A pickle of it holds no key: where it is unpickled, the key comes from the environment there, or a ConfigError where
    there is none.
    """

    async def chat(self, messages: Messages, *, model: str | None = None, **options: Any) -> Completion:
        """The reply to a list of chat messages, or to a string as the one user message.

        A message is a mapping, or the message of a reply of the SDK.
        """
        return cast("Completion", await self.services.answer(self.chat_errand(messages, model, options)))

    def stream(self, messages: Messages, *, model: str | None = None, **options: Any) -> AsyncStream:
        """The same reply as it is written: `async with client.stream(…) as stream: async for event in stream: …`."""
        return AsyncStream(self.services, self.chat_errand(messages, model, options, stream=True))

    async def complete(self, prompt: Texts, *, model: str | None = None, **options: Any) -> Completion:
        """How a text goes on, by a model of the older kind, such as gpt-3.5-turbo-instruct."""
        return cast("Completion", await self.services.answer(self.completion_errand(prompt, model, options)))

    async def respond(self, question: Messages, *, model: str | None = None, **options: Any) -> Completion:
        """The reply of the Responses API to a text, or to a list of its items."""
        return cast("Completion", await self.services.answer(self.response_errand(question, model, options)))

    def stream_response(self, question: Messages, *, model: str | None = None, **options: Any) -> AsyncStream:
        """The same reply as it is written."""
        return AsyncStream(self.services, self.response_errand(question, model, options, stream=True))

    async def embed(self, texts: Texts, *, model: str | None = None, **options: Any) -> Embedding:
        """One vector for each text; a text may also be a list of token ids."""
        return cast("Embedding", await self.services.answer(self.embedding_errand(texts, model, options)))

    async def map(
        self,
        prompts: Iterable[Messages],
        *,
        concurrency: int = 8,
        resume: Path | None = None,
        progress: Progress = None,
        errors: Errors = "raise",
        model: str | None = None,
        **options: Any,
    ) -> list[Completion]:
        """A reply for each prompt, in their order; `concurrency` calls are under way at once.

        With `resume`, the path of a file, each answer is kept there as it comes, and the same call again asks only for
        what is missing, also after a kill. `progress` is True or False for a bar on stderr, None for one on a terminal,
        or a function of how many are done, and of how many. Raises BulkFailed after all others have come where some
        failed; with errors='return' they stand in their places. What would fail every call, such as a wrong key, ends
        it at once.
        """
        return await bulk.mapped(
            self,
            prompts,
            concurrency=concurrency,
            resume=resume,
            progress=progress,
            errors=errors,
            model=model,
            options=options,
        )

    async def embed_many(
        self,
        texts: Iterable[str],
        *,
        concurrency: int = 4,
        resume: Path | None = None,
        progress: Progress = None,
        batch_tokens: int | None = None,
        model: str | None = None,
        **options: Any,
    ) -> Embedding:
        """One vector for each of any number of texts, in their order, in as many requests as that takes.

        A request has at most `batch_tokens` tokens, or as many as the API takes; a text that comes twice is sent once.
        `resume` and `progress` are those of `map`.
        """
        return await bulk.embedded(
            self,
            texts,
            concurrency=concurrency,
            resume=resume,
            progress=progress,
            batch_tokens=batch_tokens,
            model=model,
            options=options,
        )

    async def aclose(self) -> None:
        """Closes the connections of the running event loop; another call would open them again."""
        await self.services.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()


class Client(_Client):
    """A client of the OpenAI API; what AsyncClient says holds here too, but for its `await`."""

    def chat(self, messages: Messages, *, model: str | None = None, **options: Any) -> Completion:
        """The reply to a list of chat messages, or to a string as the one user message.

        A message is a mapping, or the message of a reply of the SDK.
        """
        return cast("Completion", self._answer(self.chat_errand(messages, model, options)))

    def stream(self, messages: Messages, *, model: str | None = None, **options: Any) -> "Stream":
        """The same reply as it is written: `with client.stream(…) as stream`, then `for event in stream`."""
        return Stream(AsyncStream(self.services, self.chat_errand(messages, model, options, stream=True)))

    def complete(self, prompt: Texts, *, model: str | None = None, **options: Any) -> Completion:
        """How a text goes on, by a model of the older kind, such as gpt-3.5-turbo-instruct."""
        return cast("Completion", self._answer(self.completion_errand(prompt, model, options)))

    def respond(self, question: Messages, *, model: str | None = None, **options: Any) -> Completion:
        """The reply of the Responses API to a text, or to a list of its items."""
        return cast("Completion", self._answer(self.response_errand(question, model, options)))

    def stream_response(self, question: Messages, *, model: str | None = None, **options: Any) -> "Stream":
        """The same reply as it is written."""
        return Stream(AsyncStream(self.services, self.response_errand(question, model, options, stream=True)))

    def embed(self, texts: Texts, *, model: str | None = None, **options: Any) -> Embedding:
        """One vector for each text; a text may also be a list of token ids."""
        return cast("Embedding", self._answer(self.embedding_errand(texts, model, options)))

    def map(
        self,
        prompts: Iterable[Messages],
        *,
        concurrency: int = 8,
        resume: Path | None = None,
        progress: Progress = None,
        errors: Errors = "raise",
        model: str | None = None,
        **options: Any,
    ) -> list[Completion]:
        """A reply for each prompt, in their order; `concurrency` calls are under way at once.

        With `resume`, the path of a file, each answer is kept there as it comes, and the same call again asks only for
        what is missing, also after a kill. `progress` is True or False for a bar on stderr, None for one on a terminal,
        or a function of how many are done, and of how many. Raises BulkFailed after all others have come where some
        failed; with errors='return' they stand in their places. What would fail every call, such as a wrong key, ends
        it at once.
        """
        return _background.run(
            bulk.mapped(
                self,
                prompts,
                concurrency=concurrency,
                resume=resume,
                progress=progress,
                errors=errors,
                model=model,
                options=options,
            )
        )

    def embed_many(
        self,
        texts: Iterable[str],
        *,
        concurrency: int = 4,
        resume: Path | None = None,
        progress: Progress = None,
        batch_tokens: int | None = None,
        model: str | None = None,
        **options: Any,
    ) -> Embedding:
        """One vector for each of any number of texts, in their order, in as many requests as that takes.

        A request has at most `batch_tokens` tokens, or as many as the API takes; a text that comes twice is sent once.
        `resume` and `progress` are those of `map`.
        """
        return _background.run(
            bulk.embedded(
                self,
                texts,
                concurrency=concurrency,
                resume=resume,
                progress=progress,
                batch_tokens=batch_tokens,
                model=model,
                options=options,
            )
        )

    def close(self) -> None:
        """Closes the connections, but for those of calls under way; another call would open them again."""
        _background.run_everywhere(self.services.aclose)

    def _answer(self, errand: Errand) -> Any:
        """The reply; one that is in a cache here needs no event loop."""
        known = self.services.recalled_now(errand)
        if known is not None and errand.options.parse is None:
            errand.call.tell("ended", known)
            return known
        return _background.run(self.services.answer(errand, known))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Stream:
    """A reply as it is written; what AsyncStream says holds here too, but for its `await`."""

    def __init__(self, stream: AsyncStream) -> None:
        self._stream = stream
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def text(self) -> str:
        """The text that has arrived so far."""
        return self._stream.text

    @property
    def reply(self) -> Completion:
        """The whole reply, once every event has been read."""
        return self._stream.reply

    def __enter__(self) -> Self:
        loop = _background.borrow()
        try:
            _background.run_on(loop, self._stream.__aenter__())
        except BaseException:
            _background.give_back(loop)
            raise
        self._loop = loop
        return self

    def __exit__(self, *exception: object) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            try:
                _background.run_on(loop, self._stream.__aexit__())
            finally:
                _background.give_back(loop)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent:
        event = self._stream.ready() or self._next()
        if event is None:
            raise StopIteration
        return event

    def _next(self) -> StreamEvent | None:
        if self._loop is None:
            return _background.run(self._stream.next())  # which says why there is none
        return _background.run_on(self._loop, self._stream.next())
