"""The retry budget: all calls together retry no more than a share of the successes and a floor."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import errors
from llmkit.errors import ConfigError, LLMError
from llmkit.policies import State
from llmkit.policies.budget import RetryBudget, retry_cost


def test_a_spent_budget_refuses_until_successes_or_time_refill_it() -> None:
    budget, state = RetryBudget(capacity=2, per_success=0.5, per_s=0.1), None
    answers = []
    for now in (0.0, 0.0, 0.0):
        state, granted = budget.spend(state, now)
        answers.append(granted)
    state, _ = budget.succeeded(state, 0.0)
    answers.append(budget.spend(state, 0.0)[1])
    state, _ = budget.succeeded(state, 0.0)
    answers.append(budget.spend(state, 0.0)[1])
    assert answers == [True, True, False, False, True]
    _, granted = budget.spend((0.0, 0.0), 10.0)
    assert granted


def test_a_rest_fills_the_bucket_and_no_more() -> None:
    budget, state, retries = RetryBudget(capacity=3, per_s=1), (0.0, 0.0), 0
    granted = True
    while granted:
        state, granted = budget.spend(state, 1e6)  # type: ignore[assignment]  # it is no longer full
        retries += granted
    assert retries == 3


def test_calls_that_succeed_at_once_write_nothing() -> None:
    assert RetryBudget().succeeded(None, 5.0) == (None, None)


def test_a_bucket_that_is_full_again_is_forgotten() -> None:
    budget = RetryBudget(capacity=1, per_success=1)
    state, _ = budget.spend(None, 0.0)
    assert budget.succeeded(state, 0.0)[0] is None


@pytest.mark.parametrize(
    ("error", "cost"),
    [
        (errors.RateLimited("no", retry_after_s=20), 0),
        (errors.RateLimited("no", retry_after_s=0), 1),
        (errors.RateLimited("no"), 1),
        (errors.Overloaded("no", retry_after_s=20), 1),
        (errors.ConnectionFailed("no"), 1),
    ],
)
def test_waits_that_the_server_paces_cost_nothing(error: LLMError, cost: float) -> None:
    assert retry_cost(error) == cost


@pytest.mark.parametrize("numbers", [{"capacity": -1}, {"per_s": float("nan")}, {"per_success": float("inf")}])
def test_numbers_that_make_no_sense_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="number of retries"):
        RetryBudget(**numbers)


@given(
    st.lists(st.tuples(st.sampled_from(["retry", "success"]), st.floats(0, 5)), max_size=200),
    st.integers(0, 20),
    st.sampled_from([0, 0.25, 0.5, 1]),
    st.sampled_from([0, 0.25, 1]),
)
def test_retries_never_exceed_what_was_there_and_what_came(
    script: list[tuple[str, float]], capacity: int, per_success: float, per_s: float
) -> None:
    budget = RetryBudget(capacity=capacity, per_success=per_success, per_s=per_s)
    state: State = None
    now, retries, successes = 0.0, 0, 0
    for step, pause_s in script:
        now += pause_s
        state = json.loads(json.dumps(state))
        if step == "retry":
            state, granted = budget.spend(state, now)
            retries += granted
        else:
            state, _ = budget.succeeded(state, now)
            successes += 1
        assert retries <= capacity + per_success * successes + per_s * now + 1e-6


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_a_state_that_is_none_is_taken_for_a_full_bucket(state: Any) -> None:
    budget = RetryBudget()
    budget.spend(state, 0.0)
    budget.succeeded(state, 0.0)
