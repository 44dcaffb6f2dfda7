"""Places in a stream: a frame and a byte in it, or what stands there."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args

from mockserver.answers import Frame
from mockserver.calls import Call
from mockserver.scripting.options import Rule

Landmark = Literal["finish", "usage", "done", "utf8", "tool_argument"]
LANDMARKS: tuple[str, ...] = get_args(Landmark)
_MOST = 1_000_000


def _is_place(value: Any) -> bool:
    if isinstance(value, str):
        return value in LANDMARKS
    if not isinstance(value, Mapping) or "frame" not in value:
        return False
    return value.keys() <= {"frame", "byte"} and all(
        type(each) is int and 0 <= each <= _MOST for each in value.values()
    )


_TAKES = f'{{"frame": k}} or {{"frame": k, "byte": b}}, both counted from 0 to {_MOST}, or one of ' + ", ".join(
    map(repr, LANDMARKS)
)
At = Annotated[Any, Rule(_TAKES, _is_place)]


class Spot(NamedTuple):
    """Before the frame of this number, or inside it, before its byte `byte`."""

    frame: int
    byte: int = 0


def found(frames: Sequence[Frame], at: Any) -> Spot | None:
    """Where `at` is in these frames, None where they have no such place; right behind the last frame is one."""
    if isinstance(at, Mapping):
        frame, byte = at["frame"], at.get("byte", 0)
        size = len(frames[frame].data) if frame < len(frames) else 0
        return Spot(frame, byte) if frame <= len(frames) and byte <= size else None
    for index, frame in enumerate(frames):
        byte = _FINDERS[at](frame.data)
        if byte is not None:
            return Spot(index, byte)
    return None


# the surfaces whose streams have them; pictures and speech come as base64, where no letter takes several bytes
_ONLY_ON = {
    "finish": (("chat", "completions", "responses"), "no finish reason"),
    "done": (("chat", "completions"), "no [DONE]"),
    "tool_argument": (("chat", "responses"), "no tool calls"),
    "utf8": (("chat", "completions", "responses", "audio"), "no letters of several bytes"),
}


def never_there(at: Any, call: Call) -> str:
    """Why no stream that answers `call` has the place `at`; empty if one may have it."""
    if at == "usage" and call.surface in ("chat", "completions"):
        options = call.body.get("stream_options")
        if not isinstance(options, dict) or options.get("include_usage") is not True:
            return "its place is 'usage', and the request does not ask for usage (stream_options.include_usage)"
    surfaces, lack = _ONLY_ON.get(at, ((), "")) if isinstance(at, str) else ((), "")
    is_there = call.surface in surfaces and (at != "utf8" or call.operation != "speech")
    return f"its place is {at!r}, and streams of {_streaming(call)} have {lack}" if lack and not is_there else ""


def _streaming(call: Call) -> str:
    return call.operation if call.surface == "audio" else call.surface


def payload(data: bytes) -> Any:
    """The JSON of a frame, None if it has none."""
    lines = [line for line in data.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data: ")]
    try:
        return json.loads(lines[-1].removeprefix(b"data: ")) if lines else None
    except ValueError:
        return None


def _choices(event: Any) -> Iterator[dict[str, Any]]:
    choices = event.get("choices") if isinstance(event, dict) else None
    yield from (choice for choice in choices or () if isinstance(choice, dict))


def _finish(data: bytes) -> int | None:
    event = payload(data)
    if any(choice.get("finish_reason") for choice in _choices(event)):
        return 0
    ends = ("response.completed", "response.incomplete", "response.failed", "response.done")
    return 0 if isinstance(event, dict) and event.get("type") in ends else None


def _usage(data: bytes) -> int | None:
    event = payload(data)
    if not isinstance(event, dict):
        return None
    response = event.get("response")
    return 0 if event.get("usage") or (isinstance(response, dict) and response.get("usage")) else None


def _done(data: bytes) -> int | None:
    return 0 if data.startswith(b"data: [DONE]") else None


def _utf8(data: bytes) -> int | None:
    """Behind the first byte of a letter that takes several."""
    return next((index + 1 for index, byte in enumerate(data) if byte >= 0xC0), None)


# quotes inside of a text are escaped, so these stand only where a name is followed by its text
_ARGUMENTS = (b'"arguments":"', b'"arguments": "', b'"custom":{"input":"')
_DELTAS = (b"response.function_call_arguments.delta", b"response.custom_tool_call_input.delta")


def _tool_argument(data: bytes) -> int | None:
    """Behind the first letter of an argument's text."""
    names = (b'"delta":"', b'"delta": "') if any(name in data[:80] for name in _DELTAS) else _ARGUMENTS
    for name in names:
        start = data.find(name)
        behind = start + len(name)
        if start >= 0 and data[behind : behind + 1] not in (b'"', b""):
            return behind + 1
    return None


_FINDERS = {"finish": _finish, "usage": _usage, "done": _done, "utf8": _utf8, "tool_argument": _tool_argument}
