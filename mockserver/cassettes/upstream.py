"""The real API behind this server: requests go on with the client's own credential, and replies come back live.

What passes is overheard by the recorder's own stub for aiohttp: pieces, times, errors and ends are kept as in a test
that is recorded.
"""

import io
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from typing_extensions import override
from yarl import URL

from llmkit.recording.deck import Deck
from llmkit.recording.interaction import Response
from llmkit.recording.interception import aiohttp_client
from llmkit.recording.interception.playback import ended_as, unanswered_as
from llmkit.recording.interception.wire import listed
from llmkit.recording.take import NO_REPLY
from llmkit.recording.tape import Tape
from mockserver.cassettes import names
from mockserver.cassettes.headers import end_to_end
from mockserver.cassettes.tapes import Tapes

_CONNECTING_S = 30.0
# OpenAI closes idle connections after minutes, other servers after five seconds; a POST on one that is closing fails
_IDLE_S = 3.0
_MOST_HEADER = 64 * 1024
_OF_THE_CLIENT = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

BROKEN = (aiohttp.ClientError, OSError, TimeoutError)
"""How aiohttp says that the other end, or the way there, failed."""

_tape: ContextVar[Tape | None] = ContextVar("mockserver_tape", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """A request as it goes on, and the cassette that it goes to; its credential stays out of the repr."""

    method: str
    path: str
    headers: "CIMultiDict[str]"
    body: bytes
    cassette: str
    begun_at: str = ""

    def __repr__(self) -> str:
        return f"Forwarded({self.method} {self.path})"


class Upstream:
    """The API at `origin`, with what is recorded of it in `tapes`, if anything is."""

    def __init__(self, origin: str, tapes: Tapes | None) -> None:
        self.origin, self._tapes = origin, tapes
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def ask(self, asked: Forwarded) -> AsyncIterator[aiohttp.ClientResponse]:
        """The reply, of which the headers are here; it is recorded when the block ends.

        One of `BROKEN` where there is none, or where its body breaks off; RecordingError where it can't be recorded.
        """
        with self._tapes.recording(asked.cassette, asked.begun_at) if self._tapes else nullcontext() as tape:
            _tape.set(tape)
            async with self._opened().request(
                asked.method,
                URL(self.origin + asked.path, encoded=True),
                headers=asked.headers,
                data=io.BytesIO(asked.body) if asked.body else None,
                skip_auto_headers=_OF_THE_CLIENT,
                allow_redirects=False,
            ) as reply:
                yield reply

    async def fetch(self, asked: Forwarded) -> Response:
        """The whole reply, as a recording has it: also one that broke off, or never came."""
        head, pieces = Response(status=NO_REPLY), list[bytes]()
        try:
            async with self.ask(asked) as reply:
                head = Response(status=reply.status, reason=reply.reason or "", headers=listed(reply.headers.items()))
                async for piece in reply.content.iter_any():
                    pieces.append(piece)
        except BROKEN as error:
            return received(head, pieces, broken_as(error, has_begun=head.status != NO_REPLY))
        return received(head, pieces)

    async def close(self) -> None:
        """Hang up, and write what is still held back."""
        if self._session is not None:
            await self._session.close()
        if self._tapes is not None:
            self._tapes.save()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = _Overhearing(limit=0, keepalive_timeout=_IDLE_S, ssl=ssl.create_default_context())
            self._session = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECTING_S),
                max_line_size=_MOST_HEADER,
                max_field_size=_MOST_HEADER,
            )
        return self._session


def onward(headers: "CIMultiDictProxy[str]") -> "CIMultiDict[str]":
    """The headers of a request without those of its hop, and without those that are for this server."""
    return CIMultiDict((name, value) for name, value in end_to_end(headers.items()) if name.lower() != names.HEADER)


def broken_as(error: BaseException, *, has_begun: bool) -> str:
    """How a reply ended that one of `BROKEN` broke off, as `Response.ended` has it."""
    if has_begun and "ConnectionResetError" in str(error):  # aiohttp says it nowhere but in the text
        return f"reset: {type(error).__name__}: {error}"
    if has_begun:
        return ended_as(error)
    return unanswered_as(error) or f"reset: {type(error).__name__}: {error}"


def received(head: Response, pieces: list[bytes], ended: str = "") -> Response:
    """What came, as a recording has it, except for its times."""
    chunks = tuple((0, len(piece)) for piece in pieces if piece)
    body = b"".join(pieces)
    return Response(status=head.status, reason=head.reason, headers=head.headers, body=body, chunks=chunks, ended=ended)


class _OfRequest(Deck):
    """The tape of the request that is being forwarded in this context."""

    @override
    def tape_for(self, url: str) -> Tape | None:
        return _tape.get()


class _Overhearing(aiohttp.TCPConnector):
    """Connections on which the recorder listens."""

    @override
    async def connect(self, *args: Any, **options: Any) -> aiohttp.connector.Connection:
        ((_, _, overhearing),) = aiohttp_client.patches(_OfRequest(), aiohttp)
        connection: aiohttp.connector.Connection = await overhearing(aiohttp.TCPConnector.connect)(
            self, *args, **options
        )
        return connection
