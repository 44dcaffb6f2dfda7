"""What differs between two cassettes, such as a file and what git has of it: by interaction, then by JSON path.

Two recordings of the same calls never agree byte for byte. Unless asked to be exact, a comparison passes over when
replies came, over ids, dates and fingerprints, and over the headers that no client acts on; streams are compared as
the conversations that they add up to, and by the structure of their events.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from llmkit.recording.addresses import Provider
from llmkit.recording.interaction import Headers, Interaction, Request, Response, header
from llmkit.recording.matching.diff import MISSING, Difference, differences, nearest
from llmkit.recording.matching.match import key, normalised
from llmkit.recording.matching.miss import describe
from llmkit.recording.replies import verify
from llmkit.recording.replies.content_coding import decoded
from llmkit.recording.replies.conversation import render

_BY_CHANCE = frozenset({
    "call_id", "completed_at", "created", "created_at", "id", "item_id", "obfuscation", "previous_response_id",
    "request_id", "response_id", "system_fingerprint", "tool_call_id",
})  # fmt: skip
_ACTED_ON = frozenset(
    {"content-type", "location", "operation-location", "retry-after", "retry-after-ms", "x-should-retry"}
)
_LONG_ARRAY = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One interaction that was added, is gone, or differs; ``before`` and ``after`` are its numbers, from 1, or 0.

    ``about`` describes its request. A difference's ``recorded`` is what was before, its ``asked`` what is after.
    """

    before: int
    after: int
    about: tuple[str, ...]
    request: tuple[Difference, ...] = ()
    response: tuple[Difference, ...] = ()

    @property
    def kind(self) -> str:
        """``added``, ``gone`` or ``changed``."""
        return "changed" if self.before and self.after else "added" if self.after else "gone"


def compare(before: Sequence[Interaction], after: Sequence[Interaction], *, is_exact: bool = False) -> list[Change]:
    """Return what changed from ``before`` to ``after``, in the order of ``after``; what is gone comes last."""
    if not is_exact:
        before, after = _stable(before), _stable(after)
    pairs = _pairs(before, after)
    changes = [_change(before, after, pairs.get(there), there, is_exact=is_exact) for there in range(len(after))]
    gone = sorted(set(range(len(before))) - set(pairs.values()))
    lost = [Change(before=here + 1, after=0, about=tuple(describe(before[here].request))) for here in gone]
    return [*(change for change in changes if change), *lost]


def _stable(interactions: Sequence[Interaction]) -> list[Interaction]:
    """Return ``interactions`` under the names that their addresses have wherever they were recorded."""
    stable = Provider.from_environment().stable
    return [replace(one, request=replace(one.request, uri=stable(one.request.uri))) for one in interactions]


def _pairs(before: Sequence[Interaction], after: Sequence[Interaction]) -> dict[int, int]:
    """Pair the same requests in their order, and then each of the rest with the nearest that is left."""
    waiting: dict[str, list[int]] = defaultdict(list)
    for here, one in enumerate(before):
        waiting[key(one.request)].append(here)
    pairs = {there: same.pop(0) for there, one in enumerate(after) if (same := waiting[key(one.request)])}
    left = sorted(here for places in waiting.values() for here in places)
    for there in (place for place in range(len(after)) if place not in pairs):
        found = nearest(normalised(after[there].request), [normalised(before[here].request) for here in left])
        if found is not None:
            pairs[there] = left.pop(found)
    return pairs


def _change(
    before: Sequence[Interaction], after: Sequence[Interaction], here: int | None, there: int, *, is_exact: bool
) -> Change | None:
    new = after[there]
    about = tuple(describe(new.request))
    if here is None:
        return Change(before=0, after=there + 1, about=about)
    old = before[here]
    compared = _exact if is_exact else _meant
    request, response = compared(old, new)
    if not request and not response:
        return None
    return Change(before=here + 1, after=there + 1, about=about, request=tuple(request), response=tuple(response))


def _meant(old: Interaction, new: Interaction) -> tuple[list[Difference], list[Difference]]:
    request = differences(normalised(old.request), normalised(new.request))
    return request, list(_replies(old, new)) if old.response != new.response else []


def _replies(old: Interaction, new: Interaction) -> Iterator[Difference]:
    one, other = decoded(old.response), decoded(new.response)
    yield from _facts({"status": one.status, "ended": one.ended}, {"status": other.status, "ended": other.ended})
    yield from _facts(_headers(one.headers), _headers(other.headers))
    if _is_stream(one) and _is_stream(other):
        told = list(between(_told(old), _told(new)))
        yield from told
        yield from _structure(one, other, {difference.where for difference in told})
    elif one.body != other.body:
        yield from _bodies(one.body, other.body)


def _bodies(one: bytes, other: bytes) -> Iterator[Difference]:
    before, after = _value(one), _value(other)
    if before is None or after is None:
        yield from differences(_holding(one), _holding(other))
    else:
        yield from between(_lasting(before), _lasting(after))


def _exact(old: Interaction, new: Interaction) -> tuple[list[Difference], list[Difference]]:
    """Compare all that is written down."""
    request = differences(old.request, new.request)
    request += _facts(_headers(old.request.headers, every=True), _headers(new.request.headers, every=True))
    if not request and old.request != new.request:
        request = [Difference(where="body", recorded="the same, in other bytes", asked="the same, in other bytes")]
    one, other = old.response, new.response
    response = list(_facts(_written(old), _written(new)))
    response += _facts(_headers(one.headers, every=True), _headers(other.headers, every=True))
    if one.body != other.body:
        found = differences(_holding(one.body), _holding(other.body))
        response += found or [Difference(where="body", recorded=_digest(one.body), asked=_digest(other.body))]
    return request, response


def between(before: object, after: object) -> list[Difference]:
    """Return how two JSON values differ, by JSON path."""
    bodies = [json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") for value in (before, after)]
    return differences(*map(_holding, bodies))


def _holding(body: bytes) -> Request:
    return Request(method="POST", uri="/", body=body)


def _facts(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield Difference(where=name, recorded=_shown(old), asked=_shown(new))


def _shown(value: object) -> str:
    return MISSING if value in (None, "") else str(value)


def _written(one: Interaction) -> dict[str, Any]:
    response = one.response
    return {
        "status": response.status,
        "reason": response.reason,
        "ended": response.ended,
        "headers_ms": response.headers_ms,
        "chunks": " ".join(f"{at_ms}ms:{length}" for at_ms, length in response.chunks),
        "recorded_at": one.recorded_at,
        "test": one.test,
    }


def _headers(headers: Headers, *, every: bool = False) -> dict[str, str]:
    return {
        f"headers {name.lower()}": ", ".join(values)
        for name, values in headers.items()
        if every or name.lower() in _ACTED_ON
    }


def _told(one: Interaction) -> dict[str, Any]:
    """Return a streamed reply as what it told, without its ids."""
    conversation = render(one)
    turns: Any = _lasting([asdict(turn) for turn in conversation.replied])
    for turn in turns:
        for name in [name for name, value in turn.items() if not value]:
            del turn[name]
    return {"replied": turns, "usage": asdict(conversation.usage)}


def _structure(one: Response, other: Response, told: set[str]) -> Iterator[Difference]:
    for drift in verify.compare(replace(one, ended=""), replace(other, ended="")):
        if drift.where not in told and drift.where not in ("status", "content-type"):
            yield Difference(where=f"stream {drift.where}", recorded=drift.recorded, asked=drift.live)


def _lasting(value: object) -> object:
    """Return ``value`` without what is another in every reply, and with long arrays of numbers told by a digest."""
    if isinstance(value, dict):
        return {name: _vector(member) or _lasting(member) for name, member in value.items() if name not in _BY_CHANCE}
    if isinstance(value, (list, tuple)):
        return [_vector(member) or _lasting(member) for member in value]
    return value


def _vector(value: object) -> str:
    is_numbers = isinstance(value, list) and len(value) > _LONG_ARRAY and all(isinstance(x, int | float) for x in value)
    return f"{len(value):,} numbers, {_digest(json.dumps(value).encode())}" if is_numbers else ""  # type: ignore[arg-type]  # a list


def _digest(body: bytes) -> str:
    return f"{len(body):,} bytes, sha256 {hashlib.sha256(body).hexdigest()[:12]}"


def _value(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_stream(response: Response) -> bool:
    return header(response.headers, "content-type").startswith("text/event-stream")
