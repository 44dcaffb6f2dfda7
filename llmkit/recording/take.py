"""A request that was asked, and the reply to it on its way into a tape."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from llmkit.recording.interaction import CLOSED, Chunk, Headers, Request, Response, header

NO_REPLY = 599
"""The status in a cassette of what got no reply, not even its headers; vcrpy's format needs one, and no server sends
it without a reason and without headers."""


def is_no_reply(response: Response) -> bool:
    """Tell whether ``response`` stands for none: its ``ended`` says with which error the client was left."""
    is_bare = not (response.reason or response.headers or response.body)
    return response.status == NO_REPLY and is_bare and bool(response.ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was asked: as it is sent, and as it is written; ``key`` is what it is compared by."""

    sent: Request
    written: Request
    key: str


@dataclass(slots=True)
class Take:
    """One reply on its way into a tape; its place is kept from the moment the request was sent.

    ``_keep`` is given the whole reply when it has ended.
    """

    asked: Asked
    _keep: Callable[[Response], None]
    _sent_at: float = field(default_factory=time.monotonic)
    _head: Response | None = None
    _pieces: list[bytes] = field(default_factory=list)
    _chunks: list[Chunk] = field(default_factory=list)
    _is_done: bool = False

    @property
    def has_begun(self) -> bool:
        """Whether the headers of the reply are there, or the error that came instead of it."""
        return self._head is not None

    def begin(self, status: int, reason: str, headers: Headers) -> None:
        """Keep the head of the reply, which has just come."""
        self._head = Response(status=status, reason=reason, headers=headers, headers_ms=self._elapsed_ms())

    def add(self, piece: bytes) -> None:
        """Keep a piece of the body, which has just come, as it came: no coding undone."""
        if piece:
            self._pieces.append(piece)
            self._chunks.append((self._elapsed_ms(), len(piece)))

    def finish(self, ended: str = "") -> None:
        """Keep what has arrived; ``ended`` as in `Response`. Only the first call counts.

        With nothing there, an error is kept instead of a reply; that the client left, is not.
        """
        if self._is_done or (self._head is None and ended in ("", CLOSED)):
            return
        self._head = self._head or Response(status=NO_REPLY)
        self._is_done = True
        body = b"".join(self._pieces)
        if ended == CLOSED and _is_whole(self._head.headers, body):
            ended = ""
        if ended and ended != CLOSED:
            self._chunks.append((self._elapsed_ms(), 0))  # when it broke off: a replay waits as long
        self._keep(replace(self._head, body=body, ended=ended, chunks=tuple(self._chunks)))

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._sent_at) * 1000)


def _is_whole(headers: Headers, body: bytes) -> bool:
    """Tell whether ``body`` is all there, though the client hung up before it saw the end of the connection."""
    return header(headers, "content-length") == str(len(body)) or body.rstrip().endswith(b"data: [DONE]")
