"""Reading a request's body from the socket, and writing an answer to it, by plan."""

import asyncio
import math
import socket
import struct
import sys
from collections.abc import Callable

from aiohttp import web

from mockserver.answers import Answer, chunk_of
from mockserver.clock import Alarm, Clock, Pace
from mockserver.http1 import plain_head

# connections that are to close by themselves: the loop alone would not keep what waits for it
_CLOSING: set[asyncio.Future[None]] = set()
_NO_SIZE = b"zz\r\n"  # where a chunk should begin with its size in hexadecimal digits


class BodyTooLarge(Exception):
    """A body over the limit; `args[0]` is its size in bytes."""


class ClientLeft(Exception):
    """The client hung up before the answer had ended; `args[0]` is the response as far as it went."""


# hears of each frame before it goes out: how many frames have gone with it, and how many bytes
Progress = Callable[[int, int], None]


class Closing:
    """The end of a server: first nobody waits without end any more, then nobody waits at all."""

    def __init__(self) -> None:
        self._draining, self._stopping = Alarm(), Alarm()

    def drain(self) -> None:
        """Let finite answers come to their end, and nothing else."""
        self._draining.set()

    def stop(self) -> None:
        """Break off whatever is still being sent."""
        self._draining.set()
        self._stopping.set()

    @property
    def is_stopped(self) -> bool:
        """Whether answers are broken off."""
        return self._stopping.is_set()

    def end_of(self, delay_s: float, clock: Clock) -> Alarm:
        """What ends a wait of so many seconds early; nobody moves a virtual clock for a server that is going."""
        return self._draining if math.isinf(delay_s) or clock.is_virtual else self._stopping


async def read_body(request: web.Request, *, limit: int) -> bytes:
    """The body as it was sent; BodyTooLarge beyond `limit` bytes, ValueError where it breaks off or is no HTTP."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as exc:
        raise BodyTooLarge(request.content_length or limit + 1) from exc
    except web.RequestPayloadError as exc:
        raise ValueError(f"the body cannot be read: {exc}") from exc


async def send(
    request: web.Request, answer: Answer, *, clock: Clock, closing: Closing, sent: Progress
) -> web.StreamResponse:
    """Write `answer`, its waits in the time of `clock`. A server that stops drops the connection.

    ClientLeft if the client hangs up before the end.
    """
    return await _Transmission(request, answer, clock, closing, sent).run()


async def send_slowly(
    transport: asyncio.Transport, answer: Answer, *, clock: Clock, closing: Closing, sent: Progress
) -> None:
    """Write straight to the socket what is plain but for its waits.

    Thousands of them wait at once, so it keeps no more than its place in the frames.
    """
    pace, size = Pace(), 0

    async def pause(delay_s: float) -> bool:
        if delay_s and not await clock.sleep(delay_s, cancelled=closing.end_of(delay_s, clock), pace=pace):
            transport.abort()
            return False
        return True

    if not await pause(answer.delay_s):
        return
    transport.write(plain_head(answer))
    for number, (data, wait_s) in enumerate(answer.frames, 1):
        if wait_s and not await pause(wait_s):
            return
        size += len(data)
        sent(number, size)
        if data:
            transport.write(chunk_of(data) if answer.streamed else data)
    if answer.streamed:
        transport.write(chunk_of(b""))


class _Transmission:
    """One answer on its way."""

    def __init__(self, request: web.Request, answer: Answer, clock: Clock, closing: Closing, sent: Progress) -> None:
        self._request, self._answer, self._clock, self._closing, self._sent = request, answer, clock, closing, sent
        self._frames = self._bytes = 0
        self._pace = Pace()

    async def run(self) -> web.StreamResponse:
        answer = self._answer
        if answer.delay_s and not await self._pause(answer.delay_s):
            return self._hang_up()
        if answer.headless:
            return await self._send_headless()
        if answer.is_plain:
            return self._whole()
        response = web.StreamResponse(status=answer.status, headers=answer.safe_headers)
        response.content_length = answer.promised
        try:
            return await self._send_frames(response)
        except ConnectionResetError as exc:  # the socket is known to be dead before the handler is cancelled for it
            self._sent(self._frames, self._bytes)
            raise ClientLeft(response) from exc

    def _whole(self) -> web.StreamResponse:
        answer, body = self._answer, self._answer.body
        self._sent(len(answer.frames), len(body))
        return web.Response(status=answer.status, headers=answer.safe_headers, body=body)

    async def _send_frames(self, response: web.StreamResponse) -> web.StreamResponse:
        await response.prepare(self._request)
        for data, wait_s in self._answer.frames:
            if wait_s and not await self._pause(wait_s):
                return self._hang_up(response)
            if data:
                self._count(data)
                await response.write(data)
        return await self._end(response)

    async def _end(self, response: web.StreamResponse) -> web.StreamResponse:
        ending = self._answer.ending
        if ending == "hang":
            await self._pause(float("inf"))
            return self._hang_up(response)
        if ending in ("rst", "fin", "garbled"):
            await self._break_off(abruptly=ending == "rst", last=_NO_SIZE if ending == "garbled" else b"")
            return response
        if self._answer.full_length is None:
            await response.write_eof()
        else:
            await self._lie(response)
        self._close_idle()
        return response

    async def _lie(self, response: web.StreamResponse) -> None:
        """End a body whose length was promised wrongly: what is too much for it goes out all the same."""
        await response.write_eof()
        await self._break_off(abruptly=False, last=self._answer.body[self._answer.full_length :])

    async def _send_headless(self) -> web.StreamResponse:
        transport = self._request.transport
        for data, wait_s in self._answer.frames:
            if wait_s and not await self._pause(wait_s):
                return self._hang_up()
            self._count(data)
            if transport is not None:
                transport.write(data)
        if self._answer.ending == "hang":
            await self._pause(float("inf"))
            return self._hang_up()
        await self._break_off(abruptly=self._answer.ending == "rst")
        return _nothing()

    def _count(self, data: bytes) -> None:
        self._frames += 1
        self._bytes += len(data)
        self._sent(self._frames, self._bytes)

    async def _pause(self, delay_s: float) -> bool:
        """Wait; False when the server stops meanwhile."""
        cancelled = self._closing.end_of(delay_s, self._clock)
        return await self._clock.sleep(delay_s, cancelled=cancelled, pace=self._pace)

    async def _break_off(self, *, abruptly: bool, last: bytes = b"") -> None:
        """Drop the connection once the kernel has the frames: with a RST, or with a FIN that no last chunk precedes."""
        transport = self._request.transport
        if transport is None:
            return
        if last:
            transport.write(last)
        await _flush(transport)
        if abruptly:
            await _received(transport)
            _reset(transport)
        else:
            transport.close()

    def _close_idle(self) -> None:
        delay_s = self._answer.idle_close_s
        if delay_s is not None:
            closing = asyncio.ensure_future(self._close_after(delay_s))
            _CLOSING.add(closing)
            closing.add_done_callback(_CLOSING.discard)

    async def _close_after(self, delay_s: float) -> None:
        transport = self._request.transport
        if await self._pause(delay_s) and transport is not None:
            transport.close()

    def _hang_up(self, response: web.StreamResponse | None = None) -> web.StreamResponse:
        if self._request.transport is not None:
            self._request.transport.abort()
        return response or _nothing()


def _nothing() -> web.StreamResponse:
    """What aiohttp is given for a connection that is gone."""
    return web.Response(status=503)


async def _flush(transport: asyncio.Transport) -> None:
    transport.set_write_buffer_limits(high=0)
    for _ in range(1000):
        if transport.is_closing() or not transport.get_write_buffer_size():
            return
        await asyncio.sleep(0.001)


async def _received(transport: asyncio.Transport) -> None:
    """Return when the other side has all that was written, for a reset throws away what is still on its way.

    Under TLS another transport, which nobody can ask, writes the bytes: hence three looks in a row.
    """
    raw = transport.get_extra_info("socket")
    quiet = 0
    for _ in range(1000):
        if raw is None or transport.is_closing() or quiet == 3:
            return
        quiet = 0 if _unsent(raw) else quiet + 1
        await asyncio.sleep(0.001)


def _unsent(raw: socket.socket) -> int:
    """Bytes that the kernel has not seen acknowledged; 0 where it does not say, see SIOCOUTQ in tcp(7)."""
    try:
        import fcntl
        import termios
    except ModuleNotFoundError:  # Windows
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def _reset(transport: asyncio.Transport) -> None:
    # closing a socket that lingers for zero seconds sends RST instead of FIN: see SO_LINGER in socket(7)
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
