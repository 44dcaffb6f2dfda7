"""What a long stream holds in memory: `python -m tests.benchmarks.client.memory MEGABYTES` reads one.

Its reader keeps nothing; the client keeps the text, a fiftieth of the stream, for `stream.reply`. Compared are the
peaks of two processes, one of which reads ten times as much.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain, repeat
from pathlib import Path

from tests.benchmarks.client.results import Line
from tests.benchmarks.client.sides import Reply, sides, transport
from tests.benchmarks.client.streams import PIECE_BYTES, SAID, frames

SHORT_MB, LONG_MB = 10, 100
MOST_MORE_MB = 8.0  # the text is 2 MB, and is held twice where it is put together


def lines(_: Path, *, runs: int) -> Iterator[Line]:
    """The peak of a long stream beside that of a short one."""
    short, long = (_peak_mb(size) for size in (SHORT_MB, LONG_MB))
    name = f"peak memory of a stream of {LONG_MB} MB : of {SHORT_MB} MB"
    yield Line(name=name, ours=long, theirs=short, unit="MB", judged="more", at_most=MOST_MORE_MB)


def _peak_mb(megabytes: int) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.client.memory", str(megabytes)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _pieces(megabytes: int) -> Iterator[bytes]:
    first, word, *_, finish, bill, done = frames(6)
    together = word * (PIECE_BYTES // len(word))
    return chain([first], repeat(together, megabytes * 1_000_000 // len(together)), [finish, bill, done])


def main() -> None:
    """Read a stream, and print this process's peak in MB."""
    megabytes = int(sys.argv[1])
    with sides(inside=transport(Reply(partial(_pieces, megabytes)), "text/event-stream")) as those:
        with those.ours.stream(SAID) as stream:
            for _ in stream:
                pass
        assert len(stream.reply.text) > megabytes * 10_000, "it was not read whole"
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    assert found is not None
    print(int(found[1]) / 1000)


if __name__ == "__main__":
    main()
