"""The misses of a run in short: what was asked, why it has no recording, and the first thing that differs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LABELLED = re.compile(r"  (asked|cassette|reason|nearest|next) +(.*)")
_INDENT = 12
_ELSEWHERE = "recorded in another test: "
_NO_FILE = " (does not exist)"
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """What `Miss.explain` said to ``test``, taken apart; ``cassette`` is "" where the test has one."""

    test: str
    asked: str
    reason: str
    difference: str = ""
    cassette: str = ""

    @classmethod
    def parse(cls, test: str, message: str) -> Missed:
        """Take ``message`` apart; one of another form is its first line."""
        first, *lines = message.splitlines()
        blocks: dict[str, list[str]] = {"": [first]}
        label = ""
        for line in lines:
            if found := _LABELLED.fullmatch(line):
                label = found[1]
                blocks[label] = [found[2]]
            else:
                blocks[label].append(line[_INDENT:])
        place = blocks.get("cassette", [""])[0]
        return cls(
            test=test,
            asked=blocks.get("asked", [""])[:2][-1],
            reason=blocks.get("reason", [_place_of(place) or first])[0],
            difference=_difference(blocks.get("nearest", [])),
            cassette=place.removesuffix(_NO_FILE) if place.endswith(_NO_FILE) else "",
        )

    @property
    def elsewhere(self) -> list[str]:
        """The cassettes of other tests that hold what was asked."""
        return self.reason.removeprefix(_ELSEWHERE).split(", ") if self.reason.startswith(_ELSEWHERE) else []

    def lines(self, more: int) -> Iterator[str]:
        """Yield what to show, where ``more`` are like this one."""
        yield self.test
        yield from (f"  {line}" for line in (self.asked, self.reason, self.difference) if line)
        if more:
            yield f"  {more} more like it"


def shown(misses: Iterable[Missed]) -> Iterator[str]:
    """Yield the lines of a section on ``misses``; equal ones are one, and of many only the first are shown."""
    alike: dict[tuple[str, str, str], list[Missed]] = {}
    for one in misses:
        alike.setdefault((one.asked, one.reason, one.difference), []).append(one)
    groups = list(alike.values())
    for first, *more in groups[:_MOST_SHOWN]:
        yield from first.lines(len(more))
    if len(groups) > _MOST_SHOWN:
        yield f"… and {sum(map(len, groups[_MOST_SHOWN:]))} more"
    yield "next: record what is missing: pytest --record"


def _place_of(cassette: str) -> str:
    return f"there is no {cassette.removesuffix(_NO_FILE)}" if cassette.endswith(_NO_FILE) else ""


def _difference(nearest: list[str]) -> str:
    """Return the first of the differences to the nearest recording in a line, or "" if there are none."""
    for place, where in enumerate(nearest):
        values = nearest[place + 1 : place + 3]
        if len(values) == 2 and values[0].startswith("    recorded") and values[1].startswith("    asked"):
            recorded, asked = (value.split(None, 1)[-1] for value in values)
            return f"{where.strip()}: recorded {recorded}, asked {asked}"
    return ""
