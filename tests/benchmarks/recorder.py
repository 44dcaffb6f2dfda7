"""The recorder beside vcrpy, in the same run: ``python -m tests.benchmarks.recorder [--check] [PART…]``.

CPU time, the best of several runs that alternate with vcrpy's; where something is waited for, the median of the wall
clock. ``noise`` is by how much the median of our runs is above the best. Parts: streams, lookups, files, fixed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from tests.benchmarks import files, fixed_costs, lookups, stream_server, streams
from tests.benchmarks.measurement import Measurement, table

PARTS = ("streams", "lookups", "files", "fixed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; with ``--check`` return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.recorder", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        os.environ["LLMKIT_CACHE_DIR"] = f"{directory}/index"  # the user's own stays as it is
        found = list(_measured(Path(directory), chosen.parts or PARTS))
    print(f"\nPython {platform.python_version()}, vcrpy {metadata.version('vcrpy')}, {os.cpu_count()} cores\n")
    print(table(found))
    missed = [one.name for one in found if one.is_met is False]
    print("\nAll goals are met." if not missed else f"\nMissed: {'; '.join(missed)}.")
    return 1 if missed and chosen.check else 0


def _measured(directory: Path, parts: Sequence[str]) -> Iterator[Measurement]:
    for part in parts:
        print(f"{part} …", file=sys.stderr)
        place = directory / part
        place.mkdir(exist_ok=True)
        yield from _part(part, place)


def _part(part: str, directory: Path) -> Iterator[Measurement]:
    match part:
        case "streams":
            with stream_server.running() as server:
                yield from streams.measurements(directory, server)
        case "lookups":
            with stream_server.running() as server:
                yield from lookups.measurements(directory, server)
        case "files":
            yield from files.measurements(directory)
        case _:
            yield from fixed_costs.measurements(directory)


if __name__ == "__main__":
    sys.exit(main())
