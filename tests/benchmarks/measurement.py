"""One line of a benchmark's table: what was measured, here and with vcrpy, and what it should be."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Basis = Literal["ours", "ours/live", "vcrpy/ours"]
_MARKS = {True: "yes", False: "NO", None: ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is asked of a measurement: ``at_most`` or ``at_least``, of ``ours`` or of a ratio."""

    of: Basis = "ours"
    at_most: float | None = None
    at_least: float | None = None

    def __str__(self) -> str:
        sign, bound = ("≤", self.at_most) if self.at_most is not None else ("≥", self.at_least)
        return f"{sign} {bound:g}" if self.of == "ours" else f"{self.of} {sign} {bound:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """``ours`` and ``theirs`` in ``unit``; ``live`` is without any recorder; None is what was not measured.

    ``spread`` is by how much the runs of ours differ: the median above the smallest, as a share of that.
    """

    name: str
    ours: float
    theirs: float | None = None
    live: float | None = None
    unit: str = "ms"
    goal: Goal | None = None
    spread: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        goal = self.goal
        if goal is None:
            return None
        value = self._basis(goal.of)
        at_most = float("inf") if goal.at_most is None else goal.at_most
        return (goal.at_least or 0.0) <= value <= at_most

    def _basis(self, of: Basis) -> float:
        if of == "ours":
            return self.ours
        above, below = (self.ours, self.live) if of == "ours/live" else (self.theirs, self.ours)
        if above is None or not below:
            raise ValueError(f"{self.name!r}: there is no {of} to judge, one of the two was not measured")
        return above / below

    def cells(self) -> tuple[str, ...]:
        """Return the line of the table."""
        ratio = f"{self.theirs / self.ours:,.1f}" if self.theirs and self.ours else ""
        spread = "" if self.spread is None else f"{self.spread:.0%}"
        goal = "" if self.goal is None else str(self.goal)
        numbers = (_number(self.live), _number(self.ours), _number(self.theirs))
        return (self.name, self.unit, *numbers, ratio, spread, goal, _MARKS[self.is_met])


def table(measurements: Iterable[Measurement]) -> str:
    """Lay ``measurements`` out in columns."""
    heads = ("measurement", "unit", "live", "ours", "vcrpy", "vcrpy/ours", "noise", "goal", "met")
    rows: list[Sequence[str]] = [heads, *(one.cells() for one in measurements)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


@dataclass(frozen=True, slots=True)
class Runs:
    """The durations of the runs of one thing, in ms."""

    durations_ms: tuple[float, ...]

    @property
    def best(self) -> float:
        """The shortest: what comes on top of it is the machine's."""
        return min(self.durations_ms)

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.durations_ms)

    @property
    def spread(self) -> float:
        """How far the median is above the best, as a share of that."""
        return self.median / self.best - 1 if self.best else 0.0


def alternating(
    work: Mapping[str, Callable[[], Any]], *, runs: int, clock: Callable[[], float] = time.process_time
) -> dict[str, Runs]:
    """Run each of ``work`` in turn, ``runs`` times, and return how long each took; ``clock`` is in seconds.

    So what else happens on the machine falls on all of them. Each begins with the garbage of the others collected.
    """
    durations: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, do in work.items():
            gc.collect()
            start = clock()
            do()
            durations[name].append((clock() - start) * 1000)
    return {name: Runs(tuple(found)) for name, found in durations.items()}


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
