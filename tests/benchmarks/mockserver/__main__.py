"""The mock server beside bare aiohttp and aimock, in the same run: `python -m tests.benchmarks.mockserver [PART…]`.

The server has one core, the load another. Each round sends the same requests to each server in turn, and every prompt
is new unless it says `repeated`: of 12 sentences, or of one where it says `short`. Ratios are judged by the CPU time of
the server's process for a request, which hears less of other processes than the rate does; a ratio above 1 means that
ours is faster. Parts: chat, streams, workers, slow, aimock.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.benchmarks.mockserver import aimock, load, prompts, results, servers, slow
from tests.benchmarks.mockserver.bare import split
from tests.benchmarks.mockserver.results import Line
from tests.benchmarks.mockserver.rounds import Requests, Rounds, alternating, ratio
from tests.benchmarks.mockserver.servers import Server

PARTS = ("chat", "streams", "aimock", "workers", "slow")
_LEAST, _LEAST_WORKERS = 0.6, 1.7
_MOST_KIB, _MOST_LATE_MS = 20.0, 100.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; with `--check` return 1 if a goal is missed."""
    chosen = _parser().parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as directory, servers.pinned({cores[-1]}):
        bench = _Bench(Path(directory), cores, chosen.rounds, chosen.requests)
        found = [line for part in chosen.parts or PARTS for line in _part(bench, part, chosen.open_per_s)]
    print(f"\nPython {platform.python_version()}, aiohttp {metadata.version('aiohttp')}, {len(cores)} cores\n")
    print(results.table(found))
    missed = [line.name for line in found if line.is_met is False]
    print("\nNo goal is missed." if not missed else f"\nMissed: {'; '.join(missed)}.")
    return 1 if missed and chosen.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.mockserver", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each comparison (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=1500, help="requests of a round (default: %(default)s)")
    pace = "slow streams opened in a second, 0 for all together (default: %(default)s)"
    parser.add_argument("--open-per-s", type=float, default=slow.OPENED_PER_S, help=pace)
    return parser


def _part(bench: _Bench, part: str, open_per_s: float) -> Iterator[Line]:
    print(f"{part} …", file=sys.stderr)
    match part:
        case "chat":
            return bench.chat()
        case "streams":
            return bench.streams()
        case "aimock":
            return bench.aimock()
        case "workers":
            return bench.workers()
        case _:
            return bench.slow(open_per_s)


@dataclass(frozen=True, slots=True)
class _Bench:
    """What every part needs: a directory, the cores, how many rounds of how many requests."""

    directory: Path
    cores: Sequence[int]
    rounds: int
    requests: int

    def chat(self) -> Iterator[Line]:
        """Plain chat beside bare aiohttp, and what the load itself can do."""
        with ExitStack() as stack:
            ours, bare = self._pair(stack)
            raw = self._started(stack, "raw", servers.bare("raw", "--body", str(self._reply(ours, "body.json"))))
            for name, requests in self._kinds(100):
                mine, *others = self._alternating([ours, *bare], requests)
                yield from _beside(f"chat, {name}", mine, others)
            yield _of_the_load(*self._alternating([raw], self._fresh(300)))

    def streams(self) -> Iterator[Line]:
        """Streams beside bare aiohttp that writes the same frames one by one."""
        with ExitStack() as stack:
            ours, bare = self._pair(stack)
            yield self._frames(ours)
            for name, requests in self._kinds(500, stream=True):
                mine, *others = self._alternating([ours, *bare], requests)
                yield from _beside(f"streams, {name}", mine, others)

    def aimock(self) -> Iterator[Line]:
        """Chat and streams beside aimock."""
        with ExitStack() as stack:
            ours = self._started(stack, "mockserver", servers.ours())
            try:
                command = aimock.command(self.directory, slow.TEXT * 2)
            except aimock.Missing as exc:
                yield Line(name="aimock", ours="skipped", goal=str(exc))
                return
            other = self._started(stack, "aimock", command)
            yield self._frames(other)
            for name, stream, seed in (("chat, fresh", False, 700), ("streams, fresh", True, 900)):
                mine, theirs = self._alternating([ours, other], self._fresh(seed, stream=stream))
                yield from results.compared(name, mine, theirs, at_least=1.0)

    def workers(self) -> Iterator[Line]:
        """Two workers beside one, which takes a core each and one for the load."""
        if "--workers" not in _help():
            yield Line(name="two workers : one", ours="skipped", goal="`python -m mockserver` has no --workers")
            return
        cores = set(self.cores[:2])
        with ExitStack() as stack:
            one = stack.enter_context(servers.started("one worker", servers.ours(), cores=cores))
            two = stack.enter_context(servers.started("two workers", servers.ours("--workers", "2"), cores=cores))
            found = alternating([one, two], self._fresh(1100), rounds=self.rounds, connections=64)
        yield self._of_two_workers(*found)

    def _of_two_workers(self, one: Rounds, two: Rounds) -> Line:
        times = ratio(two, one, of=lambda mine, other: mine.rate / other.rate)
        enough = len(self.cores) > 2
        return Line(
            name="two workers : one, by rate",
            ours=f"{two.rate:,.0f}/s",
            baseline=f"{one.rate:,.0f}/s",
            ratio=f"{times:.2f}",
            goal=f"≥ {_LEAST_WORKERS:g}" if enough else f"not measurable with {len(self.cores)} cores",
            is_met=times >= _LEAST_WORKERS if enough else None,
        )

    def slow(self, open_per_s: float) -> Iterator[Line]:
        """Slow streams, at bare aiohttp first: how late those are is the machine's and the load's doing."""
        _raise_limit()
        found = []
        for name in ("bare", "ours"):
            with ExitStack() as stack:
                command = servers.ours("--script", str(slow.script(self.directory)))
                if name == "bare":
                    command = self._slow_bare(stack)
                server = self._started(stack, name, command)
                found.append(slow.measured(server, opened_per_s=open_per_s))
        yield from _of_slow_streams(found[1], found[0])

    def _slow_bare(self, stack: ExitStack) -> list[str]:
        quick = self._started(stack, "sample", servers.ours("--script", str(slow.script(self.directory))))
        sample = self._reply(quick, "slow.txt", stream=True)
        return servers.bare("aiohttp", "--stream", str(sample), "--delay-s", str(slow.DELAY_S))

    def _pair(self, stack: ExitStack) -> tuple[Server, list[Server]]:
        """Ours, and bare aiohttp with the same replies; where ours runs on uvloop, once more on that."""
        ours = self._started(stack, "mockserver", servers.ours())
        files = ["--body", str(self._reply(ours, "body.json"))]
        files += ["--stream", str(self._reply(ours, "stream.txt", **prompts.stream_options()))]
        bare = [self._started(stack, "bare aiohttp", servers.bare("aiohttp", *files))]
        if ours.uses("uvloop"):
            bare.append(self._started(stack, "bare on uvloop", servers.bare("aiohttp", *files, "--uvloop")))
        return ours, bare

    def _started(self, stack: ExitStack, name: str, command: Sequence[str]) -> Server:
        return stack.enter_context(servers.started(name, command, cores={self.cores[0]}))

    def _reply(self, server: Server, name: str, **options: object) -> Path:
        """A file with the body of one reply of the server."""
        (request,) = prompts.repeated(1, **options)
        path = self.directory / name
        path.write_bytes(load.run(load.body_of_reply(server.port, request)))
        return path

    def _frames(self, server: Server) -> Line:
        sample = self._reply(server, "sample.txt", **prompts.stream_options()).read_bytes()
        return Line(
            name=f"frames of a stream: {server.name}", ours=f"{len(split(sample))}", baseline=f"{len(sample)} B"
        )

    def _repeated(self, *, stream: bool = False) -> Requests:
        batch = prompts.repeated(self.requests, **(prompts.stream_options() if stream else {}))
        return lambda _: batch

    def _fresh(self, seed: int, *, stream: bool = False, make: Callable[..., list[bytes]] = prompts.fresh) -> Requests:
        options = prompts.stream_options() if stream else {}
        return lambda number: make(self.requests, seed=seed + number, **options)

    def _kinds(self, seed: int, *, stream: bool = False) -> Iterator[tuple[str, Requests]]:
        """Requests that differ in how new and how long they are."""
        yield "repeated", self._repeated(stream=stream)
        yield "short", self._fresh(seed + 50, stream=stream, make=prompts.short)
        yield "fresh", self._fresh(seed, stream=stream)

    def _alternating(self, those: Sequence[Server], requests: Requests) -> list[Rounds]:
        return alternating(those, requests, rounds=self.rounds)


def _beside(name: str, ours: Rounds, others: Sequence[Rounds]) -> Iterator[Line]:
    """Judged by the plain baseline; uvloop's is there to see what of ours is the loop's."""
    for number, theirs in enumerate(others):
        yield from results.compared(name, ours, theirs, at_least=None if number else _LEAST)
    yield Line(name=f"{name}: the load itself", ours=f"{ours.load_us:,.0f} µs", baseline=f"{others[0].load_us:,.0f} µs")


def _of_the_load(raw: Rounds) -> Line:
    name = "the load alone, at a server that only replies"
    return Line(name=name, ours=f"{raw.load_us:,.0f} µs", baseline=f"{raw.rate:,.0f}/s")


def _of_slow_streams(ours: slow.Found, bare: slow.Found) -> Iterator[Line]:
    enough = ours.open_at_once >= slow.STREAMS
    opened = (f"{ours.open_at_once:,}", f"{bare.open_at_once:,}")
    yield _slow_line("slow streams open at once", *opened, goal=f"≥ {slow.STREAMS:,}", is_met=enough)
    sizes = (ours.kib_each, bare.kib_each)
    bound = f"≤ {_MOST_KIB:g} KiB"
    yield _slow_line("memory of each", *map("{:.1f} KiB".format, sizes), goal=bound, is_met=sizes[0] <= _MOST_KIB)
    for name, share, of in (
        ("lateness, median", 0.5, "lateness_ms"),
        ("lateness, p99 once all are open", 0.99, "steady_ms"),
        ("lateness, worst", 1.0, "lateness_ms"),
        ("lateness after the chunk before, p99", 0.99, "gaps_ms"),
    ):
        late = (slow.quantile(getattr(one, of), share) for one in (ours, bare))
        yield _slow_line(name, *map("{:,.1f} ms".format, late))
    late_ms = [slow.quantile(one.lateness_ms, 0.99) for one in (ours, bare)]
    bound = f"≤ {_MOST_LATE_MS:g} ms"
    is_met = late_ms[0] <= _MOST_LATE_MS
    yield _slow_line("lateness, p99", *map("{:,.1f} ms".format, late_ms), goal=bound, is_met=is_met)
    yield _slow_line("waited for the core, for others", *(f"{one.waited_s:.1f} s" for one in (ours, bare)))
    yield _slow_line("CPU time of a slow frame", *(f"{one.server_us:.0f} µs" for one in (ours, bare)))
    yield _slow_line("CPU time of the load for it", *(f"{one.load_us:.0f} µs" for one in (ours, bare)))


def _slow_line(name: str, ours: str, bare: str, *, goal: str = "", is_met: bool | None = None) -> Line:
    return Line(name=name, ours=ours, baseline=bare, goal=goal, is_met=is_met)


def _help() -> str:
    command = [sys.executable, "-m", "mockserver", "--help"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _raise_limit() -> None:
    """A file for each stream, here and in the server, which inherits the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
