"""A listening socket that can be shut for a while, so that clients are refused."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from mockserver.clock import Clock
from mockserver.transmission import Closing

_BACKLOG = 1024


class Neighbours(Protocol):
    """The other processes that listen to the same port."""

    def shut(self) -> bool:
        """Let them leave the port, which this process has left; False if it is shut already."""

    def open(self) -> None:
        """Let all of them listen again, this process too."""


class Door:
    """Where connections come in; `shut` refuses them for some seconds of `clock`, together with the `neighbours`."""

    def __init__(
        self,
        greet: Callable[[], asyncio.Protocol],
        *,
        tls: ssl.SSLContext | None,
        clock: Clock,
        closing: Closing,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._greet, self._tls, self._clock, self._closing = greet, tls, clock, closing
        self._neighbours = neighbours
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
        if self._shut is not None and not self._shut.done():
            return
        if self._neighbours is not None and not self._neighbours.shut():
            return
        self.leave()
        self._shut = asyncio.get_running_loop().create_task(self._reopen(seconds))

    async def _reopen(self, seconds: float) -> None:
        if not await self._clock.sleep(seconds, cancelled=self._closing.end_of(seconds, self._clock)):
            return
        if self._neighbours is not None:
            await asyncio.to_thread(self._neighbours.open)
        elif self._place is not None:
            host, port = self._place
            await self._listen(host=host, port=port)

    def leave(self) -> None:
        """Listen no more."""
        self._listener.close()

    def close(self) -> None:
        """Refuse connections from now on."""
        if self._shut is not None:
            self._shut.cancel()
        self.leave()
