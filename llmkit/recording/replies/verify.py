"""How a live reply differs in structure from the recorded one, with which an application was tested.

Ids, texts, counts and the number of chunks differ from one honest reply to the next, and so does what a model decides
(to call a tool, to search, to reason); fields, their types, the vocabulary of ``type``, ``role`` and ``object``, the
dimension of vectors and the grammar of a stream (https://platform.openai.com/docs/api-reference) do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, KeysView, Mapping, Sequence, Sized
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from llmkit.recording.interaction import Response, header
from llmkit.recording.replies.content_coding import decoded
from llmkit.recording.replies.grammar import (
    NO_JSON,
    TURNS,
    Frame,
    choices_of,
    faults_of_chunks,
    faults_of_events,
    frames_of,
    index_of,
    is_json,
    joined,
    message_of,
    name_of,
    only,
    parsed,
)  # fmt: skip

_ABSENT = "absent"
_NULLABLE = frozenset({
    "code", "completed_at", "error", "incomplete_details", "logprobs", "param", "refusal", "service_tier",
    "system_fingerprint",
})  # fmt: skip
_PADDING = frozenset({"obfuscation"})
_OPAQUE = frozenset({"action", "input", "metadata", "parameters", "schema"})
"""Objects with keys of the user's or the model's own choosing."""
_CHOSEN = frozenset({"annotations", "output", "tools"})
"""Arrays whose kinds of items the model chooses."""
_FIXED = frozenset({"object", "role", "type"})
_NAMED = frozenset({"finish_reason", "model", "service_tier", "status", "stop_reason"})
_DEEPEST = 100


class Tier(IntEnum):
    """How much a drift matters: only what is breaking fails a verification, the rest is named."""

    ADDED = 1
    NOTABLE = 2
    BREAKING = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference; ``where`` is a JSON path, after the event's name in a stream of named events."""

    tier: Tier
    where: str
    recorded: str
    live: str


def compare(recorded: Response, live: Response) -> list[Drift]:
    """Return how ``live`` differs from ``recorded`` in structure, each place once with what is worst there."""
    if recorded.status != live.status:
        return [Drift(Tier.BREAKING, "status", str(recorded.status), str(live.status))]
    found: dict[str, Drift] = {}
    for drift in (*_endings(recorded, live), *_content_types(recorded, live), *_bodies(recorded, live)):
        if drift.where not in found or found[drift.where].tier < drift.tier:
            found[drift.where] = drift
    return list(found.values())


def worst(drifts: Iterable[Drift]) -> Tier | None:
    """Return the highest tier, or None if there is no drift."""
    return max((drift.tier for drift in drifts), default=None)


def describe(drifts: Iterable[Drift]) -> list[str]:
    """Return a line for each drift, the worst first."""
    ordered = sorted(drifts, key=lambda drift: -drift.tier)
    return [f"{d.tier}: {d.where}: {d.recorded} in the recording, {d.live} in the live reply" for d in ordered]


def _endings(recorded: Response, live: Response) -> Iterator[Drift]:
    broke_off = [bool(reply.ended) and not reply.was_left for reply in (recorded, live)]
    if broke_off[0] != broke_off[1]:
        tier = Tier.BREAKING if broke_off[1] else Tier.NOTABLE
        yield Drift(tier, "end", recorded.ended or "whole", live.ended or "whole")


def _content_types(recorded: Response, live: Response) -> Iterator[Drift]:
    before, now = (header(r.headers, "content-type").partition(";")[0].strip().lower() for r in (recorded, live))
    if before != now:
        tier = Tier.BREAKING if before else Tier.ADDED  # some recordings keep no headers
        yield Drift(tier, "content-type", before or _ABSENT, now or _ABSENT)


def _bodies(recorded: Response, live: Response) -> Iterator[Drift]:
    before, now = _Body.of(decoded(recorded)), _Body.of(decoded(live))
    is_partial = bool(recorded.ended or live.ended)
    if before.kind != now.kind:
        if not is_partial:
            yield Drift(Tier.BREAKING, "body", before.kind, now.kind)
    elif before.kind == "an event stream":
        yield from _streams(before.frames, now.frames, is_partial=is_partial)
    elif before.kind == "JSON":
        comparison = _Comparison.of([before.value], [now.value], is_partial=is_partial)
        yield from comparison.values([before.value], [now.value], "")


@dataclass(frozen=True, slots=True)
class _Body:
    kind: str
    value: object = None
    frames: Sequence[Frame] = ()

    @classmethod
    def of(cls, response: Response) -> _Body:
        try:
            text = response.body.decode("utf-8")
        except UnicodeDecodeError:
            return cls("not JSON")
        if not text.strip():
            return cls("empty")
        if (value := parsed(text)) is not NO_JSON:
            return cls("JSON", value)
        is_stream = "event-stream" in header(response.headers, "content-type")
        if is_stream or text.lstrip().startswith(("data:", "event:", ":")):
            return cls("an event stream", frames=list(frames_of(text, is_cut=bool(response.ended))))
        return cls("not JSON")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """Compares all the values at one place with all at the same place of the other reply.

    ``is_union``: the values are pieces, such as the chunks of a stream, of which none need have all fields.
    ``is_partial``: one reply is not whole, so that nothing can be missed in it. ``is_turned``: the model finished in
    another way; ``is_wordless``: the live one called a tool or refused, with or without a text; ``is_underway``: the
    replies tell of work at different stages, such as a run that is polled.
    """

    is_union: bool = False
    is_partial: bool = False
    is_turned: bool = False
    is_wordless: bool = False
    is_underway: bool = False

    @classmethod
    def of(
        cls, recorded: Sequence[object], live: Sequence[object], *, is_partial: bool, is_union: bool = False
    ) -> _Comparison:
        return cls(
            is_union=is_union,
            is_partial=is_partial,
            is_turned=_finishes(recorded) != _finishes(live),
            is_wordless=any(message_of(c).get("tool_calls") or message_of(c).get("refusal") for c in choices_of(live)),
            is_underway=_statuses(recorded) != _statuses(live),
        )

    def values(
        self, recorded: Sequence[object], live: Sequence[object], where: str, key: str = "", depth: int = 0
    ) -> Iterator[Drift]:
        """Compare the values at ``where``, the values of fields named ``key``; neither side is empty."""
        yield from self._kinds(recorded, live, where, key)
        yield from self._strings(recorded, live, where, key)
        if key in _OPAQUE or depth > _DEEPEST:
            return
        yield from self._objects(only(dict, recorded), only(dict, live), where, depth)
        yield from self._arrays(only(list, recorded), only(list, live), where, key, depth)

    def _kinds(self, recorded: Sequence[object], live: Sequence[object], where: str, key: str) -> Iterator[Drift]:
        before, now = _kinds(recorded), _kinds(live)
        tier = None
        if before == {"null"} != now:
            tier = None if self.is_partial else Tier.NOTABLE
        elif now - before - {"null"}:
            tier = Tier.BREAKING
        elif now == {"null"} != before and not (self.is_partial and "null" in before):
            tier = self._tier_of_missing(key)
        elif "null" in now - before:
            tier = Tier.NOTABLE if self.is_union else self._tier_of_missing(key)
        if tier:
            yield Drift(tier, where or "body", _named(before), _named(now))

    def _strings(self, recorded: Sequence[object], live: Sequence[object], where: str, key: str) -> Iterator[Drift]:
        before, now = ({value for value in only(str, values) if value} for values in (recorded, live))
        if not (before and now):
            return
        is_error = where.endswith("error.code")
        if key in _FIXED or key in _NAMED or is_error or where.endswith("incomplete_details.reason"):
            if now - before:
                tier = Tier.BREAKING if key in _FIXED or is_error else Tier.NOTABLE
                yield Drift(tier, where, _quoted(before), _quoted(now))
        elif key == "arguments" and not self.is_union:
            if all(map(is_json, before)) and not all(map(is_json, now)):
                yield Drift(Tier.BREAKING, where, "JSON", "not JSON")
        elif key == "embedding":
            yield from _dimensions(before, now, where, "characters")

    def _objects(
        self, recorded: Sequence[Mapping[str, Any]], live: Sequence[Mapping[str, Any]], where: str, depth: int
    ) -> Iterator[Drift]:
        if not (recorded and live):
            return
        for key in dict.fromkeys(key for value in (*recorded, *live) for key in value):
            before = [value[key] for value in recorded if key in value]
            now = [value[key] for value in live if key in value]
            path = _below(where, key)
            is_sometimes_missing = not self.is_union and len(before) == len(recorded) and len(now) < len(live)
            if not before:
                yield Drift(Tier.ADDED, path, _ABSENT, _named(_kinds(now)))
            elif now:
                yield from self.values(before, now, path, key, depth + 1)
            if before and (not now or is_sometimes_missing) and not self.is_partial:
                missing = f"{_ABSENT} in some" if now else _ABSENT
                was_null = all(value is None for value in before)
                yield Drift(self._tier_of_missing(key, is_null=was_null), path, _named(_kinds(before)), missing)

    def _arrays(
        self, recorded: Sequence[list[Any]], live: Sequence[list[Any]], where: str, key: str, depth: int
    ) -> Iterator[Drift]:
        if not (recorded and live):
            return
        if key == "embedding":
            yield from _dimensions(recorded, live, where, "numbers")
            return
        before, now = joined(recorded), joined(live)
        if bool(before) != bool(now) or (len(before) != len(now) and self._is_counted(before, key)):
            yield Drift(self._tier_of_count(before, now, key), where or "body", _count(before), _count(now))
        if before and now:
            yield from self._items(before, now, where, key, depth)

    def _items(self, recorded: Sequence[Any], live: Sequence[Any], where: str, key: str, depth: int) -> Iterator[Drift]:
        before, now = _by_type(recorded), _by_type(live)
        if "" in before or "" in now:
            before, now = {"": list(recorded)}, {"": list(live)}
        for kind, items in before.items():
            if kind in now:
                is_one = len(items) == len(now[kind]) == 1 and not self.is_union
                index = next(i for i, item in enumerate(recorded) if item is items[0]) if is_one else "*"
                yield from self.values(items, now[kind], f"{where}[{index}]", "", depth + 1)
            elif not self.is_partial:
                is_chosen = key in _CHOSEN or "refusal" in now
                tier = Tier.NOTABLE if is_chosen else Tier.BREAKING
                yield Drift(tier, f"{where}[*].type", repr(kind), _ABSENT)
        yield from (Drift(Tier.ADDED, f"{where}[*].type", _ABSENT, repr(kind)) for kind in now if kind not in before)

    def _is_counted(self, items: Sequence[Any], key: str) -> bool:
        """Whether the request says how many items there are."""
        is_vectors = key == "data" and any(isinstance(item, dict) and "embedding" in item for item in items)
        return not self.is_union and (key == "choices" or is_vectors)

    def _tier_of_count(self, recorded: Sequence[Any], live: Sequence[Any], key: str) -> Tier:
        return Tier.BREAKING if len(live) < len(recorded) and self._is_counted(recorded, key) else Tier.NOTABLE

    def _tier_of_missing(self, key: str, *, is_null: bool = True) -> Tier:
        """Return the tier for a field that is null now or, having been null if ``is_null``, is gone."""
        is_expected = (self.is_turned and key in TURNS) or (self.is_wordless and key == "content")
        is_expected = is_expected or key in _PADDING or (is_null and (key in _NULLABLE or self.is_underway))
        return Tier.NOTABLE if is_expected else Tier.BREAKING


def _streams(recorded: Sequence[Frame], live: Sequence[Frame], *, is_partial: bool) -> Iterator[Drift]:
    faults: Callable[..., dict[str, str]] = faults_of_events if _is_named(recorded) else faults_of_chunks
    before, now = (faults(frames, is_whole=not is_partial) for frames in (recorded, live))
    yield from (
        Drift(Tier.BREAKING, where, before.get(where, "in order"), fault)
        for where, fault in now.items()
        if before.get(where) != fault
    )
    if _is_named(recorded):
        yield from _named_events(recorded, live, is_partial=is_partial)
        return
    chunks = [[frame.value for frame in frames if frame.value is not None] for frames in (recorded, live)]
    indices = [dict.fromkeys(map(index_of, choices_of(values))) for values in chunks]
    missing = [] if is_partial else [index for index in indices[0] if index not in indices[1]]
    yield from (Drift(Tier.BREAKING, f"choices[{index}]", "a choice", _ABSENT) for index in missing)
    if all(chunks):
        comparison = _Comparison.of(chunks[0], chunks[1], is_partial=is_partial, is_union=True)
        yield from comparison.values(chunks[0], chunks[1], "")


def _is_named(frames: Sequence[Frame]) -> bool:
    return any(name_of(frame).startswith("response.") for frame in frames)


def _named_events(recorded: Sequence[Frame], live: Sequence[Frame], *, is_partial: bool) -> Iterator[Drift]:
    before, now = _by_event(recorded), _by_event(live)
    for event, values in before.items():
        if event in now:
            yield from _Comparison(is_partial=is_partial).values(values, now[event], f"{event[0]}:")
        elif not is_partial:
            tier = Tier.NOTABLE if _is_of_choice(event, before, now) else Tier.BREAKING
            yield Drift(tier, _label(event), "an event", _ABSENT)
    yield from (Drift(Tier.ADDED, _label(event), _ABSENT, "an event") for event in now if event not in before)
    shared = {name for name, _ in before} & {name for name, _ in now}
    for first, then in [] if is_partial else _transitions(live, shared) - _transitions(recorded, shared):
        yield Drift(Tier.NOTABLE, then, f"never after {first}", f"after {first}")


_Event = tuple[str, str]
"""The name of an event, and the type of the item or part that it is about, if that is in it."""


def _by_event(frames: Sequence[Frame]) -> dict[_Event, list[Any]]:
    found: dict[_Event, list[Any]] = {}
    for frame in frames:
        if isinstance(frame.value, dict):
            about = frame.value.get("item") or frame.value.get("part")
            kind = about.get("type", "") if isinstance(about, dict) else ""
            value = {key: value for key, value in frame.value.items() if key != "type"}
            found.setdefault((name_of(frame), str(kind)), []).append(value)
    return found


def _is_of_choice(event: _Event, recorded: Collection[_Event], live: Collection[_Event]) -> bool:
    """Whether ``event`` is only sent for what a model chose to do, and in ``live`` it did something else."""
    name, kind = event
    if name in ("response.queued", "response.completed") or name.endswith(".annotation.added"):
        return True
    kinds, family = {about for _, about in live if about}, name.removeprefix("response.")
    owner = kind or next((about for _, about in recorded if about and family.startswith(about)), "")
    return bool(owner and kinds) and owner not in kinds


def _label(event: _Event) -> str:
    name, kind = event
    return f"{name} ({kind})" if kind else name


def _transitions(frames: Sequence[Frame], shared: Collection[str]) -> KeysView[tuple[str, str]]:
    """Return which of the events ``shared`` by both streams follow which others."""
    names = [name for frame in frames if (name := name_of(frame)) in shared]
    return dict.fromkeys((first, then) for first, then in itertools.pairwise(names) if first != then).keys()


def _finishes(values: Iterable[object]) -> set[str]:
    return set(only(str, [choice.get("finish_reason") for choice in choices_of(values)]))


def _statuses(values: Iterable[object]) -> set[str]:
    return set(only(str, [value.get("status") for value in only(dict, values)]))


def _by_type(items: Sequence[Any]) -> dict[str, list[Any]]:
    """Return ``items`` by their ``type``, or under "" those that have none."""
    found: dict[str, list[Any]] = {}
    for item in items:
        kind = item.get("type") if isinstance(item, dict) else ""
        found.setdefault(kind if isinstance(kind, str) else "", []).append(item)
    return found


def _dimensions(recorded: Iterable[Sized], live: Iterable[Sized], where: str, unit: str) -> Iterator[Drift]:
    before, now = ({len(vector) for vector in vectors} for vectors in (recorded, live))
    if before != now:
        sizes = (" or ".join(map(str, sorted(lengths))) + f" {unit}" for lengths in (before, now))
        yield Drift(Tier.BREAKING, where, *sizes)


def _kinds(values: Iterable[object]) -> set[str]:
    return {_kind(value) for value in values}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return _KINDS.get(type(value), "number")


_KINDS: Mapping[type, str] = {str: "string", dict: "object", list: "array"}


def _named(kinds: Iterable[str]) -> str:
    return " or ".join(sorted(kinds))


def _quoted(values: Iterable[str]) -> str:
    return " or ".join(repr(value) for value in sorted(values))


def _count(items: Sequence[object]) -> str:
    return f"{len(items)} items" if items else "empty"


def _below(where: str, key: str) -> str:
    if where.endswith(":"):
        return f"{where} {key}"
    return f"{where}.{key}" if where else key
