"""Replies as HTTP/1.1 puts them on the wire: framed for a client to parse, and overheard while a client parses them.

See https://www.rfc-editor.org/rfc/rfc9112. Some clients can be given a reply only in this form: as what comes from a
socket. So it is their own code that reads a replay, and their own errors that tell how it ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from llmkit.recording.interaction import CANCELLED, CLOSED, Headers, Response, header
from llmkit.recording.interception.playback import ended_as, head_delay_s, pieces
from llmkit.recording.take import is_no_reply

_FRAMING = ("content-length", "transfer-encoding")
_STREAM = "text/event-stream"
_CUT_OFF = re.compile(r"^aborted: .*, (\d+) bytes before the end of a chunk$")


class Listener(Protocol):
    """What wants to know of a reply as it comes: a `Take`, or `Heard`."""

    def begin(self, status: int, reason: str, headers: Headers) -> None:
        """Take note of the head."""

    def add(self, piece: bytes) -> None:
        """Take note of a piece of the body, no coding undone."""

    def finish(self, ended: str = "") -> None:
        """Take note of the end, as `Response.ended` has it; only the first call counts."""


class Heard:
    """A live reply that is kept for itself, to be compared with a recorded one."""

    def __init__(self) -> None:
        self._head: tuple[int, str, Headers] = (0, "", {})
        self._pieces: list[bytes] = []
        self._ended: str | None = None

    def begin(self, status: int, reason: str, headers: Headers) -> None:
        """Keep the head."""
        self._head = (status, reason, headers)

    def add(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        self._pieces.append(piece)

    def finish(self, ended: str = "") -> None:
        """Keep how it ended."""
        self._ended = ended if self._ended is None else self._ended

    @property
    def has_begun(self) -> bool:
        """Whether the headers of the reply are there."""
        return self._head[0] != 0

    @property
    def response(self) -> Response:
        """The reply, as it came."""
        status, reason, headers = self._head
        return Response(
            status=status, reason=reason, headers=headers, body=b"".join(self._pieces), ended=self._ended or ""
        )


class Overheard:
    """A body on its way to a client that parses it; a listener is told of each chunk as soon as it is there whole.

    Without ``is_chunked`` and without ``length`` (bytes) it lasts until the connection ends.
    """

    def __init__(self, listener: Listener, *, is_chunked: bool, length: int | None) -> None:
        self._listener = listener
        self._is_chunked = is_chunked
        self._length = length
        self._seen = 0
        self._buffer = bytearray()
        self._chunk_left: int | None = None
        self.is_over = False
        if length == 0:
            self._over()

    def feed(self, data: bytes) -> None:
        """Take note of ``data``, which has just come."""
        if self.is_over:
            return
        try:
            for piece in self._chunks(data) if self._is_chunked else [data]:
                self._seen += len(piece)
                self._listener.add(piece)
        except ValueError as error:
            self._over(ended_as(error))  # the client's own parser is about to say so too
        if not self._is_chunked and self._length is not None and self._seen >= self._length:
            self._over()

    def end(self, error: BaseException | None = None) -> None:
        """Take note that nothing more comes: the connection ended or broke with ``error``, or a wait was cancelled."""
        if self.is_over:
            return
        missing = self._keep_the_rest()
        if isinstance(error, Exception):
            self._over(ended_as(error))
        elif error is not None:
            self._over(CANCELLED)
        elif self._is_chunked or self._length is not None:
            where = f", {missing} bytes before the end of a chunk" if missing else ""
            self._over(f"aborted: IncompleteRead: the connection ended after {self._seen} bytes of the body{where}")
        else:
            self._over()

    def leave(self) -> None:
        """Take note that the client hung up."""
        if not self.is_over:
            self._keep_the_rest()
            self._over(CLOSED)

    def _keep_the_rest(self) -> int:
        """Tell of what came of a chunk whose end does not; return how many bytes of it are missing."""
        if self._chunk_left is None or not self._buffer:
            return 0
        self._seen += len(self._buffer)
        self._listener.add(bytes(self._buffer))
        return self._chunk_left - len(self._buffer)

    def _over(self, ended: str = "") -> None:
        self.is_over = True
        self._listener.finish(ended)

    def _chunks(self, data: bytes) -> Iterator[bytes]:
        self._buffer += data
        while True:
            if self._chunk_left is None:
                line = self._line()
                if line is None:
                    return
                if not line:
                    continue  # the end of the chunk before
                self._chunk_left = int(line.partition(b";")[0], 16)
                if self._chunk_left == 0:
                    self._over()
                    return
            if len(self._buffer) < self._chunk_left:
                return
            yield bytes(self._buffer[: self._chunk_left])
            del self._buffer[: self._chunk_left]
            self._chunk_left = None

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end]).strip()
        del self._buffer[: end + 1]
        return line


def as_sent(response: Response, method: str, speed: float) -> Iterator[tuple[float, bytes]]:
    """Yield the head, each piece and, of a whole body, its end, as on the wire; and the seconds to wait before each.

    Where there was no reply, that is nothing.
    ``method`` is that of the request: what answers HEAD tells of a body and has none.
    """
    if is_no_reply(response):
        return
    yield head_delay_s(response, speed), head(response, method)
    if not _is_chunked(response):
        yield from pieces(response, speed)
        return
    sent, cut_off = 0, _CUT_OFF.search(response.ended)
    for delay_s, piece in pieces(response, speed):
        sent += len(piece)
        if cut_off and sent == len(response.body):  # clients that wait for the whole of a chunk see nothing of it
            yield delay_s, b"%x\r\n%s" % (len(piece) + int(cut_off[1]), piece)
        else:
            yield delay_s, b"%x\r\n%s\r\n" % (len(piece), piece)
    if not response.ended:
        yield 0.0, b"0\r\n\r\n"


def head(response: Response, method: str) -> bytes:
    """Return the status line and the headers, to the empty line."""
    status = f"HTTP/1.1 {response.status} {response.reason}"
    lines = [status, *(f"{name}: {value}" for name, value in framed(response, method)), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def framed(response: Response, method: str) -> list[tuple[str, str]]:
    """Return the headers that go with the body as it is now; one that broke off is shorter than its length says.

    Without a body the length stays as it was sent: a reply to HEAD tells with it what GET would bring.
    """
    if not response.body and not response.ended:
        kept = [(n, v) for n, vs in response.headers.items() if n.lower() != "transfer-encoding" for v in vs]
        is_known = method == "HEAD" or response.status in (204, 304) or header(response.headers, "content-length")
        return kept if is_known else [*kept, ("Content-Length", "0")]
    kept = [(n, v) for n, vs in response.headers.items() if n.lower() not in _FRAMING for v in vs]
    if _is_chunked(response):
        return [*kept, ("Transfer-Encoding", "chunked")]
    if _lasts_until_the_end(response):
        return kept
    return [*kept, ("Content-Length", str(len(response.body) + bool(response.ended)))]


def _is_chunked(response: Response) -> bool:
    """Tell whether the body comes in chunks that clients can tell from each other."""
    if not response.body and not response.ended:
        return False
    if coding := header(response.headers, "transfer-encoding"):
        return "chunked" in coding.lower()
    is_stream = header(response.headers, "content-type").lower().startswith(_STREAM)
    return is_stream and not header(response.headers, "content-length") and not _lasts_until_the_end(response)


def _lasts_until_the_end(response: Response) -> bool:
    """Tell whether the server said that the body has no other end than that of the connection."""
    is_framed = any(header(response.headers, name) for name in _FRAMING)
    return not is_framed and "close" in header(response.headers, "connection").lower()


def header_lines(lines: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and value of each of ``lines``, which are those between a start line and the empty line."""
    for line in lines.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip(), value.strip()


def listed(headers: Iterable[tuple[str, str]]) -> dict[str, Sequence[str]]:
    """Return ``headers``, pairs of name and value, as a cassette lists them."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return dict(found)
