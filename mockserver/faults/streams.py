"""Faults of streams, addressed by frame and byte or by landmark.

Frames are counted as the faults before have left them. A place that a stream turns out not to have leaves it as it is,
and the journal says so; one that it can't have for what is asked leaves the step to later requests.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from mockserver.answers import Answer, Ending, Frame
from mockserver.calls import Call
from mockserver.faults.landmarks import At, Spot, found
from mockserver.faults.registry import Effect, NothingToActOn, register
from mockserver.scripting.options import Seconds, within
from mockserver.scripting.steps import Moment
from mockserver.wire import compact, event, named_events

Frames = tuple[Frame, ...]
Count = Annotated[int, within(1, 1_000_000, "a whole number")]
_THIRD: dict[str, Any] = {"frame": 2}  # of a chat on OpenAI and Azure alike the first that has text

# comments as in the SSE standard, https://html.spec.whatwg.org/multipage/server-sent-events.html; their text is made up
_KEEPALIVE = b": keep-alive\n\n"


@register("stream")
def cut(*, at: At = "finish", how: Literal["rst", "fin", "eof"] = "rst") -> Effect:
    """The stream ends at a frame, a byte or a landmark.

    `how`: "rst" with a reset; "fin" closed inside the chunked body; "eof" as if that were all, so that only what is
    missing tells.
    """
    ending: Ending = "whole" if how == "eof" else how

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        before, _ = _parted(answer.frames, _place(answer, at))
        return replace(answer, frames=before, ending=ending)

    return effect


@register("stream")
def bad_chunk(*, at: At = "finish") -> Effect:
    """At this place comes a chunk whose size is no number, and the connection closes."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        before, _ = _parted(answer.frames, _place(answer, at))
        return replace(answer, frames=before, ending="garbled")

    return effect


@register("stream")
def stall(*, at: At = "finish", stall_s: Seconds | None = None) -> Effect:
    """At this place nothing comes for `stall_s`; without them until the client leaves or the server stops."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        before, behind = _parted(answer.frames, _place(answer, at))
        if stall_s is None:
            return replace(answer, frames=before, ending="hang")
        first, *rest = behind or (Frame(b""),)
        return replace(answer, frames=(*before, Frame(first.data, first.wait_s + stall_s), *rest))

    return effect


@register("stream")
def drip(*, interval_s: Seconds = 0.1, size: Count | None = None) -> Effect:
    """Each frame comes `interval_s` after the one before; with a `size`, each piece of so many bytes."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        parts = [part for frame in answer.frames for part in _pieces(frame, size)]
        frames = tuple(
            Frame(data, wait_s + interval_s if index else wait_s) for index, (data, wait_s) in enumerate(parts)
        )
        return replace(answer, frames=frames)

    return effect


@register("stream")
def keepalives_only(*, count: Count = 3, interval_s: Seconds = 1.0) -> Effect:
    """Nothing but comments, `count` of them every `interval_s`, and then silence until the client leaves."""

    def effect(moment: Moment) -> Answer:
        frames = tuple(Frame(_KEEPALIVE, interval_s if index else 0.0) for index in range(count))
        return replace(_stream(moment), frames=frames, ending="hang")

    return effect


@register("stream")
def comments() -> Effect:
    """A comment before each frame, which every reader of events should pass over."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        frames = (each for frame in answer.frames for each in (Frame(_KEEPALIVE, frame.wait_s), Frame(frame.data)))
        return replace(answer, frames=tuple(frames))

    return effect


@register("stream")
def error_event(*, at: At = "finish", code: Literal["server_error", "rate_limit_exceeded"] = "server_error") -> Effect:
    """An error in place of the frame here and of all that follows, in the words of the API.

    Inside a frame it comes behind that frame. In a stream of responses it is an `error` event, or for
    "rate_limit_exceeded" a `response.failed`, as Azure sends it under a status of 200.
    """

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        spot = _place(answer, at)
        before = answer.frames[: spot.frame + bool(spot.byte)]
        return replace(answer, frames=(*before, Frame(_error_frame(moment, code, len(before)))))

    return effect


def _error_frame(moment: Moment, code: str, number: int) -> bytes:
    """The error as an event: of a chat as quoted in sashabaranov/go-openai#69, of responses as in the API reference.

    What follows it is unverified; here the stream ends.
    """
    if code == "rate_limit_exceeded":
        error = moment.dialect.rate_limited(moment.call, retry_after_s=1.0, limit="tokens").error
    else:
        error = moment.dialect.server_error(moment.call, 500).error
    if moment.call.surface != "responses":
        return event(compact({"error": error}))
    message = error["message"]
    if code == "rate_limit_exceeded":  # quoted in earendil-works/pi#1458; its other fields are unverified
        response = {"object": "response", "status": "failed", "error": {"code": code, "message": message}, "output": []}
        name, body = "response.failed", {"type": "response.failed", "sequence_number": number, "response": response}
    else:
        name = "error"
        body = {"type": name, "code": code, "message": message, "param": None, "sequence_number": number}
    return named_events([(name, body)])[0]


@register("stream")
def bare_error(*, at: At = "finish", named: bool = True) -> Effect:
    """As `error_event`, but the data has no key `error`: it is the error itself, of the type "error".

    So streams of responses tell an error; of a chat it is unverified. Not `named`, it lacks the line `event: error`.
    """

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        spot = _place(answer, at)
        before = answer.frames[: spot.frame + bool(spot.byte)]
        message = moment.dialect.server_error(moment.call, 500).error["message"]
        told = event(compact({"type": "error", "code": "server_error", "message": message, "param": None}))
        return replace(answer, frames=(*before, Frame(b"event: error\n" + told if named else told)))

    return effect


def _without_choices(call: Call) -> str:
    return "" if call.surface == "chat" else f"filter_chunk acts on streams of chat only, and this is {call.path}"


@register("stream", unfit=_without_choices)
def filter_chunk(*, at: At = _THIRD) -> Effect:
    """Before the frame here comes a choice without `delta`, with what a filter found in the text so far.

    So Azure's asynchronous filter tells it; the stream is whole.
    """

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        spot = _frame_at(answer, at)
        return _instead(answer, spot, event(compact(_FILTER_CHUNK)), answer.frames[spot.frame].data)

    return effect


# quoted in langchain-ai/langchain#18977 and openai/openai-python#1677; the offsets are letters of prompt and text
_FILTER_CHUNK = {
    "id": "",
    "object": "",
    "created": 0,
    "model": "",
    "choices": [
        {
            "finish_reason": None,
            "index": 0,
            "content_filter_results": {
                category: {"filtered": False, "severity": "safe"}
                for category in ("hate", "self_harm", "sexual", "violence")
            },
            "content_filter_offsets": {"check_offset": 20, "start_offset": 20, "end_offset": 40},
        }
    ],
}


@register("stream")
def bad_frame(*, at: At = _THIRD) -> Effect:
    """The JSON of the frame here breaks off: at the byte where one is given, else behind two thirds."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        spot = _frame_at(answer, at)
        data = answer.frames[spot.frame].data
        return _instead(answer, spot, data[: spot.byte or len(data) * 2 // 3] + b"\n\n")

    return effect


@register("stream")
def no_blank_line(*, at: At = _THIRD) -> Effect:
    """The blank line that ends the frame here is missing, so that it runs into the next one."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        spot = _frame_at(answer, at)
        return _instead(answer, spot, answer.frames[spot.frame].data.removesuffix(b"\n"))

    return effect


@register("stream")
def no_data(*, at: At = _THIRD) -> Effect:
    """Before the frame here comes an event that has a name and no data."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        spot = _frame_at(answer, at)
        return _instead(answer, spot, b"event: ping\n\n", answer.frames[spot.frame].data)

    return effect


@register("stream", place="done")
def no_done() -> Effect:
    """The stream ends without its `[DONE]`, as filtered streams of Azure were seen to end."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        spot = _frame_at(answer, "done")
        return replace(answer, frames=answer.frames[: spot.frame] + answer.frames[spot.frame + 1 :])

    return effect


@register("stream")
def crlf() -> Effect:
    """Lines end with CR LF, which the standard allows."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        frames = (Frame(frame.data.replace(b"\n", b"\r\n"), frame.wait_s) for frame in answer.frames)
        return replace(answer, frames=tuple(frames))

    return effect


@register("stream", place="utf8")
def split_utf8(*, interval_s: Seconds = 0.01) -> Effect:
    """Every letter of several bytes comes in two pieces, `interval_s` apart."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        if all(frame.data.isascii() for frame in answer.frames):
            raise NothingToActOn("the stream has no letter of several bytes")
        return replace(answer, frames=tuple(part for frame in answer.frames for part in _letters(frame, interval_s)))

    return effect


@register("stream")
def duplicate(*, at: At = _THIRD) -> Effect:
    """The frame here comes twice."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        spot = _frame_at(answer, at)
        data = answer.frames[spot.frame].data
        return _instead(answer, spot, data, data)

    return effect


@register("stream")
def drop(*, at: At = _THIRD) -> Effect:
    """The frame here does not come."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        return _instead(answer, _frame_at(answer, at))

    return effect


@register("stream")
def reorder(*, at: At = _THIRD) -> Effect:
    """The frame here comes behind the one that should follow it."""

    def effect(moment: Moment) -> Answer:
        answer = _stream(moment)
        here = _frame_at(answer, at).frame
        if here + 1 == len(answer.frames):
            raise NothingToActOn(f"no frame follows {at!r}")
        first, second = answer.frames[here : here + 2]
        swapped = (Frame(second.data, first.wait_s), Frame(first.data, second.wait_s))
        return replace(answer, frames=(*answer.frames[:here], *swapped, *answer.frames[here + 2 :]))

    return effect


def _stream(moment: Moment) -> Answer:
    answer = moment.inner()
    if not answer.streamed:
        raise NothingToActOn("the answer is no stream")
    return answer


def _place(answer: Answer, at: Any) -> Spot:
    spot = found(answer.frames, at)
    if spot is None:
        raise NothingToActOn(f"the stream has no {at!r}; it has {len(answer.frames)} frames")
    return spot


def _frame_at(answer: Answer, at: Any) -> Spot:
    """A place with a frame: not behind the last."""
    spot = _place(answer, at)
    if spot.frame == len(answer.frames):
        raise NothingToActOn(f"the stream has no {at!r}; it has {len(answer.frames)} frames")
    return spot


def _parted(frames: Frames, spot: Spot) -> tuple[Frames, Frames]:
    """What comes before a spot, and what behind it."""
    before, behind = frames[: spot.frame], frames[spot.frame :]
    if not spot.byte:
        return before, behind
    frame = behind[0]
    return (*before, Frame(frame.data[: spot.byte], frame.wait_s)), (Frame(frame.data[spot.byte :]), *behind[1:])


def _instead(answer: Answer, spot: Spot, *parts: bytes) -> Answer:
    """The stream with these parts in place of the frame at `spot`."""
    wait_s = answer.frames[spot.frame].wait_s
    frames = (Frame(part, 0.0 if index else wait_s) for index, part in enumerate(parts))
    return replace(answer, frames=(*answer.frames[: spot.frame], *frames, *answer.frames[spot.frame + 1 :]))


def _pieces(frame: Frame, size: int | None) -> Sequence[Frame]:
    size = size or max(len(frame.data), 1)
    starts = range(0, max(len(frame.data), 1), size)
    return [Frame(frame.data[start : start + size], 0.0 if start else frame.wait_s) for start in starts]


def _letters(frame: Frame, interval_s: float) -> Sequence[Frame]:
    """The pieces of a frame that ends and begins inside each letter of several bytes."""
    inside = [index + 1 for index, byte in enumerate(frame.data) if byte >= 0xC0]
    ends = [*inside, len(frame.data)]
    starts = [0, *inside]
    waits = [frame.wait_s, *[interval_s] * len(inside)]
    return [Frame(frame.data[start:end], wait) for start, end, wait in zip(starts, ends, waits, strict=True)]
