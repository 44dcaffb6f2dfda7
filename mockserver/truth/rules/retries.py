"""Retries: too early, in vain, too many."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from mockserver.truth.exchange import Exchange
from mockserver.truth.findings import Finding, Measure
from mockserver.truth.rules.case import Attempts, Case, finding, in_words, is_final, pairs, pause, says_so, unique


def retry_after_ignored(case: Case) -> Iterator[Finding]:
    """Retries that came before the told wait was over."""
    for call in case.calls:
        early = [(one, other) for one, other in pairs(call) if _too_early(one, other, case.measure)]
        if early:
            one, other = early[0]
            times = f"; {len(early)} times in all" if len(early) > 1 else ""
            waited, told = in_words(pause(one, other)), in_words(one.retry_after_s or 0)
            message = f"asked again after {waited}, though told to wait {told}{times}"
            sure = max((says_so(later) for _, later in early), key=["likely", "certain"].index)
            yield finding(sure, message, unique(early), call)


def _too_early(one: Exchange, other: Exchange, measure: Measure) -> bool:
    told = one.retry_after_s if one.status >= 400 and one.delivered else None
    return told is not None and pause(one, other) < told - measure.tolerance_s


def non_retryable_retried(case: Case) -> Iterator[Finding]:
    """Requests sent again though they were refused for good."""
    for call in case.calls:
        again = [(one, other) for one, other in pairs(call) if is_final(one) and one.delivered]
        if again and call[0].method == "POST":
            one, _ = again[0]
            what = f"{one.status} {one.error_code}".strip()
            count = f"{len(again)} time{'s' * (len(again) > 1)}"
            message = f"sent the same again {count} after a {what}, which no repetition changes"
            sure = max((says_so(later) for _, later in again), key=["likely", "certain"].index)
            yield finding(sure, message, unique(again), call)


def storm(case: Case) -> Iterator[Finding]:
    """Calls with too many attempts or too short pauses, and calls that all come back at once."""
    measure = case.measure
    for call in case.calls:
        if len(call) > measure.max_attempts:
            message = f"{len(call)} attempts for one call, more than {measure.max_attempts}"
            yield finding("certain", message, call, call)
        elif message := hurry(_pauses(call), measure):
            yield finding("certain" if call[-1].retry_count else "likely", message, call, call)
    yield from _herd(case)


def _pauses(call: Attempts) -> list[float]:
    """The pauses whose length the client has chosen by itself."""
    return [pause(one, other) for one, other in pairs(call) if not (one.status >= 400 and one.retry_after_s)]


def hurry(pauses: Sequence[float], measure: Measure) -> str:
    """What is wrong with the pauses between attempts; empty if nothing is."""
    if len(pauses) >= 3 and max(pauses) < measure.min_pause_s:
        return f"{len(pauses) + 1} attempts with no pause of {in_words(measure.min_pause_s)} between them"
    if len(pauses) < 4 or max(pauses) >= measure.patient_s:
        return ""
    if max(pauses[1:]) < pauses[0] * measure.growth:
        return f"pauses that do not grow: {', '.join(map(in_words, pauses[:5]))}"
    return ""


def _herd(case: Case) -> Iterator[Finding]:
    """Calls that failed with others and all come back after the same pause, without the jitter that would part them."""
    returns = [
        (pause(one, other), other)
        for call in case.calls
        for one, other in itertools.islice(pairs(call), 1)
        if _chose(one)
    ]
    if not returns or len(returns) < case.measure.herd:
        return
    pauses = sorted(pause for pause, _ in returns)
    middle = pauses[len(pauses) // 2]
    near = max(0.01, middle * 0.025)  # the official SDKs draw from a quarter of the pause
    alike = [other for pause, other in returns if abs(pause - middle) <= near]
    for group in _bursts(alike, near * 2):
        if len(group) >= max(case.measure.herd, len(returns) * 0.8):
            message = f"{len(group)} calls came back at once, each {in_words(middle)} after its failure: without jitter"
            yield finding("likely", message, group)


def _chose(one: Exchange) -> bool:
    return not (one.status >= 400 and one.retry_after_s)


def _bursts(exchanges: Iterable[Exchange], window_s: float) -> Iterator[Attempts]:
    """Exchanges that began within so many seconds of the first of them."""
    group: Attempts = []
    for each in sorted(exchanges, key=lambda one: one.started_at):
        if group and each.started_at - group[0].started_at > window_s:
            yield group
            group = []
        group.append(each)
    if group:
        yield group
