"""What differs between two requests, by JSON path, and which of many recorded requests is nearest to one."""

from __future__ import annotations

import difflib
import functools
import heapq
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from llmkit.recording.interaction import Request

MISSING = "(nothing)"
_COMPARED_EXACTLY = 5  # requests
_COMPARED_TEXT = 2000
_ALIGNED_TEXT = 400
_SHORT_TEXT = 64
_STEP = 32
_ALIGNED_ITEMS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One fact in which two requests differ; ``where`` is a JSON path such as ``messages[0].content``."""

    where: str
    recorded: str
    asked: str

    @property
    def is_added(self) -> bool:
        """Whether only the asked request has it."""
        return self.recorded == MISSING

    @property
    def is_gone(self) -> bool:
        """Whether only the recorded request has it."""
        return self.asked == MISSING


def differences(recorded: Request, asked: Request) -> list[Difference]:
    """List what differs, in the order of the recorded request; lists are aligned by what they have in common."""
    before, after = dict(_head(recorded)), dict(_head(asked))
    found = [
        Difference(where=where, recorded=before.get(where, MISSING), asked=after.get(where, MISSING))
        for where in dict.fromkeys([*before, *after])
        if before.get(where) != after.get(where)
    ]
    return [*found, *_compared(_body(recorded), _body(asked), "")]


def nearest(asked: Request, recorded: Sequence[Request]) -> int | None:
    """Return the index of the recorded request that differs least from ``asked``, or None if none goes to its path.

    How alike two texts are is known exactly only of the few that share most of their short pieces: it takes a time that
    grows with the square of their lengths, and a cassette may hold thousands.
    """
    likeness = _Likeness()
    found = {i: differences(one, asked) for i, one in enumerate(recorded) if _target(one) == _target(asked)}
    rough = {i: sum(likeness.rough_weights(differs)) for i, differs in found.items()}
    best = heapq.nsmallest(_COMPARED_EXACTLY, rough, key=lambda i: rough[i])
    return min(best, key=lambda i: rough[i] + sum(likeness.exact_weights(found[i])), default=None)


class _Likeness:
    """How much differences tell two requests apart: 1 for another fact, less for a similar text."""

    def __init__(self) -> None:
        self._shingles_of_asked = functools.lru_cache(maxsize=32)(_shingles)

    def rough_weights(self, differs: Sequence[Difference]) -> Iterator[float]:
        """Yield the weight of each by the pieces that its texts share, in a time that grows with their lengths."""
        window = max(_SHORT_TEXT, _COMPARED_TEXT // max(1, len(differs)))
        return (self._weight(one, window, self._shared) for one in differs)

    def exact_weights(self, differs: Sequence[Difference]) -> Iterator[float]:
        """Yield the weight of each by the characters that its texts have in common, in order."""
        window = max(_SHORT_TEXT, _ALIGNED_TEXT // max(1, len(differs)))
        return (self._weight(one, window, _ratio) for one in differs)

    def _weight(self, one: Difference, window: int, ratio: Callable[[str, str], float]) -> float:
        if one.is_added or one.is_gone:
            return 1.0
        before, after, common = _where_they_part(one.recorded, one.asked, window)
        length = (len(before) + len(after)) / 2
        return 1.0 - (common + ratio(before, after) * length) / (common + length) * 0.9

    def _shared(self, recorded: str, asked: str) -> float:
        ours, theirs = self._shingles_of_asked(asked), _shingles(recorded)
        return 2 * len(ours & theirs) / (len(ours) + len(theirs))


def _ratio(recorded: str, asked: str) -> float:
    return difflib.SequenceMatcher(None, recorded, asked, autojunk=False).ratio()


def _shingles(text: str) -> set[str]:
    padded = f"\0\0\0{text}\0\0\0"
    return {padded[start : start + 4] for start in range(len(padded) - 3)}


def _where_they_part(one: str, other: str, most: int) -> tuple[str, str, int]:
    """Return two texts without what they begin and end with in common, and the length of that.

    Not to the letter, so that of one text that is compared with many, few parts are left; and at ``most`` so long.
    """
    start = _common(one, other) // _STEP * _STEP
    one, other = one[start:], other[start:]
    end = _common(one[::-1], other[::-1]) // _STEP * _STEP
    return one[: len(one) - end][:most], other[: len(other) - end][:most], start + end


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common; by halving, as comparing slices costs little."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least


def _target(request: Request) -> tuple[str, str, str]:
    parts = urlsplit(request.uri)
    return request.method.upper(), parts.netloc, parts.path


def _head(request: Request) -> Iterator[tuple[str, str]]:
    parts = urlsplit(request.uri)
    yield "method", request.method.upper()
    yield "address", f"{parts.scheme}://{parts.netloc}{parts.path}"
    for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True)):
        yield f"?{name}", value


def _body(request: Request) -> object:
    if not request.body:
        return _Text(MISSING)
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        return _Text(text_of(request.body))


class _Text(str):
    """A body that is no JSON, shown as it is."""

    __slots__ = ()


def _compared(before: object, after: object, path: str) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            below = f"{path}.{name}" if path else str(name)
            if name in before and name in after:
                yield from _compared(before[name], after[name], below)
            else:
                yield _lone(before, after, name, below)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _compared_lists(before, after, path)
    elif _shown(before) != _shown(after):
        yield Difference(where=path or "body", recorded=_shown(before), asked=_shown(after))


def _lone(before: dict[str, object], after: dict[str, object], name: str, path: str) -> Difference:
    if name in before:
        return Difference(where=path, recorded=_shown(before[name]), asked=MISSING)
    return Difference(where=path, recorded=MISSING, asked=_shown(after[name]))


def _compared_lists(before: list[object], after: list[object], path: str) -> Iterator[Difference]:
    for first, last, start, end in _unlike_parts(before, after):
        paired = min(last - first, end - start)
        for offset in range(paired):
            yield from _compared(before[first + offset], after[start + offset], f"{path}[{start + offset}]")
        for index in range(first + paired, last):
            yield Difference(where=f"{path}[{index}]", recorded=_shown(before[index]), asked=MISSING)
        for index in range(start + paired, end):
            yield Difference(where=f"{path}[{index}]", recorded=MISSING, asked=_shown(after[index]))


def _unlike_parts(before: list[object], after: list[object]) -> Iterator[tuple[int, int, int, int]]:
    if max(len(before), len(after)) > _ALIGNED_ITEMS:
        yield 0, len(before), 0, len(after)
        return
    matcher = difflib.SequenceMatcher(None, [*map(_shown, before)], [*map(_shown, after)], autojunk=False)
    for tag, first, last, start, end in matcher.get_opcodes():
        if tag != "equal":
            yield first, last, start, end


def _shown(value: object) -> str:
    if isinstance(value, _Text):
        return str(value)
    plain = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps(plain, ensure_ascii=False)


def text_of(body: bytes) -> str:
    """Return ``body`` as text, or how many bytes it has."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return f"<{len(body)} bytes of binary data>"
