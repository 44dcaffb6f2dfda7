"""Opening a tape as the project and the test want it played, and asking those who watch what it sends."""

from __future__ import annotations

import functools
import shlex
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from llmkit._pytest.failures import BudgetReached, CassetteMiss, CassetteMissInPool
from llmkit._pytest.inventory import Inventory, Opened
from llmkit._pytest.settings import Settings, Wishes
from llmkit.recording.addresses import Address
from llmkit.recording.errors import BrokenCassette
from llmkit.recording.interaction import Interaction
from llmkit.recording.manner import Manner, Scope
from llmkit.recording.sealing.report import Report
from llmkit.recording.take import Asked
from llmkit.recording.tape import Tape

_SEARCH_S = 2.0


class Tapes:
    """Opens the tapes of a run.

    ``before_sending`` and ``after_recording`` are called for each request that is sent; ``allowed`` are addresses that
    pass untouched, ``refused_to_send`` what the budget forbade. ``is_refusal_expected`` tells whether a test expects
    one now.
    """

    def __init__(
        self, settings: Settings, inventory: Inventory, opened: Opened, is_refusal_expected: Callable[[], bool]
    ) -> None:
        self._settings = settings
        self._inventory = inventory
        self._opened = opened
        self._is_refusal_expected = is_refusal_expected
        self._began_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._there_before: frozenset[Path] = frozenset()
        self.allowed: set[Address] = set()
        self.before_sending: list[Callable[[Asked], None]] = []
        self.after_recording: list[Callable[[Asked, Interaction], None]] = []
        self.of_children = Report()
        self.is_budget_reached = False
        self.refused_to_send: list[BaseException] = []

    def _passes(self, address: Address) -> bool:
        return address in self.allowed or address.host in self._settings.hosts

    def missed_by_children(self) -> list[CassetteMiss]:
        """Return what forked children missed since this was last asked."""
        return [CassetteMiss(f"in the child process {process}: {what}") for process, what in self.of_children.unread()]

    def begin(self) -> None:
        """Look which cassettes are there before the first test."""
        if self._settings.mode == "once":
            self._there_before = frozenset(self._settings.cassettes.rglob("*.yaml"))

    def open(self, path: Path, wishes: Wishes, *, nodeid: str, test: str = "") -> Tape:
        """Return the tape of the cassette at ``path``, for the test or the node ``nodeid``."""
        manner = Manner(
            scope=Scope(local=self._settings.recorded, passes=self._passes),
            rules=wishes.rules,
            speed=wishes.speed,
            since=self._began_at,
            remedy=f"pytest --record {shlex.quote(nodeid)}" if nodeid else "pytest --record",
            miss=CassetteMiss,
            miss_in_pool=CassetteMissInPool,
            tell_of_miss=self.of_children.add,
            test=test,
            allowed_secrets=self._settings.allowed_secrets,
            is_refusal_expected=self._is_refusal_expected,
            before_sending=self._before_sending,
            after_recording=self._after_recording,
            elsewhere=functools.partial(self._elsewhere, path, wishes),
        )
        mode = self._settings.mode
        if mode == "once" and path not in self._there_before:
            mode = "new_episodes"  # another test that shares the cassette may have begun it, in this run
        return Tape(path, mode=mode, manner=manner, pending=self._settings.pending(path))

    def _before_sending(self, asked: Asked) -> None:
        try:
            for hook in self.before_sending:
                hook(asked)
        except BudgetReached as error:
            self.is_budget_reached = True
            self.refused_to_send.append(error)
            raise

    def _after_recording(self, asked: Asked, interaction: Interaction) -> None:
        for hook in self.after_recording:
            hook(asked, interaction)

    def _elsewhere(self, path: Path, wishes: Wishes, key: str) -> list[str]:
        """Name the other cassettes that hold a request, as far as two seconds reach."""
        until = time.monotonic() + _SEARCH_S
        already = set(self._opened.paths)
        found = []
        for other in self._inventory.files():
            if other == path or time.monotonic() > until:
                continue
            try:
                if Tape(other, manner=Manner(rules=wishes.rules)).holds(key):
                    found.append(self._settings.shown(other))
            except BrokenCassette:
                continue  # its own test says so
        self._opened.paths &= already
        return found
