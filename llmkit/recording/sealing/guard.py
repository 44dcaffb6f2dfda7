"""Who is told of what is about to leave the process."""

from __future__ import annotations

from typing import Protocol


class Guard(Protocol):
    """Is told of each look-up and of all traffic before it leaves, and may raise."""

    def check_host(self, host: object) -> None:
        """Judge a look-up of ``host``."""

    def check_reverse(self, address: object) -> None:
        """Judge a look-up of the name of ``address``."""

    def check_address(self, family: int, address: object) -> None:
        """Judge traffic to ``address``, of a socket of ``family``."""
