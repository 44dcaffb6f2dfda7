"""A reply as it is written, for code that awaits; `llmkit.client` has the same for code that does not."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, NoReturn, Protocol, Self, TypeVar

from llmkit._flow import Call, drive
from llmkit._intake import Intake
from llmkit._services import Errand, Services
from llmkit._transport import Response, Transport
from llmkit.errors import FirstTokenTimeout, IdleTimeout, InvalidRequest, LLMError, MalformedResponse, ParseFailed
from llmkit.parsers import reask
from llmkit.policies.cache import replayed
from llmkit.requests import Request
from llmkit.responses import Completion, parse_json
from llmkit.streaming import ChatReader, ResponseReader, StreamEvent, StreamReader

T = TypeVar("T")


class Source(Protocol):
    """Where the events of a stream come from."""

    events: deque[StreamEvent]
    reply: Completion | None
    failure: LLMError | None
    over: bool

    @property
    def text(self) -> str:
        """The text that has arrived so far."""
        ...

    async def wait(self) -> None:
        """Waits until there are events, or no more will come."""
        ...

    async def close(self) -> None:
        """Gives back what it holds."""
        ...


class Replay:
    """The events of a reply that is there already: from a cache, or a fallback's default."""

    def __init__(self, reply: Completion) -> None:
        self.events = deque(event for place, one in enumerate(reply.choices) for event in _told_again(one, place))
        self.reply: Completion | None = reply
        self.failure: LLMError | None = None
        self.over = True
        self.text = reply.text

    async def wait(self) -> None:
        """All is there."""

    async def close(self) -> None:
        """Nothing is open."""


def _told_again(reply: Completion, choice: int) -> Iterator[StreamEvent]:
    """What a stream would have said of one choice."""
    for piece in replayed(reply.text):
        yield StreamEvent(piece, choice=choice)
    for index, call in enumerate(reply.tool_calls):
        fragment = {"index": index, "id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
        yield StreamEvent(tool_calls=(fragment,), choice=choice)
    yield StreamEvent(finish_reason=reply.finish_reason, choice=choice)


class AsyncStream:
    """A reply as it is written; entering it sends the request and waits for the first event.

    A failure before the first event is retried, and falls back, like any other. After it nothing is sent again, and the
    error's `partial` is what had arrived. Leaving the block closes the connection.
    """

    def __init__(self, services: Services, errand: Errand) -> None:
        self._services = services
        self._errand = errand
        self._entered = False
        self._ended = False
        self._source: Source | None = None
        self._settled: Completion | None = None
        self._unparsed: ParseFailed | None = None
        self._closed_because = ""

    @property
    def text(self) -> str:
        """The text that has arrived so far."""
        return self._source.text if self._source is not None else ""

    @property
    def reply(self) -> Completion:
        """The whole reply, once every event has been read; raises ParseFailed where the call's parser refuses it."""
        if self._unparsed is not None:
            raise self._unparsed
        if self._settled is None:
            raise LLMError("The reply is not whole yet: read all events of the stream first", partial=self.text)
        return self._settled

    async def __aenter__(self) -> Self:
        if self._entered:
            raise LLMError("A stream can be entered once: call client.stream(…) again for another")
        self._entered = True
        self._errand.call.start()
        try:
            found = await self._found()
        except BaseException as error:
            self._tell_end(error)
            raise
        self._source = found if isinstance(found, Intake) else Replay(found)
        return self

    async def __aexit__(self, *exception: object) -> None:
        try:
            if self._source is not None and self._source.over and self._source.reply and not self._source.events:
                await self._settle()
        finally:
            await self._close("its `with` block has been left")
            self._tell_end(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        event = self.ready() or await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def next(self) -> StreamEvent | None:
        """The next event, None after the last."""
        if self._source is None:
            raise LLMError("The stream is not open: read it inside `with client.stream(…) as stream:`")
        if self._settled is not None:
            return None
        if self._closed_because:
            raise LLMError(f"The stream is closed, for {self._closed_because}", partial=self.text)
        await self._source.wait()
        if not self._source.events:
            await self._end(self._source)
        return self.ready()

    def ready(self) -> StreamEvent | None:
        """An event that has arrived and need not be waited for, if there is one."""
        source = self._source
        return source.events.popleft() if source is not None and source.events and not self._closed_because else None

    async def _found(self) -> Any:
        """A stream whose first event has come, or a reply that is there already."""
        services, errand = self._services, self._errand
        found = await services.recalled(errand)
        if found is None:
            await services.transport.prepare()
            found = await services.with_fallback(errand, _begun)
        return found

    def _tell_end(self, outcome: object) -> None:
        """The call has ended, which it does once."""
        if not self._ended:
            self._ended = True
            self._errand.call.tell("ended", outcome)

    async def _end(self, source: Source) -> None:
        """No more events will come: there is a reply or a failure."""
        if source.reply is not None:
            await self._settle()
            if self._unparsed is None:
                return
            await self._close("its reply did not parse")
            raise self._unparsed
        await self._close("it failed" if source.failure is not None else "its reading was cancelled")
        if source.failure is None:
            raise LLMError(f"The stream is closed, for {self._closed_because}", partial=self.text)
        failure = source.failure
        self._errand.call.failed(failure)
        self._tell_end(failure)
        raise failure

    async def _settle(self) -> None:
        """Keeps the reply, now that all of it has been read."""
        errand, source = self._errand, self._source
        if self._settled or self._unparsed or source is None or source.reply is None:
            return
        reply = source.reply
        if isinstance(source, Intake):
            await self._services.gate.billed(errand.call, reply.usage)
        if not reply.cached or errand.degraded:
            reply = await self._services.settled(errand, reply)
        try:
            self._settled = self._parsed(reply)
        except ParseFailed as error:
            error.attempts = tuple(errand.call.attempts)
            self._unparsed = error
        self._tell_end(self._settled or self._unparsed)

    def _parsed(self, reply: Completion) -> Completion:
        parse = self._errand.options.parse
        return reply if parse is None else replace(reply, parsed=reask.parsed(parse, reply))

    async def _close(self, reason: str) -> None:
        """Closes the connection; the first reason is that which is told to who reads on."""
        self._closed_because = self._closed_because or reason
        if self._source is not None:
            await self._source.close()


async def _begun(services: Services, errand: Errand) -> Intake:
    """The stream whose first event has come, after as many requests as it takes.

    A server that does not know how to tell the usage of a stream is not asked for it again.
    """
    if errand.request.model in services.without_usage:
        errand.request = errand.request.without_usage()
    try:
        return await _driven(services, errand)
    except InvalidRequest as error:
        refused = "stream_options" in f"{error.param} {error.message}" and errand.request.without_usage()
        if not refused or refused == errand.request or errand.call.attempt >= errand.call.limits.max_attempts:
            raise
    services.without_usage.add(errand.request.model)
    errand.request = refused
    return await _driven(services, errand)


async def _driven(services: Services, errand: Errand) -> Intake:
    begun: list[Intake] = []

    async def send(timeout_s: float) -> Intake:
        begun.append(await _first(services.transport, errand.request, errand.call, timeout_s))
        return begun[-1]

    try:
        return await drive(errand.call, services.gate, send)
    except BaseException:
        for intake in begun:  # cancelled while the gate was told that it came
            await intake.close()
        raise


async def _first(transport: Transport, request: Request, call: Call, timeout_s: float) -> Intake:
    call.request = request
    response = await _in_time(call, timeout_s, transport.open(request, attempt=call.attempt))
    opened: Response | Intake = response
    try:
        if response.content_type not in ("text/event-stream", ""):
            return await _in_time(call, call.remaining_s, _refused(response, transport.hidden_in_answers))
        opened = intake = Intake(response, _reader(request, transport.hidden_in_answers), call)
        return await _spoken(intake, call)
    except BaseException as error:
        await opened.close()
        if isinstance(error, LLMError):
            response.spoilt(error)
        raise


async def _refused(response: Response, hide: Callable[[str], str]) -> NoReturn:
    parse_json(await response.read(), hide=hide)
    raise MalformedResponse(f"The API answered with {response.content_type!r} where a stream was asked for")


async def _spoken(intake: Intake, call: Call) -> Intake:
    """The intake, once it has brought an event."""
    await intake.wait()
    if intake.failure is not None and not intake.events:
        raise intake.failure
    call.tell("first token")
    return intake


def _reader(request: Request, hide: Callable[[str], str]) -> StreamReader:
    return (
        ResponseReader(hide=hide) if request.surface == "responses" else ChatReader(hide=hide, choices=request.choices)
    )


async def _in_time(call: Call, timeout_s: float, work: Coroutine[Any, Any, T]) -> T:
    """What comes within the deadline and the first-token time; while no head has come, no content has."""
    limits = call.limits
    first_s = limits.first_token_s if limits.first_token_s is not None else limits.idle_s
    try:
        async with asyncio.timeout(min(timeout_s, first_s) if first_s is not None else timeout_s):
            return await work
    except TimeoutError:
        pass
    if first_s is None or first_s >= timeout_s:
        raise call.out_of_time("waiting for the stream's first event")
    kind = IdleTimeout if limits.first_token_s is None else FirstTokenTimeout
    raise kind(f"The stream did not begin within {first_s:g} s", limit_s=first_s)
