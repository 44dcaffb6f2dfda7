"""What a Prometheus server reads, made up anew from journal, ledger and quotas whenever one asks.

Requests and latencies are those of the exchanges that the journal still has; tokens and bytes those of all
since the last reset. https://prometheus.io/docs/practices/naming/
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from mockserver.state import State
from mockserver.truth.record import Record

_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_REQUEST = ("surface", "dialect", "model", "status", "fault")


def exposed(state: State) -> tuple[bytes, str]:
    """The metrics as text, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(state))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Collector:
    """Reads a server's state."""

    def __init__(self, state: State) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that nothing is collected before somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        records = self._state.journal.records()
        yield _requests(records)
        yield _durations(records)
        yield from _sums(self._state)
        yield from _gauges(records, self._state)
        yield from _quotas(self._state)


def _requests(records: Sequence[Record]) -> Metric:
    counted = Counter(
        (each.surface or "", each.dialect or "", each.model or "", str(each.status), each.fault or "")
        for each in records
        if each.answered_at is not None or each.ended_at is not None
    )
    family = CounterMetricFamily(
        "mockserver_requests", "Requests that were answered; status 0: no head.", labels=_REQUEST
    )
    for labels, count in sorted(counted.items()):
        family.add_metric(_clean(labels), count)
    return family


def _durations(records: Sequence[Record]) -> Metric:
    name, text = "mockserver_request_duration_seconds", "From a request's arrival to the end of its answer."
    family = HistogramMetricFamily(name, text, labels=("surface",))
    by_surface: dict[str, list[float]] = {}
    for each in records:
        if each.ended_at is not None:
            by_surface.setdefault(each.surface or "", []).append(max(each.ended_at - each.started_at, 0.0))
    for surface, durations in sorted(by_surface.items()):
        family.add_metric(_clean([surface]), _buckets(durations), math.fsum(durations))
    return family


def _buckets(durations: Iterable[float]) -> list[tuple[str, float]]:
    counts = Counter(bisect_left(_BOUNDS_S, each) for each in durations)
    buckets, total = [], 0
    for index, bound in enumerate((*_BOUNDS_S, math.inf)):
        total += counts[index]
        buckets.append(("+Inf" if bound == math.inf else str(bound), float(total)))
    return buckets


def _sums(state: State) -> Iterator[Metric]:
    tokens = CounterMetricFamily("mockserver_tokens", "Tokens billed.", labels=("surface", "model", "kind"))
    octets = CounterMetricFamily("mockserver_bytes", "Bytes of bodies.", labels=("surface", "model", "kind"))
    totals: dict[tuple[str, str], Counter[str]] = {}
    for place, each in state.journal.sums().by_place.items():
        total = totals.setdefault((place.surface, place.model), Counter())
        total.update(prompt=each.prompt_tokens, completion=each.completion_tokens, cached=each.cached_tokens)
        total.update(generated=each.generated_bytes, sent=each.sent_bytes)
    for labels, total in sorted(totals.items()):
        for kind in ("prompt", "completion", "cached"):
            tokens.add_metric(_clean([*labels, kind]), total[kind])
        for kind in ("generated", "sent"):
            octets.add_metric(_clean([*labels, kind]), total[kind])
    yield tokens
    yield octets


def _gauges(records: Sequence[Record], state: State) -> Iterator[Metric]:
    under_way = [each for each in records if each.ended_at is None]
    streams = sum(each.streamed or each.stream for each in under_way)
    steps = state.script.left()
    left = sum(step.repeats or 0 for step in steps if not step.stands)
    clock = state.clock
    for name, text, value in (
        ("requests_open", "Requests that are being answered.", len(under_way)),
        ("streams_open", "Streams that are being sent.", streams),
        ("script_steps_left", "Requests that steps of the script still wait for, standing steps apart.", left),
        ("script_steps_standing", "Steps of the script that are never used up.", sum(step.stands for step in steps)),
        ("journal_exchanges", "Exchanges in the journal.", len(records)),
        ("clock_time_seconds", "The server's time, in seconds since 1970.", clock.now()),
        ("clock_virtual", "1 if the clock stands still until it is moved.", clock.is_virtual),
    ):
        yield GaugeMetricFamily(f"mockserver_{name}", text, value=float(value))
    dropped = state.journal.dropped
    yield CounterMetricFamily(
        "mockserver_exchanges_dropped", "Exchanges that the journal has forgotten.", value=dropped
    )


def _quotas(state: State) -> Iterator[Metric]:
    labels = ("key", "dialect", "subject", "limit")
    told: dict[str, Any] = {
        "limit": GaugeMetricFamily("mockserver_quota_limit", "Requests or tokens granted a minute.", labels=labels),
        "remaining": GaugeMetricFamily("mockserver_quota_remaining", "What is left of it.", labels=labels),
        "reset_s": GaugeMetricFamily("mockserver_quota_reset_seconds", "Until all of it is back.", labels=labels),
    }
    for account in state.quotas.standing(now=state.clock.now()):
        for limit in ("requests", "tokens"):
            for name, family in told.items():
                names = [account["key"], account["dialect"], account["subject"], limit]
                family.add_metric(_clean(names), account[limit][name])
    yield from told.values()


def _clean(labels: Iterable[str]) -> list[str]:
    """Label values that UTF-8 can carry: models are whatever clients call them."""
    return [label.encode(errors="replace").decode() for label in labels]
