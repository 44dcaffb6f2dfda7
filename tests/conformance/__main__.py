"""The command line; see the package."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tests.conformance import conversations, fuzzing, suite
from tests.conformance.report import FAILED, Row, exit_code, failures, table
from tests.conformance.serving import NotStarted, Served, serving
from tests.conformance.workshop import Workshop

_HOME = Path(__file__).parents[2] / ".conformance"
_KINDS = {"suite": (), "fuzz": (), "node": ("node",), "clients": ("python",), "all": ("python", "node")}
_SEED = "7"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is chosen and print what came of it.

    0 if all held; 1 if something failed; 3 if nothing failed but something could not be run, for want of an index,
    npm or Node.
    """
    options = _parser().parse_args(arguments)
    workshop = Workshop(options.home)
    chosen = list(conversations.clients(*_KINDS[options.part]))
    found: list[Row] = []
    try:
        if options.part in ("suite", "all"):
            found += _shown("openai-python's own tests", _suite(workshop, options.server))
        if chosen:
            found += _shown("conversations held", _clients(chosen, workshop, options.server))
        if options.part in ("fuzz", "all"):
            found += _shown("the admin API, fuzzed", _fuzz(workshop, options.server))
    except NotStarted as exc:
        print(exc, file=sys.stderr)
        return FAILED
    return exit_code(found)


def _shown(title: str, rows: list[Row]) -> list[Row]:
    said = failures(rows)
    print(f"{title}\n{table(rows)}\n" + (f"\n{said}\n" if said else ""), flush=True)
    return rows


def _suite(workshop: Workshop, server: str | None) -> list[Row]:
    """Against a lenient server: the suite asks for ids that it made up."""
    with _server(server, "--lenient") as served:
        rows = suite.rows(workshop, served.origin)
    return [*rows, *_complaints("server of the suite", served)]


def _clients(chosen: Sequence[conversations.Client], workshop: Workshop, server: str | None) -> list[Row]:
    """Against a strict one, as applications have it."""
    with _server(server) as served:
        rows = conversations.rows(chosen, workshop, served.origin)
    return [*rows, *_complaints("server of the clients", served)]


def _fuzz(workshop: Workshop, server: str | None) -> list[Row]:
    """The admin API against its own document, asked whatever comes to mind."""
    with _server(server) as served:
        rows = fuzzing.rows(workshop, served.origin)
    return [*rows, *_complaints("server of the fuzzing", served)]


def _server(origin: str | None, *options: str) -> AbstractContextManager[Served]:
    return serving("--seed", _SEED, *options) if origin is None else nullcontext(Served(origin))


def _complaints(name: str, served: Served) -> list[Row]:
    said = tuple(served.complaints)
    return [Row(name=name, failed=len(said), failures=said)] if said else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=main.__doc__)
    parser.add_argument("part", nargs="?", choices=sorted(_KINDS), default="all", help="what to run (default: all)")
    parser.add_argument("--server", metavar="ORIGIN", help="a server that runs already, as http://127.0.0.1:8080")
    parser.add_argument("--home", type=Path, default=_HOME, help="where to keep what is installed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
