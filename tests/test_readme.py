"""What the README shows works as it stands there."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mockserver import MockServer
from mockserver.cli import command

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("unmeasured_children")

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def block(language: str, beginning: str) -> str:
    [found] = [text for name, text in BLOCKS if name == language and text.startswith(beginning)]
    return str(found)


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as server:
        yield server


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n")
    for name in ("greeting", "test_greeting", "test_bad_day"):
        (pytester.path / f"{name}.py").write_text(block("python", f"# {name}.py"))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return pytester


def provider(server: MockServer) -> dict[str, str]:
    return {"OPENAI_API_KEY": "any", "OPENAI_BASE_URL": server.openai_url}


def test_the_first_test_is_recorded_and_replays(
    project: pytest.Pytester, server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as environment:
        for name, value in provider(server).items():
            environment.setenv(name, value)
        project.runpytest_subprocess("--record", "test_greeting.py").assert_outcomes(passed=1)
    assert (project.path / "cassettes/test_greeting/test_a_greeting_is_not_empty.yaml").exists()
    project.runpytest_subprocess("test_greeting.py").assert_outcomes(passed=1)
    assert len(server.journal) == 1


def test_the_bad_day_is_survived(project: pytest.Pytester) -> None:
    project.runpytest_subprocess("test_bad_day.py").assert_outcomes(passed=1)


def test_the_client_example_runs(server: MockServer, tmp_path: Path) -> None:
    code = block("python", "from llmkit import Client")
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **provider(server)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[-1] == "2"


def test_the_script_example_is_valid(tmp_path: Path) -> None:
    script = tmp_path / "bad-day.yaml"
    script.write_text(block("yaml", "# bad-day.yaml"))
    with MockServer(script=script) as server:
        assert len(server.script_left) == 4


@pytest.mark.parametrize("curl", re.findall(r"^curl .*", README, re.MULTILINE))
def test_what_the_readme_asks_of_the_admin_api_is_understood(curl: str, server: MockServer) -> None:
    asked = ["curl", "-sf", *shlex.split(curl.replace("http://127.0.0.1:8080", server.url))[1:]]
    assert subprocess.run(asked, capture_output=True).returncode == 0


@pytest.mark.parametrize("arguments", re.findall(r"mockserver (--[^`#\n]*)", README))
def test_the_options_of_the_server_that_the_readme_names_are_there(arguments: str) -> None:
    options = {name for option in command.params for name in option.opts}
    assert set(re.findall(r"--[\w-]+", arguments)) <= options


@functools.cache
def help_of_pytest() -> str:
    """What pytest says of its options, ours among them."""
    return subprocess.run([sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True).stdout


@pytest.mark.parametrize("option", [*re.findall(r"`pytest (--[\w-]+(?:=\w+)?)`", README), "--cassettes DIR"])
def test_an_option_that_the_readme_names_is_there(option: str) -> None:
    shown = help_of_pytest()
    [modes] = re.findall(r"--record\[=([\w|]+)\]", shown)
    spelled = {*shown.split(), *(f"--record={mode}" for mode in modes.split("|")), "--record"}
    assert option.replace(" DIR", "=DIR") in spelled


@pytest.mark.parametrize("link", re.findall(r"\]\(([\w./-]+)\)", README))
def test_a_file_that_the_readme_links_to_is_there(link: str) -> None:
    assert (Path(__file__).parents[1] / link).exists()
