"""Servers as processes that are pinned to cores, and what they cost: CPU time and memory, read from /proc."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_S = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, its workers included."""

    name: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """The CPU seconds used so far, user and system, by all threads."""
        return sum(_scheduled_s(pid)[0] for pid in self._processes())

    def waited_s(self) -> float:
        """The seconds that its threads were ready to run, and other processes had the core."""
        return sum(_scheduled_s(pid)[1] for pid in self._processes())

    def memory_bytes(self) -> int:
        """The memory held: what processes share counts once (PSS)."""
        return sum(_pss_bytes(pid) for pid in self._processes())

    def uses(self, library: str) -> bool:
        """Whether an extension of that name is loaded."""
        return f"/{library}/" in Path(f"/proc/{self.pid}/maps").read_text(encoding="utf-8")

    def _processes(self) -> list[int]:
        found, parents = [self.pid], dict(_parents())
        for pid in found:  # grows as it is walked
            found += [child for child, parent in parents.items() if parent == pid]
        return found


@contextmanager
def started(name: str, command: Sequence[str], *, cores: set[int]) -> Iterator[Server]:
    """Run `command`, in which `{port}` stands for a free port, on `cores` for the duration of a block."""
    port = _free_port()
    with pinned(cores):  # a child has the cores of its parent
        process = subprocess.Popen([part.format(port=port) for part in command], stdout=subprocess.DEVNULL)
    try:
        _await_port(port, process)
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Keep this process on `cores` for the duration of a block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ours(*options: str) -> list[str]:
    """The mock server's command."""
    return [sys.executable, "-m", "mockserver", "--port", "{port}", *options]


def bare(kind: str, *options: str) -> list[str]:
    """The command of a baseline."""
    return [sys.executable, "-m", "tests.benchmarks.mockserver.bare", kind, "--port", "{port}", *options]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    state = "has not opened its port" if process.poll() is None else f"ended with {process.returncode}"
    raise RuntimeError(f"{process.args!r} {state} within {_START_S:g} s of its start")


def _parents() -> Iterator[tuple[int, int]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        yield int(stat.parent.name), int(fields[1])


def _scheduled_s(pid: int) -> tuple[float, float]:
    """On a core, and waiting for one: the sum of all threads from `schedstat`; `stat` has ticks of 10 ms only."""
    lines = [(task / "schedstat").read_text(encoding="utf-8") for task in Path(f"/proc/{pid}/task").iterdir()]
    ran, waited = ([int(line.split()[column]) for line in lines] for column in (0, 1))
    return sum(ran) / 1e9, sum(waited) / 1e9


def _pss_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
