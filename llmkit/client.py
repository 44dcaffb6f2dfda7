"""The clients: `AsyncClient` carries out what `_flow` decides, `Client` is the same for code that does not await."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Self, TypeVar

from llmkit import _background
from llmkit._flow import Call, drive
from llmkit._transport import Response, Transport
from llmkit.config import AzureSettings, OpenAISettings
from llmkit.errors import ConfigError, ConnectionFailed, LLMError, MalformedResponse
from llmkit.policies.retry import Limits
from llmkit.requests import Message, Request, chat_request, embedding_request
from llmkit.responses import Completion, Embedding, completion, embedding, parse_json
from llmkit.streaming import StreamEvent, StreamReader

T = TypeVar("T")
Reply = TypeVar("Reply", Completion, Embedding)
Messages = str | Iterable[Message]
BILL_S = 2.0  # how long a finished stream may take to tell its usage

Parse = Callable[[Mapping[str, Any]], Reply]


class _Configured:
    """What both clients are made of: settings and a transport."""

    def __init__(
        self,
        *,
        model: str | None = None,
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
            endpoint=endpoint,
            api_key=api_key,
            api_version=api_version,
            deadline_s=deadline_s,
            max_attempts=max_attempts,
        )
        return cls(settings=settings)

    def _model(self, model: str | None) -> str:
        chosen = model or self._settings.model
        if chosen is None:
            raise ConfigError(
                "No model is chosen: pass model=… to the call or to the client (deployment=… on Azure), "
                "set the environment variable LLMKIT_MODEL, or write model to llmkit.toml"
            )
        return chosen

    def _call(self, deadline_s: float | None, max_attempts: int | None) -> Call:
        """One call, under the client's limits or its own."""
        limits = self._settings.limits
        return Call(
            Limits(
                deadline_s=limits.deadline_s if deadline_s is None else deadline_s,
                max_attempts=limits.max_attempts if max_attempts is None else max_attempts,
            )
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), settings=self._settings), ()


class AsyncClient(_Configured):
    """A client of the OpenAI API for code that awaits.

    What is not given comes from OPENAI_API_KEY, OPENAI_BASE_URL, LLMKIT_MODEL, LLMKIT_DEADLINE_S, LLMKIT_MAX_ATTEMPTS
    and the like, then from `.env`, then from `llmkit.toml`; see `llmkit.config`. `deadline_s` bounds each call with all
    its requests and the pauses between them, `max_attempts` the requests; a single call may set its own.
    Other keyword arguments of a call go to the API as they are.

    Every failure is an LLMError. One client serves any number of tasks, threads and successive event loops.
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
        """The reply to a list of chat messages, or to a string as the one user message."""
        request = chat_request(messages, model=self._model(model), parameters=parameters)
        call = self._call(deadline_s, max_attempts)
        return await self._exchange(request, call, completion)

    def stream(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        **parameters: Any,
    ) -> "AsyncStream":
        """The same reply as it is written: `async with client.stream(…) as stream: async for event in stream: …`."""
        request = chat_request(messages, model=self._model(model), stream=True, parameters=parameters)
        return AsyncStream(self._transport, request, partial(self._call, deadline_s, max_attempts))

    async def embed(
        self,
        texts: str | Iterable[str],
        *,
        model: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        **parameters: Any,
    ) -> Embedding:
        """One vector for each text."""
        request = embedding_request(texts, model=self._model(model), parameters=parameters)
        call, number = self._call(deadline_s, max_attempts), len(request.body["input"])
        return await self._exchange(request, call, partial(embedding, texts=number))

    async def aclose(self) -> None:
        """Closes the connections; another call would open them again."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def _exchange(self, request: Request, call: Call, parse: Parse[Reply]) -> Reply:
        """A request whose reply is read whole before it counts."""

        async def send(timeout_s: float) -> Reply:
            return await _in_time(call, timeout_s, "waiting for the reply", self._receive(request, parse))

        reply = await drive(call, send)
        return replace(reply, attempts=call.succeeded(request_id=reply.request_id))

    async def _receive(self, request: Request, parse: Parse[Reply]) -> Reply:
        response = await self._transport.open(request)
        try:
            data = await response.read()
            return replace(parse(parse_json(data)), request_id=response.request_id)
        except LLMError as error:
            response.spoilt(error)
            raise
        finally:
            await response.close()


class AsyncStream:
    """A reply as it is written; entering it sends the request and waits for the first event.

    A failure before the first event is retried like any other. After it nothing is sent again, and the error's
    `partial` is what had arrived.
    """

    def __init__(self, transport: Transport, request: Request, call: Callable[[], Call]) -> None:
        self._transport = transport
        self._request = request
        self._start = call
        self._ready: deque[StreamEvent] = deque()
        self._reader = StreamReader()
        self._call: Call | None = None
        self._response: Response | None = None
        self._reply: Completion | None = None

    @property
    def text(self) -> str:
        """The text that has arrived so far."""
        return self._reader.text

    @property
    def reply(self) -> Completion:
        """The whole reply, once every event has been read."""
        if self._reply is None:
            raise LLMError("The reply is not whole yet: read all events of the stream first", partial=self.text)
        return self._reply

    async def __aenter__(self) -> Self:
        if self._call is not None:
            raise LLMError("A stream can be entered once: call client.stream(…) again for another")
        self._call = self._start()
        self._ready.extend(await drive(self._call, self._open))
        await self._settle()
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._response is not None:
            await self._response.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def next(self) -> StreamEvent | None:
        """The next event, None after the last."""
        if not self._ready:
            await self._fill()
        return self.ready()

    def ready(self) -> StreamEvent | None:
        """An event that has arrived and need not be waited for, if there is one."""
        return self._ready.popleft() if self._ready else None

    async def _open(self, timeout_s: float) -> list[StreamEvent]:
        """The first events, in a new request."""
        return await _in_time(self._started, timeout_s, "waiting for the stream's first event", self._first())

    async def _first(self) -> list[StreamEvent]:
        self._response = await self._transport.open(self._request)
        self._reader = StreamReader()
        answered = False
        try:
            await _check_stream(self._response)
            events = await self._read(self._response)
            answered = True
        except LLMError as error:
            self._response.spoilt(error)
            raise
        finally:
            if not answered:
                await self._response.close()
        return events

    async def _fill(self) -> None:
        """Waits until there are events to hand out, or no more will come."""
        if self._reply is not None:
            return
        call, response = self._started, self._response
        if response is None:
            raise LLMError("The stream is not open: read it inside `with client.stream(…) as stream:`")
        try:
            self._ready.extend(await _in_time(call, call.remaining_s, "reading the stream", self._read(response)))
            await self._settle()
        except LLMError as error:
            await response.close()
            response.spoilt(error)
            error.partial = self.text
            call.failed(error)
            raise

    async def _read(self, response: Response) -> list[StreamEvent]:
        """The next events; none once the reply is whole."""
        self._reader.check()
        events: list[StreamEvent] = []
        while not events and not self._reader.done:
            data = await self._next_bytes(response)
            events = self._reader.end() if data is None else self._reader.feed(data)
        return events

    async def _next_bytes(self, response: Response) -> bytes | None:
        """After the finish reason only the bill can get lost: it is not waited for long, nor missed."""
        if not self._reader.finished:
            return await response.read_some()
        try:
            async with asyncio.timeout(min(BILL_S, self._started.remaining_s / 2)):
                return await response.read_some()
        except (TimeoutError, ConnectionFailed):
            return None

    async def _settle(self) -> None:
        """Builds the reply when all of it has been read, and gives the connection back."""
        if not self._reader.done or self._response is None:
            return
        whole = self._reader.completion()
        request_id = self._response.request_id
        self._reply = replace(whole, request_id=request_id, attempts=self._started.succeeded(request_id=request_id))
        await self._response.close(drain=True)

    @property
    def _started(self) -> Call:
        if self._call is None:
            raise LLMError("The stream is not open: read it inside `with client.stream(…) as stream:`")
        return self._call


class Client(_Configured):
    """A client of the OpenAI API; what AsyncClient says holds here too, but for its `await`."""

    @cached_property
    def _client(self) -> AsyncClient:
        return AsyncClient(settings=self._settings)

    def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        **parameters: Any,
    ) -> Completion:
        """The reply to a list of chat messages, or to a string as the one user message."""
        return _background.run(
            self._client.chat(messages, model=model, deadline_s=deadline_s, max_attempts=max_attempts, **parameters)
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
            self._client.stream(messages, model=model, deadline_s=deadline_s, max_attempts=max_attempts, **parameters)
        )

    def embed(
        self,
        texts: str | Iterable[str],
        *,
        model: str | None = None,
        deadline_s: float | None = None,
        max_attempts: int | None = None,
        **parameters: Any,
    ) -> Embedding:
        """One vector for each text."""
        return _background.run(
            self._client.embed(texts, model=model, deadline_s=deadline_s, max_attempts=max_attempts, **parameters)
        )

    def close(self) -> None:
        """Closes the connections; another call would open them again."""
        if "_client" in vars(self):
            _background.run(self._client.aclose())

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


async def _in_time(call: Call, timeout_s: float, doing: str, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the deadline passes."""
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError:
        late = call.out_of_time(doing)
    raise late


async def _check_stream(response: Response) -> None:
    if response.content_type in ("text/event-stream", ""):
        return
    parse_json(await response.read())
    raise MalformedResponse(f"The API answered with {response.content_type!r} where a stream was asked for")
