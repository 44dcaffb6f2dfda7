"""Replies that are lists: with bullets, with numbers, with commas, or one item a line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from llmkit.errors import ConfigError, excerpt
from llmkit.parsers.places import failure

STYLES = ("bulleted", "numbered", "comma", "lines")

_BULLET = re.compile(r"(?P<indent>[ \t]*)(?P<mark>[-*+\u2022\u2013])(?:[ \t]+(?P<item>.*)|$)")
_NUMBER = re.compile(r"(?P<indent>[ \t]*)\(?(?P<mark>[0-9]{1,6})[.):](?:[ \t]+(?P<item>.*)|$)")
_COMMA_ITEM = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>(?!")[^,]*?))\s*(?P<end>,|$)')


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The items of a list, in order: `Items()(text)`, `Items(style="numbered", count=3)(text)`.

    Without a `style` the reply's own is taken: bulleted or numbered if a line is, comma if it is one line, else lines.
    With `prose`, lines before and after a bulleted or numbered list are passed over. An indented line without a
    mark goes on with its item. `count` is how many there have to be, `least` and `most` how few and many there may be.

    Raises ParseFailed for what is no item: text around the list, items within items, numbers that skip one, an empty
    item, too few or too many.
    """

    style: str | None = None
    count: int | None = None
    least: int = 1
    most: int | None = None
    prose: bool = False

    def __post_init__(self) -> None:
        if self.style is not None and self.style not in STYLES:
            raise ConfigError(f"style = {self.style!r} of a list: it has to be one of {', '.join(STYLES)}")

    def __call__(self, text: str) -> list[str]:
        """The items, without marks and the blanks around them."""
        lines = [line for line in _lines(text) if line.text.strip()]
        style = self.style or _style(lines)
        if style == "comma":
            found = list(_of_commas(text))
        elif style == "lines":
            found = [line.text.strip() for line in lines]
        else:
            found = list(_of_marks(text, lines, _BULLET if style == "bulleted" else _NUMBER, prose=self.prose))
        self._check_count(found, text)
        return found

    def _check_count(self, found: list[str], text: str) -> None:
        least, most = (self.least, self.most) if self.count is None else (self.count, self.count)
        if len(found) < least or (most is not None and len(found) > most):
            wanted = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            raise failure(f"the list has {len(found)} items, {wanted} are wanted: {excerpt(found)}", text=text)


def _lines(text: str) -> Iterator[_Line]:
    position = 0
    for line in text.splitlines(keepends=True):
        yield _Line(line.rstrip(), position)
        position += len(line)


def _style(lines: list[_Line]) -> str:
    """The style of the first line that shows one."""
    for line in lines:
        for style, pattern in (("bulleted", _BULLET), ("numbered", _NUMBER)):
            if pattern.fullmatch(line.text):
                return style
    return "comma" if len(lines) == 1 else "lines"


def _of_marks(text: str, lines: list[_Line], pattern: re.Pattern[str], *, prose: bool) -> list[str]:
    """The items after bullets or numbers."""
    items: list[list[str]] = []  # the lines of each; to add each to a text would take the square of their number
    marks: list[str] = []
    indent, ended = "", False
    for line in lines:
        found = pattern.fullmatch(line.text)
        goes_on = bool(items) and not ended and line.text[:1] in (" ", "\t")
        if found is None and goes_on and not _other(pattern).fullmatch(line.text):
            items[-1].append(line.text.strip())
        elif found is None and prose:
            ended = bool(items)
        elif found is None:
            message = f"{excerpt(line.text)} is no item of the list; Items(prose=True) passes over text around it"
            raise failure(message, text=text, position=line.position)
        elif items and (ended or found["indent"] != indent):
            what = "a second list" if ended else "an item within an item, or one that is indented otherwise"
            raise failure(f"{excerpt(line.text)} is {what}", text=text, position=line.position)
        else:
            indent = found["indent"]
            items.append([_item(found, line, text)])
            marks.append(found["mark"])
            _check_number(marks, line, text)
    return ["\n".join(lines_of_item) for lines_of_item in items]


def _other(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return _NUMBER if pattern is _BULLET else _BULLET


def _item(found: re.Match[str], line: _Line, text: str) -> str:
    item = (found["item"] or "").strip()
    if not item:
        raise failure("an item of the list is empty", text=text, position=line.position)
    return item


def _check_number(marks: list[str], line: _Line, text: str) -> None:
    """Raises ParseFailed where a number is not the next; Markdown also lets all be 1."""
    if not marks[-1].isdigit() or (marks[-1] == "1" and marks[:2] in (["1"], ["1", "1"])):
        return
    expected = int(marks[0]) + len(marks) - 1
    if int(marks[-1]) != expected:
        raise failure(f"the item is numbered {marks[-1]}, not {expected}", text=text, position=line.position)


def _of_commas(text: str) -> Iterator[str]:
    """The items between commas; a comma within double quotes belongs to its item."""
    position = 0
    while position <= len(text.rstrip()):
        found = _COMMA_ITEM.match(text, position)
        if found is None:
            raise failure("text follows the closing quote of an item", text=text, position=position)
        item = found["plain"] if found["quoted"] is None else found["quoted"]
        if not item.strip():
            if not text.strip():
                return
            raise failure("an item of the list is empty", text=text, position=position)
        if found["end"] == "" and position and re.match(r"(?:and|or)\s", item):
            message = f"the last item begins like the end of a sentence: {excerpt(item)}"
            raise failure(message, text=text, position=position)
        yield item.strip()
        position = found.end() if found["end"] else len(text) + 1
