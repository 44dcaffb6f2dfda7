"""Faults of whole responses: refusals, failures, and bodies that are not what they should be."""

from dataclasses import replace
from typing import Annotated, Literal

from mockserver import problems
from mockserver.faults.registry import Effect, register
from mockserver.options import within
from mockserver.steps import Moment
from mockserver.surfaces import Scripted
from mockserver.wire import Answer

FailureStatus = Annotated[int, within(500, 599, "a whole number")]
RefusalStatus = Annotated[int, within(400, 599, "a whole number")]
RetryAfter = Annotated[float, within(0, 1_000_000, "seconds")]  # longer than a step may last: nobody waits for it here


@register
def rate_limited(*, retry_after_s: RetryAfter = 1.0, limit: Literal["requests", "tokens"] = "requests") -> Effect:
    """429 with Retry-After and retry-after-ms; `limit` is the quota that is spent."""

    def effect(moment: Moment) -> Answer:
        problem = moment.dialect.rate_limited(moment.call, retry_after_s=retry_after_s, limit=limit)
        return moment.refuse(problem)

    return effect


@register
def server_error(*, status: FailureStatus = 500) -> Effect:
    """A failure of the service, with any status from 500 to 599."""

    def effect(moment: Moment) -> Answer:
        return moment.refuse(moment.dialect.server_error(moment.call, status))

    return effect


@register
def quota_exceeded() -> Effect:
    """429 for money or a daily quota spent: no retry within a minute's reach helps."""

    def effect(moment: Moment) -> Answer:
        return moment.refuse(moment.dialect.quota_exceeded(moment.call))

    return effect


@register
def content_filtered() -> Effect:
    """A prompt that the filter stops: on Azure a 400, on OpenAI a reply that ends with `content_filter`."""

    def effect(moment: Moment) -> Answer:
        problem = moment.dialect.content_filtered()
        if problem is not None:
            return moment.refuse(problem)
        return moment.normal(Scripted(text="", finish_reason="content_filter"))

    return effect


@register
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


@register
def malformed_json() -> Effect:
    """A 200 whose JSON breaks off; of a stream, the middle event."""

    def effect(moment: Moment) -> Answer:
        answer = moment.normal(Scripted())
        at = len(answer.frames) // 2 - 1 if answer.streamed else 0
        frames = list(answer.frames)
        frames[at] = frames[at][: len(frames[at]) * 2 // 3] + (b"\n\n" if answer.streamed else b"")
        return replace(answer, frames=tuple(frames))

    return effect
