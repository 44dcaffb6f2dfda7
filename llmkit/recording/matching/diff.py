"""What differs between two requests, by JSON path, and which of many recorded requests is nearest to one."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from llmkit.recording.interaction import Request

MISSING = "(nothing)"
_COMPARED_TEXT = 2000
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

    def weight(self, *, at_least: bool = False) -> float:
        """How much it tells the two apart: 1 for another fact, less for a similar text.

        ``at_least`` gives a bound that costs less to find.
        """
        if self.is_added or self.is_gone:
            return 1.0
        before, after, common = _where_they_part(self.recorded, self.asked)
        matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
        matched = (matcher.quick_ratio() if at_least else matcher.ratio()) * (len(before) + len(after)) / 2
        alike = (common + matched) * 2 / (common * 2 + len(before) + len(after))
        return 1.0 - alike * 0.9


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
    """Return the index of the recorded request that differs least from ``asked``, or None if none goes to its path."""
    found = {i: differences(one, asked) for i, one in enumerate(recorded) if _target(one) == _target(asked)}
    bounds = sorted((sum(one.weight(at_least=True) for one in differs), i) for i, differs in found.items())
    best, least = None, float("inf")
    for bound, i in bounds:
        if bound >= least:
            break
        distance = sum(one.weight() for one in found[i])
        if distance < least:
            best, least = i, distance
    return best


def _where_they_part(one: str, other: str) -> tuple[str, str, int]:
    """Return two texts without what they begin and end with in common, and the length of that."""
    shorter = min(len(one), len(other))
    start = next((i for i in range(shorter) if one[i] != other[i]), shorter)
    end = next((i for i in range(shorter - start) if one[-1 - i] != other[-1 - i]), shorter - start)
    return (
        one[start : len(one) - end][:_COMPARED_TEXT],
        other[start : len(other) - end][:_COMPARED_TEXT],
        start + end,
    )


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
