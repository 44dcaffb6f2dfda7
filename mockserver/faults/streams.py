"""Faults of a body on its way: streams, and other bodies, that break off."""

from dataclasses import replace

from mockserver.faults.registry import Effect, register
from mockserver.steps import Moment
from mockserver.surfaces import Scripted
from mockserver.wire import Answer, CutHow


@register
def cut_stream(*, after_frames: int = 3, how: CutHow = "reset") -> Effect:
    """A stream that ends after so many events, any other body in its middle.

    `how`: "reset" with a RST; "close" with a FIN where more was promised; "eof" as if that were all, so that only what
    is missing tells (of a stream the finish reason and `[DONE]`).
    """
    if after_frames < 0:
        raise ValueError(f"after_frames is {after_frames!r}; it takes a whole number from 0 on")

    def effect(moment: Moment) -> Answer:
        answer = moment.normal(Scripted())
        if answer.streamed:
            return replace(answer, frames=answer.frames[:after_frames], cut=how)
        half = answer.body[: len(answer.body) // 2]
        if how == "eof":
            return replace(answer, frames=(half,))
        return replace(answer, frames=(half,), cut=how, full_length=len(answer.body))

    return effect
