"""What was paid for survives the death of the process, and a file that broke is refused, never overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmkit.recording import cassette
from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project

CALLS = """
    import os
    from app import ask
    def test_one():
        for number in range(5):
            if number == int(os.environ.get("DIES_AFTER", 9)):
                os.kill(os.getpid(), 9)
            ask(f"question {number}")
"""


@pytest.mark.parametrize("options", [["--record"], ["--record=all"], ["--record=once"]])
def test_kill_9_after_k_paid_calls_keeps_k(project: Project, server: MockServer, options: list[str]) -> None:
    project.write(test_it=CALLS)
    project.use(server)
    project.variables["DIES_AFTER"] = "3"
    assert project.run(*options).ret == -9
    path = project.path / "cassettes/test_it/test_one.yaml"
    assert [f"question {number}".encode() in one.request.body for number, one in enumerate(cassette.load(path))] == [
        True
    ] * 3
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    del project.variables["DIES_AFTER"]
    project.run("--record").stdout.fnmatch_lines(["llmkit: 2 recorded * 3 replayed *"])
    assert len(server.journal) == 5
    project.use_nothing()
    project.run().assert_outcomes(passed=1)


def test_a_worker_that_dies_loses_nothing_and_blames_no_cassette(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import os, pytest
        from app import ask
        @pytest.mark.cassette("shared")
        @pytest.mark.parametrize("number", range(6))
        def test_one(number):
            ask(f"question {number}")
            if number == 2 and "DIES" in os.environ:
                os.kill(os.getpid(), 9)
        """
    )
    project.use(server)
    project.variables["DIES"] = "1"
    result = project.run("--record", "-n2")
    result.assert_outcomes(passed=5, failed=1)
    assert "llmkit: cassettes" not in str(result.stdout)
    assert len(cassette.load(project.path / "cassettes/shared.yaml")) == 6
    del project.variables["DIES"]
    project.use_nothing()
    project.run().assert_outcomes(passed=6)


def test_a_cassette_that_is_cut_off_fails_its_test_at_every_offset_and_is_never_overwritten(
    project: Project, server: MockServer
) -> None:
    """Every offset of the file itself is tried in `tests/llmkit/recording/test_cassette.py`."""
    project.write(test_it="from app import ask\ndef test_one(): ask('one')\n")
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    whole = (project.path / "cassettes/test_it/test_one.yaml").read_bytes()
    offsets = [*range(0, len(whole) - 1, len(whole) // 40), len(whole) - 2]
    project.write(
        test_it=f"""
        import pytest
        from app import ask
        @pytest.mark.parametrize("offset", {offsets})
        def test_one(offset): ask('one')
        """
    )
    (project.path / "cassettes/test_it/test_one.yaml").unlink()
    places = {offset: project.path / f"cassettes/test_it/test_one[{offset}].yaml" for offset in offsets}
    for offset, path in places.items():
        path.write_bytes(whole[:offset])
    for options in ([], ["--record"], ["--record=all"], ["--record=once"], ["--record=review"]):
        result = project.run(*options)
        result.assert_outcomes(failed=len(offsets))
        assert str(result.stdout).count("broken cassette") >= len(offsets)
        result.stdout.re_match_lines([r".*test_one\[0\]\.yaml:1: broken cassette: the file is empty.*Restore the file"])
        assert {offset: path.read_bytes() for offset, path in places.items()} == {
            offset: whole[:offset] for offset in offsets
        }
    assert len(server.journal) == 1


@pytest.mark.parametrize("old", ["end: 1", "  request:", "version: 1", "    status:"])
def test_a_cassette_that_an_edit_broke_is_refused_with_file_line_and_remedy(
    project: Project, server: MockServer, old: str
) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    path = project.path / "cassettes/test_it/test_one.yaml"
    broken = path.read_text().replace(old.strip(), "- ]x[")
    path.write_text(broken)
    result = project.run("--record")
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r".*cassettes/test_it/test_one\.yaml:\d+: broken cassette: .*Restore the file"])
    assert path.read_text() == broken
    assert len(server.journal) == 1


def test_a_shared_cassette_that_broke_after_the_run_began_is_not_overwritten(
    project: Project, server: MockServer
) -> None:
    project.write(
        test_it="""
        import pytest
        from pathlib import Path
        from app import ask
        pytestmark = pytest.mark.cassette("shared")
        def test_one():
            ask("one")
            path = Path("cassettes/shared.yaml")
            path.write_bytes(path.read_bytes()[:-10])
            ask("two")
        """
    )
    project.use(server)
    result = project.run("--record")
    assert result.parseoutcomes().get("failed", 0) + result.parseoutcomes().get("errors", 0) >= 1
    result.stdout.re_match_lines([r".*shared\.yaml:\d+: broken cassette"])
    assert "end: 1" not in (project.path / "cassettes/shared.yaml").read_text()


def test_a_failing_teardown_prunes_nothing(project: Project, server: MockServer) -> None:
    text = """
        import pytest
        from app import ask
        @pytest.fixture
        def careless():
            yield
            assert {}
        def test_one(careless):
            ask("one")
            {}
    """
    project.write(test_it=text.format(True, "ask('two')"))
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    project.write(test_it=text.format(False, "pass"))
    project.run("--record").assert_outcomes(passed=1, errors=1)
    path = project.path / "cassettes/test_it/test_one.yaml"
    assert len(cassette.load(path)) == 2
    project.write(test_it=text.format(True, "pass"))
    project.run("--record").assert_outcomes(passed=1)
    assert len(cassette.load(path)) == 1


@pytest.mark.parametrize(
    "ending",
    [
        "assert False",
        "raise KeyboardInterrupt",
        "pytest.skip('not now')",
        "pytest.xfail('one day')",
        "with subtests.test(): assert False",
    ],
)
def test_a_test_that_does_not_pass_prunes_nothing(project: Project, server: MockServer, ending: str) -> None:
    text = """
        import pytest
        from app import ask
        def test_one(subtests):
            ask("one")
            {}
            ask("two")
        @pytest.mark.cassette("shared")
        def test_other(subtests):
            ask("three")
            {}
            ask("four")
    """
    project.write(test_it=text.format("pass", "pass"))
    project.use(server)
    project.run("--record").assert_outcomes(passed=2)
    shorter = text.replace('ask("two")', "pass").replace('ask("four")', "pass")
    project.write(test_it=shorter.format(ending, ending))
    project.run("--record")
    assert held(project, "test_it/test_one.yaml", "shared.yaml") == [2, 2]


def held(project: Project, *names: str) -> list[int]:
    return [len(cassette.load(project.path / "cassettes" / Path(name))) for name in names]
