"""The rules of a verdict: each finds one kind of fault in what a client has asked."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mockserver.truth.exchange import Exchange
from mockserver.truth.rows import calls_of
from mockserver.truth.soundness import text_of
from mockserver.truth.verdict import Finding, Measure

Attempts = list[Exchange]

# refusals that the same request gets again (RFC 9110, 15.5); the official SDKs retry 408, 409, 429 and 5xx only
FINAL = frozenset({400, 401, 403, 404, 405, 413, 415, 422})
_FINAL_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
# surfaces whose requests are no rows: nothing is generated for them
_ADMINISTRATIVE = frozenset({None, "", "files", "uploads", "batches", "models", "vector_stores"})
# what may differ between two ways to ask for the same: another model or deployment, streamed or not, other limits
_MANNER = frozenset({"model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens"})
_QUOTABLE = 12  # a shorter text may stand in a conversation by chance


@dataclass(frozen=True)
class Case:
    """What is judged: the exchanges of a client, the calls that they are taken for, and the measure."""

    exchanges: Sequence[Exchange]
    measure: Measure
    calls: list[Attempts] = field(default_factory=list)

    @classmethod
    def of(cls, exchanges: Sequence[Exchange], measure: Measure) -> "Case":
        """A case; what the server has asked itself, as batches do, is no business of the client."""
        own = [each for each in exchanges if not (each.operation or "").startswith("performed by")]
        return cls(own, measure, calls_of(own))

    @cached_property
    def rows(self) -> list[Attempts]:
        """The calls for which something was to be generated."""
        return [call for call in self.calls if call[0].method == "POST" and call[0].surface not in _ADMINISTRATIVE]

    @cached_property
    def answered(self) -> dict[str, list[Exchange]]:
        """The whole answers by what was asked, however it was asked."""
        answered: dict[str, list[Exchange]] = {}
        for call in self.rows:
            for each in call:
                if each.complete:
                    answered.setdefault(_content(each), []).append(each)
        return answered

    def came_later(self, attempt: Exchange) -> bool:
        """Whether the same was asked in another way, and answered whole, after this attempt."""
        return any(each.number > attempt.number for each in self.answered.get(_content(attempt), ()))


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of fault: what it is, what to do about it, and how it is found."""

    name: str
    description: str
    advice: str
    find: Callable[[Case], Iterable[Finding]]
    note: Callable[[Case], Iterable[Finding]] | None = None

    def findings(self, case: Case) -> list[Finding]:
        """What this rule finds."""
        return [replace(each, rule=self.name, advice=self.advice) for each in self.find(case)]

    def remarks(self, case: Case) -> list[Finding]:
        """What this rule has to say that is no fault."""
        return [replace(each, rule=self.name) for each in self.note(case)] if self.note else []


def _finding(severity: Any, message: str, exchanges: Iterable[Exchange], call: Attempts | None = None) -> Finding:
    numbers = tuple(each.number for each in exchanges)
    return Finding(rule="", severity=severity, message=message, exchanges=numbers, call=call[0].call if call else None)


def _pairs(call: Attempts) -> Iterator[tuple[Exchange, Exchange]]:
    """Attempts that follow a failed one, which the client has heard of."""
    return ((one, other) for one, other in itertools.pairwise(call) if not one.complete)


def _pause(one: Exchange, other: Exchange) -> float:
    """How long the client waited: from the decision on the answer, or from its end where it broke off."""
    since = one.answered_at if one.status >= 400 else one.ended_at
    return max(other.started_at - (since if since is not None else one.started_at), 0.0)


def _says_so(other: Exchange) -> Any:
    """How sure it is that a request is a retry: the client's count or key says so, or it only looks like one."""
    return "certain" if other.retry_count or "idempotency-key" in other.headers else "likely"


def _retry_after_ignored(case: Case) -> Iterator[Finding]:
    for call in case.calls:
        early = [(one, other) for one, other in _pairs(call) if _too_early(one, other, case.measure)]
        if early:
            one, other = early[0]
            times = f"; {len(early)} times in all" if len(early) > 1 else ""
            waited = f"asked again after {_s(_pause(one, other))}, though told to wait {_s(one.retry_after_s or 0)}"
            sure = max((_says_so(later) for _, later in early), key=["likely", "certain"].index)
            yield _finding(sure, waited + times, _unique(early), call)


def _too_early(one: Exchange, other: Exchange, measure: Measure) -> bool:
    told = one.retry_after_s if one.status >= 400 and one.delivered else None
    return told is not None and _pause(one, other) < told - measure.tolerance_s


def _non_retryable_retried(case: Case) -> Iterator[Finding]:
    for call in case.calls:
        again = [(one, other) for one, other in _pairs(call) if _is_final(one) and one.delivered]
        if again and call[0].method == "POST":
            one, _ = again[0]
            what = f"{one.status} {one.error_code}".strip()
            count = f"{len(again)} time{'s' * (len(again) > 1)}"
            message = f"sent the same again {count} after a {what}, which no repetition changes"
            sure = max((_says_so(later) for _, later in again), key=["likely", "certain"].index)
            yield _finding(sure, message, _unique(again), call)


def _is_final(each: Exchange) -> bool:
    verdict_of_server = each.response_header("x-should-retry")
    if verdict_of_server == "true":
        return False
    spent = each.status == 429 and each.error_code in _FINAL_CODES
    return each.status in FINAL or spent or (each.status >= 400 and verdict_of_server == "false")


def _storm(case: Case) -> Iterator[Finding]:
    measure = case.measure
    for call in case.calls:
        if len(call) > measure.max_attempts:
            message = f"{len(call)} attempts for one call, more than {measure.max_attempts}"
            yield _finding("certain", message, call, call)
        elif message := _hurry(_pauses(call), measure):
            yield _finding("certain" if call[-1].retry_count else "likely", message, call, call)
    yield from _herd(case)


def _pauses(call: Attempts) -> list[float]:
    """The pauses whose length the client has chosen by itself."""
    return [_pause(one, other) for one, other in _pairs(call) if not (one.status >= 400 and one.retry_after_s)]


def _hurry(pauses: Sequence[float], measure: Measure) -> str:
    """What is wrong with the pauses between attempts; empty if nothing is."""
    if len(pauses) >= 3 and max(pauses) < measure.min_pause_s:
        return f"{len(pauses) + 1} attempts with no pause of {_s(measure.min_pause_s)} between them"
    if len(pauses) < 4 or max(pauses) >= measure.patient_s:
        return ""
    if max(pauses[1:]) < pauses[0] * measure.growth:
        return f"pauses that do not grow: {', '.join(map(_s, pauses[:5]))}"
    return ""


def _herd(case: Case) -> Iterator[Finding]:
    """Calls that failed with others and all come back after the same pause, without the jitter that would part them."""
    returns = [
        (_pause(one, other), other)
        for call in case.calls
        for one, other in itertools.islice(_pairs(call), 1)
        if _chose(one)
    ]
    if len(returns) < case.measure.herd:
        return
    pauses = sorted(pause for pause, _ in returns)
    middle = pauses[len(pauses) // 2]
    near = max(0.01, middle * 0.025)  # the official SDKs draw from a quarter of the pause
    alike = [other for pause, other in returns if abs(pause - middle) <= near]
    for group in _bursts(alike, near * 2):
        if len(group) >= max(case.measure.herd, len(returns) * 0.8):
            message = f"{len(group)} calls came back at once, each {_s(middle)} after its failure: without jitter"
            yield _finding("likely", message, group)


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


def _truncated_taken_for_whole(case: Case) -> Iterator[Finding]:
    for call in case.rows:
        last = call[-1]
        if not _is_piece(last) or case.came_later(last):
            continue
        quoting = _quoting(case, last)
        how = {"rst": "was reset", "fin": "was closed in the middle"}.get(last.ending, "ended early")
        if quoting is not None:
            message = f"an answer that {how} was taken for whole: request {quoting.number} quotes it"
            yield _finding("certain", message, [*call, quoting], call)
        elif last.ending == "whole" or not case.measure.allow_giving_up:
            message = f"the last that came of an answer {how}, and it was not asked for again{_went_on(case, last)}"
            yield _finding("likely", f"{message}; whether an error was reported cannot be seen", call, call)


def _is_piece(last: Exchange) -> bool:
    """Whether the client has the beginning of an answer, and could have taken that for all."""
    if last.complete or last.client_left or not 200 <= last.status < 300 or last.answered_at is None:
        return False
    return last.soundness == "truncated" and last.ending in ("whole", "rst", "fin") and last.frames > 0


def _quoting(case: Case, last: Exchange) -> Exchange | None:
    """A later request whose conversation holds the piece as if it were the answer."""
    piece = text_of(b"".join(last.pieces), streamed=last.streamed)
    if len(piece.strip()) < _QUOTABLE:
        return None
    later = (each for each in case.exchanges if each.number > last.number and each.key == last.key)
    return next((each for each in later if _says(each, piece)), None)


def _says(each: Exchange, piece: str) -> bool:
    messages = each.request.get("messages") or each.request.get("input") if isinstance(each.request, dict) else None
    if not isinstance(messages, list):
        return False
    said = [message for message in messages if isinstance(message, dict) and message.get("role") == "assistant"]
    return any(text.strip() == piece.strip() for message in said for text in _texts(message.get("content")))


def _went_on(case: Case, last: Exchange) -> str:
    later = sum(each.number > last.number and each.key == last.key for each in case.exchanges)
    return f", though {later} other request{'s' * (later > 1)} followed" if later else ""


def _row_lost(case: Case) -> Iterator[Finding]:
    rows = case.measure.rows
    if isinstance(rows, tuple):
        yield from _rows_by_name(case, rows)
    elif rows is not None and (whole := len(_whole_rows(case))) < rows:
        yield _finding("certain", f"{rows} rows were to be answered, and {whole} were", [])
    if not case.measure.allow_giving_up:
        yield from filter(None, (_given_up(case, call) for call in case.rows))


def _given_up(case: Case, call: Attempts) -> Finding | None:
    last = call[-1]
    if any(each.complete for each in call) or not _has_failed(last) or _is_piece(last) or case.came_later(last):
        return None
    tries = "1 attempt" if len(call) == 1 else f"{len(call)} attempts"
    message = f"no whole answer after {tries}, the last with {_end(last)}{_went_on(case, last)}"
    return _finding("likely", f"{message}; whether an error was reported cannot be seen", call, call)


def _has_failed(last: Exchange) -> bool:
    """Whether an attempt failed through the server, for a reason that may pass."""
    if last.ended_at is None or last.complete or (last.status >= 400 and _is_final(last)):
        return False
    if last.client_left:
        return bool(last.fault)  # who leaves an answer that is in order has no use for it
    return last.ending != "hang"  # else the server has stopped, and the client was still waiting


def _end(last: Exchange) -> str:
    if last.client_left:
        return "the client hanging up"
    if last.status >= 400:
        return f"a {last.status}"
    return {"rst": "a reset", "fin": "a connection closed early"}.get(last.ending, "an answer that is none")


def _rows_by_name(case: Case, names: Sequence[str]) -> Iterator[Finding]:
    found = _named(case, names)
    for name in dict.fromkeys(names):
        short = names.count(name) - len(found[name])
        if short > 0:
            yield _finding("certain", f"row {name!r} was never answered whole", [])


def _named(case: Case, names: Iterable[str]) -> dict[str, Attempts]:
    """The whole answers whose requests name a row."""
    whole = [(each, " ".join(_texts(each.request))) for each in _whole_rows(case)]
    return {name: [each for each, text in whole if _holds(text, name)] for name in names}


def _holds(text: str, name: str) -> bool:
    """Whether a name stands in a text as a word, so that `row 1` is not found in `row 10`."""
    at = text.find(name)
    while at >= 0:
        around = text[at - 1 : at] + text[at + len(name) : at + len(name) + 1]
        if not any(letter.isalnum() for letter in around):
            return True
        at = text.find(name, at + 1)
    return False


def _whole_rows(case: Case) -> Attempts:
    return [each for call in case.rows for each in call if each.complete]


def _row_duplicated(case: Case) -> Iterator[Finding]:
    for call in case.rows:
        whole = [each for each in call if each.complete]
        if len(whole) > 1:
            message = f"answered whole {len(whole)} times: a retry that was not needed"
            yield _finding("certain", message, whole, call)
    rows = case.measure.rows
    if isinstance(rows, tuple):
        for name, answers in _named(case, dict.fromkeys(rows)).items():
            if len(answers) > rows.count(name):
                yield _finding("certain", f"row {name!r} was answered whole {len(answers)} times", answers)
    elif rows is not None and len(_whole_rows(case)) > rows:
        message = f"{rows} rows were to be answered, and {len(_whole_rows(case))} were"
        yield _finding("certain", message, itertools.chain(*_repeated(case)))
    elif not case.measure.expect_repeats:
        yield from map(_repetition, _unmeant(_repeated(case), case))


def _repetition(answers: Attempts) -> Finding:
    message = f"the same was asked and answered whole {len(answers)} times; whether that is meant cannot be seen"
    return _finding("likely", message, answers, answers)


def _repeated(case: Case) -> list[Attempts]:
    """Whole answers to calls that asked the same."""
    same: dict[str, Attempts] = {}
    for call in case.rows:
        whole = [each for each in call if each.complete]
        if whole:
            same.setdefault(whole[0].fingerprint, []).append(whole[0])
    return [answers for answers in same.values() if len(answers) > 1]


def _unmeant(repeated: list[Attempts], case: Case) -> list[Attempts]:
    """The repetitions that look like a mistake.

    Keys of their own say that each is meant. An official SDK that counts no retry has been called anew: that is one
    only where a few among many different calls are repeated.
    """
    different = len({each.fingerprint for each in _whole_rows(case)})
    few = len(repeated) * 2 < different
    return [answers for answers in repeated if not _is_meant(answers, few=few)]


def _is_meant(answers: Attempts, *, few: bool) -> bool:
    keys = {each.headers.get("idempotency-key") for each in answers}
    if None not in keys and len(keys) == len(answers):
        return True
    return all(each.retry_count == 0 for each in answers) and not few


def _billed_twice(case: Case) -> Iterator[Finding]:
    for call, paid in _paid_twice(case):
        left = [each for each in paid[:-1] if each.client_left and not each.fault]
        if left:
            message = f"generated and billed {len(paid)} times: the client hung up on an answer under way"
            yield _finding("certain", message, paid, call)
        elif not case.measure.forgive_cuts:
            yield _finding("certain", f"generated and billed {len(paid)} times", paid, call)


def _notes_of_bills(case: Case) -> Iterator[Finding]:
    for call, paid in _paid_twice(case):
        if case.measure.forgive_cuts and not any(each.client_left and not each.fault for each in paid[:-1]):
            message = f"generated and billed {len(paid)} times, as the answer did not come through"
            yield _finding("certain", message, paid, call)


def _paid_twice(case: Case) -> Iterator[tuple[Attempts, Attempts]]:
    """Calls for which several answers were generated, and those; whole ones repeated are another rule's business."""
    for call in case.rows:
        paid = [each for each in call if each.spent is not None and each.spent.total]
        if len(paid) > 1 and sum(each.complete for each in paid) < len(paid):
            yield call, paid


def _content(each: Exchange) -> str:
    """What a request is about, however it is asked."""
    request = each.request
    if not isinstance(request, dict):
        return each.fingerprint
    about = {name: value for name, value in request.items() if name not in _MANNER}
    return json.dumps([about, each.files], sort_keys=True)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _unique(pairs: Iterable[tuple[Exchange, Exchange]]) -> list[Exchange]:
    return list({each.number: each for pair in pairs for each in pair}.values())


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "retry_after_ignored",
            "The client came back before the wait that Retry-After or retry-after-ms told it was over.",
            "wait as long as the answer says before the next attempt",
            _retry_after_ignored,
        ),
        Rule(
            "non_retryable_retried",
            "The client sent a request again that was refused for good: a bad request, a wrong key, spent quota.",
            "retry 408, 409, 429 and 5xx only, and no 429 with the code insufficient_quota",
            _non_retryable_retried,
        ),
        Rule(
            "storm",
            "Too many attempts for one call, pauses that do not grow, or many calls that come back at once.",
            "wait longer with each attempt, by a random part of the pause, and give up after a few",
            _storm,
        ),
        Rule(
            "truncated_taken_for_whole",
            "The last that the client got is the beginning of an answer, and it did not ask again.",
            "a stream is whole when its finish reason and [DONE] have come: raise an error, or ask again, if not",
            _truncated_taken_for_whole,
        ),
        Rule(
            "row_lost",
            "A call never got a whole answer.",
            "retry what may pass and report what does not; say allow_giving_up=True if it was reported",
            _row_lost,
        ),
        Rule(
            "row_duplicated",
            "The same was answered whole more than once.",
            "ask once for each row; say expect_repeats=True, or which rows there are, if it is meant",
            _row_duplicated,
        ),
        Rule(
            "billed_twice",
            "An answer was generated more than once for one call.",
            "give answers time to come before hanging up; what was generated is billed, whether it is read or not",
            _billed_twice,
            _notes_of_bills,
        ),
    )
}
