"""Faults of whole responses: refusals, failures, and bodies that are not what they should be."""

from dataclasses import replace
from typing import Annotated, Literal

from mockserver import problems
from mockserver.answers import Answer, Frame
from mockserver.faults.registry import Effect, register
from mockserver.scripting.options import Seconds, within
from mockserver.scripting.steps import Moment
from mockserver.surfaces import Scripted

FailureStatus = Annotated[int, within(500, 599, "a whole number")]
RefusalStatus = Annotated[int, within(400, 599, "a whole number")]
RetryAfter = Annotated[float, within(0, 1_000_000, "seconds")]  # longer than a step may last: nobody waits for it here


@register("response")
def rate_limited(*, retry_after_s: RetryAfter = 1.0, limit: Literal["requests", "tokens"] = "requests") -> Effect:
    """429 with Retry-After and retry-after-ms; `limit` is the quota that is spent."""

    def effect(moment: Moment) -> Answer:
        problem = moment.dialect.rate_limited(moment.call, retry_after_s=retry_after_s, limit=limit)
        return moment.refuse(problem)

    return effect


@register("response")
def server_error(*, status: FailureStatus = 500) -> Effect:
    """A failure of the service, with any status from 500 to 599."""

    def effect(moment: Moment) -> Answer:
        return moment.refuse(moment.dialect.server_error(moment.call, status))

    return effect


@register("response")
def insufficient_quota() -> Effect:
    """429 for money or a daily quota spent: no retry within a minute's reach helps."""

    def effect(moment: Moment) -> Answer:
        return moment.refuse(moment.dialect.insufficient_quota(moment.call))

    return effect


@register("response")
def content_filtered() -> Effect:
    """A prompt that the filter stops: on Azure a 400, on OpenAI a reply that ends with `content_filter`."""

    def effect(moment: Moment) -> Answer:
        problem = moment.dialect.content_filtered()
        if problem is not None:
            return moment.refuse(problem)
        return moment.say(Scripted(text="", finish_reason="content_filter"))

    return effect


@register("response")
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


@register("response")
def malformed_json() -> Effect:
    """A 200 whose JSON breaks off; of a stream, the middle event."""

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        at = len(answer.frames) // 2 - 1 if answer.streamed else 0
        frames = list(answer.frames)
        data = frames[at].data
        frames[at] = Frame(data[: len(data) * 2 // 3] + (b"\n\n" if answer.streamed else b""), frames[at].wait_s)
        return replace(answer, frames=tuple(frames))

    return effect


@register("response")
def latency(*, delay_s: Seconds) -> Effect:
    """The answer, `delay_s` seconds late."""

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        return replace(answer, delay_s=answer.delay_s + delay_s)

    return effect
