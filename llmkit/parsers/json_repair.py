"""JSON as models sometimes write it, for callers who ask for it: each thing that is put right is told, with its place.

Put right: text around the one JSON value, comments, commas before a closing bracket, single and typographic quotes,
keys without quotes, True, False and None, line breaks in strings. Never: what is missing at the end, a key that stands
twice, NaN.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llmkit.errors import ParseFailed
from llmkit.parsers.code import Block, blocks
from llmkit.parsers.json_text import value_of
from llmkit.parsers.places import failure, place

MOST_NESTED = 100
_MOST_STARTS = 1000

_MARKED = re.compile(r"^ {0,3}(?:`{3,}|~{3,})json", re.MULTILINE | re.IGNORECASE)
_SPACE = re.compile(r"[\s\ufeff]+")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|#[^\n]*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_$][\w$-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.])")
_UNFINISHED = re.compile(
    r"(?:[tT](?:ru?)?|[fF](?:a(?:ls?)?)?|n(?:ul?)?|N(?:on?)?|-?(?:[0-9][0-9.]*(?:[eE][-+]?[0-9]*)?)?)\s*\Z"
)
_PYTHON = {"True": "true", "False": "false", "None": "null"}
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
_RAW = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class Repair:
    """What was put right in a reply, and where: `position` counts characters from 0."""

    what: str
    position: int

    def shown(self, text: str) -> str:
        """The repair with line and column."""
        return f"{place(text, self.position)}: {self.what}"


class _Broken(Exception):
    """No JSON, at this place, by any reading."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class Found:
    """Strict JSON that says what was meant, where its original ends, and the repairs."""

    json: str
    start: int
    end: int
    repairs: tuple[Repair, ...]


def repaired(text: str) -> tuple[Any, str, tuple[Repair, ...]]:
    """The one JSON value in a text, its strict spelling, and the repairs; raises ParseFailed for none or several."""
    found = list(_candidates(text))
    if not found:
        value_of(text.strip(), whole=text, offset=len(text) - len(text.lstrip()))
        raise failure("there is no JSON in the reply", text=text, position=0)
    if len(found) > 1:
        there = ", ".join(place(text, each.start) for each in found[:5])
        raise failure(f"there are {len(found)} JSON values in the reply: {there}", text=text, position=found[1].start)
    [one] = found
    around = text[: one.start].strip() or text[one.end :].strip()
    outside = (Repair("took the JSON out of the text around it", one.start),) if around else ()
    try:
        return value_of(one.json), one.json, outside + one.repairs
    except ParseFailed as error:
        message = error.message.partition(": ")[2]
        raise failure(message, text=text, position=one.start, path=error.path) from None


def _candidates(text: str) -> Iterator[Found]:
    """The JSON in the one block that is marked as such, or else all objects and lists in the text."""
    marked = _marked(text)
    start, end = (marked[0].position, marked[0].position + len(marked[0].code)) if len(marked) == 1 else (0, len(text))
    for _ in range(_MOST_STARTS):
        bracket = re.compile(r"[{\[]").search(text, start, end)
        if bracket is None:
            return
        reader = _Reader(text, bracket.start(), end)
        try:
            written = reader.value(0)
        except _Broken as error:
            if error.position >= len(text.rstrip()):
                message = "the JSON ends before it is complete: the reply was cut off"
                raise failure(message, text=text, position=len(text)) from None
            if reader.has_begun:  # what is whole inside of it would be a part, taken for all
                message = f"this is no JSON, even with repairs ({error})"
                raise failure(message, text=text, position=error.position) from None
            start = bracket.start() + 1
            continue
        yield Found(written, bracket.start(), reader.at, tuple(reader.repairs))
        start = reader.at


def _marked(text: str) -> list[Block]:
    """The blocks that are marked as JSON; raises ParseFailed for one that is never closed."""
    try:
        return [block for block in blocks(text) if block.language.lower() in ("json", "jsonc", "json5")]
    except ParseFailed:
        if _MARKED.search(text):
            raise
        return []


class _Reader:
    """Reads one value from `at` on, and spells it as strict JSON."""

    def __init__(self, text: str, at: int, end: int) -> None:
        self._text = text
        self._end = end
        self.at = at
        self.repairs: list[Repair] = []
        self.has_begun = False  # whether it has read a key or value: brackets in prose hold none

    def value(self, depth: int) -> str:
        """The next value; raises _Broken, and ParseFailed where it holds too many others."""
        if depth > MOST_NESTED:
            raise failure("the JSON is nested too deeply", text=self._text, position=self.at)
        self._skip()
        mark = self._peek()
        if mark in ("{", "["):
            written = self._container(mark, depth)
        else:
            written = self._string() if mark in _QUOTES else self._plain()
        self.has_begun = True
        return written

    def _container(self, opening: str, depth: int) -> str:
        closing, items = ("}" if opening == "{" else "]"), []
        self.at += 1
        self._skip()
        while self._peek() != closing:
            items.append(self._pair(depth) if opening == "{" else self.value(depth + 1))
            self._skip()
            if self._peek() == ",":
                comma = self.at
                self.at += 1
                self._skip()
                if self._peek() == closing:
                    self._note("left out the comma before a closing bracket", comma)
            elif self._peek() != closing:
                raise _Broken("no comma", self.at)
        self.at += 1
        return opening + ", ".join(items) + closing

    def _pair(self, depth: int) -> str:
        if self._peek() in _QUOTES:
            key = self._string()
        else:
            word = self._match(_WORD)
            self._note("put a key into quotes", self.at - len(word))
            key = f'"{word}"'
        self._skip()
        if self._peek() != ":":
            raise _Broken("no colon", self.at)
        self.at += 1
        self.has_begun = True
        return f"{key}: {self.value(depth + 1)}"

    def _string(self) -> str:
        """A string in any quotes, as JSON."""
        start, opening = self.at, self._peek()
        closing, written = _QUOTES[opening], ['"']
        self.at += 1
        while self._peek() != closing:
            written.append(self._character(opening))
        self.at += 1
        if opening != '"':
            self._note("took other quotes for those of JSON", start)
        return "".join([*written, '"'])

    def _character(self, opening: str) -> str:
        mark = self._peek()
        if mark == "\\":
            escape = self._text[self.at : self.at + 2]
            self.at += 2
            return "'" if escape == "\\'" and opening == "'" else escape
        self.at += 1
        if mark in _RAW:
            self._note("wrote a line break or tab in a string as JSON has it", self.at - 1)
            return _RAW[mark]
        return '\\"' if mark == '"' else mark

    def _plain(self) -> str:
        """A number or a word."""
        if number := _NUMBER.match(self._text, self.at, self._end):
            self.at = number.end()
            return number[0]
        if unfinished := _UNFINISHED.match(self._text, self.at, self._end):
            raise _Broken("the end", unfinished.end())
        word = self._match(_WORD)
        if word in _PYTHON:
            self._note(f"wrote {word} as JSON has it", self.at - len(word))
        elif word not in _PYTHON.values():
            raise _Broken("no value", self.at - len(word))
        return _PYTHON.get(word, word)

    def _skip(self) -> None:
        """Passes over blanks and comments."""
        while True:
            if blank := _SPACE.match(self._text, self.at, self._end):
                if blank[0].strip(" \t\r\n"):
                    self._note("took another blank for a space", self.at)
                self.at = blank.end()
            elif comment := _COMMENT.match(self._text, self.at, self._end):
                self._note("left out a comment", self.at)
                self.at = comment.end()
            else:
                return

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self.at, self._end)
        if found is None:
            raise _Broken("no word", self.at)
        self.at = found.end()
        return found[0]

    def _peek(self) -> str:
        """The next character; raises _Broken at the end."""
        if self.at >= self._end:
            raise _Broken("the end", self.at)
        return self._text[self.at]

    def _note(self, what: str, position: int) -> None:
        self.repairs.append(Repair(what, position))
