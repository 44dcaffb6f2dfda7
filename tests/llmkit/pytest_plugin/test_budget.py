"""``--record-budget``: the run stops before the sum is passed, and keeps what was paid for."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project

# of each call the answer may cost $0.001, and does cost less
MANY = """
    import pytest
    from app import ask
    @pytest.mark.parametrize("number", range(5))
    def test_one(number): assert ask(f"number {number}", max_tokens=100)
"""
STOPPED = "!*Interrupted: the budget of the recording is reached*!"


def spent(result: pytest.RunResult) -> Decimal:
    """Return what the closing line of a run says that was paid."""
    found = re.search(r"llmkit: \d+ recorded \(.*?\$([\d.]+)\)", "\n".join(result.outlines))
    return Decimal(found[1]) if found else Decimal(0)


def kept(project: Project) -> int:
    cassettes = (project.path / "cassettes" / name for name in project.cassettes())
    return sum(len(yaml.safe_load(path.read_text())["interactions"]) for path in cassettes)


def test_the_budget_stops_before_it_is_passed_and_more_goes_on_without_paying_again(
    project: Project, server: MockServer
) -> None:
    project.write(test_it=MANY)
    project.use(server)
    result = project.run("--record", "--record-budget=0.002")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "llmkit: recording * to cassettes/, for $0.002 at most",
            "E  *BudgetReached: the budget of this recording stops here",
            "E * why   $0.00* of $0.002 are spent, and the next call could cost $0.001*",
            "E * next  what was recorded so far is kept: go on with a larger --record-budget",
            STOPPED,
        ]
    )
    paid = len(server.journal)
    assert 0 < paid < 5
    assert 0 < spent(result) <= Decimal("0.002")
    assert kept(project) == paid
    again = project.run("--record", "--record-budget=$1.00")
    again.assert_outcomes(passed=5)
    assert (len(server.journal), kept(project)) == (5, 5)


def test_what_was_paid_for_by_the_test_that_is_stopped_is_kept_too(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\ndef test_one():\n    for n in range(5): ask(f'{n}', max_tokens=100)\n")
    project.use(server)
    project.run("--record", "--record-budget=0.002").assert_outcomes(failed=1)
    assert kept(project) == len(server.journal) > 0
    project.run("--record", "--record-budget=1").assert_outcomes(passed=1)
    assert len(server.journal) == 5


def test_a_budget_that_the_application_swallows_fails_the_test_and_stops_the_run(
    project: Project, server: MockServer
) -> None:
    project.write(
        test_it="""
        from app import ask
        def test_one():
            try:
                ask("Hi", max_tokens=100)
            except BaseException: pass
        def test_two(): ask("Bye")
        """
    )
    project.use(server)
    result = project.run("--record", "--record-budget=0.0001")
    result.assert_outcomes(failed=1)
    assert (result.ret, len(server.journal)) == (pytest.ExitCode.INTERRUPTED, 0)
    result.stdout.fnmatch_lines(["the test passed, but an error of replay was swallowed*", "the budget of *", STOPPED])


def test_workers_share_one_budget(project: Project, server: MockServer) -> None:
    pytest.importorskip("xdist")
    project.write(test_it=MANY.replace("range(5)", "range(12)"))
    project.use(server)
    result = project.run("--record", "--record-budget=0.003", "-n", "2")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([STOPPED])
    assert 0 < len(server.journal) < 12
    assert 0 < spent(result) <= Decimal("0.003")
    assert kept(project) == len(server.journal)


def test_twenty_calls_at_once_never_pass_the_budget(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import asyncio, openai, pytest
        @pytest.mark.asyncio
        async def test_one():
            async with openai.AsyncOpenAI() as client:
                async def ask(n):
                    await client.chat.completions.create(
                        model="gpt-4o", messages=[{"role": "user", "content": str(n)}], max_completion_tokens=100
                    )
                await asyncio.gather(*(ask(n) for n in range(20)), return_exceptions=True)
        """
    )
    project.use(server)
    result = project.run("--record", "--record-budget=0.0045")
    result.assert_outcomes(failed=1)
    assert len(server.journal) == 4  # each could cost $0.001 and a bit for its prompt
    assert kept(project) == 4
    assert spent(result) <= Decimal("0.0045")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--record-budget=1"], "--record-budget limits what --record spends: give --record as well"),
        (["--record", "--record-budget=cheap"], "--record-budget: 'cheap' is no sum: expected US dollars, like 0.50"),
        (["--record", "-o", "llmkit_prices=gpt-4o"], "llmkit_prices: 'gpt-4o' is no price: *"),
    ],
)
def test_a_budget_that_limits_nothing_is_a_usage_error(project: Project, options: list[str], problem: str) -> None:
    result = project.run(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{problem}"])


def test_the_till_is_taken_away(project: Project, server: MockServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("temporary")
    project.variables["TMPDIR"] = str(place)
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
    project.use(server)
    project.run("--record", "--record-budget=1").assert_outcomes(passed=1)
    assert [path for path in Path(place).iterdir() if path.is_dir()] == []
