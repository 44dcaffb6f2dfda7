"""The modes of ``--record``, those that vcrpy knows among them."""

from __future__ import annotations

import pytest
import yaml

from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project

ASKS = "from app import ask\ndef test_one():\n    for text in {!r}: ask(text)\n"
MODES = ("new", "all", "verify", "review", "none", "once", "new_episodes")


def asking(project: Project, *texts: str) -> None:
    project.write(test_it=ASKS.format(texts))


def recorded(project: Project) -> list[str]:
    path = project.path / "cassettes/test_it/test_one.yaml"
    stored = yaml.safe_load(path.read_text())["interactions"] if path.exists() else []
    return [yaml.safe_load(one["request"]["body"])["messages"][0]["content"] for one in stored]


def test_once_records_where_there_is_no_cassette_and_refuses_a_new_request_where_there_is(
    project: Project, server: MockServer
) -> None:
    project.use(server)
    asking(project, "one", "two")
    project.run("--record=once").assert_outcomes(passed=1)
    assert recorded(project) == ["one", "two"]
    asking(project, "one", "three")
    result = project.run("--record=once")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *CassetteMiss: no recording of this request*"])
    assert len(server.journal) == 2
    assert recorded(project) == ["one", "two"]


def test_new_episodes_adds_and_prunes_nothing_where_new_prunes_too(project: Project, server: MockServer) -> None:
    project.use(server)
    asking(project, "one", "two")
    project.run("--record=new_episodes").assert_outcomes(passed=1)
    asking(project, "one", "three")
    project.run("--record=new_episodes").assert_outcomes(passed=1)
    assert recorded(project) == ["one", "two", "three"]
    project.run("--record=new").assert_outcomes(passed=1)
    assert recorded(project) == ["one", "three"]
    assert len(server.journal) == 3


def test_none_replays(project: Project, server: MockServer) -> None:
    project.use(server)
    asking(project, "one")
    result = project.run("--record=none")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["llmkit: replaying from cassettes/, network sealed"])
    assert (len(server.journal), project.cassettes()) == (0, [])


def test_the_bare_option_is_new_and_takes_no_word_that_follows(project: Project, server: MockServer) -> None:
    project.use(server)
    asking(project, "one")
    project.write(test_other="def test_other(): pass\n")
    result = project.run("--record", "test_it.py")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["llmkit: recording what is missing or changed to cassettes/"])


@pytest.mark.parametrize("mode", ["some", "", "NEW", "new-episodes"])
def test_any_other_mode_is_a_usage_error_that_lists_them(project: Project, mode: str) -> None:
    result = project.run(f"--record={mode}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert all(one in result.stderr.str() for one in MODES)


def test_help_and_markers_show_what_can_be_said(project: Project) -> None:
    shown = project.run("--help").stdout
    shown.fnmatch_lines(["  --record[[]=new|all|verify|review]", "  --record-budget=USD *", "  --replay-speed=F *"])
    shown.no_fnmatch_line("*--record=new,*")
    project.run("--markers").stdout.fnmatch_lines_random(
        ["@pytest.mark.cassette(name, *ignore, aliases, allow, replay_speed): *", "@pytest.mark.live: *"]
    )
