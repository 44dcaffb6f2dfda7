"""A script file that changes while the server runs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mockserver import MockServer, ScriptError, reply
from mockserver.scripting.watching import ScriptFile
from tests.mockserver.asking import chat
from tests.mockserver.sockets import ask


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "script.yaml"
    path.write_text("steps: [{reply: one, times: forever}]")
    return path


@pytest.fixture
def server(file: Path, network_allowance: Any) -> Iterator[MockServer]:
    with MockServer(script=file) as started:
        network_allowance.allow(started.host, started.port)
        yield started


def said(server: MockServer) -> str:
    return "one" if b'"content": "one"' in (body := ask(server, chat()).body) else "two" if b"two" in body else "?"


def test_the_next_request_meets_the_new_version(server: MockServer, file: Path) -> None:
    assert said(server) == "one"
    file.write_text("steps: [{reply: two, times: forever}]")
    assert said(server) == "two"


def test_a_change_of_the_same_size_and_time_is_seen_while_it_is_fresh(server: MockServer, file: Path) -> None:
    before = file.stat()
    assert said(server) == "one"
    file.write_text("steps: [{reply: two, times: forever}]")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert said(server) == "two"


def test_a_version_that_is_no_script_changes_nothing_and_is_reported_once(
    server: MockServer, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file.write_text("steps: [{fault: rate_limitd}]")
    assert [said(server) for _ in range(3)] == ["one", "one", "one"]
    complaint = capfd.readouterr().err
    assert complaint.count("the script was not reloaded") == 1
    assert f"{file}:1: unknown fault 'rate_limitd'" in complaint
    assert "unknown fault" in (server._state.script.problem or "")


def test_when_it_is_mended_the_problem_is_gone(server: MockServer, file: Path) -> None:
    file.write_text("steps: [")
    assert said(server) == "one"
    file.write_text("steps: [{reply: two}]")
    assert said(server) == "two"
    assert server._state.script.problem is None


def test_a_file_that_goes_away_leaves_its_script(server: MockServer, file: Path) -> None:
    file.unlink()
    assert said(server) == "one"
    assert "cannot read the script" in (server._state.script.problem or "")


def test_a_new_version_begins_afresh(server: MockServer, file: Path) -> None:
    server.script(reply("added"))
    file.write_text("steps: [{reply: two}]\nseed: 5")
    assert [step.spec() for step in server.script_left] == [{"reply": "two"}]
    assert server._state.script.seed == 5


def test_an_empty_script_may_be_filled_later(file: Path, network_allowance: Any) -> None:
    file.write_text("steps: []")
    with MockServer(script=file) as started:
        network_allowance.allow(started.host, started.port)
        file.write_text("steps: [{reply: two}]")
        assert said(started) == "two"


def test_a_touched_file_goes_on(file: Path) -> None:
    followed = ScriptFile(file)
    os.utime(file, (1, 1))
    assert followed.changed() is None


def test_a_file_that_is_no_script_at_the_start_is_refused(file: Path) -> None:
    file.write_text("5")
    with pytest.raises(ScriptError, match="a script is a mapping"):
        MockServer(script=str(file))
