"""Numbers that read well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.cli.display import age, cost, count, dollars, size, some
from llmkit.recording.library.masking import harmless
from llmkit.recording.library.summary import Bill, Summary
from llmkit.recording.replies import money


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (99_900, "99.9 KB"),
        (123_456, "123 KB"),
        (2_500_000, "2.5 MB"),
        (7_000_000_000, "7.0 GB"),
        (9_000_000_000_000, "9000.0 GB"),
    ],
)
def test_sizes(number: int, told: str) -> None:
    assert size(number) == told


@pytest.mark.parametrize(
    ("sum_", "told"),
    [
        (None, "?"),
        ("0", "$0.00"),
        ("0.0000001", "< $0.000001"),
        ("0.000054", "$0.000054"),
        ("0.0001", "$0.0001"),
        ("0.5", "$0.50"),
        ("1", "$1.00"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_sums(sum_: str | None, told: str) -> None:
    assert dollars(None if sum_ is None else Decimal(sum_)) == told


@given(st.decimals(min_value=0, max_value=10_000, places=8))
def test_a_sum_is_told_as_the_bill_of_a_run_tells_it(amount: Decimal) -> None:
    assert dollars(amount) == money.dollars(amount)


def test_a_cost_that_is_known_in_part_says_so() -> None:
    assert cost(Bill(cost=Decimal(1), unpriced=1)) == "$1.00 + ?"
    assert cost(Bill(cost=None, unpriced=1)) == "?"
    assert cost(Bill(cost=Decimal(1))) == "$1.00"


@pytest.mark.parametrize(
    ("ago", "told"),
    [
        (timedelta(minutes=5), "5m"),
        (timedelta(hours=1.5), "2h"),
        (timedelta(hours=47), "47h"),
        (timedelta(days=3), "3d"),
        (timedelta(days=1500), "1,500d"),
        (timedelta(days=-3), "0m"),
    ],
)
def test_ages(ago: timedelta, told: str) -> None:
    summary = Summary(path=Path(), size=0, recorded_at=datetime.now(UTC) - ago, dated_by="recorded_at")

    assert age(summary) == told
    assert age(replace(summary, dated_by="file")) == f"~{told}"


def test_counts() -> None:
    assert [count(number, "call") for number in (0, 1, 2, 1000)] == ["0 calls", "1 call", "2 calls", "1,000 calls"]


def test_many_names_are_cut_short() -> None:
    assert [some(["a", "b", "c"][:number]) for number in range(4)] == ["", "a", "a, b", "a, b + 1"]


def test_what_steers_a_terminal_is_replaced() -> None:
    assert harmless("a\r\n\tb\x1b[1m\x07\x9b") == "a\n\tb\ufffd[1m\ufffd\ufffd"
