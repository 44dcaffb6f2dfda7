"""The first to read a connection: plain requests are answered at once, and all else is handed to aiohttp.

Plain are POSTs of a few kilobytes to paths without parameters, while no script waits: for those aiohttp's own reading,
routing and writing would cost more than the answer. A connection that has once been handed over stays with aiohttp.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from typing_extensions import override

from mockserver.http1 import Plain, Unusual, is_whole, parse, render
from mockserver.pipeline import Pipeline, Route
from mockserver.visit import Arrival, Visit

Handover = Callable[[], asyncio.Protocol]


class Front(asyncio.Protocol):
    """One connection, until something unusual comes over it."""

    def __init__(
        self, pipeline: Pipeline, routes: Mapping[str, Route], hand_over: Handover, known: "set[Front]"
    ) -> None:
        self._pipeline, self._routes, self._hand_over_to, self._known = pipeline, routes, hand_over, known
        self._transport: asyncio.Transport | None = None
        self._data = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, though no subclass
        self._known.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._known.discard(self)

    def close(self) -> None:
        """Hang up: nothing is under way here between two calls."""
        if self._transport is not None:
            self._transport.close()

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
        self._data = data = self._data + data if self._data else data
        try:
            while data and (request := parse(data)) is not None:
                self._answer(request, self._route_of(request))
                self._data = data = data[request.size :]
        except Unusual:
            self._hand_over()

    def _route_of(self, request: Plain) -> Route:
        """The route of a request that can be answered here; Unusual if it cannot."""
        route = self._routes.get(request.path)
        is_form = request.headers.get("content-type", "").startswith("multipart/")
        if route is None or is_form or self._pipeline.state.script:
            raise Unusual
        return route

    def _answer(self, request: Plain, route: Route) -> None:
        arrival = Arrival("POST", request.path, request.query, {}, request.headers)
        visit = Visit.open(self._pipeline.state, route.dialect, arrival)
        try:
            visit.take_body(request.body)
            answer = self._pipeline.decide(visit, lambda each: each.serve(route.operation, route.place))
            assert is_whole(answer)  # noqa: S101 - only scripts make anything else
            rendered = render(answer)
            self._pipeline.state.journal.record(visit.number).progress(len(answer.frames), len(answer.body))
            assert self._transport is not None  # noqa: S101 - data comes over one
            self._transport.write(rendered)
        finally:
            visit.close()

    def _hand_over(self) -> None:
        handler, transport = self._hand_over_to(), self._transport
        assert transport is not None  # noqa: S101 - data comes over one
        self._known.discard(self)
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(self._data)
        self._data = b""
