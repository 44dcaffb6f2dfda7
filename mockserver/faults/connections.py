"""Faults of the connection itself."""

import math
from dataclasses import replace
from typing import Literal

from mockserver.answers import Answer, Frame, chunk_of, head_of
from mockserver.faults.registry import Effect, register
from mockserver.scripting.options import Seconds
from mockserver.scripting.steps import Moment

# what a client meets that reaches a port where something else listens: the greeting that RFC 4253 asks for
_SSH = b"SSH-2.0-OpenSSH_9.6\r\n"


@register("connection")
def hang(*, seconds: Seconds | None = None, where: Literal["before", "headers"] = "before") -> Effect:
    """Silence before anything is sent, or in the middle of the headers.

    It lasts `seconds`, then the rest follows; without them until the client leaves or the server stops.
    """

    def effect(moment: Moment) -> Answer:
        if where == "headers":
            return _halting(moment.inner(), seconds)
        if seconds is None:
            return Answer(status=0, headless=True, delay_s=math.inf)
        answer = moment.inner()
        return replace(answer, delay_s=answer.delay_s + seconds)

    return effect


def _halting(answer: Answer, seconds: float | None) -> Answer:
    """The same bytes, with silence between the two halves of the headers; the connection closes behind them."""
    if answer.headless:
        return answer
    head = head_of(answer)
    half = head.index(b"\r\n") + (len(head) - head.index(b"\r\n")) // 2
    start = Frame(head[:half])
    if seconds is None:
        return replace(answer, frames=(start,), headless=True, streamed=False, ending="hang")
    frames = answer.frames
    if answer.streamed:
        end = (Frame(chunk_of(b"")),) if answer.ending == "whole" else ()
        frames = (*(Frame(chunk_of(frame.data) if frame.data else b"", frame.wait_s) for frame in frames), *end)
    return replace(answer, frames=(start, Frame(head[half:], seconds), *frames), headless=True, streamed=False)


@register("connection", replaces=True)
def reset() -> Effect:
    """The connection is reset (RST) in place of an answer."""
    return _instead(b"", "rst")


@register("connection", replaces=True)
def close() -> Effect:
    """The connection is closed (FIN) in place of an answer, without a byte."""
    return _instead(b"", "fin")


@register("connection", replaces=True)
def refuse(*, seconds: Seconds = 1.0) -> Effect:
    """The connection is reset, and for `seconds` every new one is refused: nobody listens on the port."""

    def effect(_moment: Moment) -> Answer:
        return Answer(status=0, headless=True, ending="rst", shut_s=seconds)

    return effect


@register("connection", replaces=True)
def garbage() -> Effect:
    """What is no HTTP in place of an answer, the greeting of an SSH server, and the connection is closed."""
    return _instead(_SSH, "fin")


def _instead(data: bytes, ending: Literal["rst", "fin"]) -> Effect:
    frames = (Frame(data),) if data else ()

    def effect(_moment: Moment) -> Answer:
        return Answer(status=0, headless=True, frames=frames, ending=ending)

    return effect


@register("connection")
def close_idle(*, after_s: Seconds = 0.0) -> Effect:
    """The answer is whole, and `after_s` later its connection is closed, though no header said so.

    A request that is sent on it meanwhile is lost.
    """

    def effect(moment: Moment) -> Answer:
        return replace(moment.inner(), idle_close_s=after_s)

    return effect
