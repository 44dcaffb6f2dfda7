"""Replies that are a number: with a unit, a percent sign, separators of thousands, in one locale or another.

`1,234` is 1234 in one country and 1.234 in the next. Where both readings are possible, that is an error, until
`decimal` says which is meant.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from llmkit.errors import ConfigError, excerpt
from llmkit.parsers.places import failure, quoted

_SPACES = " \u00a0\u2009\u202f'\u2019_"
_SIGNS = ("-", "+", "\u2212")
_DIGITS = rf"[0-9](?:[0-9.,{_SPACES}]*[0-9])?"
_NUMBER = re.compile(rf"(?P<sign>[-+\u2212]?)(?P<digits>{_DIGITS})(?P<exponent>[eE][-+]?[0-9]{{1,4}})?(?![0-9])")
_IN_PROSE = re.compile(rf"(?<![\w.,])(?:[-+\u2212](?=[0-9]))?{_DIGITS}(?:[eE][-+]?[0-9]{{1,4}}(?![\w]))?")
_MARKS = re.compile(rf"[.,{_SPACES}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """The number that a reply is: `Number()(text)`, an int where it has no fraction, else a float.

    `decimal` is the mark before the fraction, "." or ","; `unit` one that has to stand beside the number (`"kg"`,
    `"%"`, `"$"`), or several with their factors (`{"kg": 1, "g": 0.001}`; "" for none). With `prose` the reply may be a
    text with one number in it. Raises ParseFailed for what is no number, for `1,234` without `decimal`, for another
    unit, and outside of `least` and `most`.
    """

    decimal: str | None = None
    unit: str | Mapping[str, float] | None = field(default=None, hash=False)
    whole: bool = False
    least: float | None = None
    most: float | None = None
    prose: bool = False

    def __post_init__(self) -> None:
        if self.decimal not in (None, ".", ","):
            raise ConfigError(f"decimal = {self.decimal!r}: the mark before a fraction is '.' or ','")

    def __call__(self, text: str) -> int | float:
        """The number, times the factor of its unit."""
        found = self._found(text)
        value = self._value(found, text) * self._factor(found, text)
        number = int(value) if value.denominator == 1 and not found["exponent"] else _float(value, text)
        if self.whole and value.denominator != 1:
            raise failure(f"{number} is no whole number", text=text, position=found.start())
        self._check_range(number, found, text)
        return int(number) if self.whole else number

    def _found(self, text: str) -> re.Match[str]:
        """The one number in the text."""
        if self.prose:
            return self._in_prose(text)
        start = len(text) - len(text.lstrip())
        found = _NUMBER.search(text)
        if found is None:
            raise failure(f"there is no number: {quoted(text)}", text=text, position=start)
        return found

    def _in_prose(self, text: str) -> re.Match[str]:
        found = [match for each in _IN_PROSE.finditer(text) if (match := _NUMBER.match(text, each.start()))]
        if len(found) != 1:
            there = ", ".join(match[0] for match in found[:5]) or quoted(text)
            position = found[1].start() if found else 0
            raise failure(f"one number is wanted, {len(found)} are there: {there}", text=text, position=position)
        return found[0]

    def _factor(self, found: re.Match[str], text: str) -> Fraction:
        """What the unit beside the number multiplies it with; raises ParseFailed for other text."""
        before, after = text[: found.start()].strip(), text[found.end() :].strip()
        units = {self.unit: 1} if isinstance(self.unit, str) else self.unit if self.unit is not None else {"": 1}
        if self.prose:
            before, after = _beside(before, after, units)
        sign = before[:1] if before[:1] in _SIGNS and not found["sign"] else ""
        mark = before.removeprefix(sign).strip()
        written = mark or ("" if after == "." else after)
        if (mark and after) or written not in units:
            wanted = ", ".join(map(repr, units)) if set(units) != {""} else "nothing"
            position = found.end() if after else 0
            beside = excerpt(f"{before} {after}".strip())
            raise failure(f"beside the number stands {beside}: {wanted} may", text=text, position=position)
        return Fraction(str(units[written])) * (-1 if sign in ("-", "\u2212") else 1)

    def _value(self, found: re.Match[str], text: str) -> Fraction:
        digits = _plain(found["digits"], self.decimal)
        if digits is None:
            message = f"{excerpt(found['digits'])} is no number with separators of thousands"
            if self._is_ambiguous(found["digits"]):
                message = f"{excerpt(found['digits'])} has two readings: say Number(decimal='.') or Number(decimal=',')"
            raise failure(message, text=text, position=found.start())
        sign = "-" if found["sign"] in ("-", "\u2212") else ""
        return Fraction(f"{sign}{digits}{found['exponent'] or ''}")

    def _is_ambiguous(self, digits: str) -> bool:
        return self.decimal is None and None not in (_plain(digits, "."), _plain(digits, ","))

    def _check_range(self, number: float, found: re.Match[str], text: str) -> None:
        if (self.least is not None and number < self.least) or (self.most is not None and number > self.most):
            bounds = (("at least", self.least), ("at most", self.most))
            wanted = " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
            raise failure(f"{number} is out of range: it has to be {wanted}", text=text, position=found.start())


def _plain(digits: str, decimal: str | None) -> str | None:
    """The digits with a point before the fraction; None where separators are misplaced or can be read in two ways."""
    readings = {_with(digits, mark) for mark in ([decimal] if decimal else [".", ","])} - {None}
    return readings.pop() if len(readings) == 1 else None


def _with(digits: str, decimal: str) -> str | None:
    """The digits, read with this mark before the fraction; None where that is not possible."""
    whole, mark, fraction = digits.partition(decimal)
    if mark and not fraction.isdigit():
        return None
    separators = set(_MARKS.findall(whole))
    groups = _MARKS.split(whole)
    if len(separators) > 1 or (separators and not _are_thousands(groups)):
        return None
    return "".join(groups) + (f".{fraction}" if mark else "")


def _are_thousands(groups: list[str]) -> bool:
    """Groups of three digits; in India those before the last have two."""
    first, *middle, last = groups
    sizes = {len(group) for group in middle}
    sound = sizes <= {3} or (sizes == {2} and len(first) < 3)
    return sound and len(last) == 3 and 1 <= len(first) <= 3 and first[0] != "0"


def _beside(before: str, after: str, units: Mapping[str, float]) -> tuple[str, str]:
    """In prose, the unit that touches the number; the rest is passed over."""
    for unit in sorted((unit for unit in units if unit), key=len, reverse=True):
        if before.endswith(unit):
            return unit, ""
        if after.startswith(unit) and not (unit[-1].isalnum() and after[len(unit) : len(unit) + 1].isalnum()):
            return "", unit
    return "", ""


def _float(value: Fraction, text: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise failure("the number is too large", text=text, position=0)
    return number
