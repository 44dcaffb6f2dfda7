"""Faults of the connection itself."""

import math
from dataclasses import replace

from mockserver.answers import Answer
from mockserver.faults.registry import Effect, register
from mockserver.scripting.options import Seconds
from mockserver.scripting.steps import Moment


@register("connection")
def hang(*, seconds: Seconds | None = None) -> Effect:
    """Silence: for `seconds`, then the answer; without them until the client leaves or the server stops."""

    def effect(moment: Moment) -> Answer:
        if seconds is None:
            return Answer(status=0, headless=True, delay_s=math.inf)
        answer = moment.inner()
        return replace(answer, delay_s=answer.delay_s + seconds)

    return effect


@register("connection")
def reset() -> Effect:
    """The connection is reset (RST) in place of an answer."""

    def effect(_moment: Moment) -> Answer:
        return Answer(status=0, headless=True, ending="rst")

    return effect
