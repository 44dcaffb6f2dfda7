"""Which errors a fallback is for, and what it tries in which order. Row 4.I7."""

import pickle
from typing import Any

import pytest

from llmkit import errors
from llmkit.errors import ConfigError, LLMError
from llmkit.policies.fallback import Ask, Degraded, Fallback, Recall, Say, Target, degraded, fallback_of, steps_after

MINI, BIG = Target("gpt-4o-mini"), Target("gpt-4.1")
PLAN = Fallback(models=(MINI, BIG), stale=True, default="Later, please.", larger=(BIG,))
EVERYTHING = [Ask(MINI), Ask(BIG), Recall(), Say("Later, please.")]


@pytest.mark.parametrize(
    ("error", "steps"),
    [
        (errors.ServerError("no"), EVERYTHING),
        (errors.Overloaded("no"), EVERYTHING),
        (errors.RateLimited("no"), EVERYTHING),
        (errors.QuotaExceeded("no"), EVERYTHING),
        (errors.ConnectionFailed("no"), EVERYTHING),
        (errors.CircuitOpen("no"), EVERYTHING),
        (errors.MalformedResponse("no"), EVERYTHING),
        (errors.StreamTruncated("no"), EVERYTHING),
        (errors.FirstTokenTimeout("no"), EVERYTHING),
        (errors.ContextOverflow("no"), [Ask(BIG)]),
        (errors.InvalidRequest("no"), []),
        (errors.ContentFiltered("no"), []),
        (errors.AuthenticationFailed("no"), []),
        (errors.PermissionDenied("no"), []),
        (errors.DeploymentNotFound("no"), []),
        (errors.ConfigError("no"), []),
    ],
)
def test_what_is_tried_after_which_error(error: LLMError, steps: list[object]) -> None:
    assert list(steps_after(PLAN, error, in_time=True)) == steps


def test_without_time_only_what_needs_none_is_tried() -> None:
    error = errors.DeadlineExceeded("no")
    assert list(steps_after(PLAN, error, in_time=False)) == [Recall(), Say("Later, please.")]
    assert list(steps_after(PLAN, errors.ContextOverflow("no"), in_time=False)) == []


def test_without_a_plan_nothing_is_tried() -> None:
    assert list(steps_after(fallback_of(None), errors.ServerError("no"), in_time=True)) == []


@pytest.mark.parametrize(
    ("value", "plan"),
    [
        ("gpt-4o-mini", Fallback(models=(MINI,))),
        (["gpt-4o-mini", BIG], Fallback(models=(MINI, BIG))),
        (PLAN, PLAN),
    ],
)
def test_a_plan_can_be_written_short(value: object, plan: Fallback) -> None:
    assert fallback_of(value) == plan


@pytest.mark.parametrize("value", [7, b"gpt-4o", [""], [None], {"gpt-4o": 1}])
def test_what_is_no_plan_is_refused_with_its_value(value: Any) -> None:
    with pytest.raises(ConfigError, match="fallback"):
        fallback_of(value)


@pytest.mark.parametrize(
    ("step", "kind", "target"),
    [(Ask(MINI), "model", "gpt-4o-mini"), (Recall(), "cache", ""), (Say("Later."), "default", "")],
)
def test_a_reply_in_its_stead_is_marked(step: Any, kind: Any, target: str) -> None:
    mark = degraded(step, errors.ServerError("it failed", status_code=500))
    assert mark == Degraded(kind=kind, target=target, error="ServerError", reason="it failed")
    assert pickle.loads(pickle.dumps(mark)) == mark
