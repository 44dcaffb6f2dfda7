"""Waits that were told to one call while others went on: the key and the model are refused, not the request alone.

What is refused for the rate of a key is so for every call with that key. A server cannot see how many calls a client
had under way already, nor what its processes know of each other: only those are found that go on being refused while
nothing at all is served.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mockserver.truth.exchange import Exchange
from mockserver.truth.findings import Finding
from mockserver.truth.rules.case import Attempts, Case, finding, in_words, is_final

_MANY = 5
_ON_ITS_WAY_S = 0.005  # what begins so shortly after an answer was sent before it was read
_LAUNCHED_S = 0.5  # how long a client may take to send what it starts all at once


@dataclass(frozen=True, slots=True)
class _Intrusion:
    """A call that began within the wait that a refusal told, `refused_s` after the first with nothing served since."""

    refusal: Exchange
    call: Exchange
    refused_s: float


def others_in_a_wait(case: Case) -> Iterator[Finding]:
    """Calls that kept coming, and being refused, long after another was told that nothing is served for a while."""
    for intrusions in _by_target(case):
        refused = [each for each in intrusions if each.refused_s > _LAUNCHED_S and _tells_a_wait(each.call)]
        if len(refused) >= _MANY:
            message = f"{_in_words(refused)}, and were refused as well; what was under way already cannot be seen"
            yield finding("likely", message, _shown(refused))


def notes_of_waits(case: Case) -> Iterator[Finding]:
    """Calls that began within a wait that another was told."""
    for intrusions in _by_target(case):
        if len(intrusions) >= _MANY:
            yield finding("certain", _in_words(intrusions), _shown(intrusions))


def _by_target(case: Case) -> Iterator[list[_Intrusion]]:
    """The calls within a wait, for each key and model or deployment."""
    groups: dict[tuple[str, str | None], list[Attempts]] = {}
    for call in case.rows:
        head = call[0]
        groups.setdefault((head.key, head.deployment or head.model), []).append(call)
    for calls in groups.values():
        yield _intrusions(calls, case.measure.tolerance_s)


def _intrusions(calls: Sequence[Attempts], tolerance_s: float) -> list[_Intrusion]:
    answers = sorted(
        (each for call in calls for each in call if _tells_a_wait(each) or each.complete), key=_answered_at
    )
    heads = sorted((call[0] for call in calls), key=lambda each: each.started_at)
    wait, found, read = _Wait(), [], 0
    for head in heads:
        while read < len(answers) and _answered_at(answers[read]) + _ON_ITS_WAY_S < head.started_at:
            wait.hear(answers[read])
            read += 1
        if wait.longest is not None and head.started_at < _due(wait.longest) - tolerance_s:
            found.append(_Intrusion(wait.longest, head, head.started_at - wait.refused_since))
    return found


@dataclass(slots=True)
class _Wait:
    """What a client has heard by now: the refusal whose wait ends last, and since when nothing is served."""

    longest: Exchange | None = None
    refused_since: float = math.inf

    def hear(self, answer: Exchange) -> None:
        """Take in a whole answer, or a refusal that tells a wait."""
        if answer.complete:
            self.refused_since = math.inf
            return
        if self.longest is None or _due(self.longest) <= _answered_at(answer):  # what was told before is over
            self.refused_since = math.inf
        self.refused_since = min(self.refused_since, _answered_at(answer))
        self.longest = max(self.longest or answer, answer, key=_due)


def _tells_a_wait(each: Exchange) -> bool:
    return each.status == 429 and each.delivered and bool(each.retry_after_s) and not is_final(each)


def _answered_at(each: Exchange) -> float:
    return each.started_at if each.answered_at is None else each.answered_at


def _due(refusal: Exchange) -> float:
    return _answered_at(refusal) + (refusal.retry_after_s or 0)


def _in_words(intrusions: Sequence[_Intrusion]) -> str:
    first = intrusions[0]
    told = in_words(first.refusal.retry_after_s or 0)
    target = first.call.deployment or first.call.model
    return f"{len(intrusions)} new calls to {target} began within a wait of {told} that a 429 with their key had told"


def _shown(intrusions: Sequence[_Intrusion]) -> Attempts:
    """The first refusal, and the calls."""
    return [intrusions[0].refusal, *(each.call for each in intrusions)]
