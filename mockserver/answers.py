"""What one request gets back, as a plan: the head, the frames with their waits, and how the connection ends."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal, NamedTuple

# whole: as HTTP has it · rst: a reset · fin: closed where more was promised · hang: silence until the client leaves
# garbled: what should be the size of a chunk is none
Ending = Literal["whole", "rst", "fin", "hang", "garbled"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Frame(NamedTuple):
    """Bytes that go out together, `wait_s` seconds after what came before; one without bytes is a wait and no more."""

    data: bytes
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one request gets back.

    A streamed answer sends each of `frames` as it is, any other all of them as one body. `delay_s` passes before the
    head (infinity: until the client leaves or the server stops). `full_length` is the Content-Length that is promised
    where it is not that of the frames. A `headless` answer has no head: its frames are all that goes over the socket.
    `idle_close_s` closes the connection so long after a whole answer, though keep-alive was promised; `shut_s` is how
    long the port is shut from now on. `misses` say which faults found nothing to act on.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    frames: tuple[Frame, ...] = ()
    streamed: bool = False
    delay_s: float = 0.0
    ending: Ending = "whole"
    full_length: int | None = None
    headless: bool = False
    idle_close_s: float | None = None
    shut_s: float | None = None
    misses: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it goes out as one body, at once, as HTTP has it."""
        is_usual = self.ending == "whole" and self.full_length is None and self.idle_close_s is None
        return is_usual and not (self.streamed or self.headless or any(frame.wait_s for frame in self.frames))

    @property
    def promised(self) -> int | None:
        """The Content-Length that the head names, None for a chunked body."""
        if self.streamed:
            return None
        return len(self.body) if self.full_length is None else self.full_length

    @property
    def safe_headers(self) -> dict[str, str]:
        """The headers without control characters: some values come from requests, and a line break would forge more."""
        if not _CONTROL.search("".join(self.headers.values())):
            return dict(self.headers)
        return {name: _CONTROL.sub("", value) for name, value in self.headers.items()}

    @property
    def body(self) -> bytes:
        """The frames as one."""
        return b"".join(frame.data for frame in self.frames)


def head_of(answer: Answer) -> bytes:
    """Status line and headers of an answer whose bytes are written one by one; the connection ends with it."""
    length = {"transfer-encoding": "chunked"} if answer.streamed else {"content-length": str(len(answer.body))}
    headers = {**answer.safe_headers, **length, "connection": "close"}
    reason = HTTPStatus(answer.status).phrase if answer.status in set(HTTPStatus) else ""
    lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def chunk_of(data: bytes) -> bytes:
    """Bytes as one chunk of a chunked body; none are its end."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def framed(parts: Iterable[bytes], *, interval_s: float = 0.0) -> tuple[Frame, ...]:
    """Frames of these parts, with `interval_s` between them."""
    frames = [Frame(part, interval_s) for part in parts]
    return (frames[0]._replace(wait_s=0.0), *frames[1:]) if frames and interval_s else tuple(frames)
