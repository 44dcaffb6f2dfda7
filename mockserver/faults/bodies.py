"""Faults of bodies: cut short, empty, foreign, incomplete, or not as their headers say."""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

from mockserver.answers import Answer, Ending, Frame, framed
from mockserver.faults.landmarks import payload
from mockserver.faults.registry import Effect, NothingToActOn, register
from mockserver.scripting.options import Rule, Seconds, within
from mockserver.scripting.steps import Moment

_STEPS = re.compile(r"[^.\[\]]+")
DottedPath = Annotated[str, Rule("a dotted path such as choices.0.message", lambda path: bool(_STEPS.findall(path)))]
Pieces = Annotated[int, within(1, 10_000, "a whole number")]
Delta = Annotated[int, within(-1_000_000, 1_000_000, "a whole number"), Rule("not 0", bool)]


@register("response")
def malformed_json() -> Effect:
    """A 200 whose JSON breaks off; of a stream, the middle event."""

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        at = _middle(answer)
        data = answer.frames[at].data
        broken = data[: len(data) * 2 // 3] + (b"\n\n" if answer.streamed else b"")
        return _with_frame(answer, at, broken)

    return effect


@register("response")
def truncated_body(*, how: Literal["fin", "rst", "eof"] = "fin") -> Effect:
    """Half of the body, then a close (fin) or reset (rst) before what was promised; eof promises no more than comes.

    Of a stream, half of the frames.
    """
    ending: Ending = "whole" if how == "eof" else how

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        if answer.streamed:
            return replace(answer, frames=answer.frames[: len(answer.frames) // 2], ending=ending)
        body = answer.body
        full = len(body) if how != "eof" else None
        return replace(answer, frames=framed([body[: len(body) // 2]]), full_length=full, ending=ending)

    return effect


@register("response")
def empty_body() -> Effect:
    """The status and headers of a success, and not one byte of body."""

    def effect(moment: Moment) -> Answer:
        return replace(moment.inner(), frames=())

    return effect


@register("response")
def trickle(*, pieces: Pieces = 10, interval_s: Seconds = 0.5) -> Effect:
    """The whole body in so many pieces, `interval_s` before each, so that no wait between reads is long.

    Of a stream too, wherever its events begin and end.
    """

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        body = answer.body
        if not body:
            raise NothingToActOn("the answer has no body")
        size = -(-len(body) // pieces)
        starts = range(0, len(body), size)
        return replace(answer, frames=tuple(Frame(body[start : start + size], interval_s) for start in starts))

    return effect


# unverified in wording: what stands between client and API (a proxy, a login page) answers like this
_PAGE = b"""<!DOCTYPE html>
<html>
<head><title>Just a moment...</title></head>
<body><h1>Please wait</h1></body>
</html>
"""


@register("response")
def html() -> Effect:
    """A 200 with a page of HTML, as from a proxy or a login in between."""

    def effect(moment: Moment) -> Answer:
        headers = {**moment.inner().headers, "content-type": "text/html; charset=utf-8"}
        return Answer(status=200, headers=headers, frames=framed([_PAGE]))

    return effect


@register("response")
def missing_field(*, field: DottedPath) -> Effect:
    """A body that lacks the field at a dotted path; of a stream, every event that has it."""

    def drop(holder: Any, key: Any) -> None:
        del holder[key]

    return _rewriting(field, drop)


@register("response")
def null_field(*, field: DottedPath) -> Effect:
    """A body with null at a dotted path; of a stream, in every event that has it."""

    def void(holder: Any, key: Any) -> None:
        holder[key] = None

    return _rewriting(field, void)


@register("response")
def wrong_content_length(*, delta: Delta = 100) -> Effect:
    """The whole body under a Content-Length that is wrong by `delta` bytes, then a close; of a stream too.

    With a positive `delta` more is promised than comes, with a negative one more comes than is promised.
    """

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        return replace(answer, streamed=False, full_length=max(len(answer.body) + delta, 0))

    return effect


@register("response")
def invalid_utf8() -> Effect:
    """A byte that UTF-8 does not have (0xFF) in the middle of the body; of a stream, in its middle event."""

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        at = _middle(answer)
        data = answer.frames[at].data
        start = data.rfind(b'":"', 0, len(data) // 2 + 1) if answer.streamed else -1
        half = start + 3 if start >= 0 else len(data) // 2
        while half < len(data) and 0x80 <= data[half] < 0xC0:  # between letters, not inside one
            half += 1
        return _with_frame(answer, at, data[:half] + b"\xff" + data[half:])

    return effect


@register("response")
def corrupt_gzip() -> Effect:
    """A body that says it is gzip, begins like it, and cannot be unpacked."""

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        packed = gzip.compress(answer.body, mtime=0)
        # behind the ten bytes of RFC 1952's header, a block of the type that RFC 1951 reserves as an error
        broken = packed[:10] + b"\xff" + packed[11:]
        return replace(answer, headers={**answer.headers, "content-encoding": "gzip"}, frames=framed([broken]))

    return effect


def _middle(answer: Answer) -> int:
    if not answer.frames:
        raise NothingToActOn("the answer has no body")
    return max(len(answer.frames) // 2 - 1, 0) if answer.streamed else 0


def _with_frame(answer: Answer, at: int, data: bytes) -> Answer:
    frames = answer.frames if answer.streamed else framed([answer.body])
    return replace(answer, frames=(*frames[:at], Frame(data, frames[at].wait_s), *frames[at + 1 :]))


def _rewriting(path: str, change: Callable[[Any, Any], None]) -> Effect:
    """What changes the field at `path` wherever the answer has it, and leaves every other byte as it is."""

    def effect(moment: Moment) -> Answer:
        answer = moment.inner()
        rewrite = _event if answer.streamed else _whole
        whole = answer.frames if answer.streamed else framed([answer.body])
        frames = tuple(Frame(rewrite(frame.data, path, change, moment), frame.wait_s) for frame in whole)
        if frames == tuple(whole):
            raise NothingToActOn(f"the answer has no {path!r}")
        return replace(answer, frames=frames)

    return effect


def _whole(data: bytes, path: str, change: Callable[[Any, Any], None], moment: Moment) -> bytes:
    try:
        body = json.loads(data)
    except ValueError:
        return data
    return moment.dialect.encode(body) if _changed(body, path, change) else data


def _event(data: bytes, path: str, change: Callable[[Any, Any], None], _moment: Moment) -> bytes:
    body = payload(data)
    if not _changed(body, path, change):
        return data
    before = data[: data.rindex(b"data: ", 0, data.index(b"{"))]
    return before + b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _changed(body: Any, path: str, change: Callable[[Any, Any], None]) -> bool:
    """Change what lies at `path`; whether there was anything."""
    *way, last = _STEPS.findall(path)
    try:
        for step in way:
            body = body[_key(body, step)]
        key = _key(body, last)
        body[key]
    except (KeyError, IndexError, ValueError, TypeError):
        return False
    change(body, key)
    return True


def _key(holder: Any, step: str) -> Any:
    return int(step) if isinstance(holder, list) else step
