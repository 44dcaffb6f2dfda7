"""A user's project, whose suite is run as a pytest process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from mockserver import MockServer
from tests.llmkit.pytest_plugin.starter import LONGEST_S, Run, Starter
from tests.llmkit.pytest_plugin.upstream import Upstream

# the light client is enough for most tests; importing the SDK takes a second of each run
APPLICATION = """
    import json, os, urllib.request

    def ask(content="Hi", **options):
        url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **options}
        headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as reply:
            return json.load(reply)["choices"][0]["message"]["content"]

    def ask_sdk(content="Hi", **options):
        import openai

        with openai.OpenAI(max_retries=0) as client:
            messages = [{"role": "user", "content": content}]
            reply = client.chat.completions.create(model="gpt-4o", messages=messages, **options)
            return reply.choices[0].message.content
"""
PLUGINS = {
    "async def": "pytest_asyncio.plugin",
    "anyio": "anyio.pytest_plugin",
    "mockserver": "mockserver.pytest_plugin",
    "-n": "xdist.plugin",
}
VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "OPENAI_ORG_ID")


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as server:
        yield server


@pytest.fixture(scope="session")
def starter() -> Iterator[Starter | None]:
    """The process that forks the runs; None where that is not safe."""
    if sys.platform != "linux":
        yield None
        return
    starter = Starter()
    yield starter
    starter.close()


class Project:
    """A user's project in a directory of its own; a run of its suite has the ``variables`` and begins at ``start``."""

    def __init__(self, path: Path, starter: Starter | None) -> None:
        self._starter = starter
        self._runs = 0
        self.path = self.start = path
        # two texts of one size in one second look alike to a .pyc
        fixed = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.variables = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")} | fixed
        self.use_nothing()
        self.write(app=APPLICATION)
        (path / "tox.ini").write_text("[pytest]\npythonpath = .\n")

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.path / f"{name}.py").write_text(textwrap.dedent(text).strip(), encoding="utf-8")

    def copy(self, other: Project) -> None:
        """Have all files of ``other``, which was prepared for many tests."""
        shutil.copytree(other.path, self.path, dirs_exist_ok=True)

    def use(self, server: MockServer | Upstream) -> None:
        self.variables |= {
            "OPENAI_BASE_URL": server.openai_url,
            "OPENAI_API_KEY": "sk-canary-0123456789",
            "AZURE_OPENAI_ENDPOINT": server.url,
            "AZURE_OPENAI_API_KEY": "canary-azure-0123456789",
        }

    def use_nothing(self) -> None:
        for name in VARIABLES:
            self.variables.pop(name, None)

    def run(self, *options: str, stdin: str = "") -> pytest.RunResult:
        """Run pytest in a process of its own, which has imported pytest and the plugin already."""
        return self._run(options, stdin, self._starter or _start_anew)

    def run_anew(self, *options: str, stdin: str = "") -> pytest.RunResult:
        """Run pytest as a user does: nothing is imported yet when the plugin is."""
        return self._run(options, stdin, _start_anew)

    def _run(self, options: tuple[str, ...], stdin: str, start: Callable[[Run], int]) -> pytest.RunResult:
        self._runs += 1
        streams = (self.path / "stdin", self.path / "stdout", self.path / "stderr")
        for stream, text in zip(streams, (stdin, "", ""), strict=True):
            stream.write_text(text, encoding="utf-8")
        run = Run(
            options=(f"--basetemp={self.path}/run-{self._runs}", *self.loading(options), *options),
            variables=self.variables | {"PYTHONPATH": self._python_path()},
            directory=str(self.start),
            streams=(str(streams[0]), str(streams[1]), str(streams[2])),
        )
        began = time.monotonic()
        status = start(run)
        out, err = (stream.read_text(encoding="utf-8").splitlines() for stream in streams[1:])
        print(f"pytest {' '.join(run.options)}", *out, *err, sep="\n")
        return pytest.RunResult(_exit_code(status), out, err, time.monotonic() - began)

    def loading(self, options: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the options that load what the project needs, and nothing that it doesn't."""
        cache = () if "cacheprovider" in options else ("-p", "no:cacheprovider")
        return (*cache, *(word for name in self._plugins(options) for word in ("-p", name)))

    def _plugins(self, options: tuple[str, ...]) -> Iterator[str]:
        """Name the plugins that the project needs: the others, imported by each of so many runs, take a third of it."""
        yield "llmkit.pytest_plugin"
        written = "".join(path.read_text(encoding="utf-8") for path in self.path.rglob("*.py"))
        for word, plugin in PLUGINS.items():
            if word in written or any(word in option for option in options):
                yield plugin

    def _python_path(self) -> str:
        return os.pathsep.join(filter(None, [str(self.start), os.environ.get("PYTHONPATH", "")]))

    def cassettes(self) -> list[str]:
        below = self.path / "cassettes"
        return sorted(str(path.relative_to(below)) for path in below.rglob("*.yaml"))


def _start_anew(run: Run) -> int:
    command = [sys.executable, "-m", "pytest", *run.options]
    with ExitStack() as opened:
        modes = zip(run.streams, ("r", "w", "w"), strict=True)
        stdin, stdout, stderr = (opened.enter_context(Path(path).open(mode)) for path, mode in modes)
        return subprocess.run(
            command, env=run.variables, cwd=run.directory, stdin=stdin, stdout=stdout, stderr=stderr, timeout=LONGEST_S
        ).returncode


def _exit_code(status: int) -> int | pytest.ExitCode:
    with suppress(ValueError):
        return pytest.ExitCode(status)
    return status


@pytest.fixture
def project(tmp_path: Path, starter: Starter | None) -> Project:
    return Project(tmp_path, starter)
