"""Saying why a cassette has no answer: what was asked, what is nearest, what differs, what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmkit.recording.interaction import Request
from llmkit.recording.matching.diff import Difference, differences, nearest, text_of
from llmkit.recording.matching.match import PLAIN, Rules, normalised

_MOST_DIFFERENCES = 8
_MOST_TEXT = 120
_PROMPT = re.compile(r"(messages|input|prompt|instructions)($|[.\[])")
_CHANGED = "the prompt changed"
_ADDRESS = ("method", "address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A request that the cassette at ``path`` can't answer.

    ``recorded`` are its requests and ``played`` says which of them were played; ``same`` of them are this very
    request. ``elsewhere`` names other cassettes that hold it; ``remedy`` is the command that records it.
    """

    asked: Request
    path: Path
    recorded: Sequence[Request] = ()
    played: Sequence[bool] = ()
    same: int = 0
    elsewhere: Sequence[str] = ()
    remedy: str = ""
    rules: Rules = PLAIN

    def explain(self) -> str:
        """Return the message for people."""
        reasons = list(self._reasons())
        return "\n".join(
            (
                f"no recording of this request{_in_short(reasons)}",
                "",
                *_labelled("asked", describe(self.asked)),
                *_labelled("cassette", [self._state()]),
                *reasons,
                *_labelled("next", [f"record what is missing: {self.remedy}"]),
            )
        )

    def _state(self) -> str:
        count = len(self.recorded)
        if not self.path.exists() and count == 0:
            return f"{self.path} (does not exist)"
        return f"{self.path} ({count} interaction{'s' * (count != 1)}, {sum(self.played)} played)"

    def _reasons(self) -> Iterator[str]:
        if self.same:
            times = f"{self.same} time{'s' * (self.same > 1)}"
            yield from _labelled("reason", [f"already played {times}: it was recorded {times}, and is asked once more"])
            return
        index, found = self._nearest()
        if self.elsewhere:
            yield from _labelled("reason", [f"recorded in another test: {', '.join(self.elsewhere[:4])}"])
        elif index is not None:
            yield from _labelled("reason", [reason(found)])
        if self.recorded:
            yield from _labelled("nearest", list(self._nearest_lines(index, found)))

    def _nearest(self) -> tuple[int | None, list[Difference]]:
        asked = normalised(self.asked, self.rules)
        recorded = [normalised(one, self.rules) for one in self.recorded]
        index = nearest(asked, recorded)
        return index, [] if index is None else differences(recorded[index], asked)

    def _nearest_lines(self, index: int | None, found: list[Difference]) -> Iterator[str]:
        if index is None:
            targets = dict.fromkeys(f"{request.method} {request.uri}" for request in self.recorded)
            yield f"none; it holds {', '.join(list(targets)[:4])}"
            return
        was_played = ", already played," if index < len(self.played) and self.played[index] else ""
        yield f"interaction {index + 1} of {len(self.recorded)}{was_played} differs in"
        yield from shown(found)


def shown(found: Sequence[Difference]) -> Iterator[str]:
    """Yield lines that show the first of the differences ``found``, and count the rest."""
    for difference in found[:_MOST_DIFFERENCES]:
        yield f"  {difference.where}"
        before, after = _apart(difference.recorded, difference.asked)
        yield f"    recorded  {before}"
        yield f"    asked     {after}"
    if len(found) > _MOST_DIFFERENCES:
        yield f"  … and {len(found) - _MOST_DIFFERENCES} more"


def reason(found: Sequence[Difference]) -> str:
    """Say in a few words what the differences ``found`` come to."""
    prompt = [one for one in found if _PROMPT.match(one.where)]
    fields = [one for one in found if one not in prompt and one.where not in _ADDRESS]
    sayings = (
        (_CHANGED, prompt),
        (f"field added: {_names(fields, 'is_added')}", [one for one in fields if one.is_added]),
        (f"field gone: {_names(fields, 'is_gone')}", [one for one in fields if one.is_gone]),
        (f"value changed: {_names(fields, '')}", [one for one in fields if not one.is_added and not one.is_gone]),
        ("it goes to another address", [one for one in found if one.where in _ADDRESS]),
    )
    return "; ".join(saying for saying, facts in sayings if facts) or "only what is not compared differs"


def describe(request: Request) -> list[str]:
    """Describe ``request`` in a line or two: what was asked of which model."""
    lines = [f"{request.method} {request.uri}"]
    body = _json(request.body)
    if not isinstance(body, dict):
        return [*lines, f"body: {_shortened(text_of(request.body))}"] if request.body else lines
    facts = [f"model {body['model']!r}"] if isinstance(body.get("model"), str) else []
    prompt = next((body[name] for name in ("messages", "input", "prompt") if body.get(name)), None)
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], dict):
        facts.append(f"{len(prompt)} message{'s' * (len(prompt) > 1)}")
        prompt = prompt[-1].get("content")
    if prompt:
        facts.append(f"the last: {_shortened(prompt if isinstance(prompt, str) else json.dumps(prompt))!r}")
    return [*lines, ", ".join(facts)] if facts else lines


def _in_short(reasons: Sequence[str]) -> str:
    """Return what the first line says of ``reasons``: often no other is shown."""
    if not reasons or not reasons[0].startswith("  reason"):
        return ""
    why = reasons[0].split(None, 1)[1]
    where = f" ({reasons[2].strip()})" if why == _CHANGED and len(reasons) > 2 else ""  # the first that differs
    return f": {why}{where}"


def _names(fields: Sequence[Difference], kind: str) -> str:
    chosen = [one.where for one in fields if (getattr(one, kind) if kind else not one.is_added and not one.is_gone)]
    return ", ".join(chosen[:4])


def _labelled(label: str, lines: list[str]) -> list[str]:
    return [f"  {label if number == 0 else '':<9} {line}" for number, line in enumerate(lines)]


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


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
