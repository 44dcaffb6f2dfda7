"""Faults of streams, addressed by frame and byte or by landmark."""

from dataclasses import replace
from typing import Literal

from mockserver.answers import Answer, Frame
from mockserver.faults.landmarks import At, found
from mockserver.faults.registry import Effect, register
from mockserver.scripting.steps import Moment


@register("stream")
def cut(*, at: At = "finish", how: Literal["rst", "fin", "eof"] = "rst") -> Effect:
    """The stream ends at a frame, a byte or a landmark.

    `how`: "rst" with a reset; "fin" closed inside the chunked body; "eof" as if that were all, so that only what is
    missing tells.
    """

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        spot = found(answer.frames, at)
        head = answer.frames[: spot.frame]
        if spot.byte:
            frame = answer.frames[spot.frame]
            head = (*head, Frame(frame.data[: spot.byte], frame.wait_s))
        return replace(answer, frames=head, ending="whole" if how == "eof" else how)

    return effect
