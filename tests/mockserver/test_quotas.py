"""Quotas: who is let in when, what is left, and how long to wait."""

import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mockserver.quotas import UNLIMITED, BadQuota, Charge, Gauge, Limits, Name, Quotas, digest, go_duration

NOON = 1_800_000_000.0
KEY = "sk-quota-0123456789abcdef"
DIALECTS: tuple[Name, ...] = ("openai", "azure")


def limited(*, rpm: int | None = None, tpm: int | None = None) -> Quotas:
    return Quotas(Limits(rpm=rpm, tpm=tpm))


def ask(quotas: Quotas, at: float = 0, *, dialect: Name = "openai", estimate: int = 0, **options: Any) -> Charge:
    """Charge a request `at` seconds after noon."""
    named = {"key": KEY, "subject": "gpt-4o", **options}
    return quotas.charge(dialect=dialect, estimate=estimate, now=NOON + at, **named)


def test_openai_refuses_the_fourth_of_three_as_recorded() -> None:
    quotas = limited(rpm=3)
    assert [ask(quotas).requests.remaining for _ in range(3)] == [2, 1, 0]
    refused = ask(quotas)
    assert (refused.is_admitted, refused.limit, refused.retry_after_s) == (False, "requests", 20.0)
    assert not ask(quotas, 19.998).is_admitted
    assert ask(quotas, 20).is_admitted


@pytest.mark.parametrize(
    ("limit", "used", "remaining", "header"),
    [
        (200, 1, 199, "300ms"),
        (3500, 1, 3499, "17ms"),
        (5000, 1, 4999, "12ms"),
        (6000, 778, 5222, "7.78s"),
        (40_000, 37, 39_963, "55ms"),
        (200_000, 779, 199_221, "233ms"),
        (400_000, 1, 399_999, "0s"),
    ],
)
def test_openai_headers_are_those_recorded(limit: int, used: int, remaining: int, header: str) -> None:
    gauge = ask(limited(tpm=limit), estimate=used).tokens
    assert (gauge.limit, gauge.remaining, go_duration(gauge.reset_s)) == (limit, remaining, header)


def test_openai_lets_in_as_the_bucket_refills() -> None:
    quotas = limited(rpm=60)
    for _ in range(60):
        assert ask(quotas).is_admitted
    assert [ask(quotas, at).is_admitted for at in (0.5, 1, 1, 3, 3, 3)] == [False, True, False, True, True, False]


def test_openai_refuses_what_never_fits_and_charges_the_request() -> None:
    charge = ask(limited(rpm=5000, tpm=400_000), estimate=2_500_013)
    assert (charge.limit, charge.is_too_large, charge.retry_after_s) == ("tokens", True, None)
    assert (charge.requests.remaining, charge.tokens.remaining, charge.requested) == (4999, 400_000, 2_500_013)


def test_azure_asks_for_a_minute_where_nothing_fits() -> None:
    charge = ask(limited(tpm=40_000), dialect="azure", estimate=2_500_013)
    assert (charge.limit, charge.is_too_large, charge.retry_after_s) == ("tokens", True, 60)


@pytest.mark.parametrize(("dialect", "wait"), [("openai", 12), ("azure", 60)])
def test_tokens_that_are_not_there_are_waited_for(dialect: Name, wait: float) -> None:
    quotas = limited(tpm=1000)
    assert ask(quotas, dialect=dialect, estimate=700).is_admitted
    refused = ask(quotas, dialect=dialect, estimate=500)
    assert (refused.limit, refused.retry_after_s, refused.tokens.remaining) == ("tokens", wait, 300)
    assert ask(quotas, dialect=dialect, estimate=300).is_admitted
    assert ask(quotas, wait + 18, dialect=dialect, estimate=500).is_admitted


@pytest.mark.parametrize(
    ("rpm", "at_once", "wait"), [(3, 3, 60), (5, 5, 60), (6, 1, 10), (60, 10, 10), (90, 15, 10), (600, 10, 1)]
)
def test_azure_counts_requests_in_short_periods_where_one_fits_in(rpm: int, at_once: int, wait: float) -> None:
    quotas = limited(rpm=rpm)
    charges = [ask(quotas, dialect="azure") for _ in range(at_once + 1)]
    assert [charge.is_admitted for charge in charges] == [True] * at_once + [False]
    assert (charges[-1].limit, charges[-1].retry_after_s) == ("requests", wait)
    assert ask(quotas, wait, dialect="azure").is_admitted


def test_azure_counts_a_minute_too() -> None:
    quotas = limited(rpm=7)  # 2 in ten seconds
    admitted = [ask(quotas, at, dialect="azure").is_admitted for at in range(0, 60, 5)]
    assert admitted == [True] * 7 + [False] * 5
    assert ask(quotas, 60, dialect="azure").is_admitted


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_wait_is_for_both_limits(dialect: Name) -> None:
    quotas = limited(rpm=600, tpm=1000)
    ask(quotas, dialect=dialect, estimate=1000)
    while ask(quotas, dialect=dialect).is_admitted:
        pass
    refused = ask(quotas, dialect=dialect, estimate=1000)
    assert (refused.limit, refused.retry_after_s) == ("requests", 60)


def test_azure_counters_start_anew() -> None:
    quotas = limited(rpm=100, tpm=1000)
    assert ask(quotas, dialect="azure", estimate=900).tokens == Gauge(limit=1000, remaining=100, reset_s=60)
    assert ask(quotas, 45, dialect="azure").tokens == Gauge(limit=1000, remaining=100, reset_s=15)
    assert ask(quotas, 60, dialect="azure").tokens == Gauge(limit=1000, remaining=1000, reset_s=60)


@pytest.mark.parametrize(("dialect", "remaining"), [("openai", 880), ("azure", 300)])
def test_only_openai_gives_back_what_an_answer_has_not_used(dialect: Name, remaining: int) -> None:
    quotas = limited(tpm=1000)
    charge = ask(quotas, dialect=dialect, estimate=700)
    quotas.settle(charge, actual_tokens=120, now=NOON)
    assert ask(quotas, dialect=dialect).tokens.remaining == remaining


def test_openai_takes_what_an_answer_has_used_beyond_the_estimate() -> None:
    quotas = limited(tpm=1000)
    quotas.settle(ask(quotas, estimate=700), actual_tokens=1500, now=NOON)
    after = ask(quotas, estimate=10)
    assert (after.tokens.remaining, after.tokens.reset_s, after.retry_after_s) == (0, 90, 30.6)


def test_what_has_flowed_back_is_not_given_back_again() -> None:
    quotas = limited(tpm=1000)
    first = ask(quotas, estimate=1000)
    assert ask(quotas, 60, estimate=1000).is_admitted
    quotas.settle(first, actual_tokens=0, now=NOON + 60)
    assert ask(quotas, 60).tokens.remaining == 0


def test_refused_and_outdated_charges_settle_nothing() -> None:
    quotas = limited(tpm=1000)
    old = ask(quotas, estimate=1000)
    refused = ask(quotas, estimate=1000)
    for actual in (0, 9000):
        quotas.settle(refused, actual_tokens=actual, now=NOON)
    assert ask(quotas).tokens == Gauge(limit=1000, remaining=0, reset_s=60)
    quotas.set(tpm=1000)
    assert ask(quotas, estimate=1000).is_admitted
    quotas.settle(old, actual_tokens=0, now=NOON)
    assert ask(quotas).tokens.remaining == 0


def test_each_key_subject_and_dialect_has_its_own() -> None:
    quotas = limited(rpm=1)
    assert ask(quotas).is_admitted
    assert ask(quotas, key="another").is_admitted
    assert ask(quotas, subject="gpt-4o-mini").is_admitted
    assert ask(quotas, dialect="azure").is_admitted
    assert not ask(quotas).is_admitted


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_limits_headers_speak_of_those_recorded(dialect: Name) -> None:
    quotas = Quotas()
    for _ in range(2):
        charge = ask(quotas, dialect=dialect, estimate=14)
        quotas.settle(charge, actual_tokens=5000, now=NOON)
    rpm, tpm = UNLIMITED[dialect]
    assert charge.is_admitted
    assert (charge.requests.limit, charge.requests.remaining) == (rpm, rpm - 1)
    assert (charge.tokens.limit, charge.tokens.remaining) == (tpm, tpm - 14)
    assert (charge.requests.reset_s, charge.tokens.reset_s) == {"openai": (0.006, 0), "azure": (0.5, 0.007)}[dialect]
    assert quotas.standing(now=NOON) == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_limit_leaves_the_other_open(dialect: Name) -> None:
    quotas = limited(rpm=2)
    assert [ask(quotas, dialect=dialect, estimate=10**12).tokens.remaining for _ in range(2)] == [0, 0]
    assert ask(quotas, dialect=dialect).limit == "requests"
    quotas = limited(tpm=1000)
    assert all(ask(quotas, dialect=dialect).is_admitted for _ in range(500))


@pytest.mark.parametrize("change", [Quotas.clear, lambda quotas: quotas.set(rpm=1)])
def test_new_limits_forget_what_was_used(change: Any) -> None:
    quotas = limited(rpm=1)
    ask(quotas)
    change(quotas)
    assert ask(quotas).is_admitted


@pytest.mark.parametrize(
    "value", [0, -1, 1.5, True, "3", math.nan, [], 10**9 + 1, pytest.param(10**5000, id="huge"), {"a": 1}]
)
def test_bad_limits_are_refused_by_name_and_change_nothing(value: Any) -> None:
    quotas = limited(rpm=1, tpm=2)
    for name in ("rpm", "tpm"):
        with pytest.raises(
            BadQuota, match=rf"^{name} is .*; it takes a whole number from 1 to 1000000000, or"
        ) as caught:
            quotas.set(**{name: value})
        assert caught.value.field == name
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert quotas.limits == Limits(rpm=1, tpm=2)


def test_no_request_is_estimated_below_0() -> None:
    with pytest.raises(ValueError, match="estimated at -1 tokens"):
        ask(limited(rpm=1), estimate=-1)


def test_a_clock_that_is_set_back_begins_anew() -> None:
    quotas = limited(rpm=1)
    ask(quotas, 86_400)
    assert ask(quotas).is_admitted
    assert not ask(quotas, -59).is_admitted


def test_keys_are_nowhere_to_be_read() -> None:
    quotas = limited(rpm=1)
    charge = ask(quotas)
    for thing in (quotas, charge, quotas.standing(now=NOON)):
        assert KEY not in repr(thing)
        assert KEY.encode() not in pickle.dumps(thing)
    assert quotas.standing(now=NOON) == [
        {
            "key": digest(KEY),
            "dialect": "openai",
            "subject": "gpt-4o",
            "requests": {"limit": 1, "remaining": 0, "reset_s": 60.0},
            "tokens": {"limit": 30_000_000, "remaining": 30_000_000, "reset_s": 0.0},
        }
    ]


def test_it_and_its_charges_travel_between_processes() -> None:
    quotas = limited(tpm=1000)
    charge = ask(quotas, estimate=1000)
    copy, sent = pickle.loads(pickle.dumps((quotas, charge)))
    assert sent == charge
    assert not ask(copy, estimate=1000).is_admitted
    copy.settle(sent, actual_tokens=0, now=NOON)
    assert ask(copy, estimate=1000).is_admitted


@pytest.mark.parametrize("dialect", DIALECTS)
def test_threads_together_get_no_more_than_there_is(dialect: Name) -> None:
    quotas = limited(tpm=1000)
    with ThreadPoolExecutor(8) as pool:
        charges = list(pool.map(lambda _: ask(quotas, dialect=dialect, estimate=10), range(300)))
    assert sum(charge.is_admitted for charge in charges) == 100


LIMITS = st.builds(Limits, rpm=st.none() | st.integers(1, 700), tpm=st.none() | st.integers(1, 5000))
EVENTS = st.lists(
    st.tuples(st.sampled_from([0, 0, 0.001, 0.7, 1, 6, 10, 20, 45, 60]) | st.floats(0, 90), st.integers(0, 6000)),
    min_size=1,
    max_size=40,
)


def play(quotas: Quotas, dialect: Name, events: list[tuple[float, int]]) -> list[tuple[float, Charge]]:
    """Ask after each pause; what came of it, with the times."""
    at, charges = 0.0, []
    for pause, estimate in events:
        at += pause
        charges.append((at, ask(quotas, at, dialect=dialect, estimate=estimate)))
    return charges


def costs(charges: list[tuple[float, Charge]], limit: str) -> list[tuple[float, int]]:
    """When how much of a limit was used: a request refused for its tokens has been charged as a request."""
    if limit == "tokens":
        return [(at, charge.requested) for at, charge in charges if charge.is_admitted]
    return [(at, 1) for at, charge in charges if charge.limit != "requests"]


def most_in_a_period(used: list[tuple[float, int]], period: float) -> int:
    """The most that was used in any of the periods that begin with the first use after the one before."""
    start, total, most = -math.inf, 0, 0
    for at, cost in used:
        if at >= start + period - 1e-5:
            start, total = at, 0
        total += cost
        most = max(most, total)
    return most


@given(limits=LIMITS, events=EVENTS)
def test_openai_never_grants_more_than_a_bucket_holds_and_refills(limits: Limits, events: list[Any]) -> None:
    charges = play(Quotas(limits), "openai", events)
    for name, limit in (("requests", limits.rpm), ("tokens", limits.tpm)):
        if limit is None:
            continue
        used = costs(charges, name)
        for first in range(len(used)):
            total = 0
            for at, cost in used[first:]:
                total += cost
                assert total <= limit * (1 + (at - used[first][0]) / 60) + 0.001


@given(limits=LIMITS, events=EVENTS)
def test_azure_never_grants_more_in_a_period_than_the_limit(limits: Limits, events: list[Any]) -> None:
    charges = play(Quotas(limits), "azure", events)
    if limits.tpm:
        assert most_in_a_period(costs(charges, "tokens"), 60) <= limits.tpm
    if limits.rpm:
        used = costs(charges, "requests")
        assert most_in_a_period(used, 60) <= limits.rpm
        brief = 1 if limits.rpm >= 600 else 10 if limits.rpm >= 6 else 60
        assert most_in_a_period(used, brief) <= math.ceil(limits.rpm * brief / 60)


@given(dialect=st.sampled_from(DIALECTS), limits=LIMITS, events=EVENTS, estimate=st.integers(0, 5000))
def test_who_waits_as_told_is_let_in_and_no_earlier(
    dialect: Name, limits: Limits, events: list[Any], estimate: int
) -> None:
    assume(limits.tpm is None or estimate <= limits.tpm)
    quotas = Quotas(limits)
    at = play(quotas, dialect, events)[-1][0]
    charge = ask(quotas, at, dialect=dialect, estimate=estimate)
    wait = charge.retry_after_s
    assert wait is not None
    assert charge.is_admitted == (wait == 0)
    if wait > 0.002:
        early = pickle.loads(pickle.dumps(quotas))
        assert not ask(early, at + wait - 0.0011, dialect=dialect, estimate=estimate).is_admitted
    assert ask(quotas, at + wait, dialect=dialect, estimate=estimate).is_admitted or wait == 0


@given(dialect=st.sampled_from(DIALECTS), limits=LIMITS, events=EVENTS)
def test_gauges_stay_within_the_limit_and_are_full_after_the_reset(
    dialect: Name, limits: Limits, events: list[Any]
) -> None:
    quotas = Quotas(limits)
    charges = play(quotas, dialect, events)
    for _, charge in charges:
        for gauge in (charge.requests, charge.tokens):
            assert 0 <= gauge.remaining <= gauge.limit
            assert 0 <= gauge.reset_s <= 60
        if not charge.is_admitted and not charge.is_too_large:
            assert charge.retry_after_s is not None
            assert charge.retry_after_s < max(charge.requests.reset_s, charge.tokens.reset_s) + 0.0011
    at, last = charges[-1]
    for standing in quotas.standing(now=NOON + at + max(last.requests.reset_s, last.tokens.reset_s) + 0.001):
        for name in ("requests", "tokens"):
            if getattr(limits, {"requests": "rpm", "tokens": "tpm"}[name]):
                assert standing[name]["remaining"] == standing[name]["limit"]


@given(
    tpm=st.integers(1, 2000),
    events=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 2000), st.integers(0, 2000), st.floats(0, 90))),
)
def test_what_is_settled_counts_as_it_was(tpm: int, events: list[Any]) -> None:
    """With every estimate settled down, what has really been used never exceeds what the bucket holds and refills."""
    quotas, at, waiting, used = limited(tpm=tpm), 0.0, list[Any](), list[tuple[float, int]]()
    for pause, estimate, actual, duration in events:
        at += pause
        for due in [each for each in waiting if each[0] <= at]:
            waiting.remove(due)
            quotas.settle(due[1], actual_tokens=due[2], now=NOON + due[0])
        charge = ask(quotas, at, estimate=estimate)
        if charge.is_admitted:
            waiting.append((at + duration, charge, min(actual, estimate)))
            used.append((at, min(actual, estimate)))
    for first in range(len(used)):
        for last in range(first, len(used)):
            total = sum(cost for _, cost in used[first : last + 1])
            assert total <= tpm * (1 + (used[last][0] - used[first][0]) / 60) + 0.001


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (1e-9, "1ns"),
        (1.5e-6, "1.5µs"),
        (0.000999999, "999.999µs"),
        (0.001, "1ms"),
        (0.006, "6ms"),
        (0.2335, "233.5ms"),
        (0.644, "644ms"),
        (1, "1s"),
        (1.574, "1.574s"),
        (18.642, "18.642s"),
        (20, "20s"),
        (59.999999999, "59.999999999s"),
        (60, "1m0s"),
        (62.5, "1m2.5s"),
        (1296.001, "21m36.001s"),
        (3600, "1h0m0s"),
        (3657.015, "1h0m57.015s"),
        (86_400, "24h0m0s"),
        (411_480, "114h18m0s"),
        (-1.5, "-1.5s"),
        (-1e-12, "0s"),
    ],
)
def test_durations_are_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
