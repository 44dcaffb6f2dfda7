"""What differs between two requests, which recording is nearest, and how to say so."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from llmkit.recording.interaction import Request

_MISSING = "(nothing)"
_MOST_DIFFERENCES = 8
_MOST_TEXT = 120
_COMPARED_TEXT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One fact in which two requests differ; ``where`` is a JSON path such as ``$.messages[0].content``."""

    where: str
    recorded: str
    asked: str

    @property
    def weight(self) -> float:
        """How much it tells the two apart: 1 for another fact, less for a similar text."""
        if _MISSING in (self.recorded, self.asked):
            return 1.0
        matcher = difflib.SequenceMatcher(
            None, self.recorded[:_COMPARED_TEXT], self.asked[:_COMPARED_TEXT], autojunk=False
        )
        return 1.0 - matcher.quick_ratio() * 0.9


def differences(recorded: Request, asked: Request) -> list[Difference]:
    """List what differs, in the order of the recorded request."""
    before, after = dict(_facts(recorded)), dict(_facts(asked))
    return [
        Difference(where=where, recorded=before.get(where, _MISSING), asked=after.get(where, _MISSING))
        for where in dict.fromkeys([*before, *after])
        if before.get(where, _MISSING) != after.get(where, _MISSING)
    ]


def nearest(asked: Request, recorded: Sequence[Request]) -> int | None:
    """Return the index of the recorded request that differs least from ``asked``, or None if none goes to its path."""
    same_path = [i for i, request in enumerate(recorded) if _target(request) == _target(asked)]
    return min(same_path, key=lambda i: _distance(recorded[i], asked), default=None)


def describe(request: Request) -> list[str]:
    """Describe ``request`` in a line or two: what was asked of which model."""
    lines = [f"{request.method} {request.uri}"]
    body = _json(request.body)
    if not isinstance(body, dict):
        return [*lines, f"body: {_shortened(_text(request.body))}"] if request.body else lines
    facts = [f"model {body['model']!r}"] if isinstance(body.get("model"), str) else []
    prompt = next((body[name] for name in ("messages", "input", "prompt") if body.get(name)), None)
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], dict):
        facts.append(f"{len(prompt)} message{'s' * (len(prompt) > 1)}")
        prompt = prompt[-1].get("content")
    if prompt:
        facts.append(f"the last: {_shortened(prompt if isinstance(prompt, str) else json.dumps(prompt))!r}")
    return [*lines, ", ".join(facts)] if facts else lines


def explain_miss(
    asked: Request, recorded: Sequence[Request], *, path: Path, played: int, same: int, remedy: str
) -> str:
    """Say why the cassette at ``path`` has no answer to ``asked``, and what to do.

    ``played`` of the ``recorded`` were played; ``same`` of them are this very request; ``remedy`` records it.
    """
    lines = ["no recording of this request", ""]
    lines += _labelled("asked", describe(asked))
    lines += _labelled("cassette", [_state(path, len(recorded), played)])
    if same:
        lines += _labelled("reason", [f"recorded {same} time{'s' * (same > 1)}, asked once more than that"])
    elif recorded:
        lines += _labelled("nearest", list(_nearest_lines(asked, recorded)))
    lines += _labelled("next", [f"record what is missing: {remedy}"])
    return "\n".join(lines)


def _nearest_lines(asked: Request, recorded: Sequence[Request]) -> Iterator[str]:
    index = nearest(asked, recorded)
    if index is None:
        targets = dict.fromkeys(f"{request.method} {request.uri}" for request in recorded)
        yield f"none; it holds {', '.join(list(targets)[:4])}"
        return
    found = differences(recorded[index], asked)
    yield f"interaction {index + 1} of {len(recorded)} differs in"
    for difference in found[:_MOST_DIFFERENCES]:
        yield f"  {difference.where}"
        before, after = _apart(difference.recorded, difference.asked)
        yield f"    recorded  {before}"
        yield f"    asked     {after}"
    if len(found) > _MOST_DIFFERENCES:
        yield f"  … and {len(found) - _MOST_DIFFERENCES} more"


def _labelled(label: str, lines: list[str]) -> list[str]:
    return [f"  {label if number == 0 else '':<9} {line}" for number, line in enumerate(lines)]


def _state(path: Path, count: int, played: int) -> str:
    if not path.exists() and count == 0:
        return f"{path} (does not exist)"
    return f"{path} ({count} interaction{'s' * (count != 1)}, {played} played)"


def _target(request: Request) -> tuple[str, str, str]:
    parts = urlsplit(request.uri)
    return request.method.upper(), parts.netloc, parts.path


def _distance(recorded: Request, asked: Request) -> float:
    return sum(difference.weight for difference in differences(recorded, asked))


def _facts(request: Request) -> Iterator[tuple[str, str]]:
    parts = urlsplit(request.uri)
    yield "method", request.method.upper()
    yield "address", f"{parts.scheme}://{parts.netloc}{parts.path}"
    for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True)):
        yield f"?{name}", value
    body = _json(request.body)
    if body is not None:
        yield from _leaves(body, "$")
    elif request.body:
        yield "body", _text(request.body)


def _leaves(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield (
            path,
            json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value, ensure_ascii=False),
        )


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return f"<{len(body)} bytes of binary data>"


def _apart(before: str, after: str) -> tuple[str, str]:
    """Shorten two texts to where they part."""
    if len(before) <= _MOST_TEXT and len(after) <= _MOST_TEXT:
        return before, after
    common = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    start = max(0, common - 40)
    return _shortened(before[start:], start > 0), _shortened(after[start:], start > 0)


def _shortened(text: str, is_cut: bool = False) -> str:  # noqa: FBT001, FBT002 - private, called twice
    ending = "…" if len(text) > _MOST_TEXT else ""
    return f"{'…' * is_cut}{text[:_MOST_TEXT]}{ending}"
