"""How a recorded reply comes back: which pieces, after which waits, and with which end.

Pure: nothing here waits or sends. The modules of `interception` do both, each in its client's own way.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from typing import Literal, cast

from llmkit.recording.interaction import CANCELLED, Response

Kind = Literal["", "aborted", "cancelled", "closed", "connect", "reset", "timeout"]
"""How a body ended: whole; cut off by a server that hung up; left by a client that waited, or between two reads; never
begun, for want of a connection; cut off by the network; given up by a client whose patience for more was over."""

_BROKEN: tuple[Kind, ...] = ("aborted", "connect", "reset", "timeout")
_UNCONNECTED = frozenset(
    {"ConnectError", "ConnectTimeout", "ClientConnectorError", "ConnectionRefusedError", "gaierror"}
)
_HUNG_UP = frozenset({"BadStatusLine", "RemoteProtocolError", "ServerDisconnectedError"})
_CUT_OFF = frozenset({"ConnectionError", "ReadError", "WriteError", "ClientOSError"})
_ERRNO = re.compile(r"\[Errno (-?\d+)\] ([^\[\]]*)")


def pieces(response: Response, speed: float) -> Iterator[tuple[float, bytes]]:
    """Yield each piece of the body, and the seconds to wait before it.

    ``speed`` 0 is at once, 1 as recorded, 2 twice as fast. What the chunks don't tell of comes at once, in one piece.
    """
    start, before_ms = 0, response.headers_ms
    for at_ms, length in response.chunks:
        piece = response.body[start : start + length]
        if piece:
            yield _seconds(at_ms - before_ms, speed), piece
            start, before_ms = start + length, at_ms
    if rest := response.body[start:]:
        yield 0.0, rest


def head_delay_s(response: Response, speed: float) -> float:
    """Return the seconds to wait before the headers."""
    return _seconds(response.headers_ms, speed)


def end_delay_s(response: Response, speed: float) -> float:
    """Return the seconds to wait after the last piece.

    Where the application gave up waiting, that is long enough for it to give up again, at any speed: what it sets a
    limit to may be the wait for one chunk or the whole reply, so twice the whole time and a second more.
    """
    if kind_of(response) == CANCELLED:
        return response.chunks[-1][0] / 1000 * 2 + 1 if response.chunks else 1.0
    if not response.chunks or response.chunks[-1][1]:
        return 0.0
    before_ms = max((at_ms for at_ms, length in response.chunks if length), default=response.headers_ms)
    return _seconds(response.chunks[-1][0] - before_ms, speed)


def _seconds(milliseconds: int, speed: float) -> float:
    return max(0, milliseconds) / 1000 / speed if speed > 0 else 0.0


def ended_as(error: BaseException) -> str:
    """Return how a body ended that ``error`` of any client broke off, as `Response.ended` has it."""
    return f"{_kind(error)}: {type(error).__name__}: {error}"


def unanswered_as(error: BaseException, *, is_connecting: bool = False) -> str:
    """Return how a request ended that got no headers, as `Response.ended` has it; "" if the network is not to blame.

    ``is_connecting`` says that the client failed before it waited for a reply.
    """
    if not isinstance(error, Exception):
        return CANCELLED if type(error).__name__ in ("Cancelled", "CancelledError") else ""
    kind = _kind_of_none(_names(error))
    return f"{'connect' if is_connecting else kind}: {type(error).__name__}: {error}" if kind else ""


def _kind_of_none(names: set[str]) -> Kind:
    if "PoolTimeout" in names:
        return ""  # it was never sent: who else uses the pool is another matter on replay
    if names & _UNCONNECTED:
        return "connect"
    if any("Timeout" in name for name in names):
        return "timeout"
    if names & _HUNG_UP:
        return "aborted"
    return "reset" if names & _CUT_OFF else ""


def connect_error(response: Response) -> OSError:
    """Return what the system said, or may have said, where no connection came about."""
    name, message = error_of(response)
    if "Timeout" in name:
        return TimeoutError(message or "timed out")
    found = _ERRNO.search(message)
    number, text = (int(found[1]), found[2]) if found else (errno.ECONNREFUSED, message or "Connection refused")
    return socket.gaierror(number, text) if number < 0 or name == "gaierror" else OSError(number, text)


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}


def _kind(error: BaseException) -> Kind:
    """Tell the kind by the names of the error's types, as no client is imported here."""
    names = _names(error)
    if any("Timeout" in name for name in names):
        return "timeout"
    if names & {"ConnectionError", "ReadError"}:
        return "reset"
    return "aborted"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and what caused it; a client's own words for a reset often hide the reset itself."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__


def kind_of(response: Response) -> Kind:
    """Return how the body of ``response`` ended; what broke it off before kinds were written, was the server."""
    if not response.ended or response.was_left:
        return cast("Kind", response.ended)
    kind = response.ended.partition(": ")[0]
    return next((one for one in _BROKEN if one == kind), "aborted")


def error_of(response: Response) -> tuple[str, str]:
    """Return the type's name and the message of what broke the body off."""
    kind, _, named = response.ended.partition(": ")
    name, _, message = (named if kind in _BROKEN else response.ended).partition(": ")
    return name, message
