"""What a closed seal lets through: this machine and the allowed hosts."""

from __future__ import annotations

import socket
from collections.abc import Callable

from llmkit.recording.addresses import Address, is_loopback


class Policy:
    """Judges look-ups and traffic; a verdict is what would leave the machine, in words, or "" if nothing would.

    ``is_allowed`` has the last word on an address of this machine.
    """

    def __init__(self, *, is_allowed: Callable[[Address], bool], allowed_hosts: frozenset[str]) -> None:
        self.is_allowed = is_allowed
        self.allowed_hosts = allowed_hosts
        self._open = set(allowed_hosts)
        self._resolved: set[str] = set()

    def on_lookup(self, host: object) -> str:
        """Judge a look-up of ``host``; that of an allowed host lets its addresses through."""
        name = text(host)
        if name in self._open:
            self._allow_addresses_of(name)
            return ""
        return "" if is_loopback(name) or _is_literal(name) else f"looking up the host {name!r}"

    def on_reverse(self, address: object) -> str:
        """Judge a look-up of the name of ``address``."""
        host = text(address[0] if isinstance(address, tuple) else address)
        return "" if is_loopback(host) or host in self._open else f"looking up the name of {host!r}"

    def on_traffic(self, family: int, address: object) -> str:
        """Judge traffic to ``address``, of a socket of ``family``."""
        found = self.reached(family, address)
        if found is None:
            return ""
        if found.is_local:
            return f"traffic to the provider at localhost port {found.port}"
        return f"traffic to {found.host} port {found.port}"

    def reached(self, family: int, address: object) -> Address | None:
        """Return where traffic to ``address`` goes if it may not go there."""
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return None  # local by nature, or a datagram on a connected socket: that was judged when it connected
        found = Address.at(text(address[0]), int(address[1]))
        if found.host in self._open or (found.is_local and self.is_allowed(found)):
            return None
        return found

    def _allow_addresses_of(self, name: str) -> None:
        if name in self._resolved:
            return
        self._resolved.add(name)
        try:
            found = socket.getaddrinfo(name, None)
        except OSError:
            return  # whoever asked for it gets the same error
        self._open |= {str(address[0]) for *_, address in found}


def text(host: object) -> str:
    """Return the host of an address, which may be bytes or None, as text."""
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
