"""Options and names: where cassettes lie, what is live, which values are refused."""

from __future__ import annotations

import pytest

from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project


def test_a_live_test_is_neither_recorded_nor_replayed(project: Project, server: MockServer) -> None:
    project.write(test_it="import pytest\nfrom app import ask\n@pytest.mark.live\ndef test_one(): assert ask()\n")
    project.use(server)
    for options in ([], ["--record"]):
        project.run(*options).assert_outcomes(passed=1)
    assert len(server.journal) == 2
    assert project.cassettes() == []


def test_a_live_run_records_nothing(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\ndef test_one(): assert ask()\n")
    project.use(server)
    result = project.run("--live")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["llmkit: live, requests are sent and not recorded"])
    assert (len(server.journal), project.cassettes()) == (1, [])


def test_live_and_record_exclude_each_other(project: Project) -> None:
    result = project.run("--live", "--record")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--live and --record exclude each other*"])


def test_cassettes_lie_where_the_option_says(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
    project.use(server)
    project.run("--record", "--cassettes=elsewhere").stdout.fnmatch_lines(["llmkit: * cassettes in elsewhere/"])
    assert (project.path / "elsewhere/test_it/test_one.yaml").exists()
    project.run("-o", "llmkit_cassettes=elsewhere").assert_outcomes(passed=1)
    assert len(server.journal) == 1


def test_cassettes_lie_at_the_rootdir_wherever_pytest_is_started(project: Project, server: MockServer) -> None:
    below = project.path / "tests" / "unit"
    below.mkdir(parents=True)
    (below / "test_it.py").write_text("from app import ask\nclass TestIt:\n    def test_one(self): ask()\n")
    project.use(server)
    project.start = below
    project.run("--record", "test_it.py").assert_outcomes(passed=1)
    assert project.cassettes() == ["tests/unit/test_it/TestIt/test_one.yaml"]


def test_dummy_credentials_of_an_unknown_provider_are_refused(project: Project) -> None:
    result = project.run("-o", "llmkit_dummy_credentials=aws")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no dummy credentials for 'aws': expected openai or azure*"])


def test_a_mode_that_there_is_not_is_a_usage_error_that_names_those_that_there_are(project: Project) -> None:
    project.write(test_it="def test_one(): pass\n")
    result = project.run("--record=foo")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--record: 'foo' is no mode: expected new, all, verify, review, none, once or new_episodes"]
    )
