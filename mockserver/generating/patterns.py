r"""Text that matches a regular expression, as the `pattern` of a JSON Schema gives it.

Covers what such patterns are made of: literals, classes, groups, alternatives, repetitions, anchors, back-references
and the commoner `\p{…}`, but no flags. What look-around and `\b` ask for is left to chance, so that it is met where it
asks for little; see https://json-schema.org/understanding-json-schema/reference/regular_expressions
"""

import functools
import math
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field

import jsonschema_rs

from mockserver.generating.dice import Dice

_DIGITS, _LETTERS = string.digits, string.ascii_letters
_CLASSES = {"d": _DIGITS, "w": _LETTERS + _DIGITS + "_", "s": " "}
_OPPOSITES = {"D": _LETTERS, "W": " -.", "S": _LETTERS + _DIGITS}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_PLAIN = _LETTERS + _DIGITS + " -_.,"
_PROPERTIES = {
    **dict.fromkeys(("L", "Letter", "Alphabetic", "Latin", "Script=Latin", "Latn"), _LETTERS + "éü"),
    **dict.fromkeys(("Lu", "Uppercase_Letter", "Uppercase"), string.ascii_uppercase + "É"),
    **dict.fromkeys(("Ll", "Lowercase_Letter", "Lowercase"), string.ascii_lowercase + "é"),
    **dict.fromkeys(("N", "Number", "Nd", "Decimal_Number"), _DIGITS),
    **dict.fromkeys(("P", "Punctuation"), ".,-"),
    **dict.fromkeys(("Z", "Separator", "Zs", "Space_Separator"), " "),
}
_MANY = 3  # how often at most more than needed
_MOST = 10_000

_ATTEMPTS = 100  # at meeting what look-around asks for

_OPENING = re.compile(r":|<?[=!]|P?<([A-Za-z_]\w*)>")
_REPETITION = re.compile(r"\{(\d+)(,?)(\d*)\}")
_CODE = re.compile(r"u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,6})\}")
_PROPERTY = re.compile(r"[pP]\{([\w=]+)\}")


class Unsupported(Exception):
    """The pattern uses something that is not covered."""


def matching(pattern: str, dice: Dice, *, least: int = 0, most: int | None = None) -> str:
    """A text in which `pattern` is found, from end to end; Unsupported if it uses what is not covered.

    The text has `least` to `most` letters where that is found to be possible.
    """
    read, found = _read(pattern), None
    if read.tree.least > _MOST:
        raise Unsupported(f"at least {read.tree.least} letters")
    for _ in range(_ATTEMPTS):
        text = _Writer(dice).write(read.tree, _room(read.tree, dice, least, most))
        if read.is_particular and not is_found(pattern, text):
            continue
        if least <= len(text) and (most is None or len(text) <= most):
            return text
        found = text
        if read.tree.most < least or (most is not None and read.tree.least > most):
            break  # no attempt would do better
    if found is None:
        raise Unsupported(f"the look-around of {pattern!r}")
    return found


def is_found(pattern: str, text: str) -> bool:
    """Whether a schema with this pattern takes the text; Unsupported if it is none."""
    return _validator(pattern).is_valid(text)


@functools.lru_cache(maxsize=256)
def _validator(pattern: str) -> jsonschema_rs.Draft202012Validator:
    try:
        return jsonschema_rs.Draft202012Validator({"pattern": pattern})
    except (jsonschema_rs.ValidationError, ValueError) as exc:
        raise Unsupported(f"{pattern!r}: {exc}") from exc


def _room(tree: "Node", dice: Dice, least: int, most: int | None) -> int | None:
    """How long the text is to be; None where the pattern alone decides."""
    if not least and most is None:
        return None
    low = max(least, tree.least)
    high = min(most if most is not None else low + _MANY, tree.most, low + 20)
    return dice.randint(low, int(max(low, high)))


@dataclass(frozen=True)
class Node:
    """A part of a pattern, which matches texts of `least` to `most` letters."""

    least: int = 0
    most: float = 0


@dataclass(frozen=True)
class Letter(Node):
    """One of several letters."""

    letters: str = ""
    least: int = 1
    most: float = 1


@dataclass(frozen=True)
class Parts(Node):
    """What stands side by side, or of which one is to be taken."""

    parts: tuple[Node, ...] = ()
    is_choice: bool = False


@dataclass(frozen=True, kw_only=True)
class Repeated(Node):
    """A part, `fewest` to `highest` times."""

    part: Node
    fewest: int
    highest: float


@dataclass(frozen=True, kw_only=True)
class Group(Node):
    """A part that is kept under a number; without a part, what was kept so."""

    number: int
    part: Node | None = None


@dataclass
class _Writer:
    """Writes one text."""

    dice: Dice
    kept: dict[int, str] = field(default_factory=dict)

    def write(self, node: Node, room: int | None) -> str:
        """A text for `node`, of `room` letters if it can be."""
        match node:
            case Letter():
                return self.dice.choice(node.letters)
            case Parts(is_choice=True):
                return self.write(self._option(node.parts, room), room)
            case Parts():
                return self._all(node.parts, room)
            case Repeated():
                return self._all([node.part] * self._count(node, room), room)
            case Group(part=None):
                return self.kept.get(node.number, "")
            case Group(part=part) if part is not None:
                text = self.write(part, room)
                self.kept[node.number] = text
                return text
        return ""

    def _option(self, options: Sequence[Node], room: int | None) -> Node:
        fitting = [one for one in options if room is None or one.least <= room <= one.most]
        return self.dice.choice(fitting or options)  # where none fits, another attempt may share the room otherwise

    def _count(self, node: Repeated, room: int | None) -> int:
        part, fewest = node.part, node.fewest
        most = node.highest
        if room is not None and part.most:
            fewest = max(fewest, math.ceil(room / part.most))
            most = min(most, room // part.least if part.least else fewest + _MANY)
        return self.dice.randint(fewest, int(min(max(most, fewest), fewest + _MANY, max(node.highest, fewest))))

    def _all(self, parts: Sequence[Node], room: int | None) -> str:
        if room is None:
            return "".join(self.write(part, None) for part in parts)
        rooms = self._shares(parts, room - sum(part.least for part in parts))
        return "".join(self.write(part, share) for part, share in zip(parts, rooms, strict=True))

    def _shares(self, parts: Sequence[Node], spare: int) -> list[int]:
        """How many letters each part gets: by chance at first, then what is left to whoever has room."""
        rooms = [part.least for part in parts]
        elastic = [index for index, part in enumerate(parts) if part.most > part.least]
        for is_last in (False, True):
            for index in self.dice.sample(elastic, k=len(elastic)):
                free = int(min(max(spare, 0), parts[index].most - rooms[index]))
                share = free if is_last else self.dice.randint(0, free)
                rooms[index], spare = rooms[index] + share, spare - share
        return rooms


@functools.lru_cache(maxsize=256)
def _read(pattern: str) -> "_Reader":
    reader = _Reader(pattern)
    reader.tree = reader.alternatives()
    if reader.at < len(pattern):
        raise Unsupported(f"{pattern[reader.at]!r} at {reader.at} of {pattern!r}")
    return reader


@dataclass
class _Reader:
    """Reads a pattern from left to right; `is_particular` if what it says is not all in the tree."""

    pattern: str
    at: int = 0
    groups: int = 0
    is_particular: bool = False
    tree: Node = field(default_factory=Node)

    def alternatives(self) -> Node:
        """`a|b|c`."""
        options = [self.sequence()]
        while self.next_is("|"):
            options.append(self.sequence())
        if len(options) == 1:
            return options[0]
        least, most = min(one.least for one in options), max(one.most for one in options)
        return Parts(least, most, tuple(options), is_choice=True)

    def sequence(self) -> Node:
        """What stands side by side, up to `|`, `)` or the end."""
        parts = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self.repeated())
        return Parts(sum(part.least for part in parts), sum(part.most for part in parts), tuple(parts))

    def repeated(self) -> Node:
        """One atom and its quantifier."""
        part = self.atom()
        fewest, most = self.quantifier()
        if (fewest, most) == (1, 1):
            return part
        longest = part.most * most if part.most and most else 0
        return Repeated(fewest * part.least, longest, part=part, fewest=fewest, highest=most)

    def quantifier(self) -> tuple[int, float]:
        """Least and most repetitions; once without a quantifier."""
        bounds: tuple[int, float] = (1, 1)
        found = _REPETITION.match(self.pattern, self.at)
        if found:
            self.at = found.end()
            least = int(found[1])
            bounds = (least, float(found[3] or math.inf) if found[2] else least)
        elif self.pattern[self.at : self.at + 1] in ("*", "+", "?"):
            bounds = {"*": (0, math.inf), "+": (1, math.inf), "?": (0, 1)}[self.pattern[self.at]]
            self.at += 1
        if bounds[0] > _MOST or bounds[0] > bounds[1]:
            raise Unsupported(f"{bounds[0]} to {bounds[1]} repetitions")
        _ = self.next_is("?")  # a lazy quantifier matches the same texts
        return bounds

    def atom(self) -> Node:
        """A group, a class, an escape or a letter."""
        letter = self.pattern[self.at]
        self.at += 1
        if letter == "(":
            return self.group()
        if letter == "[":
            return Letter(letters=self.members())
        if letter == "\\":
            return self.escaped()
        if letter == ".":
            return Letter(letters=_PLAIN)
        if letter in "*+?{":
            raise Unsupported(f"{letter!r} with nothing to repeat")
        return Node() if letter in "^$" else Letter(letters=letter)

    def group(self) -> Node:
        """`(…)`, also named or not captured; of `(?=…)` and the like, which match no letters, nothing is written."""
        opened = None
        if self.next_is("?"):
            opened = _OPENING.match(self.pattern, self.at)
            if opened is None:
                raise Unsupported(f"'(?' at {self.at} of {self.pattern!r}")
            self.at = opened.end()
        is_kept = opened is None or opened[1] is not None
        self.groups += is_kept
        number = self.groups
        part = self.alternatives()
        if not self.next_is(")"):
            raise Unsupported(f"{self.pattern!r} leaves a group open")
        if opened is not None and opened[0][-1] in "=!":
            self.is_particular = True
            return Node()
        return Group(part.least, part.most, number=number, part=part) if is_kept else part

    def escaped(self) -> Node:
        """An escape outside of a class: also an edge of a word, or what a group matched before."""
        if self.pattern[self.at : self.at + 1] in ("b", "B"):
            self.at += 1
            self.is_particular = True
            return Node()
        if self.pattern[self.at : self.at + 1] not in set("123456789"):
            return Letter(letters=self.escape())
        self.at += 1
        self.is_particular = True
        return Group(number=int(self.pattern[self.at - 1]))

    def escape(self) -> str:
        """The letters that an escape may stand for."""
        if found := _CODE.match(self.pattern, self.at):
            self.at = found.end()
            return chr(min(int(found[1] or found[2] or found[3], 16), 0x10FFFF))
        if (found := _PROPERTY.match(self.pattern, self.at)) and found[1] in _PROPERTIES:
            self.at = found.end()
            letters = _PROPERTIES[found[1]]
            return letters if found[0][0] == "p" else self._without(letters)
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
        return self._without(letters) if excluded else letters

    def _without(self, letters: str) -> str:
        left = "".join(letter for letter in _PLAIN if letter not in letters)
        if not left:
            raise Unsupported(f"a class of {self.pattern!r} leaves no letter")
        return left

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
        if len(last) != 1 or not 0 <= ord(last) - ord(first) <= 70_000:
            raise Unsupported(f"the range {first}-{last}")
        return "".join(map(chr, range(ord(first), min(ord(last), ord(first) + 500) + 1)))

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
