"""A lean keep-alive client: one request at a time on each of several connections, as much of HTTP as it takes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar, cast

from typing_extensions import override

_Result = TypeVar("_Result")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"
CONNECTIONS = 16


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run `work` on the fastest loop that is installed: the load must not be what is measured."""
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(work)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


async def sent(port: int, requests: Sequence[bytes], *, connections: int = CONNECTIONS) -> float:
    """Send all requests and return the seconds it took; ConnectionError for a reply that is no 200, or broken off."""
    load = _Load(iter(requests), asyncio.get_running_loop().create_future())
    start = time.perf_counter()
    opened = [await _connect(port, lambda: _Connection(load)) for _ in range(connections)]
    await load.finished
    taken_s = time.perf_counter() - start
    for transport in opened:
        transport.close()
    return taken_s


async def body_of_reply(port: int, request: bytes) -> bytes:
    """The body of the reply to one request."""
    load = _Load(iter([request]), asyncio.get_running_loop().create_future(), kept=[])
    transport = await _connect(port, lambda: _Connection(load))
    await load.finished
    transport.close()
    head, _, body = b"".join(load.kept or ()).partition(b"\r\n\r\n")
    return body if _LENGTH.search(head) else b"".join(_chunks(body))


def _chunks(body: bytes) -> Iterator[bytes]:
    """What a chunked body is made of; none of ours has extensions or trailers."""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        yield rest[:length]
        body = rest[length + 2 :]


async def _connect(port: int, protocol: Callable[[], asyncio.Protocol]) -> asyncio.Transport:
    transport, _ = await asyncio.get_running_loop().create_connection(protocol, "127.0.0.1", port)
    return transport


class _Load:
    """The requests that are left, and how many connections still wait for a reply."""

    def __init__(
        self, requests: Iterator[bytes], finished: asyncio.Future[None], *, kept: list[bytes] | None = None
    ) -> None:
        self.requests, self.finished, self.kept = requests, finished, kept
        self.waiting = 0

    def fail(self, message: str) -> None:
        if not self.finished.done():
            self.finished.set_exception(ConnectionError(message))

    def end(self) -> None:
        if not self.waiting and not self.finished.done():
            self.finished.set_result(None)


class _Connection(asyncio.Protocol):
    """One connection: send, find the end of the reply, send the next."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._head, self._tail = b"", b""
        self._in_head, self._left = True, -1  # -1: in chunks

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._send()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._load.waiting:
            self._load.fail(f"the server hung up before its reply had ended: {exc!r}")

    @override
    def data_received(self, data: bytes) -> None:
        if self._load.kept is not None:
            self._load.kept.append(data)
        body = self._body(data) if self._in_head else data
        if body is None:
            return
        if self._left < 0:
            self._tail = (self._tail + body)[-len(_LAST_CHUNK) :]
            ended = self._tail == _LAST_CHUNK
        else:
            self._left -= len(body)
            ended = self._left <= 0
        if ended:
            self._load.waiting -= 1
            self._send()

    def _body(self, data: bytes) -> bytes | None:
        """What follows the head, None if it has not ended yet."""
        data = self._head + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._head = data
            return None
        if data[8:13] != b" 200 ":
            self._load.fail(f"the reply is no 200: {data[:400]!r}")
        length = _LENGTH.search(data, 0, end)
        self._in_head, self._left = False, int(length[1]) if length else -1
        self._tail = b""
        return data[end + 4 :]

    def _send(self) -> None:
        request = next(self._load.requests, None)
        if request is None:
            self._load.end()
            return
        self._head, self._in_head = b"", True
        self._load.waiting += 1
        self._transport.write(request)
