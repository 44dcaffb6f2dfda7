"""Waits of a replay, which last as long as they say also where the waits of the application are skipped.

While a tape plays, `time.sleep` and `asyncio.sleep` may be others than Python's, so that an SDK's retry costs nothing;
what is awaited here is what they were, and, under trio, a function that is left alone.
"""

from __future__ import annotations

import asyncio
import sys
import time

_sleep = time.sleep
_asyncio_sleep = asyncio.sleep


class Pace:
    """Waits that follow each other from now on; what the application does in between is part of them."""

    def __init__(self) -> None:
        self._due_s = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Wait until ``seconds`` after the end of the wait before."""
        left_s = self.left_s(seconds)
        if left_s:
            _sleep(left_s)

    async def async_wait(self, seconds: float) -> None:
        """Wait as `wait` does, under asyncio or trio; with nothing to wait for, others still get their turn."""
        left_s = self.left_s(seconds)
        trio = sys.modules.get("trio")
        if trio is not None and trio.lowlevel.in_trio_task():
            await trio.sleep_until(trio.current_time() + left_s)
        else:
            await _asyncio_sleep(left_s)

    def left_s(self, seconds: float) -> float:
        """Return what is left of a wait of ``seconds`` that began at the end of the one before."""
        if seconds <= 0:
            return 0.0
        self._due_s += seconds
        return max(0.0, self._due_s - time.monotonic())
