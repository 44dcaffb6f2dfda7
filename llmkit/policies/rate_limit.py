"""Requests and tokens a minute, kept by the client: when a request may be sent, so that the server need not refuse it.

In no window of 60 seconds are there more than the budget. A request takes its place in the line at once and is told how
long to wait for it: those that wait are served in order, wake once, and none starves because it is large.

How a call uses it, with `key = f"limit:{endpoint}|{model}"` and a `StateStore`, before each HTTP request:

    place = await store.update(key, partial(limit.reserve, tokens=estimate, longest_wait_s=left_s), ttl_s=TTL_S)
    if isinstance(place, Full): raise RateLimited(…, retry_after_s=place.wait_s)      # nothing was taken
    await asyncio.sleep(place.wait_s)      # cancelled meanwhile: update(key, partial(limit.release, place=place), …)
    … one HTTP request …
    await store.update(key, partial(limit.settle, place=place, tokens=usage.total_tokens), ttl_s=TTL_S)

`settle` gives back what was estimated too high, and takes what was estimated too low from those that come after.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, Literal, NamedTuple, cast

from llmkit.errors import ConfigError
from llmkit.policies import State

WINDOW_S = 60.0
SLACK_S = 1.0  # what is past the window may stay a while: it takes no room from anyone
TTL_S = 3_600.0
MANY = 32  # from so many entries on, those of a second are one, at the time of the last: a wait is that much longer


class _Entry(NamedTuple):
    """What was or will be sent at a time."""

    at: float
    requests: int
    tokens: int


_AT = itemgetter(0)
_REQUESTS: Final = 1
_TOKENS: Final = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the line: the request leaves in `wait_s` seconds."""

    wait_s: float
    at: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Full:
    """No place is near enough: the next is `wait_s` away, infinitely far for more than the budget of a minute."""

    wait_s: float
    by: Literal["rpm", "tpm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `rpm` requests and `tpm` tokens in any 60 seconds; None is no limit. Raises ConfigError below 1."""

    rpm: int | None = None
    tpm: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("rpm", self.rpm), ("tpm", self.tpm)):
            if value is not None and (type(value) is not int or value < 1):
                raise ConfigError(f"{name} = {value!r} is not valid: it has to be a number a minute, for example 60")

    def reserve(
        self, state: State, now: float, *, tokens: int = 0, longest_wait_s: float = math.inf
    ) -> tuple[State, Place | Full]:
        """A place for a request of `tokens`, from `now` on; none is taken if it is more than `longest_wait_s` away."""
        entries = _entries(state, now)
        first = max(now, entries[-1].at) if entries else now
        by_requests = _first_with_room(entries, _REQUESTS, 1, self.rpm, first)
        by_tokens = _first_with_room(entries, _TOKENS, tokens, self.tpm, first)
        at = max(by_requests, by_tokens)
        if at - now > longest_wait_s or at == math.inf:
            return state, Full(at - now, "rpm" if by_requests >= by_tokens else "tpm")
        return _with(entries, _Entry(at, 1, tokens)), Place(at - now, at, tokens)

    def settle(self, state: State, now: float, *, place: Place, tokens: int) -> tuple[State, None]:
        """The state once it is known that the request took `tokens`."""
        return self._corrected(state, now, place, requests=0, tokens=tokens - place.tokens), None

    def release(self, state: State, now: float, *, place: Place) -> tuple[State, None]:
        """The state after a request that was never sent."""
        return self._corrected(state, now, place, requests=-1, tokens=-place.tokens), None

    def _corrected(self, state: State, now: float, place: Place, *, requests: int, tokens: int) -> State:
        entries = _entries(state, now)
        index = bisect_left(entries, place.at, key=_AT)
        if place.at + WINDOW_S <= now or index == len(entries) or not (requests or tokens):
            return state
        one = entries[index]
        entries[index] = _Entry(one.at, max(one.requests + requests, 0), max(one.tokens + tokens, 0))
        return tuple(entries)


def _first_with_room(entries: list[_Entry], what: Literal[1, 2], wanted: int, limit: int | None, first: float) -> float:
    """The first moment, not before `first`, at which `wanted` more fit into the window that ends then."""
    if limit is None:
        return first
    room = limit - wanted
    if room < 0:
        return math.inf
    for one in reversed(entries):
        room -= one[what]
        if room < 0:
            return max(first, one.at + WINDOW_S)
    return first


def _with(entries: list[_Entry], new: _Entry) -> tuple[_Entry, ...]:
    last = entries[-1] if len(entries) >= MANY else None
    if last is not None and last.at // 1 == new.at // 1:
        entries[-1] = _Entry(new.at, last.requests + new.requests, last.tokens + new.tokens)
    else:
        entries.append(new)
    return tuple(entries)


def _entries(state: State, now: float) -> list[_Entry]:
    """What still counts at `now`, in order of time; nothing of what is no state of ours."""
    if not state:
        return []
    entries = cast("list[_Entry]", list(state)) if type(state[0]) is _Entry else _read(state)
    return entries[bisect_right(entries, now - WINDOW_S - SLACK_S, key=_AT) :]


def _read(state: tuple[object, ...]) -> list[_Entry]:
    entries: list[_Entry] = []
    for one in state:
        match one:
            case [float() | int() as at, int(requests), int(tokens)]:
                entries.append(_Entry(at, requests, tokens))
    return sorted(entries)
