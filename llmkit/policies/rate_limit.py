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
from dataclasses import dataclass
from typing import Literal, NamedTuple

from llmkit.errors import ConfigError
from llmkit.policies import State

WINDOW_S = 60.0
TTL_S = 3_600.0
MOST_ENTRIES = 64  # beyond it neighbours are joined, at the later time, which can only make a wait longer


class _Entry(NamedTuple):
    """What was or will be sent at a time."""

    at: float
    requests: int
    tokens: int


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
        by_requests = _first_with_room([(one.at, one.requests) for one in entries], 1, self.rpm, first)
        by_tokens = _first_with_room([(one.at, one.tokens) for one in entries], tokens, self.tpm, first)
        at = max(by_requests, by_tokens)
        if at - now > longest_wait_s or at == math.inf:
            return state, Full(at - now, "rpm" if by_requests >= by_tokens else "tpm")
        return _joined([*entries, _Entry(at, 1, tokens)]), Place(at - now, at, tokens)

    def settle(self, state: State, now: float, *, place: Place, tokens: int) -> tuple[State, None]:
        """The state once it is known that the request took `tokens`."""
        return self._corrected(state, now, place, requests=0, tokens=tokens - place.tokens), None

    def release(self, state: State, now: float, *, place: Place) -> tuple[State, None]:
        """The state after a request that was never sent."""
        return self._corrected(state, now, place, requests=-1, tokens=-place.tokens), None

    def _corrected(self, state: State, now: float, place: Place, *, requests: int, tokens: int) -> State:
        if place.at + WINDOW_S <= now or not (requests or tokens):
            return state
        entries = _entries(state, now)
        for index, one in enumerate(entries):
            if one.at >= place.at:
                entries[index] = _Entry(one.at, max(one.requests + requests, 0), max(one.tokens + tokens, 0))
                break
        return tuple(entries)


def _first_with_room(taken: list[tuple[float, int]], wanted: int, limit: int | None, first: float) -> float:
    """The first moment, not before `first`, at which `wanted` more fit into the window that ends then."""
    if limit is None:
        return first
    room = limit - wanted
    if room < 0:
        return math.inf
    for at, amount in reversed(taken):
        room -= amount
        if room < 0:
            return max(first, at + WINDOW_S)
    return first


def _joined(entries: list[_Entry]) -> tuple[_Entry, ...]:
    if len(entries) > MOST_ENTRIES:
        near = min(range(len(entries) - 1), key=lambda index: entries[index + 1].at - entries[index].at)
        one, other = entries[near : near + 2]
        entries[near : near + 2] = [_Entry(other.at, one.requests + other.requests, one.tokens + other.tokens)]
    return tuple(entries)


def _entries(state: State, now: float) -> list[_Entry]:
    """What still counts at `now`, in order of time; nothing of what is no state of ours."""
    entries: list[_Entry] = []
    for one in state or ():
        match one:
            case [float() | int() as at, int(requests), int(tokens)]:
                if at + WINDOW_S > now:
                    entries.append(_Entry(at, requests, tokens))
    return sorted(entries)
