"""What a cassette holds: one request and its reply, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

Headers = Mapping[str, Sequence[str]]
"""Every value of every name, in the order in which they were sent."""

Chunk = tuple[int, int]
"""When a piece of a body arrived, in milliseconds after the request was sent, and how many bytes it has."""

CLOSED = "closed"
CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, as it was sent; ``uri`` is absolute."""

    method: str
    uri: str
    headers: Headers = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One HTTP reply.

    ``ended`` is empty for a whole body. ``"closed"`` means that the client hung up after ``body``, ``"cancelled"`` that
    it did so while it waited for more; anything else is ``"<kind>: <error>"``, with which the connection broke off
    there, and kind is ``aborted``, ``reset``, ``timeout`` or ``connect``. What got no reply at all has such an end, the
    status 599 and nothing else. The lengths of ``chunks`` sum up to that of ``body``; without them it arrived at once.
    ``headers_ms`` is when the headers came, after the request was sent.
    """

    status: int
    reason: str = ""
    headers: Headers = field(default_factory=dict)
    body: bytes = b""
    ended: str = ""
    headers_ms: int = 0
    chunks: tuple[Chunk, ...] = ()

    @property
    def was_left(self) -> bool:
        """Whether the client hung up before the end."""
        return self.ended in (CLOSED, CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One request and its reply; when it was recorded (ISO 8601, UTC) and, where tests share a cassette, by which."""

    request: Request
    response: Response
    recorded_at: str = ""
    test: str = ""

    @property
    def recorded(self) -> datetime | None:
        """When it was recorded, or None if ``recorded_at``, which people may edit, is no date."""
        try:
            found = datetime.fromisoformat(self.recorded_at)
        except ValueError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)


def header(headers: Headers, name: str) -> str:
    """Return the first value of the header ``name``, which is in lower case, or "" if there is none."""
    return next((values[0] for key, values in headers.items() if key.lower() == name and values), "")
