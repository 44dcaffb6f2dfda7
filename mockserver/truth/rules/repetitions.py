"""Repetitions: answered whole more than once, or paid more than once."""

import itertools
from collections.abc import Iterator, Sequence

from mockserver.truth.findings import Finding
from mockserver.truth.rules.case import Attempts, Case, finding, named, rows_in_words, whole_rows


def row_duplicated(case: Case) -> Iterator[Finding]:
    """Calls answered whole more than once, or the same in several calls."""
    for call in case.rows:
        whole = [each for each in call if each.complete]
        if len(whole) > 1:
            message = f"answered whole {len(whole)} times: a retry that was not needed"
            yield finding("certain", message, whole, call)
    rows = case.measure.rows
    if isinstance(rows, tuple):
        yield from _names_repeated(case, rows)
    elif rows is not None and len(whole_rows(case)) >= rows:
        yield from _too_many(case, rows)
    elif not case.measure.expect_repeats:
        yield from map(_repetition, _unmeant(case))


def _names_repeated(case: Case, names: Sequence[str]) -> Iterator[Finding]:
    for name, answers in named(case, dict.fromkeys(names)).items():
        if len(answers) > names.count(name):
            yield finding("certain", f"row {name!r} was answered whole {len(answers)} times", answers)


def _too_many(case: Case, rows: int) -> Iterator[Finding]:
    whole = whole_rows(case)
    if len(whole) > rows:
        repeated = itertools.chain(*map(_first_answers, _repeated(case)))
        yield finding("certain", f"{rows_in_words(rows)} to be answered, and {len(whole)} were", repeated)


def _repetition(calls: list[Attempts]) -> Finding:
    message = f"the same was asked and answered whole {len(calls)} times; whether that is meant cannot be seen"
    return finding("likely", message, _first_answers(calls), calls[0])


def _first_answers(calls: list[Attempts]) -> Attempts:
    return sorted((next(each for each in call if each.complete) for call in calls), key=lambda each: each.number)


def _repeated(case: Case) -> list[list[Attempts]]:
    """Calls that asked the same and were answered whole, where there are several."""
    same: dict[str, list[Attempts]] = {}
    for call in case.rows:
        if any(each.complete for each in call):
            same.setdefault(call[0].fingerprint, []).append(call)
    return [calls for calls in same.values() if len(calls) > 1]


def _unmeant(case: Case) -> list[list[Attempts]]:
    """The repetitions that look like a mistake.

    Keys of their own say that each is meant. An official SDK that counts no retry has been called anew: that is one
    only where a few among many different calls are repeated.
    """
    repeated = _repeated(case)
    different = len({each.fingerprint for each in whole_rows(case)})
    few = len(repeated) * 2 < different
    return [calls for calls in repeated if not _is_meant([call[0] for call in calls], few=few)]


def _is_meant(heads: Attempts, *, few: bool) -> bool:
    keys = {each.headers.get("idempotency-key") for each in heads}
    if None not in keys and len(keys) == len(heads):
        return True
    return all(each.retry_count == 0 for each in heads) and not few


def billed_twice(case: Case) -> Iterator[Finding]:
    """Calls that cost more than one answer, as the client did not wait."""
    for call, paid in _paid_twice(case):
        left = [each for each in paid[:-1] if each.client_left and not each.fault]
        if left:
            message = f"generated and billed {len(paid)} times: the client hung up on an answer under way"
            yield finding("certain", message, paid, call)
        elif not case.measure.forgive_cuts:
            yield finding("certain", f"generated and billed {len(paid)} times", paid, call)


def notes_of_bills(case: Case) -> Iterator[Finding]:
    """Calls that cost more than one answer, as the first did not come through."""
    for call, paid in _paid_twice(case):
        if case.measure.forgive_cuts and not any(each.client_left and not each.fault for each in paid[:-1]):
            has_left = any(each.client_left for each in paid[:-1])
            why = "the client left before the answer was whole" if has_left else "the answer did not come through"
            yield finding("certain", f"generated and billed {len(paid)} times, as {why}", paid, call)


def _paid_twice(case: Case) -> Iterator[tuple[Attempts, Attempts]]:
    """Calls for which several answers were generated, and those; whole ones repeated are another rule's business."""
    for call in case.rows:
        paid = [each for each in call if each.spent is not None and each.spent.total]
        if len(paid) > 1 and sum(each.complete for each in paid) < len(paid):
            yield call, paid
