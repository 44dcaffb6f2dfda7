"""Faults of the connection itself."""

import math
from dataclasses import replace

from mockserver.faults.registry import Effect, register
from mockserver.options import Seconds
from mockserver.steps import Moment
from mockserver.surfaces import Scripted
from mockserver.wire import Answer


@register
def hang(*, seconds: Seconds | None = None) -> Effect:
    """Silence: for `seconds`, then the answer; without them until the client leaves or the server stops."""

    def effect(moment: Moment) -> Answer:
        if seconds is None:
            return Answer(status=200, delay_s=math.inf)
        return replace(moment.normal(Scripted()), delay_s=seconds)

    return effect
