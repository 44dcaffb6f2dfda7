"""What takes a socket's place under http.client: a file that is overheard, a socket that collects, one that replays."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from typing import Any

from llmkit.recording.interaction import Request, Response, header
from llmkit.recording.interception.pauses import Pace
from llmkit.recording.interception.playback import end_delay_s, error_of, kind_of
from llmkit.recording.interception.wire import Heard, Overheard, as_sent, header_lines, listed
from llmkit.recording.tape import Tape


class Tee(io.RawIOBase):
    """What comes from a live socket, overheard."""

    def __init__(self, live: io.BufferedIOBase, body: Overheard) -> None:
        self._live = live
        self._body = body

    def readable(self) -> bool:
        """Say yes."""
        return True

    def fileno(self) -> int:
        """Return that of the real socket."""
        return self._live.fileno()

    def readinto(self, buffer: Any) -> int:
        """Read what the real socket has, and let it be heard."""
        try:
            data = self._live.read1(len(buffer))
        except BaseException as error:
            self._body.end(error)
            raise
        if data:
            self._body.feed(data)
        else:
            self._body.end()
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Hang up."""
        if not self.closed:
            self._live.close()
            self._body.leave()
        super().close()


class StandIn:
    """What http.client needs of a socket, without a network; ``instead_of`` is the connection's real one, if any."""

    def __init__(self, instead_of: Any) -> None:
        self.instead_of = instead_of

    def sendall(self, data: bytes) -> None:
        """Send nothing."""

    def settimeout(self, timeout: float | None) -> None:
        """Wait for nothing."""

    def shutdown(self, how: int) -> None:
        """End nothing."""

    def close(self) -> None:
        """Close the real socket: the connection is closed while its place is taken."""
        if self.instead_of is not None:
            self.instead_of.close()
            self.instead_of = None


class Collected(StandIn):
    """A request that is being put together by hand."""

    def __init__(self, tape: Tape, method: str, url: str, *, instead_of: Any) -> None:
        super().__init__(instead_of)
        self.tape = tape
        self.method = method
        self.url = url
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        """Keep what is sent until its reply is wanted."""
        self.sent += data

    def request(self) -> Request:
        """Return the request that was sent."""
        head, _, body = self.sent.partition(b"\r\n\r\n")
        _, _, lines = head.partition(b"\r\n")
        headers = listed(header_lines(lines))
        if "chunked" in header(headers, "transfer-encoding").lower():
            plain = Heard()
            Overheard(plain, is_chunked=True, length=None).feed(body)
            body = plain.response.body
        return Request(method=self.method, uri=self.url, headers=headers, body=body)


class Played(StandIn):
    """A socket from which a recorded reply comes, to the end that it had."""

    def __init__(self, recorded: Response, tape: Tape, method: str, *, instead_of: Any = None) -> None:
        super().__init__(instead_of)
        self._recorded = recorded
        self._tape = tape
        self._method = method
        self._is_answering = False

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what is to be read."""
        self._is_answering = True
        return io.BufferedReader(_Replay(self._data()))

    def close(self) -> None:
        """Leave the real socket, if it is only that the recorded reply uses its connection up."""
        if not self._is_answering:
            super().close()

    def _data(self) -> Iterator[bytes]:
        pace, speed = Pace(), self._tape.speed
        for delay_s, data in as_sent(self._recorded, self._method, speed):
            pace.wait(delay_s)
            yield data
        Pace().wait(end_delay_s(self._recorded, speed))
        kind = kind_of(self._recorded)
        if self._recorded.was_left:
            raise self._tape.left_off(self._recorded)
        if kind == "reset":
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        if kind == "timeout":
            raise TimeoutError(error_of(self._recorded)[1] or "timed out")


class _Replay(io.RawIOBase):
    """Bytes that come piece by piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._pieces, b"")
        data, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)
