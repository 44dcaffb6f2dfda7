"""States and answers kept by one process, and gone with it."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from llmkit.policies import State
from llmkit.policies.cache import Entry
from llmkit.stores import Rule

T = TypeVar("T")

MOST_BYTES = 64 << 20


class MemoryStates:
    """A `StateStore` for the threads, tasks and event loops of one process; `clock` is in seconds, from any zero."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[str, State] = {}

    async def update(
        self,
        key: str,
        rule: Rule[T],
        *,
        ttl_s: float = 0.0,  # noqa: ARG002 - it forgets nothing
        within_s: float | None = None,  # noqa: ARG002 - it takes no time
    ) -> T:
        """Applies `rule`; without waiting, so it is safe in a task that is being cancelled."""
        return self.update_now(key, rule)

    def update_now(self, key: str, rule: Rule[T]) -> T:
        """The same, for code that does not await."""
        with self._lock:
            state, result = rule(self._states.get(key), self._clock())
            if state is None:
                self._states.pop(key, None)
            else:
                self._states[key] = state
        return result

    async def aclose(self) -> None:
        """Nothing is open."""


class MemoryCache:
    """A `CacheStore` in memory; beyond `most_bytes`, the answers go that were not used for the longest time."""

    local = True

    def __init__(self, *, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.time) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[Entry, float]] = OrderedDict()
        self._bytes = 0

    def get_now(self, key: str) -> Entry | None:
        """The entry, at once."""
        with self._lock:
            entry, expires_at = self._entries.get(key, (None, 0.0))
            if entry is None or expires_at <= self._clock():
                return None
            self._entries.move_to_end(key)
        return entry

    async def get(self, key: str) -> Entry | None:
        """The same as `get_now`."""
        return self.get_now(key)

    async def put(self, key: str, entry: Entry, *, keep_s: float) -> None:
        """Keeps the entry, unless it is larger than all that is kept."""
        if len(entry.payload) > self._most_bytes:
            return
        with self._lock:
            self._forget(key)
            self._entries[key] = entry, entry.stored_at + keep_s
            self._bytes += len(entry.payload)
            while self._bytes > self._most_bytes:
                self._forget(next(iter(self._entries)))

    async def delete(self, key: str) -> None:
        """Forgets the entry, if there is one."""
        with self._lock:
            self._forget(key)

    async def aclose(self) -> None:
        """Nothing is open."""

    def _forget(self, key: str) -> None:
        entry, _ = self._entries.pop(key, (None, 0.0))
        self._bytes -= len(entry.payload) if entry else 0
