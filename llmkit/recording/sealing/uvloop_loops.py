"""uvloop: libuv connects, sends and looks up without CPython's sockets, so no audit event tells of it.

``uvloop.Loop`` is a Python class over libuv's, whose methods are replaced while anyone is on guard. ``sock_connect``
needs no replacement: it asks ``getaddrinfo`` of the loop and then connects a Python socket, which the hook sees.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Iterator
from typing import Any

from llmkit.recording.patches import Patches, Replacement
from llmkit.recording.sealing.guard import Guard


def patches(guard: Guard) -> Patches:
    """Return the patches that ask ``guard``, also of a uvloop that is imported later."""

    def replacements(module: Any) -> Iterator[Replacement]:
        yield module.Loop, "create_connection", functools.partial(_create_connection, guard)
        yield module.Loop, "create_datagram_endpoint", functools.partial(_create_datagram_endpoint, guard)
        yield module.Loop, "getaddrinfo", functools.partial(_checked, guard.check_host)
        yield module.Loop, "getnameinfo", functools.partial(_checked, guard.check_reverse)

    return Patches({"uvloop": replacements})


def _checked(check: Callable[[object], None], real: Any) -> Any:
    """Return ``real`` with ``check`` of its first argument before it."""

    @functools.wraps(real)
    async def checked(loop: object, first: object, *args: object, **options: object) -> object:
        check(first)
        return await real(loop, first, *args, **options)

    return checked


def _create_connection(guard: Guard, real: Any) -> Any:
    @functools.wraps(real)
    async def create_connection(
        loop: object, factory: object, host: object = None, port: object = None, **options: Any
    ) -> object:
        if host is not None or port is not None:
            _check(guard, (host, port))
        if options.get("local_addr"):
            guard.check_host(options["local_addr"][0])
        return await real(loop, factory, host, port, **options)

    return create_connection


def _create_datagram_endpoint(guard: Guard, real: Any) -> Any:
    @functools.wraps(real)
    async def create_datagram_endpoint(
        loop: object, factory: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any
    ) -> object:
        if local_addr:
            guard.check_host(local_addr[0])
        if remote_addr:
            _check(guard, remote_addr)
            return await real(loop, factory, local_addr, remote_addr, **options)
        relay = _Relay(guard, factory)
        await real(loop, lambda: relay, local_addr, remote_addr, **options)
        return relay.transport, relay.protocol

    return create_datagram_endpoint


def _check(guard: Guard, address: Any) -> None:
    host, port = address[:2]
    guard.check_host(host)
    guard.check_address(socket.AF_INET, (host, _number(port)))


def _number(port: object) -> int:
    """Return ``port`` as a number; uvloop takes the names of services too."""
    try:
        return int(port or 0)  # type: ignore[call-overload,no-any-return]  # what is no number raises
    except ValueError:
        return socket.getservbyname(str(port))


class _Relay:
    """Stands between an endpoint that may send anywhere and its protocol, to give it a transport that asks."""

    def __init__(self, guard: Guard, factory: Callable[[], Any]) -> None:
        self._guard = guard
        self.protocol = factory()
        self.transport: _Transport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = _Transport(self._guard, transport, self)
        self.protocol.connection_made(self.transport)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.protocol, name)


class _Transport:
    """A transport of uvloop that asks before each datagram."""

    def __init__(self, guard: Guard, real: Any, relay: _Relay) -> None:
        self._guard = guard
        self._real = real
        self._relay = relay

    def sendto(self, data: Any, addr: Any = None) -> None:
        if addr is not None:
            self._guard.check_address(socket.AF_INET, tuple(addr))
        self._real.sendto(data, addr)

    def get_protocol(self) -> Any:
        return self._relay.protocol

    def set_protocol(self, protocol: Any) -> None:
        self._relay.protocol = protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)
