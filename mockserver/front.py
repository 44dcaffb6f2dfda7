"""The first to read a connection: plain requests are answered at once, and all else is handed to aiohttp.

Plain are POSTs of less than a megabyte to paths without parameters: for those aiohttp's own reading, routing and
writing would cost more than the answer, and its memory more than a slow stream itself. Where the answer is not plain,
as most faults are not, aiohttp carries out what is decided. A connection that has once been handed over stays there.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from typing_extensions import override

from mockserver.answers import Answer
from mockserver.http1 import Plain, Unusual, is_plain, parse, render, waits
from mockserver.pipeline import Pipeline, Route
from mockserver.transmission import send_slowly
from mockserver.visit import Arrival, Visit

Handover = Callable[[], asyncio.Protocol]

_MOST_AHEAD = 64 * 1024  # bytes that a client may send while its answer is on the way
_SOON_S = 1.0


class Front(asyncio.Protocol):
    """One connection, until something unusual comes over it."""

    __slots__ = (
        *("_pipeline", "_routes", "_hand_over_to", "_known", "_transport", "_data", "_sending", "_is_last"),
        "__weakref__",
    )

    def __init__(
        self, pipeline: Pipeline, routes: Mapping[str, Route], hand_over: Handover, known: "set[Front]"
    ) -> None:
        self._pipeline, self._routes, self._hand_over_to, self._known = pipeline, routes, hand_over, known
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._sending: asyncio.Task[None] | None = None
        self._is_last = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, though no subclass
        self._known.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._known.discard(self)
        if self._sending is not None:
            self._sending.cancel()

    @property
    def sending(self) -> "asyncio.Task[None] | None":
        """The answer on its way, None if there is none."""
        return self._sending

    def close(self) -> None:
        """Hang up, now or after the answer that is on its way."""
        self._is_last = True
        if self._transport is not None and self._sending is None:
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
            while self._data and self._sending is None and (request := parse(self._data)) is not None:
                self._answer(request, self._route_of(request))
        except Unusual:
            self._hand_over()

    def _route_of(self, request: Plain) -> Route:
        """The route of a request that can be answered here; Unusual if it cannot."""
        route = self._routes.get(request.path)
        is_form = request.headers.get("content-type", "").startswith("multipart/")
        if route is None or is_form or len(request.body) > self._pipeline.state.settings.body_limit:
            raise Unusual
        return route

    def _answer(self, request: Plain, route: Route) -> None:
        arrival = Arrival("POST", request.path, request.query, {}, request.headers)
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
            self._send(visit, answer)

    def _send(self, visit: Visit, answer: Answer) -> None:
        assert self._transport is not None  # noqa: S101 - data comes over one
        try:
            rendered = render(answer)
            self._pipeline.state.journal.record(visit.number).progress(len(answer.frames), len(answer.body))
            self._transport.write(rendered)
        finally:
            visit.close()

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
        handler, transport, data = self._hand_over_to(), self._transport, self._data
        assert transport is not None  # noqa: S101 - data comes over one
        self._known.discard(self)
        self._data = b""
        if decided is not None:
            self._pipeline.decided[handler] = decided
            asyncio.get_running_loop().call_later(_SOON_S, _forget, self._pipeline, handler, transport)
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(data)


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
