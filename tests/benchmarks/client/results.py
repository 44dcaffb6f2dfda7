"""What was found, a line each, beside what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.benchmarks.measurement import alternating

Judged = Literal["ours", "more", "times"]
_MARKS = {True: "yes", False: "NO", None: ""}
_HEADS = ("measurement", "unit", "ours", "theirs", "more", "times", "goal", "met")
_FORMATS = {"ours": "≤ {:g}", "more": "≤ {:g} more", "times": "≤ {:g} times"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure beside one of theirs; `at_most` bounds ours, or by how much, or how many times, it is more."""

    name: str
    ours: float
    theirs: float | None = None
    unit: str = "µs"
    judged: Judged = "ours"
    at_most: float | None = None

    @property
    def more(self) -> float:
        """By how much ours is above theirs."""
        return self.ours - (self.theirs or 0.0)

    @property
    def times(self) -> float:
        """How many times theirs ours is."""
        return self.ours / self.theirs if self.theirs else float("inf")

    @property
    def is_met(self) -> bool | None:
        """Whether it is as asked for; None where nothing is asked."""
        if self.at_most is None:
            return None
        return {"ours": self.ours, "more": self.more, "times": self.times}[self.judged] <= self.at_most

    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        beside = ("", "", "") if self.theirs is None else (_short(self.theirs), f"{self.more:+.3g}", _short(self.times))
        goal = "" if self.at_most is None else _FORMATS[self.judged].format(self.at_most)
        return (self.name, self.unit, _short(self.ours), *beside, goal, _MARKS[self.is_met])


def table(lines: Iterable[Line]) -> str:
    """Lay `lines` out in columns."""
    rows = [_HEADS, *(one.cells() for one in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    laid = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([laid[0], "-" * max(map(len, laid)), *laid[1:]])


def best_us(work: Mapping[str, Callable[[], Any]], *, each: int, runs: int) -> dict[str, float]:
    """The CPU time of one of the `each` things that a piece of work does, in µs: the best of `runs`, all in turn."""
    for do in work.values():
        do()  # opens connections and fills caches
    found = alternating(work, runs=runs)
    return {name: runs.best / each * 1000 for name, runs in found.items()}


def repeated(count: int, do: Callable[[], Any]) -> Callable[[], None]:
    """`do`, `count` times."""

    def work() -> None:
        for _ in range(count):
            do()

    return work


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
