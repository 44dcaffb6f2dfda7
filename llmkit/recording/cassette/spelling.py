"""How a JSON text is spelled: the same tokens with other white space.

A cassette shows JSON indented, whatever the server sent; the name of the original spelling is kept beside it, so that
the original bytes come back. Only white space changes: numbers, escapes and the order of keys stay as they were sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
# the thousands of an embedding are one piece: taken one by one, they take a second in four hundred embeddings
_PIECE_OR_NUMBERS = re.compile(rf"(?<=\[)(?=(?:[^],]+,){{4}})[-+.,0-9Ee]+(?=\])|{_PIECE.pattern}")
_SPACE = re.compile(r"\s")
_NUMBERS = re.compile(r"[-+.,0-9Ee]+")
_LINE_WIDTH = 100

SPELLINGS = ("compact", "spaced", "indent2", "indent4")


def indented(text: str) -> str:
    """Return JSON ``text`` indented for people; arrays of numbers fill their lines."""
    return "".join(_indented(_PIECE_OR_NUMBERS.findall(text), "  ", fill=True))


def spelling_of(text: str) -> str | None:
    """Name the spelling that gives back exactly ``text`` from its indented form, or None if there is none.

    The name is one of ``SPELLINGS``, followed by the white space that trails the text.
    """
    try:
        json.loads(text, parse_float=str)  # the numbers are not needed
    except (ValueError, RecursionError):
        return None
    if not _SPACE.search(text):
        return "compact"
    pieces = _PIECE.findall(text)
    trailing = text[len(text.rstrip()) :]
    for name in SPELLINGS:
        if _spell(pieces, name) + trailing == text:
            return name + trailing
    return None


def respelled(text: str, spelling: str) -> str:
    """Return JSON ``text`` in ``spelling``, a name from `spelling_of`; ValueError for any other name."""
    name = spelling.rstrip()
    if name not in SPELLINGS:
        raise ValueError(f"unknown spelling {name!r}: expected one of {', '.join(SPELLINGS)}")
    return _spell(_PIECE.findall(text), name) + spelling[len(name) :]


def _spell(pieces: list[str], name: str) -> str:
    if name == "compact":
        return "".join(pieces)
    if name == "spaced":
        return "".join(f"{piece} " if piece in ",:" else piece for piece in pieces)
    return "".join(_indented(pieces, " " * int(name[-1]), fill=False))


def _indented(pieces: list[str], unit: str, *, fill: bool) -> Iterator[str]:
    depth = 0
    position = 0
    while position < len(pieces):
        piece = pieces[position]
        following = pieces[position + 1] if position + 1 < len(pieces) else ""
        if piece in "[{" and following in "]}" and following:
            yield piece + following
            position += 1
        elif piece == "[" and fill and (end := _end_of_numbers(pieces, position)):
            yield _filled(pieces[position + 1 : end], "\n" + unit * (depth + 1))
            yield "\n" + unit * depth + "]"
            position = end
        elif piece in "[{":
            depth += 1
            yield piece + "\n" + unit * depth
        elif piece in "]}":
            depth -= 1
            yield "\n" + unit * depth + piece
        elif piece == ",":
            yield ",\n" + unit * depth
        else:
            yield ": " if piece == ":" else piece
        position += 1


def _end_of_numbers(pieces: list[str], start: int) -> int | None:
    """Return where an array of more than four numbers ends, or None for any other array."""
    if pieces[start + 1][0] not in "-0123456789":
        return None
    end = pieces.index("]", start)
    numbers = "".join(pieces[start + 1 : end])
    return end if numbers.count(",") > 3 and _NUMBERS.fullmatch(numbers) else None


def _filled(pieces: list[str], newline: str) -> str:
    """Lay numbers and commas out in lines: in two regular expressions, for an embedding has thousands."""
    widest = max(_LINE_WIDTH - 1 - len(newline), 1)
    lines = re.findall(rf"(.{{1,{widest}}}|[^,]+)(?:, |$)", "".join(pieces).replace(",", ", "))
    return "[" + newline + f",{newline}".join(lines)
