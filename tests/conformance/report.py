"""What came of a run: one row an area or client, the table of them, and the exit code."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

HELD, FAILED, ABSENT = 0, 1, 3  # argparse exits with 2
_SHOWN = 15
_WIDEST = 300


@dataclass(frozen=True, kw_only=True)
class Row:
    """One area or client: counts, what each failure said, and why it was not run, if it wasn't."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: tuple[str, ...] = ()
    absent: str | None = None


def exit_code(rows: Sequence[Row]) -> int:
    """1 where something failed, else 3 where something could not be run, else 0."""
    if any(row.failed for row in rows):
        return FAILED
    return ABSENT if any(row.absent for row in rows) else HELD


def table(rows: Sequence[Row]) -> str:
    """The rows and their sum, for people."""
    total = Row(
        name="all",
        passed=sum(row.passed for row in rows),
        failed=sum(row.failed for row in rows),
        skipped=sum(row.skipped for row in rows),
    )
    width = max(len(row.name) for row in [*rows, total])
    head = f"{'':{width}}  {'passed':>6}  {'failed':>6}  {'skipped':>7}"
    return "\n".join([head, *(_line(row, width) for row in rows), _line(total, width)])


def _line(row: Row, width: int) -> str:
    if row.absent:
        return f"{row.name:{width}}  not run: {row.absent}"
    return f"{row.name:{width}}  {row.passed:6}  {row.failed:6}  {row.skipped:7}"


def failures(rows: Sequence[Row]) -> str:
    """What failed, the most frequent message first; empty where nothing did."""
    counted = Counter((row.name, " ".join(said.split())) for row in rows for said in row.failures)
    lines = [f"{count:4} x {name}: {said[:_WIDEST]}" for (name, said), count in counted.most_common(_SHOWN)]
    if len(counted) > _SHOWN:
        lines.append(f"     … and {len(counted) - _SHOWN} other messages")
    return "\n".join(lines)
