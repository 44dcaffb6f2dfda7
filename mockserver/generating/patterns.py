r"""Text that matches a regular expression, as the `pattern` of a JSON Schema gives it.

Covers what such patterns are made of: literals, classes, groups, alternatives, repetitions and anchors at the ends, but
no back-references. What look-around asks for is left to chance, so that it is met where it asks for little; see https://json-schema.org/understanding-json-schema/reference/regular_expressions
"""

import re
import string
from dataclasses import dataclass

from mockserver.generating.dice import Dice

_DIGITS, _LETTERS = string.digits, string.ascii_letters
_CLASSES = {"d": _DIGITS, "w": _LETTERS + _DIGITS + "_", "s": " "}
_OPPOSITES = {"D": _LETTERS, "W": " -.", "S": _LETTERS + _DIGITS}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_PLAIN = _LETTERS + _DIGITS + " -_.,"
_MANY = 3  # how often at most more than needed

_ATTEMPTS = 100  # at meeting what look-around asks for

_OPENING = re.compile(r":|<?[=!]|P?<[A-Za-z_]\w*>")
_NAMED = re.compile(r"\(\?<(?![=!])")  # JavaScript's spelling of a named group
_REPETITION = re.compile(r"\{(\d+)(,?)(\d*)\}")


class Unsupported(Exception):
    """The pattern uses something that is not covered."""


def matching(pattern: str, dice: Dice) -> str:
    """A text in which `pattern` is found, from end to end; Unsupported if it uses what is not covered."""
    for _ in range(_ATTEMPTS):
        reader = _Reader(pattern, dice)
        text = reader.alternatives()
        if reader.at < len(pattern):
            raise Unsupported(f"{pattern[reader.at]!r} at {reader.at} of {pattern!r}")
        if not reader.looks_around or _is_found(pattern, text):
            return text
    raise Unsupported(f"the look-around of {pattern!r}")


def _is_found(pattern: str, text: str) -> bool:
    try:
        return re.search(_NAMED.sub("(?P<", pattern), text) is not None
    except re.error as exc:
        raise Unsupported(f"{pattern!r}: {exc}") from exc


@dataclass
class _Reader:
    """Reads a pattern from left to right and writes as it goes."""

    pattern: str
    dice: Dice
    at: int = 0
    looks_around: bool = False

    def alternatives(self) -> str:
        """`a|b|c`: every one is read, one is written."""
        options = [self.sequence()]
        while self.next_is("|"):
            options.append(self.sequence())
        return self.dice.choice(options)

    def sequence(self) -> str:
        """What stands side by side, up to `|`, `)` or the end."""
        text = ""
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            text += self.repeated()
        return text

    def repeated(self) -> str:
        """One atom as often as its quantifier says, read anew each time so that the texts differ."""
        start = self.at
        text = self.atom()
        end = self.at
        least, most = self.quantifier()
        after, count = self.at, self.dice.randint(least, most)
        for _ in range(count - 1):
            self.at = start
            text += self.atom()
            if self.at != end:
                raise Unsupported(f"{self.pattern!r} cannot be read twice")
        self.at = after
        return text if count else ""

    def quantifier(self) -> tuple[int, int]:
        """Least and most repetitions; once without a quantifier."""
        bounds = (1, 1)
        found = _REPETITION.match(self.pattern, self.at)
        if found:
            self.at = found.end()
            least = int(found[1])
            bounds = (least, int(found[3] or least + _MANY) if found[2] else least)
        elif self.pattern[self.at : self.at + 1] in ("*", "+", "?"):
            bounds = {"*": (0, _MANY), "+": (1, _MANY), "?": (0, 1)}[self.pattern[self.at]]
            self.at += 1
        if bounds[1] > 10_000 or bounds[0] > bounds[1]:
            raise Unsupported(f"{bounds[0]} to {bounds[1]} repetitions")
        _ = self.next_is("?")  # a lazy quantifier matches the same texts
        return bounds

    def atom(self) -> str:
        """A group, a class, an escape or a letter."""
        letter = self.pattern[self.at]
        self.at += 1
        if letter == "(":
            return self.group()
        if letter == "[":
            return self.dice.choice(self.members())
        if letter == "\\":
            return self.dice.choice(self.escape())
        if letter == ".":
            return self.dice.choice(_PLAIN)
        if letter in "*+?{":
            raise Unsupported(f"{letter!r} with nothing to repeat")
        return "" if letter in "^$" else letter

    def group(self) -> str:
        """`(…)`, also named or not captured; of `(?=…)` and the like, which match no letters, nothing is written."""
        unwritten = False
        if self.next_is("?"):
            opened = _OPENING.match(self.pattern, self.at)
            if opened is None:
                raise Unsupported(f"'(?' at {self.at} of {self.pattern!r}")
            self.at = opened.end()
            unwritten = opened[0][-1] in "=!"
            self.looks_around |= unwritten
        text = self.alternatives()
        if not self.next_is(")"):
            raise Unsupported(f"{self.pattern!r} leaves a group open")
        return "" if unwritten else text

    def escape(self) -> str:
        """The letters that an escape may stand for."""
        letter = self.pattern[self.at : self.at + 1]
        self.at += 1
        if letter in _CLASSES or letter in _OPPOSITES:
            return _CLASSES.get(letter) or _OPPOSITES[letter]
        if not letter or (letter.isalnum() and letter not in _ESCAPES):
            raise Unsupported(f"'\\{letter}'")
        return _ESCAPES.get(letter, letter)

    def members(self) -> str:
        """The letters of `[…]`, those outside of it for `[^…]`."""
        excluded = self.next_is("^")
        letters = ""
        while not self.next_is("]") or not letters:
            if self.at >= len(self.pattern):
                raise Unsupported(f"{self.pattern!r} leaves a class open")
            letters += self.member()
        if not excluded:
            return letters
        return "".join(letter for letter in _PLAIN if letter not in letters) or self._nothing_left()

    def member(self) -> str:
        """One letter of a class, or a range of them."""
        first = self.single()
        if (
            len(first) > 1
            or self.pattern[self.at : self.at + 1] != "-"
            or self.pattern[self.at + 1 : self.at + 2] == "]"
        ):
            return first
        self.at += 1
        last = self.single()
        if len(last) != 1 or not 0 <= ord(last) - ord(first) <= 1000:
            raise Unsupported(f"the range {first}-{last}")
        return "".join(map(chr, range(ord(first), ord(last) + 1)))

    def single(self) -> str:
        """A letter of a class, or the letters of an escape in it."""
        letter = self.pattern[self.at : self.at + 1]
        self.at += 1
        return self.escape() if letter == "\\" else letter

    def next_is(self, letter: str) -> bool:
        """Whether `letter` comes next, and if so step over it."""
        found = self.pattern.startswith(letter, self.at)
        self.at += found
        return found

    def _nothing_left(self) -> str:
        raise Unsupported(f"a class of {self.pattern!r} leaves no letter")
