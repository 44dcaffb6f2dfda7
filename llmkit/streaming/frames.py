"""Bytes → frames: server-sent events, wherever the network cut them.

The standard is https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from llmkit.errors import MalformedResponse
from llmkit.responses import loads

_LINE_END = re.compile(rb"\r\n|\n|\r(?=.)", re.DOTALL)  # a last \r may be half of \r\n


class Frame(NamedTuple):
    """One server-sent event."""

    data: str
    event: str = "message"


class FrameDecoder:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # a line that has not ended; joined once, for it may come in a thousand pieces
        self._data: list[str] = []
        self._event = "message"

    def feed(self, data: bytes) -> Iterable[Frame]:
        """The frames that `data` completes; among them it raises MalformedResponse for bytes that are not UTF-8."""
        if not self._rest and not self._data and data[:6] == b"data: " and data[-2:] == b"\n\n":
            frames = _plain(data)
            if frames is not None:
                return frames
        if b"\n" not in data and b"\r" not in data and not (self._rest and self._rest[-1].endswith(b"\r")):
            self._rest.append(data)
            return []
        *lines, rest = _LINE_END.split(b"".join([*self._rest, data]))
        self._rest = [rest] if rest else []
        return (frame for line in lines for frame in self._line(line))

    def holds_json(self) -> bool:
        """Whether a whole frame lacks nothing but its blank line."""
        rest = b"".join(self._rest).decode("utf-8", "replace")
        lines = [*self._data, rest.rstrip("\r").removeprefix("data:")]
        try:
            loads("\n".join(lines))
        except ValueError:
            return False
        return True

    def _line(self, raw: bytes) -> list[Frame]:
        if not raw:
            frames = [Frame("\n".join(self._data), self._event)] if self._data else []
            self._data, self._event = [], "message"
            return frames
        name, _, value = _utf8(raw).removeprefix("\ufeff").partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
        elif name == "event":
            self._event = value.removeprefix(" ")
        return []


def _plain(data: bytes) -> list[Frame] | None:
    """Whole frames of one line of data each, as the API nearly always sends them; None for everything else."""
    try:
        blocks = data[6:-2].decode().split("\n\ndata: ")
    except UnicodeDecodeError:
        return None  # the long way finds the line
    if b"\r" in data or data.count(b"\n") != 2 * len(blocks):
        return None
    return [Frame(block) for block in blocks]


def _utf8(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"The stream is not UTF-8 text: {error.reason} at byte {error.start}") from None
