"""Known secrets, found in whatever encoding they stand: as they are, percent-encoded, JSON-escaped or in base64.

Each encoding may be applied twice. Base64 is found at all three alignments, so also inside of ``base64(user:secret)``,
and where it is broken into lines, as MIME does.
"""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, quote_plus

from llmkit.recording.scrubbing.deltas import Span

_BASE64 = "[A-Za-z0-9+/_-]"
_URLSAFE = str.maketrans("+/", "-_")
# every character of base64 (and the backslash before a slash) as a dash, any other as a space
_SILHOUETTE = bytes(b"- "[not ((chr(code).isalnum() and code < 128) or code in b"+/_-\\")] for code in range(256))
# an escaped printable ASCII character: %2B, %252B, \u002b, \\u002b; no common encoder escapes a letter, but any may
_ESCAPED = re.compile(r"[%\\](?:(?<=%)(?:25)*|(?<=\\)\\*u00)([2-7][0-9A-Fa-f])")
# faster, for they begin with a literal
_HINTS = (re.compile(r"%[2-7][0-9A-Fa-f]"), re.compile(r"\\u00[2-7][0-9A-Fa-f]"))
# a line break, escaped or not, inside of base64; it begins with the rarer thing
_FOLD = re.compile(r"[\r\n\\](?<=[A-Za-z0-9+/]{40}[\r\n\\])(?:(?<=\n)|(?<=\r)\n|(?<=\\)\\*(?:r\\+)?n)(?=[A-Za-z0-9+/])")


@dataclass(frozen=True, slots=True)
class Unescaped:
    """A text with its escaped ASCII characters undone, or its base64 in one line, and the way back."""

    text: str
    _here: tuple[int, ...]
    _there: tuple[int, ...]

    def origin(self, span: Span) -> Span:
        """Return where in the escaped text that stands which stands at ``span`` in ``text``."""
        start, end = span
        return self._position(start), self._position(end)

    def _position(self, offset: int) -> int:
        number = bisect_right(self._here, offset) - 1
        return self._there[number] + offset - self._here[number]


def unescaped(text: str) -> Unescaped | None:
    """Undo the escapes of printable ASCII characters in ``text``; None if it has none."""
    if not any(hint.search(text) for hint in _HINTS):
        return None
    parts: list[str] = []
    here, there = [0], [0]
    position = length = 0
    for escape in _ESCAPED.finditer(text):
        parts += (text[position : escape.start()], chr(int(escape[1], 16)))
        length += escape.start() - position
        # the character, then what follows it
        here += (length, length + 1)
        there += (escape.start(), escape.end())
        position = escape.end()
        length += 1
    return Unescaped("".join((*parts, text[position:])), tuple(here), tuple(there)) if parts else None


def unfolded(text: str) -> Unescaped | None:
    """Put base64 that is broken into lines of 40 characters or more into one line; None if ``text`` has none."""
    parts: list[str] = []
    here, there = [0], [0]
    position = length = 0
    for fold in _FOLD.finditer(text):
        parts.append(text[position : fold.start()])
        length += fold.start() - position
        position = fold.end()
        here.append(length)
        there.append(position)
    return Unescaped("".join((*parts, text[position:])), tuple(here), tuple(there)) if parts else None


class Disguises:
    """Every way in which some secrets may stand in a text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        secrets = list(secrets)
        self._spelled = {spelling: re.escape(spelling) for secret in secrets for spelling in _spellings(secret)}
        self._in_base64 = dict(found for secret in secrets for found in _base64_needles(secret))
        self._long = b"-" * min(map(len, self._in_base64), default=0)

    def spans(self, text: str) -> Iterator[Span]:
        """Yield where a secret stands in ``text``; spans may overlap."""
        if not self._spelled:
            return
        yield from self._literal_spans(text)
        for plain in (unescaped(text), unfolded(text)):
            if plain is not None:
                yield from map(plain.origin, self._literal_spans(plain.text))

    def _literal_spans(self, text: str) -> Iterator[Span]:
        found = [pattern for needle, pattern in self._spelled.items() if needle in text]
        # six needles a secret take their time, and most texts have no word that is long enough
        if self._long in text.encode("utf-8", "surrogatepass").translate(_SILHOUETTE):
            found += [pattern for needle, pattern in self._in_base64.items() if needle in text]
        if found:
            found.sort(key=len, reverse=True)
            yield from (match.span() for match in re.finditer("|".join(found), text))


@lru_cache(maxsize=64)
def disguises(secrets: frozenset[str]) -> Disguises:
    """Return the disguises of ``secrets``, made once."""
    return Disguises(secrets)


def _spellings(secret: str) -> set[str]:
    found = {secret, html.escape(secret)}
    for _ in range(2):
        found |= {json.dumps(one, ensure_ascii=is_ascii)[1:-1] for one in found for is_ascii in (True, False)}
        found |= {one.replace("/", "\\/") for one in found}
    if not secret.isascii():
        encoded = {quote(secret, safe="", errors="replace"), quote_plus(secret, errors="replace")}
        encoded |= {one.replace("%", "%25") for one in encoded}
        found |= encoded | {re.sub(r"%[0-9A-F]{2}", lambda escape: escape[0].lower(), one) for one in encoded}
    return found


def _base64_needles(secret: str) -> Iterator[tuple[str, str]]:
    """Yield what stands in base64 that has ``secret`` in it, and the pattern that takes half-filled characters too."""
    raw = secret.encode("utf-8", "surrogatepass")
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode("ascii").rstrip("=")
        is_filled = (offset + len(raw)) % 3 == 0
        needle = encoded[(0, 2, 3)[offset] : None if is_filled else -1]
        before = _BASE64 if offset else ""
        after = "" if is_filled else f"{_BASE64}={{0,2}}"
        for one in {needle, needle.translate(_URLSAFE), needle.replace("/", "\\/")}:
            yield one, f"{before}{re.escape(one)}{after}"
