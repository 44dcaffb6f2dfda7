"""Faults of the connection itself."""

import math
from dataclasses import replace

from mockserver.faults.registry import Effect, register
from mockserver.steps import Moment
from mockserver.surfaces import Scripted
from mockserver.wire import Answer


@register
def hang(*, seconds: float | None = None) -> Effect:
    """Silence: for `seconds`, then the answer; without them until the client leaves or the server stops."""
    if seconds is not None and seconds < 0:
        raise ValueError(f"seconds is {seconds!r}; it takes a number from 0 on, or nothing to hang for good")

    def effect(moment: Moment) -> Answer:
        if seconds is None:
            return Answer(status=200, delay_s=math.inf)
        return replace(moment.normal(Scripted()), delay_s=seconds)

    return effect
