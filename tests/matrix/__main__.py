"""The command line; see the package."""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.conformance.workshop import Workshop
from tests.matrix import page
from tests.matrix.clients.asking import LIMIT_S
from tests.matrix.faults import FAULTS
from tests.matrix.layers import LAYERS, Layer
from tests.matrix.running import Broken, Column, column

_HOME = Path(__file__).parents[2] / ".conformance"
HELD, FAILED, ABSENT = 0, 1, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and, where every client was asked, write the page.

    0 if our own rows keep the law; 1 if they don't, or a client can't be asked at all; 3 if nothing failed but a client
    could not be installed.
    """
    options = _parser().parse_args(arguments)
    chosen = [layer for layer in LAYERS if not options.only or layer.module in options.only]
    try:
        columns = _columns(chosen, Workshop(options.home), jobs=options.jobs)
    except Broken as exc:
        print(exc, file=sys.stderr)
        return FAILED
    generated = page.generated(columns, today=datetime.now(tz=UTC).date())
    print(generated)
    absent = [f"{each.layer.name} was not asked: {each.absent}" for each in columns if each.absent is not None]
    print("".join(f"{line}\n" for line in absent), file=sys.stderr, end="")
    if not absent and len(chosen) == len(LAYERS):
        page.write(page.PAGE, generated)
    return _exit_code(columns)


def _columns(chosen: Sequence[Layer], workshop: Workshop, *, jobs: int) -> list[Column]:
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(partial(_column, workshop=workshop), chosen))


def _column(layer: Layer, *, workshop: Workshop) -> Column:
    print(f"{layer.name} …", file=sys.stderr)
    return column(layer, FAULTS, workshop)


def _exit_code(columns: Sequence[Column]) -> int:
    ours = [each for each in columns if each.layer.environment is None]
    if any(cell.breaks_the_law(LIMIT_S) for each in ours for cell in each.cells):
        return FAILED
    return ABSENT if any(each.absent is not None for each in columns) else HELD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=main.__doc__)
    names = [layer.module for layer in LAYERS]
    parser.add_argument("only", nargs="*", metavar="client", help=f"{', '.join(names)} (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="how many clients at a time (default: 2)")
    parser.add_argument("--home", type=Path, default=_HOME, help="where to keep what is installed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
