"""What people look at: tables as wide as their content, in colour on a terminal, and numbers that read well."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Literal

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from llmkit.recording.library.masking import harmless, masked
from llmkit.recording.library.summary import Bill, Summary
from llmkit.recording.replies import money

_UNBOUNDED = 100_000  # columns: nothing is cut, what is too long for a terminal goes on in its next line
_BLANK_ENDS = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$", re.MULTILINE)
_UNITS = ("B", "KB", "MB", "GB")


def out(*parts: RenderableType) -> None:
    """Print ``parts`` to stdout, without the blanks with which tables end their lines."""
    console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False, width=_UNBOUNDED)
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, str | Text))
    click.echo(_BLANK_ENDS.sub(r"\1", captured.get()), nl=False)


def say(message: str) -> None:
    """Say ``message`` to whoever runs the command, on stderr, without a secret that it has got hold of."""
    click.echo(shown(message), err=True)


def as_json(value: Any) -> None:
    """Print ``value`` to stdout as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(
    *columns: str,
    rows: Iterable[Sequence[str | Text]],
    left: Sequence[str] = (),
    end: Sequence[str] = (),
    header: bool = True,
) -> Table:
    """Return a table; columns hold numbers unless they are ``left``, and ``end`` is its last line."""
    made = Table(box=None, show_header=header, show_footer=bool(end), header_style="bold", footer_style="bold")
    made.pad_edge, made.padding = False, (0, 2, 0, 0)
    for position, name in enumerate(columns):
        justify: Literal["left", "right"] = "left" if name in left else "right"
        made.add_column(name, footer=end[position] if end else "", justify=justify)
    for row in rows:
        made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return made


def styled(text: str, style: str) -> Text:
    """Return ``text`` in a ``style``, which only a terminal shows."""
    return Text(text, style=style)


def shown(about: object) -> str:
    """Return a path, the name of a test or what is wrong with a file as it may be shown: without a secret in it."""
    return harmless(masked(str(about)))


def count(number: int, noun: str) -> str:
    """Return ``number`` with its ``noun`` in singular or plural."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def done(number: int, *, is_dry: bool = False) -> str:
    """Return the verb that says that so many things were changed."""
    return "would be" if is_dry else "was" if number == 1 else "were"


def size(number: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit in _UNITS[:-1]:
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} {_UNITS[-1]}"


def dollars(cost: Decimal | None) -> str:
    """Return a sum in US dollars as pytest's bill shows it, cents at least; "?" for one that isn't known."""
    return "?" if cost is None else money.dollars(cost)


def cost(bill: Bill) -> str:
    """Return what ``bill`` comes to; "+ ?" tells that some of its calls have no known price."""
    return f"{dollars(bill.cost)}{' + ?' if bill.unpriced and bill.cost is not None else ''}"


def age(summary: Summary) -> str:
    """Return how long ago the oldest reply came, after "~" where only the time of the file tells."""
    days = max(summary.age_days, 0)
    told = f"{days * 24 * 60:.0f}m" if days < 1 / 24 else f"{days * 24:.0f}h" if days < 2 else f"{days:,.0f}d"
    return f"{'~' * (summary.dated_by == 'file')}{told}"


def some(names: Sequence[str], most: int = 2) -> str:
    """Return the first of ``names``, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" + {more}" if more > 0 else "")
