"""Faults of whole responses: refusals, failures and delays."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from mockserver import problems
from mockserver.answers import Answer
from mockserver.calls import Call
from mockserver.faults.registry import Effect, register
from mockserver.faults.statuses import refusal_of
from mockserver.generating.dice import Dice
from mockserver.scripting.options import Rule, within
from mockserver.scripting.steps import Moment
from mockserver.surfaces import Scripted

FailureStatus = Annotated[int, within(500, 599, "a whole number")]
RefusalStatus = Annotated[int, within(400, 599, "a whole number")]
RetryAfter = Annotated[float, within(0, 1_000_000, "seconds")]  # longer than a step may last: nobody waits for it here
Category = Literal["hate", "self_harm", "sexual", "violence", "jailbreak"]
Severity = Literal["low", "medium", "high"]
_LONGEST_S = 86_400


@register("response", replaces=True)
def rate_limited(*, retry_after_s: RetryAfter = 1.0, limit: Literal["requests", "tokens"] = "requests") -> Effect:
    """429 with Retry-After and retry-after-ms; `limit` is the quota that is spent."""

    def effect(moment: Moment) -> Answer:
        problem = moment.dialect.rate_limited(moment.call, retry_after_s=retry_after_s, limit=limit)
        return moment.refuse(problem)

    return effect


@register("response", replaces=True)
def server_error(*, status: FailureStatus = 500) -> Effect:
    """A failure of the service, with any status from 500 to 599."""

    def effect(moment: Moment) -> Answer:
        return moment.refuse(refusal_of(moment, status))

    return effect


@register("response", replaces=True)
def http_error(*, status: RefusalStatus) -> Effect:
    """A refusal with any status from 400 to 599, in the words that the API has for it."""

    def effect(moment: Moment) -> Answer:
        return moment.refuse(refusal_of(moment, status))

    return effect


@register("response", replaces=True)
def insufficient_quota() -> Effect:
    """429 for money or a daily quota spent: no retry within a minute's reach helps."""

    def effect(moment: Moment) -> Answer:
        return moment.refuse(moment.dialect.insufficient_quota(moment.call))

    return effect


_FILTERED = ("chat", "completions", "responses", "realtime")  # what puts the filter's word into a reply on OpenAI


def _unfiltered(call: Call) -> str:
    """Why no filter looks at what a call asks; on Azure pictures are filtered too, see `surfaces.images`."""
    surfaces = (*_FILTERED, "images") if call.dialect == "azure" else _FILTERED
    if call.surface in surfaces and (call.method == "POST" or call.surface == "realtime"):
        return ""
    return f"content_filtered acts on {', '.join(surfaces)} only, and this is {call.method} {call.path}"


@register("response", replaces=True, unfit=_unfiltered)
def content_filtered(*, category: Category = "violence", severity: Severity = "medium") -> Effect:
    """A prompt that the filter stops: on Azure a 400, on OpenAI a reply that ends with `content_filter`.

    Requests for which there is no filter, such as those for embeddings or speech, are left alone.
    `category` and `severity` are what Azure says of it.
    """

    def effect(moment: Moment) -> Answer:
        surface = moment.call.surface
        problem = moment.dialect.content_filtered(category=category, severity=severity, surface=surface)
        if problem is not None:
            return moment.refuse(problem)
        return moment.say(Scripted(text="", finish_reason="content_filter"))

    return effect


@register("response", replaces=True)
def refused(
    *,
    status: RefusalStatus,
    message: str,
    type: str | None = None,  # noqa: A002 - the name of the field
    param: str | None = None,
    code: str | None = None,
) -> Effect:
    """Any refusal with the four fields of an error; `status` from 400 to 599."""

    def effect(moment: Moment) -> Answer:
        return moment.refuse(problems.error(status, message, kind=type, param=param, code=code))

    return effect


def _is_delay(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return _is_number(value, 0, _LONGEST_S)
    if value.keys() == {"low", "high"}:
        in_range = all(_is_number(each, 0, _LONGEST_S) for each in value.values())
        return in_range and value["low"] <= value["high"]
    if value.keys() == {"median", "sigma"}:
        return _is_number(value["median"], 0.000_001, _LONGEST_S) and _is_number(value["sigma"], 0, 10)
    return False


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


_DELAYS = (
    f'seconds from 0 to {_LONGEST_S}, or {{"low": a, "high": b}} for a uniform, or {{"median": m, "sigma": s}} for a'
    " lognormal distribution of them"
)
Delay = Annotated[Any, Rule(_DELAYS, _is_delay)]


@register("response")
def latency(*, delay_s: Delay) -> Effect:
    """The answer, `delay_s` late: seconds, or a uniform {"low", "high"} or lognormal {"median", "sigma"} distribution.

    What is drawn depends on the script's seed, on what is asked and on how often that was asked before.
    """

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        return replace(answer, delay_s=answer.delay_s + _drawn(delay_s, moment.dice))

    return effect


def _drawn(delay_s: Any, dice: Dice) -> float:
    if not isinstance(delay_s, Mapping):
        return float(delay_s)
    if "low" in delay_s:
        return dice.uniform(delay_s["low"], delay_s["high"])
    return min(dice.lognormvariate(math.log(delay_s["median"]), delay_s["sigma"]), _LONGEST_S)
