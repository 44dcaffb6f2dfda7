"""Whether a request may be sent again, and after how many seconds.

Retried: rate limits, 408, 409, 5xx, broken connections and answers that are none (they may be billed twice, but the
caller has nothing yet). Not retried: a request that is refused, a quota that is spent, a deadline that has passed. The
server's `x-should-retry` overrules both, except that spent quota stays spent.

The wire facts: `Retry-After` is RFC 9110, 10.2.3. A 429 of Azure may lack it, and tell the wait by
`x-rate-limit-reset-tokens` (openai-python#937), or tell nothing, by a remainder of -1 and a reset of 0
(openai-dotnet#838). OpenAI writes such times like `1m30s` and `6ms`, Azure in whole seconds.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from llmkit.errors import (
    ConfigError,
    ConnectionFailed,
    LLMError,
    MalformedResponse,
    QuotaExceeded,
    RateLimited,
    ServerError,
    StreamTruncated,
    TimedOut,
)

TRANSIENT = (RateLimited, ServerError, ConnectionFailed, MalformedResponse, StreamTruncated)
FINAL = (QuotaExceeded, TimedOut, ConfigError)

MOST_ATTEMPTS = 100

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")  # what float() takes beyond it, such as 1_0, is no number elsewhere
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s|us|µs|ns)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a call may take, all in all, and how many requests it may make.

    Between them it waits `first_wait_s`, then twice as long each time, up to `longest_wait_s`. Raises ConfigError for
    limits that are none.

    Of a stream, `first_token_s` bounds the time from a request to the first content, `idle_s` the time without content
    while its reader waits, also for the first where `first_token_s` is not set. Comments, roles and empty texts that
    keep a connection alive are no content.
    """

    deadline_s: float = 120.0
    max_attempts: int = 4
    first_token_s: float | None = None
    idle_s: float | None = None
    first_wait_s: float = 0.5
    longest_wait_s: float = 8.0

    def __post_init__(self) -> None:
        for name in ("deadline_s", "first_token_s", "idle_s"):
            value = getattr(self, name)
            if (value is not None or name == "deadline_s") and not _is_time(value):
                raise ConfigError(f"{name} = {value!r} is not valid: it has to be seconds above 0, for example 30")
        if type(self.max_attempts) is not int or not 1 <= self.max_attempts <= MOST_ATTEMPTS:
            raise ConfigError(
                f"max_attempts = {self.max_attempts!r} is not valid: it has to be a number of requests from 1 to "
                f"{MOST_ATTEMPTS}, for example 4"
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

    `jitter`, from 0 to 1, takes up to a quarter off a backoff. A wait that the server asked for is kept to the letter;
    asked for 0, the next request leaves at once, and only `max_attempts` and the deadline bound how many do.
    """
    if not is_transient(error):
        return Stop("sending it again would not help")
    if attempt >= limits.max_attempts:
        return Stop(f"all {limits.max_attempts} attempts are used up")
    wait_s = error.retry_after_s
    if wait_s is None:
        wait_s = backoff_s(attempt, limits=limits) * (1 - 0.25 * jitter)
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
    """The wait that a reply's headers ask for, in milliseconds, in seconds, or until an HTTP date.

    None where they ask for none, or for nonsense; a date that has passed is 0. See RFC 9110, 10.2.3; the headers in
    milliseconds are those that azure-core reads too (azure/core/pipeline/policies/_utils.py).
    """
    for name, unit in (("retry-after-ms", 1000), ("x-ms-retry-after-ms", 1000), ("retry-after", 1)):
        seconds = _number(headers.get(name))
        if seconds is not None:
            return seconds / unit
    return _until(headers.get("retry-after"), now=now)


def quota_reset_s(headers: Mapping[str, str], *, status_code: int) -> float | None:
    """The wait until the quota that is used up is there again, by its headers; for a reply without Retry-After.

    Of the quotas for requests and for tokens it is that which has nothing left; where none says so, a 429 means either,
    and the longer wait counts. None where the headers tell nothing, or 0, which they tell when they know nothing.
    """
    quotas = list(_quotas(headers))
    spent = [reset_s for remaining, reset_s in quotas if remaining == 0]
    told = spent or ([reset_s for _, reset_s in quotas] if status_code == 429 else [])
    return max(told, default=0.0) or None


def _quotas(headers: Mapping[str, str]) -> Iterator[tuple[float | None, float]]:
    """What is left of each quota, None where it is not told, and the seconds until all of it is there again."""
    for prefix in ("x-ratelimit", "x-rate-limit"):
        for quota in ("requests", "tokens"):
            reset_s = _duration_s(headers.get(f"{prefix}-reset-{quota}"))
            if reset_s is not None:
                yield _number(headers.get(f"{prefix}-remaining-{quota}")), reset_s


def _duration_s(text: str | None) -> float | None:
    """`55`, or a duration as Go writes it: `1h0m30s`, `6ms`."""
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        return None
    total_s = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    return total_s if math.isfinite(total_s) else None


def _number(text: str | None) -> float | None:
    text = (text or "").strip()
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _until(date: str | None, *, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "")
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max((moment - now).total_seconds(), 0.0)
    except (ArithmeticError, LookupError, TypeError, ValueError):  # its parser trusts the numbers that it finds
        return None
