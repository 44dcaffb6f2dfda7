"""``--replay-speed``: at once by default, else as fast as was recorded, by a factor."""

from __future__ import annotations

import shutil

import pytest

from mockserver import MockServer, reply
from tests.llmkit.pytest_plugin.conftest import Project
from tests.llmkit.pytest_plugin.starter import Starter

# each test notes how long its stream took, from the first chunk to the last
TESTS = """
    import json, os, pathlib, time, urllib.request
    import pytest

    def stream(name):
        url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as chunks:
            next(chunks)
            started = time.monotonic()
            assert list(chunks)
            pathlib.Path(f"took-{name}").write_text(str(time.monotonic() - started))

    def test_plain(): stream("plain")
    @pytest.mark.cassette(replay_speed=1)
    def test_marked(): stream("marked")
    @pytest.mark.cassette(replay_speed=0)
    def test_marked_at_once(): stream("at-once")
"""


def took(project: Project) -> dict[str, float]:
    return {path.name.removeprefix("took-"): float(path.read_text()) for path in project.path.glob("took-*")}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, starter: Starter | None) -> Project:
    """The stream is recorded once: its three tests ask the same."""
    project = Project(tmp_path_factory.mktemp("recorded"), starter)
    project.write(test_it=TESTS)
    with MockServer() as server:
        project.use(server)
        server.script(reply("one two three", chunk_delay_s=0.2).times("forever"))
        project.run("--record", "-k", "plain").assert_outcomes(passed=1, deselected=2)
    cassettes = project.path / "cassettes/test_it"
    for name in ("test_marked", "test_marked_at_once"):
        shutil.copy(cassettes / "test_plain.yaml", cassettes / f"{name}.yaml")
    assert took(project)["plain"] > 0.4
    return project


@pytest.fixture
def streamed(project: Project, recorded: Project) -> Project:
    project.copy(recorded)
    return project


def test_a_replay_is_at_once_save_where_a_marker_says_otherwise(streamed: Project) -> None:
    recorded_s = took(streamed)["plain"]
    streamed.run().assert_outcomes(passed=3)
    found = took(streamed)
    assert found["plain"] < recorded_s / 2
    assert found["at-once"] < recorded_s / 2
    assert found["marked"] > recorded_s * 0.8


def test_a_replay_is_as_fast_as_was_recorded_save_where_a_marker_says_otherwise(streamed: Project) -> None:
    recorded_s = took(streamed)["plain"]
    result = streamed.run("--replay-speed=1", "-k", "plain or once")
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["llmkit: replaying from cassettes/, network sealed, at 1 times the recorded speed"])
    found = took(streamed)
    assert found["plain"] > recorded_s * 0.8
    assert found["at-once"] < recorded_s / 2


def test_a_replay_takes_twice_as_long_at_half_the_speed(streamed: Project) -> None:
    recorded_s = took(streamed)["plain"]
    streamed.run("--replay-speed=0.5", "-k", "plain").assert_outcomes(passed=1, deselected=2)
    assert took(streamed)["plain"] > recorded_s * 1.6


def test_a_replay_takes_half_as_long_at_twice_the_speed(streamed: Project) -> None:
    recorded_s = took(streamed)["plain"]
    streamed.run("--replay-speed=2", "-k", "plain").assert_outcomes(passed=1, deselected=2)
    assert recorded_s * 0.4 < took(streamed)["plain"] < recorded_s * 0.95


def test_a_bad_speed_is_a_usage_error(project: Project) -> None:
    result = project.run("--replay-speed=fast")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--replay-speed: 'fast' is no speed: expected 0 (at once), 1 (as recorded) or a*"])
