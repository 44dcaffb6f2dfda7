"""The network seal: while it is closed, nothing leaves the machine.

An audit hook sees all that CPython's sockets do, however they are reached: ``connect``, ``connect_ex``, ``sendto``,
``sendmsg``, name look-ups, asyncio, threads, at import and at collection time. uvloop's loops are patched, and child
processes inherit a seal of their own (`llmkit.recording.sealing` says how, and which can escape it).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

from llmkit.recording.addresses import Address
from llmkit.recording.errors import NetworkSealed
from llmkit.recording.sealing import children, hook
from llmkit.recording.sealing.policy import Policy
from llmkit.recording.sealing.report import Report

_BY_NAME = (
    "To let a host through, name it in llmkit_allowed_hosts (pytest's configuration file) or mark the test with "
    "@pytest.mark.live"
)


class Seal:
    """Lets traffic through to this machine and to ``allowed_hosts`` only.

    ``is_allowed`` has the last word on an address of this machine. What was refused is kept in ``refused``, so that
    a test whose code swallowed the error still fails; `refused_children` adds what child processes were refused.
    ``report`` is the path by which a seal in a child process tells its parent.
    """

    def __init__(
        self,
        *,
        is_allowed: Callable[[Address], bool] = lambda _: True,
        allowed_hosts: frozenset[str] = frozenset(),
        error: type[NetworkSealed] = NetworkSealed,
        report: str = "",
    ) -> None:
        self.policy = Policy(is_allowed=is_allowed, allowed_hosts=allowed_hosts)
        self._error = error
        self._report = Report(report) if report else None
        self._is_inherited = bool(report)
        self._process = os.getpid()
        self.refused: list[NetworkSealed] = []

    @property
    def is_closed(self) -> bool:
        """Whether this seal is among those that are closed now."""
        return self in _closed

    def close(self) -> None:
        """Close the seal for the whole process and for children that it starts, until `open`.

        Closing twice is closing once. A process that closes a seal of its own takes over from its parent.
        """
        if self in _closed:
            return
        if not self._is_inherited and (heirloom := inherited()) is not None:
            heirloom.open()
        if self._report is None:
            self._report = Report()
        _closed.append(self)
        hook.post(self)
        children.cover(self._inheritance())

    def open(self) -> None:
        """Let traffic through again, as far as no other seal is closed (a test run inside a test run has its own)."""
        if self not in _closed:
            return
        _closed.remove(self)
        hook.relieve(self)
        children.cover(_closed[-1]._inheritance() if _closed else None)  # noqa: SLF001 - of this class

    def refused_children(self) -> list[NetworkSealed]:
        """Return what child processes were refused since this was last asked, and keep it in ``refused``."""
        if self._report is None or self._is_child:
            return []
        told = self._report.unread()
        errors = [self._error(_of_child(process, what)) for process, what in told]
        self.refused += errors
        return errors

    def check_host(self, host: object) -> None:
        """Raise `NetworkSealed` if looking up ``host`` would leave the machine."""
        if self._decides:
            self._refuse(self.policy.on_lookup(host))

    def check_reverse(self, address: object) -> None:
        """Raise `NetworkSealed` if looking up the name of ``address`` would leave the machine."""
        if self._decides:
            self._refuse(self.policy.on_reverse(address))

    def check_address(self, family: int, address: object) -> None:
        """Raise `NetworkSealed` if traffic to ``address``, of a socket of ``family``, would leave the machine."""
        if self._decides:
            self._refuse(self.policy.on_traffic(family, address))

    @property
    def _decides(self) -> bool:
        """Whether this is the innermost of the seals that are closed."""
        return _closed[-1:] == [self]

    @property
    def _is_child(self) -> bool:
        """Whether this process started sealed, or was forked while it was."""
        return self._is_inherited or self._process != os.getpid()

    def _refuse(self, what: str) -> None:
        if not what:
            return
        error = self._error(_of_child(os.getpid(), what) if self._is_child else _of_test(what))
        self.refused.append(error)
        if self._is_child and self._report is not None:
            self._report.add(what)
        raise error

    def _inheritance(self) -> children.Inheritance:
        report = self._report.path if self._report is not None else ""
        policy = self.policy
        return children.Inheritance(allowed_hosts=policy.allowed_hosts, is_allowed=policy.is_allowed, report=report)


_closed: list[Seal] = []


def inherit(*, report: str, allowed_hosts: Iterable[str], refused_ports: Iterable[int]) -> Seal:
    """Close and return the seal of a child process: ``refused_ports`` of this machine are a provider's."""
    refused = {Address("localhost", port) for port in refused_ports}
    seal = Seal(
        is_allowed=lambda address: address not in refused, allowed_hosts=frozenset(allowed_hosts), report=report
    )
    seal.close()
    return seal


def inherited() -> Seal | None:
    """Return the seal that a sealed parent has put on this process, for who takes over from it and opens it."""
    begun = sys.modules.get("llmkit_inherited_seal")
    seal: Seal | None = begun.load() if begun is not None else None
    return seal


def _of_test(what: str) -> str:
    return (
        f"the network is sealed: {what} was refused. pytest replays what tests ask over HTTP and lets nothing else "
        "out; `pytest --record` opens the network for them. What is asked while tests are imported or collected "
        f"can't be recorded: move it into a fixture or a test. {_BY_NAME}"
    )


def _of_child(process: int, what: str) -> str:
    return (
        f"the network is sealed: {what} was refused in the child process {process}. What a child process asks can't be "
        f"recorded: give it a server of this machine (the fixture mockserver). {_BY_NAME}"
    )
