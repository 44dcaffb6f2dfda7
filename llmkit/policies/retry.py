"""Whether a request may be sent again, and after how many seconds.

Retried: rate limits, 408, 409, 5xx, broken connections and answers that are none (they may be billed twice, but the
caller has nothing yet). Not retried: a request that is refused, a quota that is spent, a deadline that has passed. The
server's `x-should-retry` overrules both, except that spent quota stays spent.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from llmkit.errors import (
    ConfigError,
    ConnectionFailed,
    DeadlineExceeded,
    LLMError,
    MalformedResponse,
    QuotaExceeded,
    RateLimited,
    ServerError,
    StreamTruncated,
)

TRANSIENT = (RateLimited, ServerError, ConnectionFailed, MalformedResponse, StreamTruncated)
FINAL = (QuotaExceeded, DeadlineExceeded, ConfigError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a call may take, all in all, and how many requests it may make.

    Between them it waits `first_wait_s`, then twice as long each time, up to `longest_wait_s`.
    """

    deadline_s: float = 120.0
    max_attempts: int = 4
    first_wait_s: float = 0.5
    longest_wait_s: float = 8.0

    def __post_init__(self) -> None:
        if not 0 < self.deadline_s < math.inf:
            raise ConfigError(
                f"deadline_s = {self.deadline_s!r} is not valid: it has to be seconds above 0, for example 30"
            )
        if self.max_attempts < 1:
            raise ConfigError(
                f"max_attempts = {self.max_attempts!r} is not valid: it has to be 1 or more, for example 4"
            )


@dataclass(frozen=True, slots=True)
class Retry:
    """Send again after `wait_s` seconds."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Give up, and why."""

    reason: str


def decide(error: LLMError, *, attempt: int, elapsed_s: float, limits: Limits, jitter: float) -> Retry | Stop:
    """What follows the failure of request number `attempt` (1 is the first), `elapsed_s` after the call began.

    `jitter`, from 0 to 1, takes up to a quarter off a backoff; a wait that the server asked for is kept to the letter.
    """
    if not is_transient(error):
        return Stop("sending it again would not help")
    if attempt >= limits.max_attempts:
        return Stop(f"all {limits.max_attempts} attempts are used up")
    wait_s = error.retry_after_s or backoff_s(attempt, limits=limits) * (1 - 0.25 * jitter)
    left_s = limits.deadline_s - elapsed_s
    if wait_s >= left_s:
        return Stop(f"the next would have to wait {wait_s:.3g} s, with {max(left_s, 0):.3g} s left of the deadline")
    return Retry(wait_s)


def is_transient(error: LLMError) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, FINAL):
        return False
    return isinstance(error, TRANSIENT) if error.should_retry is None else error.should_retry


def backoff_s(attempt: int, *, limits: Limits) -> float:
    """The wait after failed request number `attempt`, before jitter."""
    return float(min(limits.longest_wait_s, limits.first_wait_s * 2.0 ** min(attempt - 1, 64)))


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """The wait that a reply's headers ask for: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date.

    None where they ask for none, or for nonsense; a date that has passed is 0. See RFC 9110, 10.2.3.
    """
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        seconds = _number(headers.get(name))
        if seconds is not None:
            return seconds / unit
    return _until(headers.get("retry-after"), now=now)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(date: str | None, *, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
