"""Requests and tokens a minute, for each key and deployment (on OpenAI: model), charged as each of the two does.

OpenAI: a bucket that refills all the time. So say its recorded headers (after one request of 200 a minute `reset` is
`300ms`, after 778 tokens of 6,000 it is `7.78s`: the time until the bucket is full) and its recorded 429 ("Limit 3,
Used 3, Requested 1. Please try again in 20s"). A request refused for its tokens has been charged as a request
(recorded: 4999 of 5000 left after "Request too large"). That what an answer has used replaces what it was estimated at
is unverified.

Azure: counters that start anew, https://learn.microsoft.com/azure/ai-services/openai/how-to/quota: the tokens estimated
for each request go into "a running token count of all requests that is reset each minute", never corrected, and
requests are also counted over 1 or 10 seconds (its example: 600 a minute are 10 a second). Which of the two periods
goes with which limit is unverified; so is that a minute begins with the first request in it, but that both recorded 429
ask for 60 seconds speaks for it.

Refused requests are said to count too (https://help.openai.com/articles/5955604), but not how; here, those that are
refused as one request too many do not, so that who waits as told is let in.
"""

import functools
import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from typing_extensions import override

Name = Literal["openai", "azure"]
Limit = Literal["requests", "tokens"]

_SECOND = 1_000_000_000  # times are whole nanoseconds, so that sums are exact
_MINUTE = 60 * _SECOND
_SLACK = 2_000  # floats at Unix times are off by a few hundred nanoseconds
_MILLISECOND = 1_000_000
_LARGEST = 1_000_000_000
_MOST_ACCOUNTS = 10_000

UNLIMITED: Mapping[Name, tuple[int, int]] = {"openai": (10_000, 30_000_000), "azure": (120, 120_000)}
"""Requests and tokens a minute that headers speak of where there is no limit; seen in recorded replies."""


class BadQuota(ValueError):
    """A limit that no deployment can have; `field` is its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field

    def __str__(self) -> str:
        return str(self.args[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Requests and tokens a minute, None for no limit; BadQuota for what is no whole number from 1."""

    rpm: int | None = None
    tpm: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("rpm", self.rpm), ("tpm", self.tpm)):
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (is_whole and 1 <= value <= _LARGEST):
                shown = "out of range" if is_whole and abs(value) > _LARGEST else f"{value!r:.80}"
                message = f"{name} is {shown}; it takes a whole number from 1 to {_LARGEST}, or null for no limit"
                raise BadQuota(name, message)


class Gauge(NamedTuple):
    """How a limit stands; `reset_s` until all of it is back, in whole milliseconds as OpenAI cuts it."""

    limit: int
    remaining: int
    reset_s: float


class Charge(NamedTuple):
    """Whether a request is let in, and how the limits stand after it.

    `limit` is what refused it. `retry_after_s` is how long to wait, in whole milliseconds: who asks the same then is
    let in, if nobody else has asked. `is_too_large` asks for more tokens than there ever are: where that is why,
    `retry_after_s` is None on OpenAI, whose recorded refusals carry no such header, and 60 on Azure, whose do.
    `requested` are the tokens asked for. The rest is for `Quotas.settle`.
    """

    limit: Limit | None
    retry_after_s: float | None
    is_too_large: bool
    requested: int
    requests: Gauge
    tokens: Gauge
    account: tuple[str, Name, str]
    generation: int
    until: int

    @property
    def is_admitted(self) -> bool:
        """Whether the request is let in."""
        return self.limit is None


class Quotas:
    """What each key has used of each deployment; threads may share it, and processes through a proxy of it.

    Times are Unix seconds, passed in. Of keys only a digest is kept.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._accounts: dict[tuple[str, Name, str], _Account] = {}
        self._generation = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Quotas({self._limits!r})"

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()

    @property
    def limits(self) -> Limits:
        """What everybody is granted."""
        return self._limits

    @property
    def are_limited(self) -> bool:
        """Whether there is anything to charge."""
        return self._limits.rpm is not None or self._limits.tpm is not None

    def set(self, *, rpm: int | None = None, tpm: int | None = None) -> None:
        """Grant everybody other limits, and forget what has been used; BadQuota leaves all as it was."""
        limits = Limits(rpm=rpm, tpm=tpm)
        with self._lock:
            self._limits = limits
            self._accounts = {}
            self._generation += 1

    def clear(self) -> None:
        """Grant everybody everything, and forget what has been used."""
        self.set()

    def charge(self, *, key: str, subject: str, dialect: Name, estimate: int, now: float) -> Charge:
        """Charge a request of `estimate` tokens to a key and a deployment or model (`subject`), or refuse it.

        ValueError for an estimate below 0.
        """
        if estimate < 0:
            raise ValueError(f"a request cannot be estimated at {estimate} tokens; count from 0")
        if not self.are_limited:  # the usual case, which is to cost next to nothing
            return granted(estimate, dialect, subject)
        name = (digest(key), dialect, subject)
        with self._lock:
            return self._account(name, _ns(now)).charge(estimate, _ns(now), name, self._generation)

    def settle(self, charge: Charge, *, actual_tokens: int, now: float) -> None:
        """Say once what an admitted request has used: OpenAI gives back or takes the difference, Azure does not.

        Of what has flowed back already by itself nothing is given back again.
        """
        with self._lock:
            account = self._accounts.get(charge.account)
            if account is None or charge.generation != self._generation or not charge.is_admitted:
                return
            if isinstance(account.tokens, _Bucket):
                account.tokens.correct(actual_tokens - charge.requested, charge.until, _ns(now))

    def standing(self, *, now: float) -> list[dict[str, Any]]:
        """How everybody stands, by key digest, dialect and subject; plain values for a gauge or a metric."""
        with self._lock:
            accounts = list(self._accounts.items())
            return [
                {"key": key, "dialect": dialect, "subject": subject, **account.standing(_ns(now))}
                for (key, dialect, subject), account in accounts
            ]

    def _account(self, name: tuple[str, Name, str], now: int) -> "_Account":
        account = self._accounts.get(name)
        if account is None or now < account.seen - _MINUTE:  # the clock has been set back
            if len(self._accounts) >= _MOST_ACCOUNTS:
                self._accounts = {each: kept for each, kept in self._accounts.items() if kept.seen > now - _MINUTE}
            account = self._accounts[name] = _Account(name[1], self._limits)
        account.seen = max(account.seen, now)
        return account


class _Meter(ABC):
    """What is used of one limit; times in nanoseconds."""

    limit: int

    @abstractmethod
    def wait(self, cost: int, now: int) -> int:
        """How long until so much is free; 0 or less if it is."""

    @abstractmethod
    def take(self, cost: int, now: int) -> int:
        """Use so much; what is returned names the use, where it can be corrected."""

    def fits(self, cost: int) -> bool:
        """Whether there can ever be so much."""
        return cost <= self.limit

    @abstractmethod
    def gauge(self, now: int) -> Gauge:
        """How it stands."""


class _Account:
    """What a key has used of a deployment."""

    def __init__(self, dialect: Name, limits: Limits) -> None:
        rpm, tpm = UNLIMITED[dialect]
        self.dialect = dialect
        self.requests = _meter(dialect, limits.rpm, rpm, _Turnstile)
        self.tokens = _meter(dialect, limits.tpm, tpm, _Counter)
        self.seen = 0

    def standing(self, now: int) -> dict[str, Any]:
        return {name: _plain(meter.gauge(now)) for name, meter in vars(self).items() if name in ("requests", "tokens")}

    def charge(self, estimate: int, now: int, name: tuple[str, Name, str], generation: int) -> Charge:
        is_too_large = not self.tokens.fits(estimate)
        refusal = self._refusal(estimate, now, is_too_large=is_too_large)
        if refusal != "requests":
            self.requests.take(1, now)
        until = self.tokens.take(estimate, now) if refusal is None else 0
        wait = max(self.requests.wait(1, now), 0 if is_too_large else self.tokens.wait(estimate, now))
        none_helps = None if self.dialect == "openai" else 60.0
        return Charge(
            limit=refusal,
            retry_after_s=none_helps if is_too_large and refusal == "tokens" else _up(wait if refusal else 0),
            is_too_large=is_too_large,
            requested=estimate,
            requests=self.requests.gauge(now),
            tokens=self.tokens.gauge(now),
            account=name,
            generation=generation,
            until=until,
        )

    def _refusal(self, estimate: int, now: int, *, is_too_large: bool) -> Limit | None:
        if self.requests.wait(1, now) > 0:
            return "requests"
        return "tokens" if is_too_large or self.tokens.wait(estimate, now) > 0 else None


class _Bucket(_Meter):
    """OpenAI's: `_full_at` is when it is full again, in nanoseconds times the limit, whose every unit is whole."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._full_at = 0

    @override
    def wait(self, cost: int, now: int) -> int:
        missing = self._debt(now) + cost * _MINUTE - self.limit * _MINUTE
        return -(-missing // self.limit)

    @override
    def take(self, cost: int, now: int) -> int:
        self._full_at = max(self._full_at, now * self.limit) + cost * _MINUTE
        return self._full_at

    def correct(self, more: int, use: int, now: int) -> None:
        """Use more than was taken for `use`, or less for a negative number, as far as that has not flowed back."""
        if more >= 0:
            self.take(more, now)
        else:
            self._full_at -= min(-more * _MINUTE, max(use - now * self.limit, 0))

    @override
    def gauge(self, now: int) -> Gauge:
        debt = self._debt(now)
        left = max(self.limit * _MINUTE - debt, 0) // _MINUTE
        return Gauge(limit=self.limit, remaining=left, reset_s=_down(debt // self.limit))

    def _debt(self, now: int) -> int:
        return max(self._full_at - (now + _SLACK) * self.limit, 0)


class _Counter(_Meter):
    """Azure's: counts up, and anew in a period that begins with the first use after the one before."""

    def __init__(self, limit: int, period: int = _MINUTE) -> None:
        self.limit = limit
        self._period = period
        self._ends = 0
        self._used = 0

    @override
    def wait(self, cost: int, now: int) -> int:
        return self._left(now) if self._now_used(now) + cost > self.limit else 0

    @override
    def take(self, cost: int, now: int) -> int:
        if not self._left(now):
            self._ends, self._used = now + self._period, 0
        self._used += cost
        return 0

    @override
    def gauge(self, now: int) -> Gauge:
        remaining = max(self.limit - self._now_used(now), 0)
        return Gauge(limit=self.limit, remaining=remaining, reset_s=_down(self._left(now)))

    def _now_used(self, now: int) -> int:
        return self._used if self._left(now) else 0

    def _left(self, now: int) -> int:
        return max(self._ends - now - _SLACK, 0)


class _Turnstile(_Counter):
    """Azure's for requests: those of the minute, and those of a shorter period within.

    A period that would hold less than one whole request is not used.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        seconds = 1 if limit >= 600 else 10 if limit >= 6 else 60
        self._brief = _Counter(-(-limit * seconds // 60), seconds * _SECOND)

    @override
    def wait(self, cost: int, now: int) -> int:
        return max(super().wait(cost, now), self._brief.wait(cost, now))

    @override
    def take(self, cost: int, now: int) -> int:
        self._brief.take(cost, now)
        return super().take(cost, now)


class _Endless(_Meter):
    """No limit: each request finds all of what is spoken of, as if it were alone."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._last = 0

    @override
    def fits(self, cost: int) -> bool:
        return True

    @override
    def wait(self, cost: int, now: int) -> int:
        return 0

    @override
    def take(self, cost: int, now: int) -> int:
        self._last = cost
        return 0

    @override
    def gauge(self, now: int) -> Gauge:
        return _alone(self._last, self.limit)


def granted(estimate: int, dialect: Name, subject: str) -> Charge:
    """What is charged where there are no limits."""
    rpm, tpm = UNLIMITED[dialect]
    return Charge(
        limit=None,
        retry_after_s=0.0,
        is_too_large=False,
        requested=estimate,
        requests=_alone(1, rpm),
        tokens=_alone(estimate, tpm),
        account=("", dialect, subject),
        generation=0,
        until=0,
    )


def _alone(used: int, limit: int) -> Gauge:
    """How a limit stands that nobody else has used."""
    left = max(limit - used, 0)
    return Gauge(limit=limit, remaining=left, reset_s=_down((limit - left) * _MINUTE // limit))


def _meter(dialect: Name, limit: int | None, spoken_of: int, azure: type[_Counter]) -> _Meter:
    if limit is None:
        return _Endless(spoken_of)
    return _Bucket(limit) if dialect == "openai" else azure(limit)


def _plain(gauge: Gauge) -> dict[str, float]:
    return {"limit": gauge.limit, "remaining": gauge.remaining, "reset_s": gauge.reset_s}


def digest(key: str) -> str:
    """What a key is remembered as."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:16]


@functools.lru_cache(maxsize=1024)
def go_duration(seconds: float) -> str:
    """A duration as Go prints it, to the nanosecond: `6ms`, `1m2.5s`, `114h18m0s`.

    https://pkg.go.dev/time#Duration.String; what OpenAI sends is in whole milliseconds. ValueError for NaN,
    OverflowError for infinity.
    """
    ns = round(abs(seconds) * _SECOND)
    sign = "-" if seconds < 0 and ns else ""
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", _MILLISECOND)):
        if 0 < ns < (_SECOND if unit == "ms" else size * 1_000):
            return f"{sign}{_decimal(ns, size)}{unit}"
    minutes, rest = divmod(ns, _MINUTE)
    hours, minutes = divmod(minutes, 60)
    large = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{large}{_decimal(rest, _SECOND)}s"


def _decimal(number: int, size: int) -> str:
    """`number` in units of `size`, a power of ten, with no zero at its end."""
    whole, rest = divmod(number, size)
    return f"{whole}.{rest:0{len(str(size)) - 1}}".rstrip("0") if rest else str(whole)


def _ns(seconds: float) -> int:
    return round(seconds * _SECOND)


def _up(ns: int) -> float:
    """Seconds, up to a whole millisecond; of the slack that `ns` is short by, half is left for the noise of floats."""
    return -(-(ns + _SLACK // 2) // _MILLISECOND) / 1_000 if ns > 0 else 0.0


def _down(ns: int) -> float:
    """Seconds, cut to whole milliseconds: 779 tokens of 200,000 are recorded as `233ms`, not 234."""
    return (ns + _SLACK * 2) // _MILLISECOND / 1_000
