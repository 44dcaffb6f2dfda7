"""The retry decision, by table and by law, and the life of a call driven by it, without a network or a clock.

Rows 4.I2, 4.T3 and 4.T4.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import errors
from llmkit._flow import Call, Send, Step, Wait, life
from llmkit.errors import LLMError
from llmkit.policies.retry import (
    Limits,
    Retry,
    Stop,
    backoff_s,
    decide,
    is_transient,
    quota_reset_s,
    retry_after_s,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LIMITS = Limits(deadline_s=30, max_attempts=4)
KINDS = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, LLMError)]

failures = st.builds(
    lambda cls, wait, asked: cls("no", retry_after_s=wait, should_retry=asked),
    st.sampled_from(KINDS),
    st.none() | st.floats(0, 1e6),
    st.sampled_from([None, True, False]),
)
limits = st.builds(Limits, deadline_s=st.floats(0.001, 1e4), max_attempts=st.integers(1, 20))


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (errors.RateLimited("no"), True),
        (errors.ServerError("no"), True),
        (errors.Overloaded("no"), True),
        (errors.ConnectionFailed("no"), True),
        (errors.MalformedResponse("no"), True),
        (errors.StreamTruncated("no"), True),
        (errors.InvalidRequest("no"), False),
        (errors.ContextOverflow("no"), False),
        (errors.AuthenticationFailed("no"), False),
        (errors.NotFound("no"), False),
        (errors.QuotaExceeded("no"), False),
        (errors.DeadlineExceeded("no"), False),
        (errors.ServerError("no", should_retry=False), False),
        (errors.InvalidRequest("no", should_retry=True), True),
        (errors.QuotaExceeded("no", should_retry=True), False),
    ],
)
def test_what_is_tried_again(error: LLMError, transient: bool) -> None:
    assert is_transient(error) is transient


@pytest.mark.parametrize(("jitter", "wait_s"), [(0.0, 0.5), (1.0, 0.375)])
def test_backoff_is_cut_by_up_to_a_quarter(jitter: float, wait_s: float) -> None:
    assert decide(errors.ServerError("no"), attempt=1, elapsed_s=0, limits=LIMITS, jitter=jitter) == Retry(wait_s)


def test_backoff_doubles_up_to_its_cap() -> None:
    assert [backoff_s(attempt, limits=LIMITS) for attempt in (1, 2, 3, 5, 6, 10_000)] == [0.5, 1, 2, 8, 8, 8]


def test_the_servers_wait_is_kept_to_the_letter() -> None:
    error = errors.RateLimited("no", retry_after_s=17.5)
    assert decide(error, attempt=1, elapsed_s=0, limits=LIMITS, jitter=1) == Retry(17.5)


def test_asked_for_no_wait_it_sends_at_once_up_to_the_last_attempt() -> None:
    error = errors.RateLimited("no", retry_after_s=0.0)
    assert decide(error, attempt=3, elapsed_s=0, limits=LIMITS, jitter=0) == Retry(0.0)
    assert isinstance(decide(error, attempt=4, elapsed_s=0, limits=LIMITS, jitter=0), Stop)


@pytest.mark.parametrize(
    ("error", "attempt", "elapsed_s", "reason"),
    [
        (errors.InvalidRequest("no"), 1, 0, "would not help"),
        (errors.ServerError("no"), 4, 0, "all 4 attempts"),
        (errors.ServerError("no"), 1, 29.9, "0.1 s left"),
        (errors.RateLimited("no", retry_after_s=60), 1, 0, "wait 60 s"),
    ],
)
def test_a_stop_says_why(error: LLMError, attempt: int, elapsed_s: float, reason: str) -> None:
    decision = decide(error, attempt=attempt, elapsed_s=elapsed_s, limits=LIMITS, jitter=0)
    assert isinstance(decision, Stop)
    assert reason in decision.reason


@given(failures, limits, st.integers(1, 30), st.floats(0, 1e5), st.floats(0, 1))
def test_a_retry_always_fits_into_attempts_and_deadline(
    error: LLMError, limits: Limits, attempt: int, elapsed_s: float, jitter: float
) -> None:
    decision = decide(error, attempt=attempt, elapsed_s=elapsed_s, limits=limits, jitter=jitter)
    if isinstance(decision, Retry):
        assert attempt < limits.max_attempts
        assert decision.wait_s >= (error.retry_after_s or 0)
        assert elapsed_s + decision.wait_s < limits.deadline_s or elapsed_s == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "50", "retry-after": "7"}, 0.05),
        ({"x-ms-retry-after-ms": "50", "retry-after": "7"}, 0.05),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "1e1"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 +99999999999"}, None),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 -0000"}, 30),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    """Row 4.I3."""
    assert retry_after_s(headers, now=NOW) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text()))
def test_no_header_breaks_the_parser(headers: dict[str, str]) -> None:
    seconds = retry_after_s(headers, now=NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("headers", "status_code", "seconds"),
    [
        ({}, 429, None),
        ({"x-rate-limit-reset-tokens": "55"}, 429, 55),  # Azure
        ({"x-rate-limit-reset-tokens": "55"}, 500, None),
        ({"x-ratelimit-reset-requests": "6ms", "x-ratelimit-reset-tokens": "1m30.5s"}, 429, 90.5),
        ({"x-ratelimit-reset-tokens": "1h0m1s"}, 429, 3601),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7"}, 503, 7),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "7",
                "x-ratelimit-remaining-tokens": "9000",
                "x-ratelimit-reset-tokens": "500",
            },
            429,
            7,
        ),
        ({"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}, 429, None),  # Azure knows nothing
        ({"x-ratelimit-reset-tokens": "soon"}, 429, None),
        ({"x-ratelimit-reset-tokens": "5 s"}, 429, None),
        ({"x-ratelimit-reset-tokens": "9" * 400 + "h"}, 429, None),
    ],
)
def test_the_reset_of_a_spent_quota_is_a_wait(headers: dict[str, str], status_code: int, seconds: float | None) -> None:
    assert quota_reset_s(headers, status_code=status_code) == seconds


@pytest.mark.parametrize(
    "limits",
    [
        {"deadline_s": "5"},
        {"deadline_s": True},
        {"deadline_s": None},
        {"max_attempts": "2"},
        {"max_attempts": 1.5},
        {"max_attempts": True},
        {"max_attempts": 10**9},
    ],
)
def test_limits_of_a_wrong_type_or_size_are_refused_with_their_value(limits: dict[str, Any]) -> None:
    ((name, value),) = limits.items()
    with pytest.raises(errors.ConfigError, match=re.escape(f"{name} = {value!r} is not valid: it has to be")):
        Limits(**limits)


class Clock:
    """Time that passes only as it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lived(script: list[tuple[float, LLMError | None]], limits: Limits) -> tuple[Call, LLMError | None, int, float]:
    """A call whose requests take and bring what `script` says: how it ends, its requests, and the time it took."""
    clock, sent = Clock(), 0
    call = Call(limits, clock=clock, dice=lambda: 0.5)
    steps: Generator[Step, Any, str] = life(call)
    step = next(steps)
    try:
        while True:
            if isinstance(step, Wait):
                clock.now += step.seconds
            if not isinstance(step, Send):
                step = steps.send(True)  # leave to send, and to retry
                continue
            duration_s, outcome = script[min(sent, len(script) - 1)]
            sent += 1
            clock.now += min(duration_s, step.timeout_s)
            if duration_s > step.timeout_s:
                outcome = call.out_of_time("waiting")
            step = steps.throw(outcome) if outcome else steps.send("answer")
    except StopIteration:
        return call, None, sent, clock.now
    except LLMError as error:
        return call, error, sent, clock.now


@given(st.lists(st.tuples(st.floats(0, 100), st.none() | failures), min_size=1), limits)
def test_a_call_never_exceeds_its_attempts_or_its_deadline(
    script: list[tuple[float, LLMError | None]], limits: Limits
) -> None:
    call, error, sent, took_s = lived(script, limits)
    assert sent == len(call.attempts) <= limits.max_attempts
    assert took_s <= limits.deadline_s * (1 + 1e-9)
    if error is not None:
        assert len(error.attempts) == sent
        assert all(attempt.error for attempt in error.attempts)


def test_attempts_tell_the_story_in_order() -> None:
    script = [
        (1.0, errors.ServerError("no", status_code=500)),
        (2.0, errors.RateLimited("no", retry_after_s=3)),
        (0.5, None),
    ]
    call, error, sent, took_s = lived(script, LIMITS)
    call.succeeded(status_code=201, request_id="req_3")
    assert (error, sent, took_s) == (None, 3, 1 + 0.4375 + 2 + 3 + 0.5)
    assert [(attempt.error, attempt.wait_s, attempt.duration_s) for attempt in call.attempts] == [
        ("ServerError", 0, 1),
        ("RateLimited", 0.4375, 2),
        (None, 3, 0.5),
    ]
