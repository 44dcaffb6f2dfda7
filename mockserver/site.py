"""A server in the running loop: a listening socket, the application behind it, and its orderly end."""

import logging
import socket
import ssl
from collections.abc import Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from mockserver.app import AdminRoutes, create_app
from mockserver.pipeline import Pipeline


class Site:
    """One listening socket in the running loop, and what answers behind it.

    `grace_s` is how long answers under way are given when the server stops.
    """

    def __init__(
        self, pipeline: Pipeline, *, admin: AdminRoutes | None = None, tls: ssl.SSLContext | None = None, grace_s: float
    ) -> None:
        self._pipeline, self._tls = pipeline, tls
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
        await self._begin(lambda: web.TCPSite(self._runner, host, port, ssl_context=self._tls))
        return int(self._runner.addresses[0][1])

    async def share(self, listener: socket.socket) -> None:
        """Begin to serve what other processes listen to as well."""
        await self._begin(lambda: web.SockSite(self._runner, listener, ssl_context=self._tls))

    async def _begin(self, make: Callable[[], web.BaseSite]) -> None:
        await self._runner.setup()
        try:
            await make().start()
        except BaseException:
            await self._runner.cleanup()
            raise

    async def stop(self) -> None:
        """Take no more connections, let answers under way come to their end, and close.

        Whoever is kept waiting without end is let go at once, and after the time of grace everybody is.
        """
        self._pipeline.closing.drain()
        await self._runner.cleanup()

    def release(self) -> None:
        """Break off the answers under way: whoever waits for the stop need not wait for them."""
        self._pipeline.closing.stop()

    async def abort(self) -> None:
        """Close at once."""
        self.release()
        await self._runner.cleanup()


def _logger() -> logging.Logger:
    """Where aiohttp says what goes wrong; that a client speaks no HTTP is no news."""
    logger = logging.getLogger("mockserver")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
