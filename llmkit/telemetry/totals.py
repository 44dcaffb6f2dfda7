"""Usage and cost of all calls of a client, by model or deployment."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmkit._flow import Event
from llmkit.errors import Attempt
from llmkit.responses import Usage
from llmkit.telemetry.prices import Settings, cost_of

_REFUSED = frozenset({408, 499, 504})  # statuses of refusals behind which the model may well have worked


@dataclass(frozen=True, slots=True)
class Bill:
    """What one answer used and cost, in US dollars; each is None where it is not known."""

    usage: Usage | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
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

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._sums: dict[str, dict[str, Any]] = {}

    def __call__(self, event: Event) -> None:
        """Takes what an event says of usage."""
        kind = event.kind
        if kind == "billed":
            self._bill(event)
        elif kind == "ended":
            attempts = event.call.attempts
            if attempts and is_open(attempts[-1]):
                self._add(attempts[-1].model, failed=1, maybe_billed=1)
        elif kind == "failed":
            self._add(event.call.model, failed=1, maybe_billed=int(may_be_billed(event.call.attempts[-1])))
        elif kind == "cached":
            self._save(event)

    def snapshot(self) -> Summary:
        """What was used since the beginning, or the last reset."""
        with self._lock:
            return Summary({model: Tally(**sums) for model, sums in self._sums.items()})

    def reset(self) -> Summary:
        """Begins anew; returns what was used until now, so that no call is counted twice or not at all."""
        with self._lock:
            sums, self._sums = self._sums, {}
        return Summary({model: Tally(**found) for model, found in sums.items()})

    def _bill(self, event: Event) -> None:
        call, reply = event.call, event.detail
        cost = cost_of(self._settings, call.model, reply)
        usage: Usage | None = reply.usage  # type: ignore[attr-defined] # the detail of "billed" is a reply
        call.notes.setdefault("bills", []).append(Bill(usage, cost))
        if usage is None:
            self._add(call.model, requests=1, unpriced=1)
            return
        self._add(
            call.model,
            requests=1,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            total_tokens=usage.total_tokens,
            **({"unpriced": 1} if cost is None else {"priced_usd": cost}),
        )

    def _save(self, event: Event) -> None:
        reply: Any = event.detail
        self._add(
            event.call.model,
            cache_hits=1,
            saved_tokens=reply.usage.total_tokens if reply.usage is not None else 0,
            saved_usd=cost_of(self._settings, event.call.model, reply) or 0.0,
        )

    def _add(self, model: str, **amounts: float) -> None:
        with self._lock:
            sums = self._sums.setdefault(model, {})
            for name, amount in amounts.items():
                sums[name] = sums.get(name, 0) + amount


def is_open(attempt: Attempt) -> bool:
    """Whether the request has neither been answered nor failed: the call ended before it, by a cancel or an exit."""
    return attempt.status_code is None and attempt.error is None


def may_be_billed(attempt: Attempt) -> bool:
    """Whether the model may have worked for a request that failed: unless the API said that it refuses or has failed.

    An answer that broke off, or came too late, is billed as a rule.
    """
    status = attempt.status_code
    return status is None or status < 400 or status in _REFUSED
