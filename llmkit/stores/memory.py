"""States and answers kept by one process, and gone with it."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from llmkit.policies import State
from llmkit.stores import Rule

T = TypeVar("T")


class MemoryStates:
    """A `StateStore` for the threads, tasks and event loops of one process; `clock` is in seconds, from any zero."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[str, State] = {}

    async def update(self, key: str, rule: Rule[T], *, ttl_s: float = 0.0) -> T:  # noqa: ARG002 - it forgets nothing
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
