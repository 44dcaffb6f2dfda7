"""The mock server as a process of its own, the way that strangers run it."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

_STOP_S = 15


class NotStarted(Exception):
    """The server ended before it listened; the message quotes it."""


@dataclass
class Served:
    """Where the server listens; when it has stopped, what was wrong with it besides its answers."""

    origin: str
    complaints: list[str] = field(default_factory=list)


@contextmanager
def serving(*options: str) -> Iterator[Served]:
    """A server on a free port, stopped at the end; NotStarted if it does not listen."""
    command = [sys.executable, "-m", "mockserver", "--port", "0", *options]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        try:
            served = Served(_origin(process, stderr))
            yield served
        finally:
            running = process.poll() is None
            code = _stop(process)
        served.complaints += _complaints(running=running, code=code, said=_read(stderr))


def _origin(process: subprocess.Popen[str], stderr: IO[str]) -> str:
    assert process.stdout is not None  # it is piped
    line = process.stdout.readline()
    if "http://" not in line:
        process.wait(_STOP_S)
        raise NotStarted(f"the mock server did not start: {_read(stderr).strip() or line}")
    return line.split()[-1]


def _stop(process: subprocess.Popen[str]) -> int:
    process.terminate()
    try:
        return process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _complaints(*, running: bool, code: int, said: str) -> Sequence[str]:
    """A server that ended by itself, or not when it was told to, or that wrote to stderr, is no success."""
    found = [] if running else [f"it ended by itself, with {code}"]
    if running and code:
        found.append(f"it did not end in peace when it was told to: {code}")
    return [*found, *([f"it wrote to stderr: {said.strip()[-1000:]}"] if said.strip() else [])]


def _read(stderr: IO[str]) -> str:
    stderr.seek(0)
    return stderr.read()
