"""What forked children and workers of pools ask counts as asked by the test."""

from __future__ import annotations

import multiprocessing

import pytest

from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project

pytestmark = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")

FORKS = """
    import multiprocessing
    from multiprocessing.pool import ThreadPool
    from app import ask

    fork = multiprocessing.get_context("fork")

    def swallow(content):
        try:
            ask(content)
        except BaseException:
            pass

    def in_a_fork(function, *args):
        process = fork.Process(target=function, args=args)
        process.start()
        process.join(20)
"""


def test_what_forked_children_record_is_replayed_and_never_pruned(project: Project, server: MockServer) -> None:
    project.write(
        forks=FORKS,
        test_it="""
        from forks import ask, in_a_fork
        def test_one():
            ask("one")
            in_a_fork(ask, "two")
            ask("three")
        """,
    )
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    assert len(server.journal) == 3
    project.run("--record").assert_outcomes(passed=1)
    assert len(server.journal) == 3
    project.use_nothing()
    project.run().assert_outcomes(passed=1)
    assert (project.path / "cassettes/test_it/test_one.yaml").read_text().endswith("end: 3\n")


def test_a_miss_that_a_forked_child_swallows_fails_the_test(project: Project) -> None:
    project.write(
        forks=FORKS,
        test_it="from forks import in_a_fork, swallow\ndef test_one(): in_a_fork(swallow, 'nobody asked')\n",
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*was swallowed on the way*", "in the child process *no recording of this request*"])


@pytest.mark.parametrize("pool", ["ThreadPool(2)", "fork.Pool(1)"])
def test_a_miss_in_a_pool_fails_the_test_and_hangs_nothing(project: Project, pool: str) -> None:
    project.write(
        forks=FORKS,
        test_it=f"""
        from forks import ThreadPool, ask, fork
        def test_one():
            with {pool} as pool:
                pool.map(ask, ["one", "two"])
        """,
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no recording of this request*"])


def test_a_cassette_that_a_test_opens_itself_is_paid_from_the_same_budget(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        from app import ask
        from llmkit.recording import use_cassette
        def test_one(tmp_path):
            with use_cassette(tmp_path / "own.yaml", record="all"):
                for number in range(20):
                    ask(f"number {number}")
        """
    )
    project.use(server)
    result = project.run("--record", "--record-budget=0.006")
    result.assert_outcomes(failed=1)
    assert 0 < len(server.journal) < 20
    result.stdout.fnmatch_lines(["*the budget of this recording*", "llmkit: * recorded *"])
