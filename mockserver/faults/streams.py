"""Faults of a body on its way: streams, and other bodies, that break off."""

from dataclasses import replace
from typing import Annotated

from mockserver.faults.registry import Effect, register
from mockserver.options import within
from mockserver.steps import Moment
from mockserver.surfaces import Scripted
from mockserver.wire import Answer, CutHow

Frames = Annotated[int, within(0, 1_000_000, "a whole number")]


@register
def cut_stream(*, after_frames: Frames = 3, how: CutHow = "reset") -> Effect:
    """A stream that ends after so many events, any other body in its middle.

    `how`: "reset" with a RST; "close" with a FIN where more was promised; "eof" as if that were all, so that only what
    is missing tells (of a stream the finish reason and `[DONE]`).
    """

    def effect(moment: Moment) -> Answer:
        answer = moment.normal(Scripted())
        if answer.streamed:
            return replace(answer, frames=answer.frames[:after_frames], cut=how)
        half = answer.body[: len(answer.body) // 2]
        if how == "eof":
            return replace(answer, frames=(half,))
        return replace(answer, frames=(half,), cut=how, full_length=len(answer.body))

    return effect
