"""The time that the server lives in: the real one, or one that stands still until it is moved.

Everything of the server that tells the time or waits does it here, so that on a virtual clock hours of quota and outage
pass in milliseconds. `Clock.drives` puts the waits of a client under test on the same clock.
"""

import asyncio
import functools
import itertools
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

_TOLERANCE_S = 1e-6
"""Sums of floats at Unix times are off by less: who has slept nine tenths and then one tenth has slept a second."""
_SLEEPS = ("time", "asyncio", "anyio", "trio")
_SPARED = ("mockserver", "aiohttp")
_POLL_S = 0.001


class ClockError(RuntimeError):
    """The clock runs by itself and cannot be moved."""


class Alarm(asyncio.Event):
    """An event that ends sleeps: it knows who sleeps, where a task that waits for it would cost each of them more."""

    def __init__(self) -> None:
        super().__init__()
        self.sleepers: set[_Sleeper] = set()

    @override
    def set(self) -> None:
        super().set()
        for sleeper in list(self.sleepers):
            sleeper.loop.call_soon(sleeper.give_up)  # after whom the clock has woken already


@dataclass(slots=True)
class Pace:
    """Sleeps one after another, each counted from when the one before was due, so that lateness does not add up."""

    due: float = 0.0
    epoch: int = -1


class Clock:
    """Real time, or virtual time that moves only by `advance`; threads and event loops may share one.

    `now` gives the real time in Unix seconds. On the virtual clock `waits` are the seconds that the client has waited
    in the latest `drives` block.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.waits: list[float] = []
        self._real_now = now
        self._at: float | None = None  # the virtual instant; None in real time
        self._lock = threading.Condition(threading.Lock())
        self._sleepers: set[_Sleeper] = set()
        self._numbers = itertools.count()
        self._epoch = 0  # counts the changes between the two, so that timers of an earlier time mean nothing

    def now(self) -> float:
        """The time in Unix seconds."""
        return self.reading()[1]

    def reading(self) -> tuple[float, float]:
        """The real time, which orders what happens in all processes of a machine, and the time of this clock."""
        at, real = self._at, self._real_now()
        return real, real if at is None else at

    @property
    def is_virtual(self) -> bool:
        """Whether the clock stands still until it is moved."""
        return self._at is not None

    def stop(self, at: float | None = None) -> None:
        """Make the time virtual, standing still at `at` (Unix seconds) or now.

        Who sleeps has as long to go as before. ValueError if `at` is not finite.
        """
        if at is not None and not math.isfinite(at):
            raise ValueError(f"the clock cannot stand at {at!r}; give finite Unix seconds, or nothing for now")
        with self._lock:
            self._change(self.now() if at is None else float(at))

    def run(self) -> None:
        """Make the time real again; who sleeps has as long to go as before."""
        with self._lock:
            self._change(None)
            sleepers = list(self._sleepers)
        for sleeper in sleepers:
            sleeper.call(self._arm, sleeper)

    def advance(self, seconds: float) -> float:
        """Move the virtual time on, wake who is due within in the order of their times, and return the new time.

        ClockError in real time, ValueError for what is no finite number of seconds from 0.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"the clock cannot advance by {seconds!r} seconds; it takes a finite number from 0")
        with self._lock:
            if self._at is None:
                raise ClockError(f"real time cannot be advanced by {seconds!r} seconds; `stop()` the clock first")
            return self._move(self._at + seconds)

    async def sleep(self, seconds: float, *, cancelled: Alarm | None = None, pace: Pace | None = None) -> bool:
        """Wait in this clock's time, forever for infinity; return False if `cancelled` was set first.

        With a `pace` the wait begins when the one before it was due. ValueError for NaN.
        """
        if math.isnan(seconds):
            raise ValueError("nobody can sleep for NaN seconds; give a number, or infinity to wait for `cancelled`")
        if cancelled is not None and cancelled.is_set():
            return False
        if pace is not None:
            seconds = self._left(seconds, pace)
        if seconds <= 0:
            await asyncio.sleep(0)
            return True
        sleeper = _Sleeper(asyncio.get_running_loop(), next(self._numbers))
        self._enter(sleeper, seconds)
        try:
            return await sleeper.until(cancelled)
        finally:
            self._leave(sleeper)

    def _left(self, seconds: float, pace: Pace) -> float:
        """What is left of a wait at this pace; one that ends between two kinds of time is followed by a whole one."""
        with self._lock:
            line = self._line()
            begin = pace.due if pace.epoch == self._epoch else line
            pace.due, pace.epoch = begin + seconds, self._epoch
        left = pace.due - line
        return left if left > _TOLERANCE_S else 0.0

    def next_wake(self) -> float | None:
        """When the first of the sleepers wakes, in Unix seconds; None if nobody sleeps for a finite time."""
        with self._lock:
            return self._next_wake()

    def wait_for_sleepers(self, count: int = 1, *, timeout_s: float = 5.0) -> float | None:
        """Block this thread until `count` sleep, and all whom the clock woke have gone on; return `next_wake()`.

        Not from the thread whose loop they sleep in: see `settle`. TimeoutError after `timeout_s` of real time.
        """
        with self._lock:
            if not self._lock.wait_for(lambda: self._is_settled(count), timeout_s):
                raise TimeoutError(self._unsettled(count, timeout_s))
            return self._next_wake()

    async def settle(self, *, sleepers: int = 0, timeout_s: float = 5.0) -> float | None:
        """Let all whom the clock woke go on, and wait until `sleepers` sleep (again); return `next_wake()`.

        TimeoutError after `timeout_s` of real time.
        """
        give_up_at = time.monotonic() + timeout_s
        turns = 0
        while turns < 3 or not self._is_settled(sleepers):
            if time.monotonic() > give_up_at:
                raise TimeoutError(self._unsettled(sleepers, timeout_s))
            await asyncio.sleep(0 if turns < 10 else _POLL_S)
            turns += 1
        return self.next_wake()

    @contextmanager
    def drives(self) -> Iterator[list[float]]:
        """Within the block, waits of the code under test move this clock instead of taking time; they are listed.

        Caught are `time.sleep`, `asyncio.sleep`, `anyio.sleep` and `trio.sleep`, called by their module as SDKs do
        (import the client first), for finite times above 0; what the server or aiohttp wait for is not. Waits that
        tasks begin together end together: the clock moves by the longest, not by their sum. A clock in real time is
        virtual for the block. The list is also `waits`.
        """
        waits: list[float] = []
        self.waits = waits
        was_virtual = self.is_virtual
        if not was_virtual:
            self.stop()
        patches = _Patches(self, waits)
        try:
            yield waits
        finally:
            patches.restore()
            if not was_virtual:
                self.run()

    def _reach(self, instant: float) -> None:
        """Move on to `instant`, unless that has passed or the time is real by now."""
        with self._lock:
            if self._at is not None and instant > self._at:
                self._move(instant)

    def _move(self, instant: float) -> float:
        self._at = instant
        due = [each for each in self._sleepers if each.due <= instant + _TOLERANCE_S and not each.is_woken]
        for sleeper in sorted(due, key=lambda each: (each.due, each.number)):
            sleeper.is_woken = sleeper.call(sleeper.wake)
            if not sleeper.is_woken:
                self._sleepers.discard(sleeper)  # its loop has been closed
        return instant

    def _line(self) -> float:
        """What sleepers are due on: the virtual time, or one that nobody sets."""
        return time.monotonic() if self._at is None else self._at

    def _change(self, at: float | None) -> None:
        before = self._line()
        self._at = at
        shift = self._line() - before
        self._epoch += 1
        for sleeper in self._sleepers:
            sleeper.due += shift

    def _enter(self, sleeper: "_Sleeper", seconds: float) -> None:
        with self._lock:
            sleeper.due = self._line() + seconds
            self._sleepers.add(sleeper)
            self._lock.notify_all()
        self._arm(sleeper)

    def _leave(self, sleeper: "_Sleeper") -> None:
        with self._lock:
            self._sleepers.discard(sleeper)
            self._lock.notify_all()
        sleeper.disarm()

    def _arm(self, sleeper: "_Sleeper") -> None:
        """Set the timer of a sleeper in real time; in the thread of its loop."""
        with self._lock:
            is_real = self._at is None and sleeper in self._sleepers and sleeper.due < math.inf
            delay, epoch = sleeper.due - time.monotonic(), self._epoch
        sleeper.disarm()
        if is_real:
            sleeper.timer = sleeper.loop.call_later(max(delay, 0), self._ring, sleeper, epoch)

    def _ring(self, sleeper: "_Sleeper", epoch: int) -> None:
        with self._lock:
            is_current = epoch == self._epoch
        if is_current:
            sleeper.wake()

    def _next_wake(self) -> float | None:
        first = min((each.due for each in self._sleepers if not each.is_woken), default=math.inf)
        return None if first == math.inf else self.now() + (first - self._line())

    def _is_settled(self, count: int) -> bool:
        woken = sum(each.is_woken for each in list(self._sleepers))
        return not woken and len(self._sleepers) >= count

    def _unsettled(self, count: int, timeout_s: float) -> str:
        woken = sum(each.is_woken for each in list(self._sleepers))
        asleep = len(self._sleepers) - woken
        return f"after {timeout_s} s {asleep} sleep on the clock, not {count}, and {woken} are woken and don't go on"


class _Sleeper:
    """Who waits in one event loop; `due` on the line of the clock."""

    __slots__ = ("_done", "due", "is_woken", "loop", "number", "timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        self.loop, self.number = loop, number
        self.due = math.inf
        self.is_woken = False
        self.timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[bool] = loop.create_future()

    async def until(self, cancelled: Alarm | None) -> bool:
        """Wait for the end; False if `cancelled` makes it."""
        if cancelled is None:
            return await self._done
        cancelled.sleepers.add(self)
        try:
            return await self._done
        finally:
            cancelled.sleepers.discard(self)

    def call(self, function: Callable[..., None], *arguments: object) -> bool:
        """Have the loop call this, from any thread; False if the loop is closed, where nobody waits any more."""
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return False
        return True

    def wake(self) -> None:
        self._end(passed=True)

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def give_up(self) -> None:
        """Wake before the time."""
        self._end(passed=False)

    def _end(self, *, passed: bool) -> None:
        if not self._done.done():
            self._done.set_result(passed)


class _Patches:
    """The sleeps of one `drives` block."""

    def __init__(self, clock: Clock, waits: list[float]) -> None:
        self._clock, self._waits = clock, waits
        self._is_active = True
        self._patched: list[tuple[Any, Any, Any]] = []
        for name in _SLEEPS:
            module = sys.modules.get(name)
            if module is not None and hasattr(module, "sleep"):
                real = module.sleep
                ours = self._blocking(real) if name == "time" else self._awaited(real)
                self._patched.append((module, real, ours))
                module.sleep = ours  # type: ignore[attr-defined]  # what was found by hasattr

    def restore(self) -> None:
        """Put back what nobody else has replaced since; who keeps one of ours sleeps as before."""
        self._is_active = False
        for module, real, ours in self._patched:
            if module.sleep is ours:
                module.sleep = real

    def _is_ours(self, seconds: object) -> bool:
        """Whether the caller's caller asks for a wait that moves the clock."""
        if not isinstance(seconds, int | float) or not 0 < seconds < math.inf or not self._is_active:
            return False
        asks = str(sys._getframe(2).f_globals.get("__name__", ""))  # noqa: SLF001 - no other way to know who asks
        return self._clock.is_virtual and asks.partition(".")[0] not in _SPARED

    def _begin(self, seconds: float) -> float:
        """List a wait and return its end."""
        self._waits.append(float(seconds))
        return self._clock.now() + seconds

    def _blocking(self, real: Any) -> Any:
        @functools.wraps(real)
        def sleep(seconds: float, /) -> None:
            if not self._is_ours(seconds):
                real(seconds)
                return
            self._clock._reach(self._begin(seconds))  # noqa: SLF001 - its own half
            real(0)  # a turn for the other threads

        return sleep

    def _awaited(self, real: Any) -> Any:
        @functools.wraps(real)
        def sleep(*arguments: Any, **options: Any) -> Any:
            name = next((name for name in ("delay", "seconds") if name in options), None)
            seconds: Any = options[name] if name else arguments[0] if arguments else None
            if not self._is_ours(seconds):
                return real(*arguments, **options)
            if name is None:
                return self._turn(seconds, functools.partial(real, 0, *arguments[1:], **options))
            return self._turn(seconds, functools.partial(real, *arguments, **{**options, name: 0}))

        return sleep

    async def _turn(self, seconds: float, turn: Callable[[], Any]) -> Any:
        """Let others begin their waits at the same time before it moves."""
        end = self._begin(seconds)
        result = await turn()
        self._clock._reach(end)  # noqa: SLF001 - its own half
        return result
