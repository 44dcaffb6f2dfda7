"""Gaps in something spelt: marks that stand for values, and what becomes of them."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from typing_extensions import override

from mockserver.generating.dice import Dice

# where JSON or a sum wants numbers, these stand for them: no answer has such
NUMBERS = {"created": 987_650_001, "prompt": 310_000_007, "completion": 240_000_011, "total": 550_000_018}
_DRAWN = 710_000_000

_MARKS = "|".join(
    [
        "\ue000(?P<text>\\w+)\ue001",
        *(f"(?P<{name}>{number})" for name, number in NUMBERS.items()),
        f"{_DRAWN // 10}(?P<drawn>[0-9])",
    ]
)
_MARK = re.compile(_MARKS.encode())


class Unmouldable(Exception):
    """An answer that depends on more than a mould can be given."""


class Draw(NamedTuple):
    """What was asked of dice, and the gap that it fills."""

    gap: str
    ask: Callable[..., Any]
    arguments: tuple[Any, ...]


def mark(gap: str) -> str:
    """What stands for a text."""
    return f"\ue000{gap}\ue001"


def pattern_of(spelt: bytes) -> bytes:
    """`spelt` as a pattern that `%` fills: its marks become gaps, with names in bytes."""
    return _MARK.sub(_gap, spelt.replace(b"%", b"%%"))


def _gap(found: re.Match[bytes]) -> bytes:
    if found["text"] is not None:
        return b"%%(%b)s" % found["text"]
    if found["drawn"] is not None:
        return b"%%(drawn%b)d" % found["drawn"]
    return b"%%(%b)d" % str(found.lastgroup).encode()


class Tracer(Dice):
    """Dice that give marks, and note what is asked of them; `draws` are in order."""

    __slots__ = ("draws",)

    def __init__(self) -> None:
        super().__init__(0)
        self.draws: list[Draw] = []

    def _draw(self, ask: Callable[..., Any], *arguments: Any) -> str:
        gap = f"drawn{len(self.draws)}"
        self.draws.append(Draw(gap, ask, arguments))
        return gap

    @override
    def bytes(self, count: int) -> bytes:
        raise Unmouldable

    @override
    def randint(self, least: int, most: int) -> int:
        return _DRAWN + int(self._draw(Dice.randint, least, most)[-1])

    @override
    def token(self, length: int) -> str:
        return mark(self._draw(Dice.token, length))

    @override
    def hexadecimal(self, length: int) -> str:
        return mark(self._draw(Dice.hexadecimal, length))

    @override
    def uuid(self) -> str:
        return mark(self._draw(Dice.uuid))
