"""``--replay-speed``: at once by default, else as fast as was recorded, by a factor."""

from __future__ import annotations

import pytest

from mockserver import MockServer, reply
from tests.llmkit.pytest_plugin.conftest import Project

pytest_plugins = ["pytester"]

# each test notes how long its stream took, from the first chunk to the last
TESTS = """
    import pathlib, time
    import openai, pytest

    @pytest.fixture(scope="session", autouse=True)
    def warm():
        openai.OpenAI(api_key="x").chat.completions  # what the SDK imports late is no part of a stream

    def stream(name):
        with openai.OpenAI() as client:
            messages = [{"role": "user", "content": name}]
            chunks = iter(client.chat.completions.create(model="gpt-4o", messages=messages, stream=True))
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


def test_a_replay_is_at_once_or_by_a_factor_as_fast_as_was_recorded(project: Project, server: MockServer) -> None:
    project.write(test_it=TESTS)
    project.use(server)
    server.script(reply("one two three four five", chunk_delay_s=0.2).times("forever"))
    project.run("--record").assert_outcomes(passed=3)
    recorded = took(project)
    assert min(recorded.values()) > 0.6
    project.use_nothing()
    project.run().assert_outcomes(passed=3)
    at_once = took(project)
    assert at_once["plain"] < recorded["plain"] / 2
    assert at_once["at-once"] < recorded["at-once"] / 2
    assert at_once["marked"] > recorded["marked"] * 0.8
    result = project.run("--replay-speed=1")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["llmkit: replaying from cassettes/, network sealed, at 1 times the recorded speed"])
    as_recorded = took(project)
    assert as_recorded["plain"] > recorded["plain"] * 0.8
    assert as_recorded["at-once"] < recorded["at-once"] / 2
    project.run("--replay-speed=0.5", "-k", "plain").assert_outcomes(passed=1, deselected=2)
    assert took(project)["plain"] > recorded["plain"] * 1.6
    project.run("--replay-speed=2", "-k", "plain").assert_outcomes(passed=1, deselected=2)
    assert recorded["plain"] * 0.4 < took(project)["plain"] < recorded["plain"] * 0.95


def test_a_bad_speed_is_a_usage_error(project: Project) -> None:
    result = project.run("--replay-speed=fast")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--replay-speed: 'fast' is no speed: expected 0 (at once), 1 (as recorded) or a*"])
