"""`--record=review` writes what someone has accepted, and nothing else; what nobody decided on waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmkit.recording import cassette
from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project
from tests.llmkit.pytest_plugin.starter import Starter

TESTS = """
    from app import ask
    def test_one(): ask("{0} one")
    def test_two(): ask("{0} two")
"""


class Reviewed:
    """A project whose prompts have changed since they were recorded."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.first = self.files()
        project.write(test_it=TESTS.format("new"))

    def review(self, answers: str, *options: str) -> pytest.RunResult:
        return self.project.run("--record=review", *options, stdin=answers)

    def files(self, below: str = "cassettes/test_it") -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.project.path / below).glob("*.yaml"))}

    def prompts(self) -> list[str]:
        found = [one for name in self.files() for one in cassette.load(self.project.path / "cassettes/test_it" / name)]
        return [
            word
            for one in found
            for word in ("old one", "old two", "new one", "new two")
            if word.encode() in one.request.body
        ]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, starter: Starter | None) -> Project:
    project = Project(tmp_path_factory.mktemp("recorded"), starter)
    project.write(test_it=TESTS.format("old"))
    with MockServer() as server:
        project.use(server)
        project.run("--record").assert_outcomes(passed=2)
    return project


@pytest.fixture
def reviewed(project: Project, recorded: Project, server: MockServer) -> Reviewed:
    project.copy(recorded)
    project.use(server)
    return Reviewed(project)


def test_each_changed_interaction_is_shown_by_what_it_means_and_written_when_it_is_accepted(
    reviewed: Reviewed, server: MockServer
) -> None:
    result = reviewed.review("y\ny\n")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*= llmkit: review =*",
            "cassettes/test_it/test_one.yaml",
            "~ a recording that changed: POST https://api.openai.com/v1/chat/completions",
            "  request messages[[]0].content",
            '    - "old one"',
            '    + "new one"',
            "accept this change? * 1 change accepted, 0 rejected",
        ]
    )
    assert "may not replay" not in str(result.stdout)
    result.stdout.no_fnmatch_line("*recorded_at*")
    assert reviewed.prompts() == ["new one", "new two"]
    assert not (reviewed.project.path / "cassettes/.review").exists()
    reviewed.project.use_nothing()
    assert reviewed.project.run().ret == 0
    assert len(server.journal) == 2


def test_the_diff_of_all_lines_is_shown_if_it_is_asked_for(reviewed: Reviewed) -> None:
    result = reviewed.review("d\ny\ny\n")
    expected = [
        "*--- recorded",
        "+++ now",
        '-* "content": "old one"',
        '+* "content": "new one"',
        "accept*1 change accepted*",
    ]
    result.stdout.fnmatch_lines(expected)
    assert reviewed.prompts() == ["new one", "new two"]


def test_what_is_accepted_and_rejected_in_one_cassette_is_said_to_be_mixed(reviewed: Reviewed) -> None:
    both = "from app import ask\ndef test_one(): ask('{0} one'), ask('{0} two')\ndef test_two(): ask('old two')\n"
    reviewed.project.write(test_it=both.format("old"))
    reviewed.project.run("--record=all").assert_outcomes(passed=2)
    reviewed.project.write(test_it=both.format("new"))
    result = reviewed.review("y\nn\n")
    result.stdout.fnmatch_lines(
        ["*: 1 change accepted, 1 rejected. Old and new may not replay together: run its tests"]
    )


def test_what_waits_is_not_for_git(reviewed: Reviewed) -> None:
    reviewed.review("q\n")
    assert (reviewed.project.path / "cassettes/.review/.gitignore").read_text() == "*\n"
    reviewed.review("a\n")
    assert not (reviewed.project.path / "cassettes/.review").exists()


def test_what_is_rejected_leaves_the_cassette_as_it_was_byte_for_byte(reviewed: Reviewed) -> None:
    result = reviewed.review("what?\nn\nN\n")
    result.stdout.fnmatch_lines(["*test_two.yaml: 0 changes accepted, 1 rejected"])
    assert reviewed.files() == reviewed.first
    assert not (reviewed.project.path / "cassettes/.review").exists()


def test_each_change_is_decided_alone(reviewed: Reviewed) -> None:
    reviewed.review("y\nn\n")
    assert reviewed.prompts() == ["new one", "old two"]
    assert reviewed.files()["test_two.yaml"] == reviewed.first["test_two.yaml"]


def test_all_accepts_what_follows(reviewed: Reviewed) -> None:
    reviewed.review("a\n")
    assert reviewed.prompts() == ["new one", "new two"]


@pytest.mark.parametrize("answers", ["", "q\n", "y"])
def test_what_is_not_decided_waits_and_is_asked_for_again_without_being_paid_again(
    reviewed: Reviewed, server: MockServer, answers: str
) -> None:
    result = reviewed.review(answers)
    result.stdout.fnmatch_lines(["llmkit: * cassettes are not reviewed to their end * waits in cassettes/.review"])
    decided = 1 if answers == "y" else 0
    assert len(reviewed.files("cassettes/.review/test_it")) == 2 - decided
    assert reviewed.prompts() == (["new one", "old two"] if decided else ["old one", "old two"])
    reviewed.review("y\n" * (2 - decided)).assert_outcomes(passed=2)
    assert reviewed.prompts() == ["new one", "new two"]
    assert len(server.journal) == 2
    assert not (reviewed.project.path / "cassettes/.review").exists()


def test_a_plain_replay_is_not_confused_by_what_waits(reviewed: Reviewed) -> None:
    reviewed.review("q\n")
    reviewed.project.write(test_it=TESTS.format("old"))
    reviewed.project.use_nothing()
    result = reviewed.project.run()
    result.assert_outcomes(passed=2)
    assert (result.ret, ".review" in str(result.stdout)) == (0, False)


def test_a_review_that_needs_no_answer_says_so(reviewed: Reviewed) -> None:
    reviewed.project.write(test_it=TESTS.format("old"))
    reviewed.review("").stdout.fnmatch_lines(["llmkit: nothing to review, no recording has changed"])
    assert reviewed.files() == reviewed.first


def test_recordings_that_are_gone_are_a_change_too(reviewed: Reviewed) -> None:
    reviewed.project.write(test_it="def test_one(): pass\nfrom app import ask\ndef test_two(): ask('old two')\n")
    result = reviewed.review("n\n")
    result.stdout.fnmatch_lines(
        ["- a recording that is gone: POST *", "*'old one'*", "accept*0 changes accepted, 1 rejected"]
    )
    assert reviewed.files() == reviewed.first
    reviewed.review("y\n")
    assert list(reviewed.files()) == ["test_two.yaml"]


def test_a_review_with_workers_is_a_usage_error(reviewed: Reviewed) -> None:
    result = reviewed.review("", "-n2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--record=review asks questions, which workers can't: run it without -n"])


def test_a_failing_test_has_nothing_pruned_in_a_review(reviewed: Reviewed) -> None:
    reviewed.project.write(
        test_it="from app import ask\ndef test_one(): assert False\ndef test_two(): ask('old two')\n"
    )
    reviewed.review("a\n").assert_outcomes(passed=1, failed=1)
    assert reviewed.files() == reviewed.first


def test_what_waits_but_broke_is_said_and_kept(reviewed: Reviewed) -> None:
    reviewed.review("q\n")
    waiting = Path(reviewed.project.path / "cassettes/.review/test_it/test_one.yaml")
    broken = waiting.read_bytes()[:-5]
    waiting.write_bytes(broken)
    reviewed.project.write(test_it="from app import ask\ndef test_two(): ask('new two')\n")
    result = reviewed.review("y\n")
    result.stdout.re_match_lines([r".*test_one\.yaml:\d+: broken cassette"])
    assert waiting.read_bytes() == broken
    assert reviewed.prompts() == ["old one", "new two"]
