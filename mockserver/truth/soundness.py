"""What a client has of an answer: all of it, the beginning, or something else.

A chat stream ends with a finish reason for each choice and `[DONE]`; one of responses with `response.completed`,
`response.incomplete` or `response.failed` (see `surfaces`). Whatever ends otherwise has lost something.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

# whole: all of it · truncated: its beginning · broken: nothing that a client could take for an answer
Soundness = Literal["whole", "truncated", "broken"]
# unmarked: a stream that lacks its end mark and no word · altered: whole in form, but with other events than were made
Oddity = Literal["", "unmarked", "altered"]

# where bodies hold what was asked for: chat and completions, responses, lists of vectors and pictures, …
_CONTENT_FIELDS = ("choices", "output", "data", "results", "text")
_LAST_EVENTS = (".completed", ".incomplete", ".failed", ".done")


def soundness(sent: bytes, made: bytes | None, *, streamed: bool, is_json: bool) -> Soundness:
    """How what was sent is to be taken; `made` is the answer before any fault acted on it, where that is known.

    `is_json` is what the headers said of what was sent: where `made` is known, that tells what should have come.
    """
    if made is not None and sent == made:
        return "whole"
    if made is not None and made.startswith(sent):
        return "truncated" if _content(sent, streamed=streamed) else "broken"
    if streamed:
        return "broken" if made is not None and _is_hollow(sent, made) else _of_stream(sent)
    return _of_body(sent, made, is_json=is_json)


def _of_body(sent: bytes, made: bytes | None, *, is_json: bool) -> Soundness:
    if made is None:
        return "whole" if not is_json or _is_json(sent) else "broken"
    if _is_stream(made) and not is_json:
        return _of_stream(sent)
    if not _is_json(sent):  # nor is it what was made
        return "broken"
    return "broken" if _lacks(_parsed(sent), _parsed(made)) else "whole"


def _is_stream(data: bytes) -> bool:
    return data.startswith((b"data:", b"event:", b":"))


def _lacks(sent: Any, made: Any) -> bool:
    """Whether a body has nothing where the one that was made holds what was asked for."""
    return any(_field(made, name) and not _field(sent, name) for name in _CONTENT_FIELDS)


def _is_hollow(sent: bytes, made: bytes) -> bool:
    """Whether no event has choices any more, though some that were made had."""
    return _has_choices(made) and not _has_choices(sent)


def _has_choices(data: bytes) -> bool:
    return any(_field(_parsed(event), "choices") for event in _events(data))


def oddity(sent: bytes, made: bytes) -> Oddity:
    """What a client may overlook in a stream that ended as HTTP has it; comments and line ends are no matter."""
    got, whole = list(_events(sent)), list(_events(made))
    if got == whole:
        return ""
    rest = whole[len(got) :]
    if got and got == whole[: len(got)] and rest[-1] == b"[DONE]" and not any(map(_says_something, rest)):
        return "unmarked"
    return "altered" if _of_stream(sent) == "whole" else ""


def _says_something(event: bytes) -> bool:
    """Whether an event is more than an end mark or a bill."""
    return event != b"[DONE]" and _field(_parsed(event), "choices") != []


def _content(sent: bytes, *, streamed: bool) -> bool:
    return bool(sent) if not streamed else next(_events(sent), None) is not None


def _of_stream(sent: bytes) -> Soundness:
    events = list(_events(sent))
    if not events or any(map(_is_error, events)) or not all(map(_is_event, events[:-1])):
        return "broken"
    if _has_ended(events):
        return "whole"
    return "truncated" if _is_event(events[-1]) or len(events) > 1 else "broken"


def _is_event(event: bytes) -> bool:
    return event == b"[DONE]" or isinstance(_parsed(event), dict)


def _is_error(event: bytes) -> bool:
    """Whether it tells the client that the stream has failed; events of responses carry an `error` that is null."""
    payload = _parsed(event)
    return bool(_field(payload, "error")) or _field(payload, "type") == "error"


def _has_ended(events: Sequence[bytes]) -> bool:
    payloads = [_parsed(event) for event in events]
    if any(str(_field(payload, "type")).endswith(_LAST_EVENTS[:3]) for payload in payloads):
        return True
    choices = [choice for payload in payloads for choice in _field(payload, "choices") or ()]
    if not choices:
        return events[-1] == b"[DONE]" or str(_field(payloads[-1], "type")).endswith(_LAST_EVENTS)
    finished = {_field(choice, "index") for choice in choices if _field(choice, "finish_reason")}
    return events[-1] == b"[DONE]" and finished >= {_field(choice, "index") for choice in choices}


def _events(sent: bytes) -> Iterator[bytes]:
    """The data of each event; comments (keep-alives) are none."""
    for block in sent.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = [line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
        if data:
            yield b"\n".join(data)


def text_of(sent: bytes, *, streamed: bool) -> str:
    """The words of the first choice, or of the message, that these bytes carry."""
    payloads = [_parsed(event) for event in _events(sent)] if streamed else [_parsed(sent)]
    return "".join(_words(payload) for payload in payloads)


def _words(payload: Any) -> str:
    if _field(payload, "type") == "response.output_text.delta":
        return str(_field(payload, "delta"))
    words = []
    for choice in _field(payload, "choices") or ():
        message = _field(choice, "delta") or _field(choice, "message")
        if _field(choice, "index") in (0, None):
            words.append(_field(message, "content") or _field(choice, "text") or "")
    return "".join(word for word in words if isinstance(word, str))


def _field(payload: Any, name: str) -> Any:
    return payload.get(name) if isinstance(payload, dict) else None


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _is_json(data: bytes) -> bool:
    return _parsed(data) is not None
