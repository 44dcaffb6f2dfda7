"""The first to read a connection: plain requests are answered at once, and all else is handed to aiohttp.

Plain are POSTs of less than a megabyte to paths without parameters: for those aiohttp's own reading, routing and
writing would cost more than the answer, and its memory more than a slow stream itself. Where the answer is not plain,
as most faults are not, aiohttp carries out what is decided. A connection that has once been handed over stays there.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from typing_extensions import override

from mockserver.answers import Answer
from mockserver.http1 import Heads, Plain, Unusual, is_plain, parse, render, waits
from mockserver.moulds.press import Press
from mockserver.pipeline import Pipeline, Route
from mockserver.transmission import send_slowly
from mockserver.visit import Arrival, Visit

Handover = Callable[[], asyncio.Protocol]

_MOST_AHEAD = 64 * 1024  # bytes that a client may send while its answer is on the way
_SOON_S = 1.0


class Front(asyncio.Protocol):
    """One connection, until something unusual comes over it."""

    __slots__ = ("__weakref__", "_data", "_hall", "_is_last", "_pipeline", "_sending", "_transport")

    def __init__(self, hall: "Hall") -> None:
        self._hall, self._pipeline = hall, hall.pipeline
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._sending: asyncio.Task[None] | None = None
        self._is_last = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, though no subclass
        self._hall.fronts.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._hall.fronts.discard(self)
        if self._sending is not None:
            self._sending.cancel()

    @property
    def sending(self) -> "asyncio.Task[None] | None":
        """The answer on its way, None if there is none."""
        return self._sending

    def close(self) -> None:
        """Hang up, now or after the answer that is on its way."""
        self._is_last = True
        # closed once: early releases of 3.11 can't abort a transport of TLS that has been closed twice
        if self._transport is not None and self._sending is None and not self._transport.is_closing():
            self._transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()

    @override
    def pause_writing(self) -> None:
        """Read no more from a client that does not read."""
        if self._transport is not None:
            self._transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None:
            self._transport.resume_reading()

    @override
    def data_received(self, data: bytes) -> None:
        """Answer what is plain, wait for what is not all there, and hand over the rest."""
        self._data = self._data + data if self._data else data
        if self._sending is None:
            self._go_on()
        elif len(self._data) > _MOST_AHEAD and self._transport is not None:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Answer what has come, up to an answer that takes its time."""
        try:
            while self._data and self._sending is None and (request := parse(self._data, self._hall.heads)) is not None:
                self._take(request)
        except Unusual:
            self._hand_over()

    def _take(self, request: Plain) -> None:
        """Answer from a mould what can be, and all else as the pipeline decides."""
        answered = self._hall.press.answered(request.head, request.body)
        if answered is None:
            self._answer(request, self._route_of(request))
        else:
            self._data = self._data[request.size :]
            self._write(*answered)

    def _write(self, number: int, rendered: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - data comes over one
        try:
            self._transport.write(rendered)
        finally:
            state = self._pipeline.state
            state.journal.ended(number, state.clock.now())

    def _route_of(self, request: Plain) -> Route:
        """The route of a request that can be answered here; Unusual if it cannot."""
        route = self._hall.routes.get(request.head.path)
        is_form = request.head.headers.get("content-type", "").startswith("multipart/")
        if route is None or is_form or len(request.body) > self._pipeline.state.settings.body_limit:
            raise Unusual
        return route

    def _answer(self, request: Plain, route: Route) -> None:
        arrival = Arrival("POST", request.head.path, request.head.query, {}, request.headers)
        visit = Visit.open(self._pipeline.state, route.dialect, arrival)
        visit.take_body(request.body)
        answer = self._pipeline.decide(visit, lambda each: each.serve(route.operation, route.place))
        if not is_plain(answer):
            self._hand_over((visit, answer))
            return
        self._data = self._data[request.size :]
        if waits(answer):
            self._sending = asyncio.get_running_loop().create_task(self._send_slowly(visit.number, answer))
        else:
            self._hall.press.learn(request.head, visit, answer, route.operation, route.place)
            self._pipeline.state.journal.record(visit.number).progress(len(answer.frames), len(answer.body))
            self._write(visit.number, render(answer))

    async def _send_slowly(self, number: int, answer: Answer) -> None:
        state, closing, transport = self._pipeline.state, self._pipeline.closing, self._transport
        record = state.journal.record(number)
        assert transport is not None  # noqa: S101 - data comes over one
        try:
            sent = record.progress
            await send_slowly(transport, answer, clock=state.clock, closing=closing, sent=sent)
        except asyncio.CancelledError:  # the connection is gone
            record.write({"client_left": not closing.is_stopped})
            raise
        finally:
            state.journal.ended(number, state.clock.now())
            self._sending = None
        self._next(transport)

    def _next(self, transport: asyncio.Transport) -> None:
        """What comes after a slow answer: the end, or what the client has sent meanwhile."""
        if self._is_last:
            transport.close()
        if transport.is_closing():
            return
        transport.resume_reading()
        self._go_on()

    def _hand_over(self, decided: tuple[Visit, Answer] | None = None) -> None:
        """Leave the connection to aiohttp, and to it what is `decided` about the request that it reads first."""
        handler, transport, data = self._hall.hand_over(), self._transport, self._data
        assert transport is not None  # noqa: S101 - data comes over one
        self._hall.fronts.discard(self)
        self._data = b""
        if decided is not None:
            self._pipeline.decided[handler] = decided
            asyncio.get_running_loop().call_later(_SOON_S, _forget, self._pipeline, handler, transport)
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(data)


@dataclass(frozen=True, slots=True)
class Hall:
    """What the connections of one socket share: who answers, the `routes` that are plain, and who is handed the rest.

    `heads` are those that came before, `fronts` the connections that are open.
    """

    pipeline: Pipeline
    routes: Mapping[str, Route]
    hand_over: Handover
    press: Press
    heads: Heads = field(default_factory=dict)
    fronts: set[Front] = field(default_factory=set)


def _forget(pipeline: Pipeline, handler: asyncio.Protocol, transport: asyncio.Transport) -> None:
    """Close a decided visit of a client that was gone before aiohttp came to it."""
    if handler not in pipeline.decided:
        return
    if not transport.is_closing():
        asyncio.get_running_loop().call_later(_SOON_S, _forget, pipeline, handler, transport)
        return
    visit, _ = pipeline.decided.pop(handler)
    visit.note(client_left=True)
    visit.close()
