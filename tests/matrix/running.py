"""One client after the other meets the faults, over real sockets, in a process of its own."""

import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mockserver import MockServer
from tests.conformance.conversations import _environment
from tests.conformance.workshop import Absent, Workshop
from tests.matrix.faults import CONTROL, STREAMED_CONTROL, Fault, steps
from tests.matrix.judging import Cell, judged
from tests.matrix.layers import Layer

PATIENCE_S = 12.0
_START_S = 120.0
_ROOT = Path(__file__).parents[2]


class Broken(Exception):
    """A client's process does not do what it should, or the client fails without any fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What one client made of the faults, in their order; or why it was not asked."""

    layer: Layer
    versions: Mapping[str, str]
    cells: Sequence[Cell] = ()
    absent: str | None = None


def column(layer: Layer, faults: Sequence[Fault], workshop: Workshop) -> Column:
    """Let a client meet the faults; Broken where it can't even read a reply as it should be."""
    try:
        command = layer.command(workshop)
    except Absent as exc:
        return Column(layer=layer, versions={}, absent=str(exc))
    with MockServer(seed=1) as server, _asked(command, server) as client:
        for control in (CONTROL, STREAMED_CONTROL):
            cell = _cell(client, server, control)
            if cell.kind != "right":
                raise Broken(f"{layer.name} without any fault: {cell}")
        cells = [_cell(client, server, fault) for fault in faults]
        return Column(layer=layer, versions=client.versions, cells=cells)


def _cell(client: "_Process", server: MockServer, fault: Fault) -> Cell:
    server.reset()
    server.script(steps(fault))
    outcome = client.ask({"base_url": server.url + fault.path, "stream": fault.stream})
    requests = len(server.journal)
    if outcome is None:
        return Cell(kind="waiting", requests=requests, seconds=PATIENCE_S)
    return judged(outcome, fault, requests=requests)


@contextmanager
def _asked(command: Sequence[str], server: MockServer) -> Iterator["_Process"]:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as stderr:
        process = _Process(command, _environment(server.url), stderr)
        try:
            yield process
        finally:
            process.kill()


class _Process:
    """A client's process; started anew where it had to be killed."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], stderr: IO[str]) -> None:
        self._command, self._environment, self._stderr = command, environment, stderr
        self._running: subprocess.Popen[str] | None = None
        self.versions: Mapping[str, str] = {}

    def ask(self, order: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The outcome of a call; None where there is none after PATIENCE_S, and the process is killed."""
        if self._running is None:
            self._start()
        assert self._running is not None
        assert self._running.stdin is not None
        self._running.stdin.write(json.dumps(order) + "\n")
        self._running.stdin.flush()
        outcome = self._line(PATIENCE_S)
        if outcome is None:
            self.kill()
        return outcome

    def kill(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.kill()
            running.wait()
            self._reader.join()
            for pipe in (running.stdin, running.stdout):
                if pipe is not None:
                    pipe.close()

    def _start(self) -> None:
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._stderr}
        self._running = subprocess.Popen(self._command, cwd=_ROOT, env=dict(self._environment), text=True, **pipes)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(self._running.stdout, self._lines))
        self._reader.start()
        versions = self._line(_START_S)
        if versions is None:
            raise Broken(f"{self._said()}: it did not start within {_START_S:g} s")
        self.versions = versions

    @staticmethod
    def _read(stdout: IO[str], lines: "queue.SimpleQueue[str]") -> None:
        for line in stdout:
            lines.put(line)
        lines.put("")

    def _line(self, timeout_s: float) -> Mapping[str, Any] | None:
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if not line:
            raise Broken(f"{self._said()}: its process has ended")
        found: Mapping[str, Any] = json.loads(line)
        return found

    def _said(self) -> str:
        self._stderr.seek(0)
        last = (self._stderr.read().strip().splitlines() or ["it says nothing"])[-1]
        return f"{' '.join(self._command[1:])}: {last}"
