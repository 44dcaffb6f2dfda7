"""A listening socket that can be shut for a while, so that clients are refused."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

from mockserver.clock import Clock
from mockserver.transmission import Closing

_BACKLOG = 1024


class Door:
    """Where connections come in; `shut` refuses them for some seconds of `clock`.

    What several processes listen to together cannot be shut: the others would go on.
    """

    def __init__(
        self, greet: Callable[[], asyncio.Protocol], *, tls: ssl.SSLContext | None, clock: Clock, closing: Closing
    ) -> None:
        self._greet, self._tls, self._clock, self._closing = greet, tls, clock, closing
        self._place: tuple[str, int] | None = None
        self._shut: asyncio.Task[None] | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen on a port of this process alone, and return it; OSError if it is taken."""
        await self._listen(host=host, port=port)
        bound = int(self._listener.sockets[0].getsockname()[1])
        self._place = host, bound
        return bound

    async def share(self, listener: socket.socket) -> None:
        """Listen where other processes listen as well."""
        await self._listen(sock=listener)

    async def _listen(self, **where: Any) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._greet, ssl=self._tls, backlog=_BACKLOG, **where)

    def shut(self, seconds: float) -> None:
        """Refuse connections from now on, for so long; who shuts it again meanwhile is not heard."""
        if self._place is None or (self._shut is not None and not self._shut.done()):
            return
        self._listener.close()
        self._shut = asyncio.get_running_loop().create_task(self._reopen(seconds, *self._place))

    async def _reopen(self, seconds: float, host: str, port: int) -> None:
        if await self._clock.sleep(seconds, cancelled=self._closing.end_of(seconds, self._clock)):
            await self._listen(host=host, port=port)

    def close(self) -> None:
        """Refuse connections from now on."""
        if self._shut is not None:
            self._shut.cancel()
        self._listener.close()
