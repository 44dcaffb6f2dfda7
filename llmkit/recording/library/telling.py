"""What differs between two interactions, in lines for people: wherever it is shown, it reads the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from llmkit.recording.library.comparison import Change
from llmkit.recording.library.masking import harmless
from llmkit.recording.matching.diff import Difference

_MOST_DIFFERENCES = 12
_MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A line of ``text``; its kind says what it tells.

    ``about`` describes the request, ``place`` is where something differs, ``before`` and ``after`` are what was and is
    there, and ``more`` counts the places that are left out.
    """

    kind: Literal["about", "place", "before", "after", "more"]
    text: str


def told(change: Change) -> Iterator[Line]:
    """Yield what there is to say of ``change`` below the first line that its request has."""
    yield from (Line("about", f"    {harmless(line)}") for line in change.about[1:])
    for side, found in (("request", change.request), ("response", change.response)):
        for difference in found[:_MOST_DIFFERENCES]:
            yield from _difference(side, difference)
        if len(found) > _MOST_DIFFERENCES:
            yield Line("more", f"  … and {len(found) - _MOST_DIFFERENCES} more in the {side}")


def _difference(side: str, one: Difference) -> Iterator[Line]:
    yield Line("place", f"  {side} {harmless(one.where)}")
    before, after = _apart(harmless(one.recorded), harmless(one.asked))
    if not one.is_added:
        yield Line("before", f"    - {before}")
    if not one.is_gone:
        yield Line("after", f"    + {after}")


def _apart(before: str, after: str) -> tuple[str, str]:
    """Shorten two texts to where they part."""
    if max(len(before), len(after)) <= _MOST_TEXT:
        return before, after
    common = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    start = max(0, common - 40)
    return _cut(before, start), _cut(after, start)


def _cut(text: str, start: int) -> str:
    return "…" * (start > 0) + text[start : start + _MOST_TEXT] + "…" * (len(text) > start + _MOST_TEXT)
