"""Whether a deployment may be asked now: after many failures in a row, not for a while, and then one call tries.

    closed ──20 failures in a row──▶ open ──its time is over──▶ half-open ──the probe succeeds──▶ closed
                                      ▲                            │
                                      └───────the probe fails──────┘

How a call uses it, with `key = f"breaker:{endpoint}|{model}"` and a `StateStore`:

    ticket = await store.update(key, partial(breaker.admit, token=uuid4().hex, lease_s=call.remaining_s), ttl_s=TTL_S)
    if isinstance(ticket, Shut): raise CircuitOpen(…, retry_after_s=ticket.retry_in_s)      # nothing is sent
    … one HTTP request …
    await store.update(key, partial(breaker.record, ticket=ticket, outcome=outcome_of(error)), ttl_s=TTL_S)

`record` follows every request, in a `finally`: `outcome_of(CancelledError())` is neutral, and frees the door of a
cancelled probe. A stream may record its success with the first event.

Failures have to be consecutive, so a success costs no write. What fails nine times in ten opens it soon; what fails
half of the time does not, and is a matter for the retry budget.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from llmkit.errors import (
    ConfigError,
    ConnectionFailed,
    FirstTokenTimeout,
    IdleTimeout,
    LLMError,
    MalformedResponse,
    ServerError,
    StreamTruncated,
)
from llmkit.policies import State

Kind = Literal["success", "failure", "neutral"]

TTL_S = 172_800.0
"""How long a shared state is kept; longer than the longest time open."""

LONGEST_ASKED_S = 86_400.0  # a Retry-After beyond a day is a mistake, and one probe a day does no harm
MEMORY_S = 300.0  # a failure that long after the one before begins a new row
ASK_AGAIN_S = 1.0  # how soon a call may ask again that found a probe under way

_FAILURES = (ServerError, ConnectionFailed, MalformedResponse, StreamTruncated, FirstTokenTimeout, IdleTimeout)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, as far as the deployment's health goes; `retry_after_s` is what the server asked for."""

    kind: Kind
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """The request may be sent; the ticket goes back with its outcome."""

    generation: int
    probe: str | None = None


@dataclass(frozen=True, slots=True)
class Shut:
    """The request may not be sent; asking again makes sense in `retry_in_s` seconds."""

    retry_in_s: float
    probing: bool = False


class _Door(NamedTuple):
    """The state. `generation` grows with each opening and closing: results of an older one come too late to count."""

    generation: int = 0
    failures: int = 0
    failed_at: float = 0.0
    openings: int = 0  # since it was last closed
    open_until: float | None = None  # None while closed
    probe: str | None = None
    lease_until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker:
    """Opens after `failures` in a row, for the Retry-After of the last or `open_s`, doubled with each failed probe.

    A probe that does not come back within its lease, because its process was killed, no longer holds the door. Raises
    ConfigError for numbers that make no sense.
    """

    failures: int = 20
    open_s: float = 5.0
    longest_open_s: float = 60.0

    def __post_init__(self) -> None:
        if type(self.failures) is not int or self.failures < 1:
            raise ConfigError(
                f"failures = {self.failures!r} is not valid: it has to be a number from 1, for example 20"
            )
        if not 0 < self.open_s <= self.longest_open_s < float("inf"):
            raise ConfigError(
                f"open_s = {self.open_s!r} and longest_open_s = {self.longest_open_s!r} are not valid: they have to be "
                "seconds above 0, the second not below the first"
            )

    def admit(self, state: State, now: float, *, token: str, lease_s: float) -> tuple[State, Ticket | Shut]:
        """Whether a request may be sent at `now`; `token` is unique to it, `lease_s` the longest that it can take.

        Asked again with the same token, as by a store that did not hear the answer, the probe stays the probe.
        """
        door = _door(state)
        if door.open_until is None:
            return state, Ticket(door.generation)
        if now < door.open_until:
            return state, Shut(door.open_until - now)
        if door.probe not in (None, token) and now < door.lease_until:
            return state, Shut(min(door.lease_until - now, ASK_AGAIN_S), probing=True)
        return door._replace(probe=token, lease_until=now + lease_s), Ticket(door.generation, token)

    def record(self, state: State, now: float, *, ticket: Ticket, outcome: Outcome) -> tuple[State, None]:
        """The state after a request of that ticket has ended."""
        door = _door(state)
        if ticket.generation != door.generation or ticket.probe != door.probe:
            return state, None
        if outcome.kind == "failure":
            return self._failed(door, now, outcome.retry_after_s), None
        if outcome.kind == "success" and (ticket.probe or door.failures):
            return _Door(generation=door.generation + bool(ticket.probe)), None
        return (door._replace(probe=None) if ticket.probe else state), None

    def _failed(self, door: _Door, now: float, retry_after_s: float | None) -> _Door:
        in_a_row = door.failures + 1 if now - door.failed_at <= MEMORY_S else 1
        if door.probe is None and in_a_row < self.failures:
            return door._replace(failures=in_a_row, failed_at=now)
        return _Door(
            generation=door.generation + 1,
            openings=door.openings + 1,
            open_until=now + self._time_open_s(door.openings, retry_after_s),
        )

    def _time_open_s(self, openings: int, retry_after_s: float | None) -> float:
        if retry_after_s is not None:
            return min(retry_after_s, LONGEST_ASKED_S)
        return float(min(self.longest_open_s, self.open_s * 2.0 ** min(openings, 64)))


def outcome_of(error: BaseException | None) -> Outcome:
    """What a request that ended with `error` says about the deployment; None is a whole reply.

    A 4xx of any kind, a cancellation and the caller's own deadline say nothing about its health.
    """
    if error is None:
        return Outcome("success")
    if not isinstance(error, _FAILURES) or _is_4xx(error):
        return Outcome("neutral")
    return Outcome("failure", error.retry_after_s)


def _is_4xx(error: LLMError) -> bool:
    return error.status_code is not None and 400 <= error.status_code < 500


def _door(state: State) -> _Door:
    """The state, as this process or another left it."""
    if isinstance(state, _Door):
        return state
    match state:
        case (
            int(generation),
            int(failures),
            float() | int() as failed_at,
            int(openings),
            None | float() | int() as open_until,
            None | str() as probe,
            float() | int() as lease_until,
        ):
            return _Door(generation, failures, failed_at, openings, open_until, probe, lease_until)
    return _Door()
