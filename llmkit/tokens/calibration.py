"""Learning from bills: what a count was off by, and is likely to be off by again."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmkit.errors import ConfigError, excerpt
from llmkit.tokens.counts import TokenCount

_REMEMBERED = 32  # bills for each model and kind of count
_ENOUGH, _SURE = 3, 8  # bills after which the offset is believed, and after which the rules' own doubt is dropped


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the API billed beyond our counts, by model: a value that only grows by making a new one.

    Hidden instructions of a deployment or a gateway, and frames that the rules don't know, are about the same from call
    to call: `learn` remembers the last 32 differences, `adjust` adds their median. Exact counts and estimates are kept
    apart, since tools are billed by other rules than text. It pickles, compares, and goes into JSON and back.
    """

    differences: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def learn(self, count: TokenCount, *, billed: int, model: str) -> "Calibration":
        """A calibration that knows one bill more; `count` is as it was before any adjustment."""
        kind = _kind(count, model)
        known = (*self.differences.get(kind, ()), billed - count.tokens)[-_REMEMBERED:]
        return Calibration({**self.differences, kind: known})

    def adjust(self, count: TokenCount, *, model: str) -> TokenCount:
        """The count as it is likely to be billed; its margin covers what was billed before.

        Until three bills are known the number stays, and only the margin grows.
        """
        known = self.differences.get(_kind(count, model))
        if not known:
            return count
        if len(known) < _ENOUGH:
            return TokenCount(count.tokens, max(count.margin, *map(abs, known)))
        offset = self.offset(model, estimated=count.margin > 0)
        spread = math.ceil(max(abs(each - offset) for each in known))
        doubt = 0 if len(known) >= _SURE else count.margin
        return TokenCount(max(count.tokens + offset, 0), max(spread, doubt))

    def offset(self, model: str, *, estimated: bool = False) -> int:
        """The tokens that are billed beyond a count, for exact counts or for estimates; 0 where too few are known."""
        known = self.differences.get(_key(model, estimated=estimated), ())
        return sorted(known)[len(known) // 2] if len(known) >= _ENOUGH else 0

    def to_json(self) -> dict[str, Any]:
        """The calibration as JSON has it."""
        return {kind: list(known) for kind, known in self.differences.items()}

    @classmethod
    def from_json(cls, saved: object) -> "Calibration":
        """The calibration that `to_json` saved; raises ConfigError for anything else."""
        if not isinstance(saved, Mapping):
            raise ConfigError(f"A calibration is an object of lists of numbers, not {excerpt(saved)}")
        return cls({str(kind): _differences(kind, known) for kind, known in saved.items()})


def _differences(kind: object, known: object) -> tuple[int, ...]:
    if not isinstance(known, Iterable) or isinstance(known, str | Mapping):
        raise ConfigError(f"The calibration of {kind!r} is {excerpt(known)}, not a list of numbers")
    numbers = tuple(known)
    if not all(type(number) is int for number in numbers):
        raise ConfigError(f"The calibration of {kind!r} is {excerpt(known)}, not a list of numbers")
    return numbers[-_REMEMBERED:]


def _kind(count: TokenCount, model: str) -> str:
    return _key(model, estimated=count.margin > 0)


def _key(model: str, *, estimated: bool) -> str:
    return f"{model}, estimated" if estimated else model
