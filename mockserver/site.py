"""A server in the running loop: a listening socket, the application behind it, and its orderly end."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from mockserver.app import AdminRoutes, create_app, routes
from mockserver.door import Door, Neighbours
from mockserver.front import Front, Hall
from mockserver.moulds.press import Press
from mockserver.pipeline import Pipeline

T = TypeVar("T")


class Site:
    """One listening socket in the running loop, and what answers behind it.

    `grace_s` is how long answers under way are given when the server stops. `neighbours` listen to the same port.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        admin: AdminRoutes | None = None,
        tls: ssl.SSLContext | None = None,
        grace_s: float,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._pipeline, self._tls, self._grace_s, self._neighbours = pipeline, tls, grace_s, neighbours
        self._fronts: set[Front] = set()
        self._runner = web.AppRunner(
            create_app(pipeline, admin=admin),
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,
            auto_decompress=False,  # the APIs take no compressed bodies, and a broken one would leave a traceback
            logger=_logger(),
            shutdown_timeout=grace_s,
        )

    async def listen(self, host: str, port: int) -> int:
        """Begin to serve, and return the port; OSError if it is taken."""
        return await self._begin(lambda door: door.open(host, port))

    async def share(self, listener: socket.socket) -> None:
        """Begin to serve what other processes listen to as well."""
        await self._begin(lambda door: door.share(listener))

    def leave(self) -> None:
        """Take no more connections, until `come_back`."""
        self._door.leave()

    async def come_back(self, listener: socket.socket) -> None:
        """Take connections again."""
        await self._door.share(listener)

    async def _begin(self, open_door: Callable[[Door], Awaitable[T]]) -> T:
        await self._runner.setup()
        pipeline = self._pipeline
        self._door = Door(
            self._front(),
            tls=self._tls,
            clock=pipeline.state.clock,
            closing=pipeline.closing,
            neighbours=self._neighbours,
        )
        pipeline.shut = self._door.shut
        try:
            return await open_door(self._door)
        except BaseException:
            await self._runner.cleanup()
            raise

    def _front(self) -> Callable[[], Front]:
        """What makes the first reader of each connection."""
        plain = {route.path: route for route in routes() if self._pipeline.answers_at_once and route.is_plain}
        server = self._runner.server
        assert server is not None  # noqa: S101 - it has been set up
        hall = Hall(self._pipeline, plain, server, Press(self._pipeline.state), fronts=self._fronts)
        return lambda: Front(hall)

    async def stop(self) -> None:
        """Take no more connections, let answers under way come to their end, and close.

        Whoever is kept waiting without end is let go at once, and after the time of grace everybody is.
        """
        self._pipeline.closing.drain()
        self._door.close()
        await asyncio.gather(self._close_fronts(), self._runner.cleanup())

    async def _close_fronts(self) -> None:
        for front in list(self._fronts):
            front.close()
        sending = [front.sending for front in self._fronts if front.sending is not None]
        if sending:
            _, late = await asyncio.wait(sending, timeout=self._grace_s)
            for task in late:
                task.cancel()
        for front in list(self._fronts):
            front.abort()

    def release(self) -> None:
        """Break off the answers under way: whoever waits for the stop need not wait for them."""
        self._pipeline.closing.stop()

    async def abort(self) -> None:
        """Close at once."""
        self.release()
        await self.stop()


def _logger() -> logging.Logger:
    """Where aiohttp says what goes wrong; that a client speaks no HTTP is no news."""
    logger = logging.getLogger("mockserver")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
