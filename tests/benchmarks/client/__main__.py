"""The client beside the official SDK, in the same run: `python -m tests.benchmarks.client [--check] [PART…]`.

All are CPU times of this process, user and system, the best of many runs in turn: they hear little of what else the
machine does. A server has another core, and does nothing but reply. Parts: imports, calls, streams, cache, memory,
concurrency; each says in its docstring what it is compared with.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from tests.benchmarks import cache as cached
from tests.benchmarks.client import calls, imports, memory, streams
from tests.benchmarks.client.results import Line, table
from tests.benchmarks.mockserver import servers


def cache(directory: Path, *, runs: int) -> Iterator[Line]:
    """A cached answer; see `tests.benchmarks.cache`."""
    found = dict(cached._measured(directory))
    least = found["bare SELECT"] + found["json.dumps, 1 message"]
    name = "a cached answer : SELECT and json.dumps"
    yield Line(name=name, ours=found["hit by client.chat, 1 message"], theirs=least, at_most=cached.MOST_US)


Part = Callable[..., Iterable[Line]]
PARTS: dict[str, Part] = {
    "imports": imports.lines,
    "calls": calls.lines,
    "streams": streams.lines,
    "cache": cache,
    "memory": memory.lines,
    "concurrency": calls.concurrent,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; with `--check` return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.client", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    parser.add_argument("--runs", type=int, default=9, help="runs of each comparison (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    found = [line for part in chosen.parts or PARTS for line in measured(part, runs=chosen.runs)]
    versions = f"openai {metadata.version('openai')}, {len(os.sched_getaffinity(0))} cores"
    print(f"\nPython {platform.python_version()}, {versions}\n\n{table(found)}")
    missed = [line.name for line in found if line.is_met is False]
    print("\nNo goal is missed." if not missed else f"\nMissed: {'; '.join(missed)}.")
    return 1 if missed and chosen.check else 0


def measured(part: str, *, runs: int) -> list[Line]:
    """The lines of one part; this process stays on one core, and servers take another."""
    print(f"{part} …", file=sys.stderr)
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as directory, servers.pinned({cores[-1]}):
        return list(PARTS[part](Path(directory), runs=runs))


if __name__ == "__main__":
    sys.exit(main())
