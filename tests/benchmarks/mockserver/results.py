"""What was found, a line each, beside what is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.benchmarks.mockserver.rounds import Rounds, ratio

_MARKS = {True: "yes", False: "NO", None: ""}
_HEADS = ("measurement", "ours", "baseline", "ratio", "noise", "goal", "met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure; `is_met` is None where nothing is asked."""

    name: str
    ours: str
    baseline: str = ""
    ratio: str = ""
    noise: str = ""
    goal: str = ""
    is_met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        return (self.name, self.ours, self.baseline, self.ratio, self.noise, self.goal, _MARKS[self.is_met])


def compared(name: str, ours: Rounds, theirs: Rounds, *, at_least: float | None) -> list[Line]:
    """Two lines: by CPU time, which is what is judged because it hears little of the neighbours, and by rate."""
    by_cpu = ratio(ours, theirs, of=lambda mine, other: other.server_us / mine.server_us)
    by_rate = ratio(ours, theirs, of=lambda mine, other: mine.rate / other.rate)
    name = f"{name} : {theirs.server}"
    judged = Line(
        name=f"{name}, by CPU",
        ours=f"{ours.server_us:,.0f} µs",
        baseline=f"{theirs.server_us:,.0f} µs",
        ratio=f"{by_cpu:.2f}",
        noise=f"{ours.spread:.0%} / {theirs.spread:.0%}",
        goal="" if at_least is None else f"≥ {at_least:g}",
        is_met=None if at_least is None else by_cpu >= at_least,
    )
    rates = Line(
        name=f"{name}, by rate", ours=f"{ours.rate:,.0f}/s", baseline=f"{theirs.rate:,.0f}/s", ratio=f"{by_rate:.2f}"
    )
    return [judged, rates]


def table(lines: Iterable[Line]) -> str:
    """Lay `lines` out in columns."""
    rows: list[Sequence[str]] = [_HEADS, *(one.cells() for one in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    laid = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([laid[0], "-" * max(map(len, laid)), *laid[1:]])
