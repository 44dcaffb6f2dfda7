"""The texts that a streamed reply tells piece by piece, joined, with the way back to each piece.

Each line of server-sent events (``data: {…}``, https://html.spec.whatwg.org/multipage/server-sent-events.html) or of
JSON lines is one event. Pieces stand in ``delta`` (chat, Responses API, Assistants, Anthropic), in ``choices[].text``
and ``choices[].logprobs`` (completions) and in ``candidates[].content`` (Gemini). What interleaves (choices, parallel
tool calls, output items) is told apart by its index or id.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

Path = tuple[str | int, ...]
"""Names and positions that lead to a value inside of a JSON value."""

Span = tuple[int, int]
"""Where something begins in a text, and where it has ended."""

_EVENT = re.compile(r"^[ \t]*(?:data:)?[ \t]*(\{.*\})[ \t]*\r?$", re.MULTILINE)
_ITEM_FIELDS = ("type", "item_id", "output_index", "content_index", "summary_index", "index")
# what names or repeats, and is no piece of a text
_LABELS = frozenset({"bytes", "call_id", "id", "object", "role", "top_logprobs", "type"})
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
# one match is one character of what the spelling means
_CHARACTER = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u.{4}|\\.|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """One string of one event: where the event's JSON stands in the body, the path inside of it, and what it says."""

    event: Span
    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A text that the stream tells in ``pieces``; ``where`` names it, such as ``choices[0].delta.content``."""

    where: str
    pieces: list[Piece] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The pieces, joined."""
        return "".join(piece.text for piece in self.pieces)


def is_stream(text: str) -> bool:
    """Tell whether ``text`` may be server-sent events or JSON lines; quick, and never wrong with a no."""
    return "data:" in text or "}\n" in text or "}\r\n" in text


def joined(text: str) -> list[Joined]:
    """Return the texts that the stream ``text`` tells in pieces, in the order in which they begin."""
    if not is_stream(text):
        return []
    found: dict[Path, Joined] = {}
    for line in _EVENT.finditer(text):
        try:
            event = json.loads(line[1])
        except (ValueError, RecursionError):
            continue
        for key, path, piece in _pieces(event):
            if key not in found:
                found[key] = Joined(show(path))
            found[key].pieces.append(Piece(line.span(1), path, piece))
    return list(found.values())


def hidden(text: str, spans_of: Callable[[str], Iterable[Span]], replacement: str) -> str:
    """Return the stream ``text`` with the ``spans_of`` each joined text replaced, where they begin.

    The pieces that follow lose what they hold of a span. All other bytes stay as they are.
    """
    edits: list[tuple[Span, str]] = []
    for one in joined(text):
        for piece, spans in _by_piece(one, spans_of(one.text)):
            edits.extend(_edits(text, piece, spans, replacement))
    return edited(text, edits)


def edited(text: str, edits: Iterable[tuple[Span, str]]) -> str:
    """Return ``text`` with each span replaced; of spans that overlap, all is replaced by what the first one says."""
    parts: list[str] = []
    position = 0
    for (start, end), replacement in sorted(edits):
        if start >= position:
            parts += (text[position:start], replacement)
        position = max(position, end)
    return "".join((*parts, text[position:])) if position else text


def show(path: Path) -> str:
    """Return ``path`` as people write it: ``choices[0].delta.content``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _pieces(event: object) -> Iterator[tuple[Path, Path, str]]:
    """Yield, of each piece in ``event``, what it belongs to, the path to it and its text."""
    if not isinstance(event, dict):
        return
    if "delta" in event:
        labels = (event.get(name) for name in _ITEM_FIELDS)
        item = tuple(label if isinstance(label, str | int) else "" for label in labels)
        yield from _strings(event["delta"], (*item, "delta"), ("delta",))
    for family, names in (("choices", ("delta", "text", "logprobs")), ("candidates", ("content",))):
        members = event.get(family)
        for position, member in enumerate(members if isinstance(members, list) else ()):
            for name in names if isinstance(member, dict) else ():
                key = (family, _index(member, position), name)
                yield from _strings(member.get(name), key, (family, position, name))


def _strings(value: object, key: Path, path: Path) -> Iterator[tuple[Path, Path, str]]:
    if isinstance(value, str):
        yield key, path, value
    elif isinstance(value, dict):
        for name, member in value.items():
            if name not in _LABELS and member:
                yield from _strings(member, (*key, name), (*path, name))
    elif isinstance(value, list):
        for position, member in enumerate(value):
            # members without an index (the tokens of logprobs) continue each other
            yield from _strings(member, (*key, _index(member, -1)), (*path, position))


def _index(member: object, position: int) -> int:
    index = member.get("index") if isinstance(member, dict) else None
    return index if isinstance(index, int) else position


def _by_piece(one: Joined, spans: Iterable[Span]) -> Iterator[tuple[Piece, list[tuple[Span, bool]]]]:
    """Yield the pieces of ``one`` that hold a part of a span: which part, and whether the span begins there."""
    starts = [0, *accumulate(len(piece.text) for piece in one.pieces)]
    parts: dict[int, list[tuple[Span, bool]]] = {}
    for start, end in spans:
        number = bisect_right(starts, start) - 1
        while number < len(one.pieces) and starts[number] < end:
            base, length = starts[number], len(one.pieces[number].text)
            part = (max(start - base, 0), min(end - base, length))
            parts.setdefault(number, []).append((part, start >= base))
            number += 1
    return ((one.pieces[number], found) for number, found in parts.items())


def _edits(
    text: str, piece: Piece, parts: list[tuple[Span, bool]], replacement: str
) -> Iterator[tuple[tuple[int, int], str]]:
    start, end = _spelling(text, piece)
    offsets = [start + found.start() for found in _CHARACTER.finditer(text[start:end])] + [end]
    for (first, last), is_beginning in parts:
        if last > first and last < len(offsets):
            yield (offsets[first], offsets[last]), replacement if is_beginning else ""


def _spelling(text: str, piece: Piece) -> Span:
    """Return where in ``text`` the spelling of ``piece`` stands, between its quotes."""
    start, end = piece.event
    found = (0, 0)
    for path, span in _spelled_strings(text[start:end]):
        if path == piece.path:
            found = span  # of a name that an object has twice, the last counts
    return start + found[0], start + found[1]


def _spelled_strings(text: str) -> Iterator[tuple[Path, Span]]:
    """Yield the path of each string in the valid JSON ``text``, and where it is spelled."""
    path: list[str | int] = []
    is_name = False
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in "{[":
            path.append("" if sign == "{" else 0)
            is_name = sign == "{"
        elif sign in "}]":
            path.pop()
            is_name = False
        elif sign == "," and path:
            step = path[-1]
            is_name = isinstance(step, str)
            path[-1] = step if isinstance(step, str) else step + 1
        elif sign == ":":
            is_name = False
        elif is_name:
            path[-1] = json.loads(sign)
        elif sign[0] == '"':
            yield tuple(path), (token.start() + 1, token.end() - 1)
