"""A Python process that has imported what every run of a project imports, and forks one pytest process for each run.

A run is a process of its own as ever, which may be killed, interrupted or forked, but it starts in a tenth of a second
and not in one: importing pytest, the plugin and the prices takes longer than most runs. The SDKs and HTTP clients that
a project imports itself are not imported here, save those that the prices need.

Run as a script it is that process: it reads a run as a line of JSON and answers with its exit status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NoReturn

LONGEST_S = 120
"""A run that takes longer is ended by SIGALRM."""

IMPORTED = (
    *("pytest", "pdb", "pygments", "llmkit._pytest.registration", "llmkit.recording.recorder", "urllib.request"),
    *("genai_prices.data", "httpcore2"),  # the prices import httpx2, whose transport is then patched
)
"""What runs import apart from pytest's plugins; not `llmkit.pytest_plugin`, which pytest wants to import itself."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What ``python -m pytest`` is given: words, variables, a directory, and files for its three streams."""

    options: tuple[str, ...]
    variables: Mapping[str, str]
    directory: str
    streams: tuple[str, str, str]


class Starter:
    """Starts runs, one after another, in forks of one process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, run: Run) -> int:
        """Return the exit status of the ``run``; that of one that was killed is minus the signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(run)).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def _serve() -> None:
    """Start what is asked for until the other side has gone."""
    from _pytest.config import default_plugins

    for name in (*(f"_pytest.{plugin}" for plugin in default_plugins), *IMPORTED):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that no collection of a child copies what it shares with this process
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(Run(**asked))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(1, f"{status}\n".encode())


def _become(run: Run) -> NoReturn:
    """Go on as ``python -m pytest`` does, with what that gets of its parent."""
    signal.alarm(LONGEST_S)
    for number, (path, flags) in enumerate(zip(run.streams, (os.O_RDONLY, *[os.O_WRONLY] * 2), strict=True)):
        os.dup2(os.open(path, flags), number)
    os.chdir(run.directory)
    os.environ.clear()
    os.environ.update(run.variables)
    searched = [run.directory, *run.variables.get("PYTHONPATH", "").split(os.pathsep)]
    sys.path[:] = dict.fromkeys([*searched, *sys.path[1:]])
    sys.argv[1:] = run.options
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    raise SystemExit


if __name__ == "__main__":
    _serve()
