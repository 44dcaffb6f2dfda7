"""How one request is exchanged for its reply, whole or as it is written: the asynchronous work behind both clients."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Self, TypeVar

from llmkit._flow import Call, drive
from llmkit._transport import Response, Transport
from llmkit.errors import ConnectionFailed, LLMError, MalformedResponse
from llmkit.requests import Request
from llmkit.responses import Completion, Embedding, judged, parse_json
from llmkit.streaming import StreamEvent, StreamReader

BILL_S = 2.0  # how long a finished stream may take to tell its usage

T = TypeVar("T")
Reply = TypeVar("Reply", Completion, Embedding)
Parse = Callable[[Mapping[str, Any]], Reply]


async def exchange(transport: Transport, request: Request, call: Call, parse: Parse[Reply]) -> Reply:
    """The whole reply to `request`, which counts only once `parse` has found an answer in it."""

    async def send(timeout_s: float) -> tuple[Reply, Response]:
        return await _in_time(call, timeout_s, "waiting for the reply", _receive(transport, request, parse))

    await transport.prepare()
    reply, response = await drive(call, send)
    attempts = call.succeeded(status_code=response.status_code, request_id=response.request_id)
    return replace(reply, request_id=response.request_id, attempts=attempts)


async def _receive(transport: Transport, request: Request, parse: Parse[Reply]) -> tuple[Reply, Response]:
    response = await transport.open(request)

    def read(data: bytes) -> Reply:
        return parse(parse_json(data))

    try:
        return judged(read, await response.read(), hide=transport.hidden_bytes), response
    except LLMError as error:
        response.spoilt(error)
        raise
    finally:
        await response.close()


class AsyncStream:
    """A reply as it is written; entering it sends the request and waits for the first event.

    A failure before the first event is retried like any other. After it nothing is sent again, and the error's
    `partial` is what had arrived. A stream that failed, or whose reading was cancelled, is closed.
    """

    def __init__(self, transport: Transport, request: Request, call: Callable[[], Call]) -> None:
        self._transport = transport
        self._request = request
        self._new_call = call
        self._call: Call | None = None
        self._response: Response | None = None
        self._reader = StreamReader(hide=transport.hidden)
        self._ready: deque[StreamEvent] = deque()
        self._reply: Completion | None = None
        self._closed_because = ""

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
        self._call = call = self._new_call()

        async def send(timeout_s: float) -> list[StreamEvent]:
            return await _in_time(call, timeout_s, "waiting for the stream's first event", self._begin())

        await self._transport.prepare()
        self._ready.extend(await drive(call, send))
        await self._settle(call)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._close("its `with` block has been left")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def next(self) -> StreamEvent | None:
        """The next event, None after the last."""
        if not self._ready and self._reply is None:
            await self._go_on()
        return self.ready()

    def ready(self) -> StreamEvent | None:
        """An event that has arrived and need not be waited for, if there is one."""
        return self._ready.popleft() if self._ready else None

    async def _begin(self) -> list[StreamEvent]:
        """The first events, in a request of their own."""
        self._reader = StreamReader(hide=self._transport.hidden)
        self._response = response = await self._transport.open(self._request)
        begun = False
        try:
            await _check_stream(response, hide=self._transport.hidden_bytes)
            events = await self._read(response)
            begun = True
        except LLMError as error:
            response.spoilt(error)
            raise
        finally:
            if not begun:
                await response.close()
        return events

    async def _go_on(self) -> None:
        """Waits until there are events to hand out, or no more will come."""
        call, response = self._call, self._response
        if call is None or response is None:
            raise LLMError("The stream is not open: read it inside `with client.stream(…) as stream:`")
        if self._closed_because:
            raise LLMError(f"The stream is closed, for {self._closed_because}", partial=self.text)
        try:
            self._ready.extend(await _in_time(call, call.remaining_s, "reading the stream", self._read(response)))
        except LLMError as error:
            await self._close("it failed")
            error.partial = self.text
            call.failed(response.spoilt(error))
            raise
        except BaseException:  # a piece of it may be lost with what was cancelled
            await self._close("its reading was cancelled")
            raise
        await self._settle(call)

    async def _close(self, reason: str) -> None:
        """Closes the connection; the first reason is that which is told to who reads on."""
        self._closed_because = self._closed_because or reason
        if self._response is not None:
            await self._response.close()

    async def _read(self, response: Response) -> list[StreamEvent]:
        """The next events; none once the reply is whole."""
        self._reader.check()
        events: list[StreamEvent] = []
        while not events and not self._reader.done:
            data = await self._next_bytes(response)
            events = self._reader.end() if data is None else self._reader.feed(data)
        if self._reader.done:
            self._reader.completion()  # raises where what was streamed is no answer
        return events

    async def _next_bytes(self, response: Response) -> bytes | None:
        """After the finish reason only the bill can get lost: it is not waited for long, nor missed."""
        if not self._reader.finished or self._call is None:
            return await response.read_some()
        try:
            async with asyncio.timeout(min(BILL_S, self._call.remaining_s / 2)):
                return await response.read_some()
        except (TimeoutError, ConnectionFailed):
            return None

    async def _settle(self, call: Call) -> None:
        """Keeps the reply when all of it has been read, and gives the connection back."""
        if self._reader.done and self._response is not None:
            request_id = self._response.request_id
            attempts = call.succeeded(status_code=self._response.status_code, request_id=request_id)
            self._reply = replace(self._reader.completion(), request_id=request_id, attempts=attempts)
            await self._response.close(drain=True)


async def _in_time(call: Call, timeout_s: float, doing: str, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the deadline passes."""
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError:
        late = call.out_of_time(doing)
    raise late


async def _check_stream(response: Response, *, hide: Callable[[bytes], bytes]) -> None:
    if response.content_type in ("text/event-stream", ""):
        return
    judged(parse_json, await response.read(), hide=hide)
    raise MalformedResponse(f"The API answered with {response.content_type!r} where a stream was asked for")
