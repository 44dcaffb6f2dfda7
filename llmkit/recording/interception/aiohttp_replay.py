"""aiohttp, on replay: a connection on which a recorded reply comes, for aiohttp's own code to read.

The next piece comes when the application waits for it: so what arrived apart stays apart, however slow the reader is.
"""

from __future__ import annotations

import asyncio
import errno
import functools
from typing import Any

from aiohttp import ClientConnectorError, SocketTimeoutError
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from llmkit.recording.interaction import Response
from llmkit.recording.interception.pauses import Pace
from llmkit.recording.interception.playback import connect_error, end_delay_s, error_of, kind_of
from llmkit.recording.interception.wire import as_sent
from llmkit.recording.tape import Tape


def connection(connector: Any, req: Any, recorded: Response, tape: Tape) -> Connection:
    """Return the connection of ``connector`` on which ``recorded`` answers ``req``."""
    protocol = _Played(recorded, tape, req.method)
    return Connection(connector, req.connection_key, protocol, asyncio.get_running_loop())


def unconnected(req: Any, recorded: Response) -> OSError:
    """Return the error of a connector that found no connection for ``req``."""
    error = connect_error(recorded)
    if isinstance(error, TimeoutError):
        return error
    failed = ClientConnectorError(req.connection_key, error)
    failed.__cause__ = error
    return failed


class _Nowhere(asyncio.Transport):
    """Where a request is sent whose reply is recorded."""

    def __init__(self) -> None:
        super().__init__()
        self._is_closing = False

    def write(self, data: Any) -> None:
        """Send nothing."""

    def writelines(self, list_of_data: Any) -> None:
        """Send nothing."""

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True

    def pause_reading(self) -> None:
        """Go on: what comes next waits to be asked for."""

    def resume_reading(self) -> None:
        """Go on: what comes next waits to be asked for."""

    def get_write_buffer_size(self) -> int:
        return 0


class _Played(ResponseHandler):
    """aiohttp's protocol, to which a recorded reply comes piece by piece."""

    def __init__(self, recorded: Response, tape: Tape, method: str) -> None:
        super().__init__(asyncio.get_running_loop())
        self._recorded = recorded
        self._tape = tape
        self._wire = as_sent(recorded, method, tape.speed)
        self._pace = Pace()
        self._body: Any = None
        self._seen = 0
        self._is_coming = False
        self.connection_made(_Nowhere())
        self.force_close()  # it never goes to the pool

    async def read(self) -> Any:
        """Read the head; only now does the reply begin to come."""
        self._come()
        return await super().read()

    def feed_data(self, data: Any, size: int = 0) -> Any:
        """Take the head and the body that goes with it."""
        self._body = data[1]
        return super().feed_data(data, size)

    @property
    def connected(self) -> bool:
        """Whether the connection is open; a reader asks for it before it waits for more, and so gets more."""
        if self.transport is not None:
            self._come()
        return self.transport is not None

    def _come(self) -> None:
        if self._is_coming:
            return
        self._is_coming = True
        self._seen = self._body.total_bytes if self._body is not None else 0
        delay_s, data = next(self._wire, (0.0, b""))
        left_s = self._pace.left_s(delay_s) if data else end_delay_s(self._recorded, self._tape.speed)
        call = functools.partial(self._came, data)
        self._loop.call_later(left_s, call) if left_s else self._loop.call_soon(call)

    def _came(self, data: bytes) -> None:
        self._is_coming = False
        if self.transport is None:
            return
        had_head = self._body is not None
        if not data:
            self._end()
            return
        self.data_received(data)
        if had_head and not self._body.is_eof() and self._body.total_bytes == self._seen:
            self._come()  # it says nothing to the reader by itself

    def _end(self) -> None:
        kind = kind_of(self._recorded)
        if self._recorded.was_left:
            self._fail(self._tape.left_off(self._recorded))
        elif kind == "timeout":
            name, message = error_of(self._recorded)
            timeout = TimeoutError if name in ("TimeoutError", "CancelledError") else SocketTimeoutError
            self._fail(timeout(message))
        elif kind == "reset":
            self.connection_lost(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        else:
            self.connection_lost(None)

    def _fail(self, error: BaseException) -> None:
        self.set_exception(error)
        if self._body is not None:
            self._body.set_exception(error)
