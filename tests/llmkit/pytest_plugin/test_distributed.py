"""Many workers, one truth: nothing is lost, and what they saw is judged together."""

from __future__ import annotations

import pytest

from llmkit.recording import cassette
from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project

TWENTY = """
    import pytest
    from app import ask
    @pytest.mark.cassette("shared")
    @pytest.mark.parametrize("number", range(20))
    def test_one(number): assert ask(f"question {number}")
"""


@pytest.mark.parametrize(("workers", "dist"), [("-n4", "load"), ("-n2", "worksteal"), ("-n2", "loadscope")])
def test_many_workers_that_write_one_shared_cassette_lose_nothing(
    project: Project, server: MockServer, workers: str, dist: str
) -> None:
    project.write(test_it=TWENTY)
    project.use(server)
    project.run("--record", workers, f"--dist={dist}").assert_outcomes(passed=20)
    bodies = [one.request.body.decode() for one in cassette.load(project.path / "cassettes/shared.yaml")]
    assert sorted(bodies) == sorted(body for number in range(20) for body in bodies if f'question {number}"' in body)
    assert (len(bodies), len(server.journal)) == (20, 20)
    project.use_nothing()
    for options in ([], *([["-n2"]] * (dist == "load"))):
        result = project.run(*options)
        result.assert_outcomes(passed=20)
        assert (result.ret, "unplayed" in str(result.stdout)) == (0, False)


def test_workers_that_all_rerecord_one_shared_cassette_lose_nothing_and_keep_nothing_old(
    project: Project, server: MockServer
) -> None:
    project.write(
        test_it=TWENTY.replace("ask(f", "[ask(f'again {number}'), ask(f").replace('{number}")', '{number}")]')
    )
    project.use(server)
    project.run("--record").assert_outcomes(passed=20)
    path = project.path / "cassettes/shared.yaml"
    before = {one.response.body for one in cassette.load(path)}
    path.write_text(path.read_text().replace('"finish_reason": "stop"', '"finish_reason": "old!"'))
    project.run("--record=all", "-n3").assert_outcomes(passed=20)
    assert len(cassette.load(path)) == len(before) == 40
    assert "old!" not in path.read_text()


def test_a_request_that_two_workers_record_at_once_is_no_alarm(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import os, time, pytest
        from pathlib import Path
        from app import ask
        @pytest.mark.cassette("shared")
        @pytest.mark.parametrize("number", range(2))
        def test_one(number):
            if os.environ.get("PYTEST_XDIST_WORKER_COUNT") == "2":  # each waits until the other has begun
                Path(f"begun{number}").touch()
                while not Path(f"begun{1 - number}").exists():
                    time.sleep(0.01)
            assert ask("the same")
        """
    )
    project.use(server)
    project.run("--record", "-n2").assert_outcomes(passed=2)
    project.use_nothing()
    result = project.run()
    result.assert_outcomes(passed=2)
    assert result.ret == 0


def test_hygiene_is_merged_across_workers(project: Project, server: MockServer) -> None:
    tests = """
        import pytest
        from app import ask
        @pytest.mark.cassette("shared")
        def test_{0}_shared(): ask("{0}")
        def test_{0}_own(): ask("{0} own")
        def test_{0}_more(): ask("{0} more")
    """
    project.write(test_a=tests.format("a"), test_b=tests.format("b"))
    project.use(server)
    project.run("--record").assert_outcomes(passed=6)
    clean = project.run("-n2", "--dist=loadfile")
    assert (clean.ret, "llmkit: cassettes" in str(clean.stdout)) == (0, False)
    project.write(test_b=tests.format("b").replace('ask("b")', "pass").replace("test_b_own", "test_b_new_own"))
    project.run("--record", "-k", "new_own").assert_outcomes(passed=1, deselected=5)
    result = project.run("-n2", "--dist=loadfile")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        [
            "*llmkit: cassettes*",
            "orphan: cassettes/test_b/test_b_own.yaml is of test_b.py::test_b_own,*",
            "unplayed: 1 recording of cassettes/shared.yaml*",
        ]
    )
    assert str(result.stdout).count("orphan:") == 1


def test_workers_fail_a_test_with_a_bad_marker_with_what_is_valid(project: Project) -> None:
    project.write(test_it="import pytest\n@pytest.mark.cassette(alow='unplayed')\ndef test_one(): pass\n")
    result = project.run("-n2")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*cassette of test_it.py::test_one: it takes one name and ignore, aliases, allow, replay_speed, not 'alow'"]
    )


def test_once_lets_workers_begin_one_shared_cassette_together(project: Project, server: MockServer) -> None:
    project.write(test_it=TWENTY)
    project.use(server)
    project.run("--record=once", "-n2").assert_outcomes(passed=20)
    project.write(test_it=TWENTY.replace("range(20)", "range(21)"))
    result = project.run("--record=once", "-n2")
    result.assert_outcomes(passed=20, failed=1)
    result.stdout.fnmatch_lines(["*no recording of this request*"])
    assert len(server.journal) == 20
