"""A recorded reply as an answer: its pieces, their times if wanted, and how it ended."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from llmkit.recording.interaction import Response, header
from llmkit.recording.interception.playback import Kind, end_delay_s, head_delay_s, kind_of, pieces
from llmkit.recording.replies.content_coding import decoded
from llmkit.recording.take import is_no_reply
from mockserver.answers import Answer, Ending, Frame
from mockserver.cassettes.headers import end_to_end

# "closed" is where the client hung up while recording: whoever reads on learns that there is no more.
# No connection that was accepted can be refused any more: a reset is the nearest to that.
_ENDINGS: Mapping[Kind, Ending] = {
    "": "whole",
    "aborted": "fin",
    "cancelled": "hang",
    "closed": "fin",
    "connect": "rst",
    "reset": "rst",
    "timeout": "hang",
}
_END_OF_EVENT = re.compile(rb"\r?\n\r?\n|\r\r")
_ALWAYS_UNDONE = frozenset({"gzip", "x-gzip", "deflate"})
_STREAM = "text/event-stream"


def answer_of(response: Response, *, speed: float = 0.0, by_event: bool = False) -> Answer:
    """The answer that says what `response` said.

    `speed` 0 is at once, 1 as recorded. A stream goes in the pieces that it came in, or `by_event`, so that a fault
    finds the frame that it is to act on; what was recorded without its pieces goes by event, too.
    """
    if is_no_reply(response):
        delay_s = end_delay_s(response, speed)
        hangs = _ENDINGS[kind_of(response)] == "hang"
        silent = Answer(status=0, headless=True, ending=_ENDINGS[kind_of(response)])
        return replace(silent, ending="whole", delay_s=float("inf")) if hangs else replace(silent, delay_s=delay_s)
    response = decoded(response)
    frames = tuple(Frame(data, wait_s) for wait_s, data in pieces(response, speed))
    if _is_stream(response) and (by_event or not response.chunks):
        frames = tuple(events(frames))
    if response.ended and (wait_s := end_delay_s(response, speed)):
        frames = (*frames, Frame(b"", wait_s))
    answer = Answer(
        status=response.status,
        headers=_headers(response),
        frames=frames,
        streamed=_is_streamed(response),
        delay_s=head_delay_s(response, speed),
        ending=_ENDINGS[kind_of(response)],
    )
    return answer if answer.streamed else _in_one(answer, response)


def events(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The same bytes, an event a frame; each goes when the last of its bytes would have gone."""
    rest, due_s = b"", 0.0
    for data, wait_s in frames:
        rest, due_s = rest + data, due_s + wait_s
        while found := _END_OF_EVENT.search(rest):
            yield Frame(rest[: found.end()], due_s)
            rest, due_s = rest[found.end() :], 0.0
    if rest or due_s:
        yield Frame(rest, due_s)


def _in_one(answer: Answer, response: Response) -> Answer:
    """A body of known length; one that broke off had promised more."""
    if answer.ending != "whole":
        length = header(response.headers, "content-length")
        promised = int(length) if length.isdigit() else 0
        return replace(answer, full_length=max(promised, len(response.body) + 1))
    delay_s = answer.delay_s + sum(frame.wait_s for frame in answer.frames)
    return replace(answer, frames=(Frame(response.body),), delay_s=delay_s)


def _is_stream(response: Response) -> bool:
    return header(response.headers, "content-type").lower().startswith(_STREAM)


def _is_streamed(response: Response) -> bool:
    """Whether the body has no length that could be told beforehand."""
    if header(response.headers, "content-length"):
        return False
    if _is_stream(response):
        return True
    return "chunked" in header(response.headers, "transfer-encoding").lower() and len(response.chunks) > 1


def _headers(response: Response) -> dict[str, str]:
    """The headers that still hold: none of the connection, no length, and no coding that the body is not in."""
    joined: dict[str, str] = {}
    for name, value in end_to_end((name, value) for name, values in response.headers.items() for value in values):
        if name.lower() == "content-encoding" and value.strip().lower() in _ALWAYS_UNDONE:
            continue  # it would have been undone, had the body been in it
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
