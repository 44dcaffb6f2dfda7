"""What was paid is shown while the run goes on and at its end, by test; and what replay saves."""

from __future__ import annotations

import os
import pty
import re
import sys
from decimal import Decimal

import pytest

from llmkit._pytest.bill import Bill
from llmkit.recording.interaction import Response
from llmkit.recording.replies.ledger import Ledger
from llmkit.recording.replies.money import digits_of, dollars
from llmkit.recording.replies.prices import Prices
from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project
from tests.llmkit.pytest_plugin.upstream import Upstream, completion

TESTS = """
    from app import ask
    def test_one(): ask("one")
    def test_two(): ask("two"), ask("three")
    def test_none(): pass
"""


def test_a_ledger_by_test_ends_a_recording_and_replay_tells_what_it_saved(project: Project) -> None:
    project.write(test_it=TESTS)
    with Upstream() as upstream:
        project.use(upstream)
        upstream.answers["three"] = completion(usage={"prompt_tokens": 12000, "completion_tokens": 300})
        recorded = project.run("--record")
    table = [
        "=* llmkit: recorded =*",
        "  calls   tokens in         out          cost  test",
        "      1          10           5     $0.000075  test_it.py::test_one",
        "      2      12,010         305     $0.033075  test_it.py::test_two",
        "      3      12,020         310     $0.033150  total",
        "llmkit: 3 recorded (12,020 tokens in, 310 out, $0.0332), 0 replayed; cassettes in cassettes/",
    ]
    recorded.stdout.fnmatch_lines(table, consecutive=True)
    recorded.stdout.fnmatch_lines(["llmkit: 1 call, 15 tokens, $0.000075 so far"])
    project.use_nothing()
    replayed = project.run()
    replayed.stdout.fnmatch_lines(["llmkit: 3 replayed (12,330 tokens and $0.0332 saved); network sealed"])
    replayed.stdout.no_fnmatch_line("*llmkit: recorded*")
    replayed.stdout.no_fnmatch_line("*so far*")


def test_what_waits_for_its_review_is_paid_for_and_not_yet_written(project: Project) -> None:
    project.write(test_it=TESTS)
    with Upstream() as upstream:
        project.use(upstream)
        result = project.run("--record=review")  # there is nobody to answer
    result.stdout.fnmatch_lines(
        ["llmkit: 3 paid for (*), 0 replayed; what was not decided on waits in cassettes/.review"]
    )
    assert project.cassettes() == [".review/test_it/test_one.yaml", ".review/test_it/test_two.yaml"]


def test_the_ledgers_of_workers_are_one(project: Project, server: MockServer) -> None:
    pytest.importorskip("xdist")
    project.write(test_it=TESTS, test_other=TESTS)
    project.use(server)
    result = project.run("--record", "-n", "2")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["llmkit: *call* so far", "      6 * total", "llmkit: 6 recorded (*), 0 replayed; *"])
    for test in ("test_it.py::test_one", "test_it.py::test_two", "test_other.py::test_two"):
        result.stdout.fnmatch_lines([f"* $0.* {test}"])


def test_a_live_line_on_a_terminal_tells_calls_tokens_and_cost_so_far(project: Project, server: MockServer) -> None:
    project.write(test_it=TESTS)
    project.use(server)
    project.variables["TERM"] = "xterm"
    shown = on_a_terminal(project, "--record", *project.loading())
    lines = re.findall(r"llmkit: (\d) calls?, \d+ tokens, \$0\.\d+ so far", shown)
    assert list(dict.fromkeys(lines)) == ["1", "2", "3"], shown  # also within test_two, between its calls
    assert "test_it.py \x1bD" in shown, "pytest's own line stays as it is"
    assert "so far" not in shown.rpartition("\x1b[J")[2], "the line is gone in the end"


def on_a_terminal(project: Project, *options: str) -> str:
    """Run the suite of ``project`` on a terminal, and return what that was sent."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(project.path)
        os.execve(sys.executable, [sys.executable, "-m", "pytest", *options], project.variables)
    sent = b""
    try:
        while piece := os.read(terminal, 65536):
            sent += piece
    except OSError:
        pass  # the other end was closed
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return sent.decode()


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"), ("0.5", "$0.50"), ("0.005", "$0.005"), ("0.000280", "$0.00028"), ("0.0123456", "$0.0123"),
        ("1", "$1.00"), ("1234.567", "$1,234.57"), ("1E+3", "$1,000.00"), ("5E-7", "< $0.000001"),
    ],
)  # fmt: skip
def test_money_is_shown_in_as_many_digits_as_tell_something(amount: str, shown: str) -> None:
    assert dollars(Decimal(amount)) == shown


def test_a_column_of_money_has_the_digits_of_its_smallest() -> None:
    assert digits_of([Decimal(3), Decimal("0.02"), Decimal(0)]) == 4
    assert digits_of([Decimal(3), Decimal("0.002")]) == 6
    assert digits_of([]) == 2


def reply(model: str, tokens: int) -> Response:
    usage = f'{{"prompt_tokens": {tokens}, "completion_tokens": 0}}'
    return Response(status=200, body=f'{{"model": "{model}", "usage": {usage}}}'.encode())


def bill(*replies: Response, verb: str = "recorded") -> Bill:
    found = Bill(Prices.parse(["known = 1 / 1"]), verb=verb)
    for number, one in enumerate(replies):
        ledger = Ledger()
        ledger.record(one)
        found.enter(f"test_{number}", ledger.facts())
    return found


def test_a_model_without_a_price_makes_a_sum_a_lower_bound_and_is_named() -> None:
    found = bill(reply("known", 1_000_000), reply("strange", 10))
    assert found.unpriced() == ["strange"]
    assert [line.split()[3:] for line in found.table()][1:] == [
        ["$1.00", "test_0"],
        ["?", "test_1"],
        ["≥", "$1.00", "total"],
    ]
    assert found.sums() == "2 recorded (1,000,010 tokens in, 0 out, ≥ $1.00), 0 replayed"


def test_what_is_verified_is_paid_for_and_saves_nothing() -> None:
    found = bill(reply("known", 10), verb="verified")
    assert found.sums() == "1 verified (10 tokens in, 0 out, $0.00001)"


def test_a_bill_for_nothing_says_nothing() -> None:
    assert (bill().sums(), bill().progress(), list(bill().table())) == ("", "", [])
