"""aiohttp: its own code sends each request and reads each reply, on a connection that is overheard or of our own.

So redirects, cookies, decompression, timeouts and middlewares are aiohttp's, live and on replay.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from llmkit.recording.deck import Deck
from llmkit.recording.interaction import Headers, Request, Response, header
from llmkit.recording.interception.pauses import Pace
from llmkit.recording.interception.playback import end_delay_s, kind_of, unanswered_as
from llmkit.recording.interception.wire import Heard, Listener, Overheard, header_lines, listed
from llmkit.recording.patches import Replacement
from llmkit.recording.take import Asked, is_no_reply
from llmkit.recording.tape import Tape

_NO_BODY = (204, 304)


def patches(deck: Deck, module: Any) -> Iterator[Replacement]:
    """Yield the patch of the connector, where a request that is ready to be sent gets its connection."""
    from llmkit.recording.interception import aiohttp_replay  # imports aiohttp

    connects = functools.partial(_connect, deck, aiohttp_replay.connection, aiohttp_replay.unconnected)
    yield module.connector.BaseConnector, "connect", connects


def _connect(
    deck: Deck,
    replay: Callable[..., Any],
    unconnected: Callable[[Any, Response], OSError],
    real: Callable[..., Awaitable[Any]],
) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(real)
    async def connect(connector: Any, req: Any, *args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        tape = deck.tape_for(str(req.url))
        if tape is None or "Upgrade" in req.headers:  # a websocket is no request with a reply
            return await real(connector, req, *args, **options)
        live = functools.partial(real, connector, req, *args, **options)
        asked = tape.ask(await _asked(req))
        recorded = tape.play(asked)
        if recorded is None:
            take = tape.take(asked)  # in the order of asking, whichever connection is there first
            try:
                connection = await live()
            except BaseException as error:
                take.finish(unanswered_as(error, is_connecting=True))
                raise
            return _overheard(connection, take, req)
        if tape.is_verifying:
            await _verify(tape, asked, recorded, req, live)
        elif is_no_reply(recorded) and kind_of(recorded) == "connect":
            await Pace().async_wait(end_delay_s(recorded, tape.speed))
            raise unconnected(req, recorded)
        return replay(connector, req, recorded, tape)

    return connect


async def _asked(req: Any) -> Request:
    body = await req.body.as_bytes() if req.body else b""  # an upload from a generator is kept for the sending
    return Request(method=req.method, uri=str(req.url), headers=listed(req.headers.items()), body=body)


async def _verify(tape: Tape, asked: Asked, recorded: Response, req: Any, live: Callable[[], Awaitable[Any]]) -> None:
    connection = _overheard(await live(), heard := Heard(), req)
    connection.protocol.set_response_params(
        skip_payload=req.method == "HEAD", read_until_eof=True, auto_decompress=False
    )
    reply = await req.send(connection)
    try:
        await reply.start(connection)
        await reply.read()
    except Exception:
        if not heard.has_begun:
            raise
    finally:
        reply.close()
    tape.compare(asked, recorded, heard.response)


def _overheard(connection: Any, listener: Listener, req: Any) -> Any:
    """Return the live ``connection``; what comes on it for ``req`` is heard."""
    tap = _Tap(connection.protocol, listener, req.method)
    connection.transport.set_protocol(tap)
    connection.add_callback(tap.leave)
    return connection


class _Tap(asyncio.Protocol):
    """Stands between a transport and aiohttp's protocol for the time of one reply."""

    def __init__(self, protocol: Any, listener: Listener, method: str) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self._listener = listener
        self._method = method
        self._head = b""
        self._body: Overheard | None = None

    def data_received(self, data: bytes) -> None:
        rest = data if self._body is not None else self._read_head(data)
        if self._body is not None:
            self._body.feed(rest)
            self._let_go_at_the_end()
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return bool(self._protocol.eof_received())

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._body is not None and self._protocol.transport is not None:
            self._body.end(exc)
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def leave(self) -> None:
        """Take note that aiohttp gives the connection back, if the reply is not over: the error says why."""
        error = self._protocol.exception() or sys.exc_info()[1]
        if self._body is None:
            self._listener.finish(unanswered_as(error) if error else "")
            return
        if self._body.is_over:
            return
        if isinstance(error, (asyncio.CancelledError, TimeoutError)):
            self._body.end(error)
        else:
            self._body.leave()

    def _let_go_at_the_end(self) -> None:
        if self._body is not None and self._body.is_over and not self._transport.is_closing():
            self._transport.set_protocol(self._protocol)

    def _read_head(self, data: bytes) -> bytes:
        """Read ``data`` as a part of the head; return what comes after it."""
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return b""
        status_line, _, lines = head.partition(b"\r\n")
        _, status, reason = (*status_line.decode("latin-1").split(" ", 2), "")[:3]
        if status.startswith("1"):  # 100 Continue and 103 Early Hints come before the reply
            self._head = b""
            return self._read_head(rest)
        self._begin(int(status), reason, listed(header_lines(lines)))
        return rest

    def _begin(self, status: int, reason: str, headers: Headers) -> None:
        self._listener.begin(status, reason, headers)
        is_chunked = "chunked" in header(headers, "transfer-encoding").lower()
        length = header(headers, "content-length")
        has_none = self._method == "HEAD" or status in _NO_BODY
        self._body = Overheard(
            self._listener,
            is_chunked=is_chunked and not has_none,
            length=0 if has_none else int(length) if length.isdigit() and not is_chunked else None,
        )
