"""What stands on guard: asked about every connection, datagram and look-up that CPython's sockets make."""

from __future__ import annotations

import _socket
import functools

from llmkit.recording import audit
from llmkit.recording.errors import NetworkSealed
from llmkit.recording.sealing import children, uvloop_loops
from llmkit.recording.sealing.guard import Guard

_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname")
_REVERSE_LOOKUPS = ("socket.gethostbyaddr", "socket.getnameinfo")
_TRAFFIC = ("socket.connect", "socket.sendto", "socket.sendmsg")

_guards: list[Guard] = []


class _All:
    """All that are on guard, as one."""

    def check_host(self, host: object) -> None:
        for guard in tuple(_guards):
            guard.check_host(host)

    def check_reverse(self, address: object) -> None:
        for guard in tuple(_guards):
            guard.check_reverse(address)

    def check_address(self, family: int, address: object) -> None:
        for guard in tuple(_guards):
            guard.check_address(family, address)


_all = _All()
_uvloop = uvloop_loops.patches(_all)


def post(guard: Guard) -> None:
    """Tell ``guard`` of all traffic, until `relieve`."""
    if not _guards:
        for event, listener in _listeners.items():
            audit.listen(event, listener)
        _uvloop.put_in()
    _guards.append(guard)


def relieve(guard: Guard) -> None:
    """Undo `post`."""
    _guards.remove(guard)
    if not _guards:
        for event, listener in _listeners.items():
            audit.leave(event, listener)
        _uvloop.take_out()


def watch(event: str, args: tuple[object, ...]) -> None:
    """Ask the guards about an audit event."""
    if event in _LOOKUPS:
        _all.check_host(args[0])
    elif event in _REVERSE_LOOKUPS:
        _all.check_reverse(args[0])
    elif event in _TRAFFIC:
        _check_socket(event, args[0], args[1])
    elif event in children.SPAWNS:
        children.renew()


_listeners = {
    event: functools.partial(watch, event) for event in (*_LOOKUPS, *_REVERSE_LOOKUPS, *_TRAFFIC, *children.SPAWNS)
}


def _check_socket(event: str, sock: object, address: object) -> None:
    assert isinstance(sock, _socket.socket)  # noqa: S101 - what these events carry
    try:
        _all.check_address(sock.family, address)
    except NetworkSealed:
        if event == "socket.connect":
            sock.close()  # socket.create_connection would close it after an OSError only
        raise
