"""How far many calls have come: shown on a terminal, told to a function, or not at all."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from llmkit.errors import InvalidRequest

Show = Callable[[int, int], None]
Progress = bool | Show | None

_WIDTH = 30
_EVERY_S = 0.1


@contextmanager
def shown(progress: Progress, *, stream: TextIO | None = None) -> Iterator[Show]:
    """What is told of each step: `progress` itself if it is a function, a bar for True, nothing for False.

    None draws the bar where somebody looks at it: on a terminal.
    """
    out = sys.stderr if stream is None else stream
    if callable(progress):
        yield progress
    elif progress is None or isinstance(progress, bool):
        with _bar(out) if progress or (progress is None and out.isatty()) else _nothing() as show:
            yield show
    else:
        raise InvalidRequest(f"progress = {progress!r}: it has to be True, False or a function of (done, total)")


@contextmanager
def _nothing() -> Iterator[Show]:
    yield lambda _done, _total: None


@contextmanager
def _bar(out: TextIO) -> Iterator[Show]:
    bar = Bar(out)
    try:
        yield bar.show
    finally:
        bar.end()


class Bar:
    """A line that is drawn anew as calls come to their end."""

    def __init__(self, out: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._begun = clock()
        self._first: int | None = None  # what was there before
        self._drawn_at = -_EVERY_S
        self._line = ""

    def show(self, done: int, total: int) -> None:
        """Draw it, unless it has just been drawn."""
        self._first = done if self._first is None else self._first
        now = self._clock()
        self._line = self._spelt(done, total, now)
        if done == total or now - self._drawn_at >= _EVERY_S:
            self._drawn_at = now
            self._out.write(f"\r{self._line}\x1b[K")
            self._out.flush()

    def end(self) -> None:
        """Leave the line as it was last."""
        self._out.write(f"\r{self._line}\x1b[K\n")
        self._out.flush()

    def _spelt(self, done: int, total: int, now: float) -> str:
        full = _WIDTH * done // total if total else _WIDTH
        made = done - (self._first or 0)
        left_s = (now - self._begun) / made * (total - done) if made else None
        rest = "" if left_s is None or done == total else f"  {_clock_time(left_s)} left"
        return f"{'━' * full}{'─' * (_WIDTH - full)} {done:,}/{total:,}{rest}"


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
