"""The network seal: while it is closed, nothing leaves the machine.

One audit hook (PEP 578) sees every connection and datagram that CPython's sockets make, however they are reached:
``connect``, ``connect_ex``, ``sendto``, ``sendmsg``, name look-ups, asyncio, threads, at import and at collection time.
An audit hook can't be taken out again, so there is one a process, and it asks for the seal that is closed just now.
"""

from __future__ import annotations

import _socket
import socket
import sys
from collections.abc import Callable

from llmkit.recording.addresses import Address, is_loopback
from llmkit.recording.errors import NetworkSealed

_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname")
_REVERSE_LOOKUPS = ("socket.gethostbyaddr", "socket.getnameinfo")
_TRAFFIC = ("socket.connect", "socket.sendto", "socket.sendmsg")


class Seal:
    """Lets traffic through to this machine and to ``allowed_hosts`` only.

    ``is_allowed`` has the last word on an address of this machine. What was refused is kept in ``refused``, so that
    a test whose code swallowed the error still fails.
    """

    def __init__(
        self,
        *,
        is_allowed: Callable[[Address], bool] = lambda _: True,
        allowed_hosts: frozenset[str] = frozenset(),
        error: type[NetworkSealed] = NetworkSealed,
    ) -> None:
        self._is_allowed = is_allowed
        self._allowed_hosts = set(allowed_hosts)
        self._resolved: set[str] = set()
        self._error = error
        self.refused: list[NetworkSealed] = []

    @property
    def is_closed(self) -> bool:
        """Whether this seal is among those that are closed now."""
        return self in _closed

    def close(self) -> None:
        """Close the seal for the whole process, until `open`; closing twice is closing once."""
        if not _hook_is_in:
            _put_hook_in()
        if self not in _closed:
            _closed.append(self)

    def open(self) -> None:
        """Let traffic through again, as far as no other seal is closed (a test run inside a test run has its own)."""
        if self in _closed:
            _closed.remove(self)

    def check_host(self, host: object) -> None:
        """Raise `NetworkSealed` if looking up ``host`` would leave the machine."""
        name = _text(host)
        if name in self._allowed_hosts:
            self._allow_addresses_of(name)
        elif not is_loopback(name) and not _is_literal(name):
            self._refuse(f"looking up the host {name!r}")

    def check_reverse(self, address: object) -> None:
        """Raise `NetworkSealed` if looking up the name of ``address`` would leave the machine."""
        host = _text(address[0] if isinstance(address, tuple) else address)
        if not is_loopback(host) and host not in self._allowed_hosts:
            self._refuse(f"looking up the name of {host!r}")

    def _allow_addresses_of(self, name: str) -> None:
        if name in self._resolved:
            return
        self._resolved.add(name)
        try:
            found = socket.getaddrinfo(name, None)
        except OSError:
            return  # whoever asked for it gets the same error
        self._allowed_hosts |= {str(address[0]) for *_, address in found}

    def check_address(self, family: int, address: object) -> None:
        """Raise `NetworkSealed` if traffic to ``address``, of a socket of ``family``, would leave the machine."""
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return  # local by nature, or a datagram on a connected socket: that was checked when it connected
        found = Address.at(str(address[0]), int(address[1]))
        if found.host in self._allowed_hosts:
            return
        if not found.is_local:
            self._refuse(f"traffic to {found.host} port {found.port}")
        elif not self._is_allowed(found):
            self._refuse(f"traffic to the provider at localhost port {found.port}")

    def _refuse(self, what: str) -> None:
        error = self._error(
            f"the network is sealed: {what} was refused. pytest replays what tests ask over HTTP and lets nothing else "
            "out; `pytest --record` opens the network for them. What is asked while tests are imported or collected "
            "can't be recorded: move it into a fixture or a test. To let a host through, name it in "
            "llmkit_allowed_hosts (pytest's configuration file) or mark the test with @pytest.mark.live"
        )
        self.refused.append(error)
        raise error


_closed: list[Seal] = []
_hook_is_in = False


def _put_hook_in() -> None:
    global _hook_is_in
    sys.addaudithook(_watch)
    _hook_is_in = True


def _watch(event: str, args: tuple[object, ...]) -> None:
    if not _closed or not event.startswith("socket."):
        return
    if event in _LOOKUPS:
        _closed[-1].check_host(args[0])
    elif event in _REVERSE_LOOKUPS:
        _closed[-1].check_reverse(args[0])
    elif event in _TRAFFIC:
        _check_socket(event, args[0], args[1])


def _check_socket(event: str, sock: object, address: object) -> None:
    assert isinstance(sock, _socket.socket)  # noqa: S101 - what these events carry
    try:
        _closed[-1].check_address(sock.family, address)
    except NetworkSealed:
        if event == "socket.connect":
            sock.close()  # socket.create_connection would close it after an OSError only
        raise


_watch.__cantrace__ = True  # type: ignore[attr-defined]  # lets coverage and debuggers see into the hook


def _text(host: object) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")


def _is_literal(name: str) -> bool:
    """Tell an IP literal, whose look-up stays on the machine: it is judged when traffic goes to it."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name.partition("%")[0])
        except OSError:
            continue
        return True
    return False
