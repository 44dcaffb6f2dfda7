"""Usage and cost of all calls of a client, by model or deployment."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from llmkit._flow import Call, Event
from llmkit.errors import Attempt
from llmkit.responses import Usage
from llmkit.telemetry.prices import Settings, cost_of

_REFUSED = frozenset({408, 499, 504})  # statuses of refusals behind which the model may well have worked


class Bill(NamedTuple):
    """What one answer used and cost, in US dollars; each is None where it is not known."""

    usage: Usage | None
    cost_usd: float | None


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was used, in requests and tokens, and what it cost, in US dollars.

    `requests` were answered; of those, `unpriced` have a cost that nobody knows, and `priced_usd` is that of all
    others. `cached_tokens` are part of the prompts', `reasoning_tokens` of the completions'. Of the requests that
    `failed` or were cut off, the API may have billed `maybe_billed`. `cache_hits` were answered from our own cache,
    which saved `saved_tokens`, and `saved_usd` where the price is known.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0
    priced_usd: float = 0.0
    unpriced: int = 0
    failed: int = 0
    maybe_billed: int = 0
    cache_hits: int = 0
    saved_tokens: int = 0
    saved_usd: float = 0.0

    @property
    def cost_usd(self) -> float | None:
        """The cost of all, None where that of a single request is not known."""
        return None if self.unpriced else self.priced_usd

    def add(self, usage: Usage) -> None:
        """The tokens of one answer more."""
        self.prompt_tokens += usage.prompt_tokens
        self.cached_tokens += usage.cached_tokens
        self.completion_tokens += usage.completion_tokens
        self.reasoning_tokens += usage.reasoning_tokens
        self.total_tokens += usage.total_tokens

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in _FIELDS})


_FIELDS = tuple(Tally.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Summary:
    """What was used up to a moment: `by_model`, under the names that were asked, and `overall`."""

    by_model: Mapping[str, Tally] = field(default_factory=dict)

    @property
    def overall(self) -> Tally:
        """The sum over all models."""
        return sum(self.by_model.values(), start=Tally())

    def __str__(self) -> str:
        rows = [*sorted(self.by_model.items()), ("overall", self.overall)]
        return "\n".join(f"{name}: {_told(tally)}" for name, tally in rows)


def _told(tally: Tally) -> str:
    unpriced = f" and {tally.unpriced} requests of unknown cost" if tally.unpriced else ""
    lost = f", {tally.failed} failed ({tally.maybe_billed} maybe billed)" if tally.failed else ""
    saved = f", {tally.cache_hits} from the cache (${tally.saved_usd:.6f} saved)" if tally.cache_hits else ""
    return (
        f"{tally.requests} requests, {tally.prompt_tokens} + {tally.completion_tokens} tokens, "
        f"${tally.priced_usd:.6f}{unpriced}{lost}{saved}"
    )


class Totals:
    """Adds up what calls use; an observer, which any number of threads may tell.

    It leaves the `Bill` of each answer in the notes of its call, for other observers.
    """

    kinds = frozenset({"billed", "failed", "cached", "ended"})

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._sums: dict[str, Tally] = {}

    def __call__(self, event: Event) -> None:
        """Takes what an event says of usage."""
        kind, call, detail = event
        if kind == "billed":
            self._bill(call, detail)
        elif kind == "cached":
            self._save(call, detail)
        elif call.attempts and (kind == "failed" or is_open(call.attempts[-1])):
            self._fail(call.attempts[-1])

    def snapshot(self) -> Summary:
        """What was used since the beginning, or the last reset."""
        with self._lock:
            return Summary({model: replace(sums) for model, sums in self._sums.items()})

    def reset(self) -> Summary:
        """Begins anew; returns what was used until now, so that no call is counted twice or not at all."""
        with self._lock:
            sums, self._sums = self._sums, {}
        return Summary(sums)

    def _bill(self, call: Call, reply: Any) -> None:
        usage: Usage | None = reply.usage
        cost = cost_of(self._settings, call.model, reply)
        call.notes.setdefault("bills", []).append(Bill(usage, cost))
        with self._lock:
            sums = self._of(call.model)
            sums.requests += 1
            if usage is not None:
                sums.add(usage)
            if cost is None:
                sums.unpriced += 1
            else:
                sums.priced_usd += cost

    def _save(self, call: Call, reply: Any) -> None:
        cost = cost_of(self._settings, call.model, reply)
        with self._lock:
            sums = self._of(call.model)
            sums.cache_hits += 1
            sums.saved_tokens += reply.usage.total_tokens if reply.usage is not None else 0
            sums.saved_usd += cost or 0.0

    def _fail(self, attempt: Attempt) -> None:
        with self._lock:
            sums = self._of(attempt.model)
            sums.failed += 1
            sums.maybe_billed += may_be_billed(attempt)

    def _of(self, model: str) -> Tally:
        """The sums of a model; the lock is held."""
        return self._sums.get(model) or self._sums.setdefault(model, Tally())


def is_open(attempt: Attempt) -> bool:
    """Whether the request has neither been answered nor failed: the call ended before it, by a cancel or an exit."""
    return attempt.status_code is None and attempt.error is None


def may_be_billed(attempt: Attempt) -> bool:
    """Whether the model may have worked for a request that failed: unless the API said that it refuses or has failed.

    An answer that broke off, or came too late, is billed as a rule.
    """
    status = attempt.status_code
    return status is None or status < 400 or status in _REFUSED
