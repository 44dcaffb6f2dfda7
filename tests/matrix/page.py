"""The matrix as Markdown, between the marks of `docs/fault-matrix.md`."""

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from tests.matrix.clients.asking import LIMIT_S
from tests.matrix.faults import FAULTS, Fault
from tests.matrix.judging import LATE, Cell
from tests.matrix.running import PATIENCE_S, Column

PAGE = Path(__file__).parents[2] / "docs" / "fault-matrix.md"
BEGIN, END = "<!-- begin: python -m tests.matrix -->", "<!-- end -->"


def write(page: Path, generated: str) -> None:
    """Puts the generated part in place of the old one; ValueError where the page has no marks."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no {BEGIN!r} … {END!r}")
    page.write_text(f"{before}{BEGIN}\n\n{generated}\n\n{END}{after}", encoding="utf-8")


def generated(columns: Sequence[Column], *, today: date) -> str:
    """Sums, the matrix, and what was measured when."""
    asked = [column for column in columns if column.absent is None]
    parts = [_measured(asked, today), _sums(asked), _matrix(asked), _faults()]
    return "\n\n".join(parts)


def _measured(columns: Sequence[Column], today: date) -> str:
    versions = dict.fromkeys(_versions(column) for column in columns)
    return f"Measured on {today.isoformat()}: {', '.join(versions)}."


def _versions(column: Column) -> str:
    own, *below = (" ".join(pair) for pair in column.versions.items())
    return f"{own} ({below[0]})" if below else own


def _sums(columns: Sequence[Column]) -> str:
    head = [f"of {len(FAULTS)} faults", "silent", "untyped", f"late (past {LATE * LIMIT_S:g} s)", "requests", "seconds"]
    rows = [[column.layer.name, *map(str, _sum(column.cells))] for column in columns]
    return _table(head, rows)


def _sum(cells: Sequence[Cell]) -> list[int]:
    return [
        sum(cell.kind == "silent" for cell in cells),
        sum(cell.kind == "untyped" for cell in cells),
        sum(cell.is_late(LIMIT_S) for cell in cells),
        sum(cell.requests for cell in cells),
        round(sum(cell.seconds for cell in cells)),
    ]


def _matrix(columns: Sequence[Column]) -> str:
    head = ["fault", *(column.layer.name for column in columns)]
    rows = [[fault.name, *(shown(column.cells[number]) for column in columns)] for number, fault in enumerate(FAULTS)]
    return _table(head, rows)


def shown(cell: Cell) -> str:
    """A cell: what came of it, requests, seconds; in bold what breaks the law."""
    times = [] if cell.kind == "waiting" else [_seconds(cell)]
    return ", ".join([outcome(cell), f"{cell.requests} x", *times])


def outcome(cell: Cell) -> str:
    """What came of it, as the page says it."""
    if cell.kind == "waiting":
        return f"**still waiting after {PATIENCE_S:g} s**"
    if cell.kind in ("silent", "untyped"):
        return f"**{cell.kind}:** {cell.says}"
    return {"right": "right", "told": f"told: {cell.says}"}.get(cell.kind, cell.says)


def _seconds(cell: Cell) -> str:
    return f"**{cell.seconds:.1f} s**" if cell.is_late(LIMIT_S) else f"{cell.seconds:.1f} s"


def _faults() -> str:
    return _table(["fault", "what the server does", "asked for"], [_fault(fault) for fault in FAULTS])


def _fault(fault: Fault) -> list[str]:
    kind = "a stream" if fault.stream else "a plain reply"
    return [fault.name, fault.does, f"{kind}, on Azure" if fault.dialect == "azure" else kind]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
