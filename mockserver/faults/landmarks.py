"""Places in a stream: a frame and a byte in it, or what stands there."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args

from mockserver.answers import Frame
from mockserver.scripting.options import Rule

Landmark = Literal["finish", "usage", "done", "utf8", "tool_argument"]
LANDMARKS: tuple[str, ...] = get_args(Landmark)


def _is_place(value: Any) -> bool:
    if isinstance(value, str):
        return value in LANDMARKS
    counts = isinstance(value, Mapping) and all(type(each) is int and each >= 0 for each in value.values())
    return counts and "frame" in value and value.keys() <= {"frame", "byte"}


_TAKES = '{"frame": k} or {"frame": k, "byte": b}, both counted from 0, or one of ' + ", ".join(map(repr, LANDMARKS))
At = Annotated[Any, Rule(_TAKES, _is_place)]


class Spot(NamedTuple):
    """Before the frame of this number, or inside it, before its byte `byte`."""

    frame: int
    byte: int = 0


def found(frames: Sequence[Frame], at: Any) -> Spot:
    """Where `at` is in these frames; behind the last one where they have no such place."""
    if isinstance(at, Mapping):
        frame = min(at["frame"], len(frames))
        within = at.get("byte", 0) if frame < len(frames) else 0
        return Spot(frame, min(within, len(frames[frame].data)) if within else 0)
    for index, frame in enumerate(frames):
        byte = _FINDERS[at](frame.data)
        if byte is not None:
            return Spot(index, byte)
    return Spot(len(frames))


def payload(data: bytes) -> Any:
    """The JSON of a frame, None if it has none."""
    _, marker, text = data.rpartition(b"data: ")
    try:
        return json.loads(text) if marker else None
    except ValueError:
        return None


def _finish(data: bytes) -> int | None:
    event = payload(data)
    if not isinstance(event, dict):
        return None
    ends = event.get("type") in ("response.completed", "response.incomplete", "response.failed")
    return 0 if ends or any(choice.get("finish_reason") for choice in event.get("choices") or ()) else None


def _usage(data: bytes) -> int | None:
    event = payload(data)
    if not isinstance(event, dict):
        return None
    return 0 if event.get("usage") or (event.get("response") or {}).get("usage") else None


def _done(data: bytes) -> int | None:
    return 0 if data.startswith(b"data: [DONE]") else None


def _utf8(data: bytes) -> int | None:
    """Behind the first byte of a letter that takes several."""
    return next((index + 1 for index, byte in enumerate(data) if byte >= 0xC0), None)


def _tool_argument(data: bytes) -> int | None:
    """Inside the text of an argument."""
    for name in (b'"arguments":"', b'"delta":"' if b"function_call_arguments.delta" in data else b"\0"):
        start = data.find(name)
        if start >= 0 and data[start + len(name) : start + len(name) + 1] not in (b'"', b""):
            return start + len(name) + 1
    return None


_FINDERS = {"finish": _finish, "usage": _usage, "done": _done, "utf8": _utf8, "tool_argument": _tool_argument}
