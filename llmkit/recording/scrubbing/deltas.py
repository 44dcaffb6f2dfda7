"""The texts that a streamed reply tells piece by piece, joined, with the way back to each piece.

Each of the server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) is one event, each JSON
document where there are several, and each member of an array (Gemini). Pieces stand in ``delta`` (chat, Responses API,
Assistants, Anthropic), in ``message`` and ``response`` (Ollama), in ``choices[].text``, in ``candidates[].content``
and in the tokens of log probabilities, which tell a reply once more also where it is not streamed. What interleaves
(choices, parallel tool calls, output items) is told apart by its index or id.
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

Event = tuple[Span, ...]
"""Where the lines of one event's JSON stand in a body."""

_LINE = re.compile(r"\ufeff?[ \t]*(data:)?[ \t]*([^\r\n]*)(?:\r\n|\r|\n|\Z)")
_BEFORE_A_MEMBER = re.compile(r"[\s,\[]*")
_DECODER = json.JSONDecoder()
_ITEM_FIELDS = ("type", "item_id", "output_index", "content_index", "summary_index", "index")
_WHOLE = ("delta", "message", "response", "thinking", "content", "text", "completion", "generated_text", "token")
_FAMILIES = {"choices": ("delta", "message", "text", "logprobs"), "candidates": ("content",)}
# without one of these a text tells nothing in pieces
_NAMES = ('"delta"', '"message"', '"response"', '"choices"', '"candidates"', '"content"', '"text"', '"completion"')
# what tells a token again, and goes with it: the last names of its path, those of the other, and what stays there
_AGAIN = (
    (("token",), ("bytes",), "null"),
    (("token",), ("top_logprobs",), "[]"),
    (("tokens", 0), ("top_logprobs", 0), "{}"),
    (("chosenCandidates", 0, "token"), ("topCandidates", 0, "candidates"), "[]"),
)
# what names or repeats, and is no piece of a text
_LABELS = frozenset({"bytes", "call_id", "id", "object", "role", "top_logprobs", "type"})
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
# one match is one character of what the spelling means
_CHARACTER = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u.{4}|\\.|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """One string of one event: where the lines of its JSON stand in the body, the path inside of it, what it says."""

    event: Event
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
    """Tell whether ``text`` may tell something in pieces; quick, and never wrong with a no."""
    is_split = "data:" in text or "}\n" in text or "}\r" in text or "}{" in text or text.lstrip().startswith("[")
    return '"token' in text or (is_split and any(name in text for name in _NAMES))


def joined(text: str) -> list[Joined]:
    """Return the texts that the stream ``text`` tells in pieces, in the order in which they begin."""
    if not is_stream(text):
        return []
    found: dict[Path, Joined] = {}
    for event, value in _events(text):
        for key, path, piece in _pieces(value):
            if key not in found:
                found[key] = Joined(show(path))
            found[key].pieces.append(Piece(event, path, piece))
    return list(found.values())


def hidden(text: str, spans_of: Callable[[str], Iterable[Span]], replacement: str) -> str:
    """Return the stream ``text`` with the ``spans_of`` each joined text replaced, where they begin.

    The pieces that follow lose what they hold of a span, and a token of which something is gone or was replaced before
    loses its bytes and alternatives. All other bytes stay as they are.
    """
    edits: list[tuple[Span, str]] = []
    spelled_in: dict[Event, dict[Path, Span]] = {}
    for one in joined(text):
        parts = _by_piece(one, spans_of(one.text))
        for number, piece in enumerate(one.pieces):
            if number not in parts and replacement not in piece.text:
                continue
            if piece.event not in spelled_in:
                spelled_in[piece.event] = _spelled(text, piece.event)
            spelled = spelled_in[piece.event]
            edits.extend(_edits(text, spelled[piece.path], parts.get(number, []), replacement))
            edits.extend(_told_again(spelled, piece.path))
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


def _events(text: str) -> Iterator[tuple[Event, object]]:
    """Yield the JSON of each event of ``text``, and where its lines stand."""
    position = 0
    data: list[Span] = []
    while position < len(text):
        line = _LINE.match(text, position)
        assert line is not None  # noqa: S101 - a line may be empty
        position = line.end()
        if line[1]:
            data.append(line.span(2))
        elif not line[2]:
            yield from _data_events(text, data)
            data = []
        elif line[2][0] in "{[,]" and (document := _document(text, line.start(2))):
            yield document
            position = document[0][0][1]
    yield from _data_events(text, data)


def _data_events(text: str, data: list[Span]) -> Iterator[tuple[Event, object]]:
    """Yield what the ``data`` lines of one event say: together, or else, as some servers mean it, each by itself."""
    whole = tuple(data)
    for event in dict.fromkeys((whole, *((span,) for span in whole))):
        try:
            yield event, json.loads(_source(text, event))
        except (ValueError, RecursionError):
            continue
        if event == whole:
            return


def _document(text: str, start: int) -> tuple[Event, object] | None:
    """Return the JSON document that begins at ``start``, or the first member of an array that does not end."""
    for first in (start, _BEFORE_A_MEMBER.match(text, start).end()):  # type: ignore[union-attr]  # it may be empty
        try:
            value, end = _DECODER.raw_decode(text, first)
        except (ValueError, RecursionError):
            continue
        return ((first, end),), value
    return None


def _source(text: str, event: Event) -> str:
    return "\n".join(text[start:end] for start, end in event)


def _pieces(event: object) -> Iterator[tuple[Path, Path, str]]:
    """Yield, of each piece in ``event``, what it belongs to, the path to it and its text."""
    if isinstance(event, list):
        for position, member in enumerate(event):
            if isinstance(member, dict):
                yield from ((key, (position, *path), text) for key, path, text in _pieces(member))
    if not isinstance(event, dict):
        return
    labels = (event.get(name) for name in _ITEM_FIELDS)
    item = tuple(label if isinstance(label, str | int) else "" for label in labels)
    for name, value in event.items():
        if name in _FAMILIES:
            yield from _member_pieces(name, value)
        # the Responses API has an object of that name, which repeats what the deltas said
        elif name in _WHOLE and not (name == "response" and isinstance(value, dict)):
            yield from _strings(value, (*item, name), (name,))
        else:
            yield from _tokens(value, (*item, name), (name,))


def _member_pieces(family: str, members: object) -> Iterator[tuple[Path, Path, str]]:
    for position, member in enumerate(members if isinstance(members, list) else ()):
        for name in member if isinstance(member, dict) else ():
            find = _strings if name in _FAMILIES[family] else _tokens
            yield from find(member[name], (family, _index(member, position), name), (family, position, name))


def _tokens(value: object, key: Path, path: Path) -> Iterator[tuple[Path, Path, str]]:
    """Yield the tokens of the log probabilities that are somewhere in ``value``."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name not in _LABELS and isinstance(member, dict | list):
                yield from _tokens(member, (*key, name), (*path, name))
    elif isinstance(value, list):
        for position, member in enumerate(value):
            token = member if isinstance(member, dict) else {}
            name = "token" if "token" in token else "text" if path[-1] == "tokens" else ""
            if isinstance(token.get(name), str):
                yield (*key, -1, name), (*path, position, name), token[name]
            elif token:
                yield from _tokens(token, (*key, position), (*path, position))


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


def _by_piece(one: Joined, spans: Iterable[Span]) -> dict[int, list[tuple[Span, bool]]]:
    """Return the numbers of the pieces that hold a part of a span: which part, and whether the span begins there."""
    starts = [0, *accumulate(len(piece.text) for piece in one.pieces)]
    parts: dict[int, list[tuple[Span, bool]]] = {}
    for start, end in spans:
        number = bisect_right(starts, start) - 1
        while number < len(one.pieces) and starts[number] < end:
            base, length = starts[number], len(one.pieces[number].text)
            part = (max(start - base, 0), min(end - base, length))
            parts.setdefault(number, []).append((part, start >= base))
            number += 1
    return parts


def _edits(text: str, spelling: Span, parts: list[tuple[Span, bool]], replacement: str) -> Iterator[tuple[Span, str]]:
    start, end = spelling
    offsets = [start + found.start() for found in _CHARACTER.finditer(text[start:end])] + [end] if parts else []
    for (first, last), is_beginning in parts:
        if last > first and last < len(offsets):
            yield (offsets[first], offsets[last]), replacement if is_beginning else ""


def _told_again(spelled: dict[Path, Span], path: Path) -> Iterator[tuple[Span, str]]:
    """Yield the edits of what tells the token at ``path`` once more: its bytes, and what else might have been said."""
    for last, other, left in _AGAIN:
        if [step if isinstance(step, str) else 0 for step in path[-len(last) :]] != list(last):
            continue
        numbers = [step for step in path[-len(last) :] if isinstance(step, int)]
        again = (*path[: -len(last)], *(step if isinstance(step, str) else numbers[0] for step in other))
        if again in spelled:
            yield spelled[again], left


def _spelled(text: str, event: Event) -> dict[Path, Span]:
    """Return where in ``text`` each value of ``event`` stands, strings without their quotes."""
    found = dict(_spelled_values(_source(text, event)))
    if len(event) == 1:
        begin = event[0][0]
        return {path: (begin + start, begin + end) for path, (start, end) in found.items()}
    starts = [0, *accumulate(end - start + 1 for start, end in event)]

    def origin(offset: int) -> int:
        line = bisect_right(starts, offset) - 1
        return event[line][0] + offset - starts[line]

    return {path: (origin(start), origin(end)) for path, (start, end) in found.items()}


def _spelled_values(text: str) -> Iterator[tuple[Path, Span]]:
    """Yield the path of each value in the valid JSON ``text``, and where it is spelled; the last of a name counts."""
    path: list[str | int] = []
    starts: list[int] = []
    is_name = False
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in "{[":
            path.append("" if sign == "{" else 0)
            starts.append(token.start())
            is_name = sign == "{"
        elif sign in "}]":
            path.pop()
            yield tuple(path), (starts.pop(), token.end())
            is_name = False
        elif sign == "," and path:
            step = path[-1]
            is_name = isinstance(step, str)
            path[-1] = step if isinstance(step, str) else step + 1
        elif sign == ":":
            is_name = False
        elif is_name:
            path[-1] = json.loads(sign)
        else:
            quote = sign[0] == '"'
            yield tuple(path), (token.start() + quote, token.end() - quote)
