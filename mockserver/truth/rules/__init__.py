"""The rules of a verdict: each finds one kind of fault in what a client has asked."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from mockserver.truth.findings import Finding
from mockserver.truth.rules.case import Case
from mockserver.truth.rules.losses import notes_of_streams, row_lost, truncated_taken_for_whole
from mockserver.truth.rules.repetitions import billed_twice, notes_of_bills, row_duplicated
from mockserver.truth.rules.retries import non_retryable_retried, retry_after_ignored, storm
from mockserver.truth.rules.waits import notes_of_waits, others_in_a_wait


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


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "retry_after_ignored",
            "The client came back, or went on with other calls, before the wait that Retry-After told it was over.",
            "wait as long as the answer says before the next attempt",
            lambda case: itertools.chain(retry_after_ignored(case), others_in_a_wait(case)),
            notes_of_waits,
        ),
        Rule(
            "non_retryable_retried",
            "The client sent a request again that was refused for good: a bad request, a wrong key, spent quota.",
            "retry 408, 409, 429 and 5xx only, and no 429 with the code insufficient_quota",
            non_retryable_retried,
        ),
        Rule(
            "storm",
            "Too many attempts for one call, pauses that do not grow, or many calls that come back at once.",
            "wait longer with each attempt, by a random part of the pause, and give up after a few",
            storm,
        ),
        Rule(
            "truncated_taken_for_whole",
            "The last that the client got is the beginning of an answer, and it did not ask again.",
            "a stream is whole when its finish reason and [DONE] have come: raise an error, or ask again, if not",
            truncated_taken_for_whole,
            notes_of_streams,
        ),
        Rule(
            "row_lost",
            "A call never got a whole answer.",
            "retry what may pass and report what does not; say allow_giving_up=True if it was reported",
            row_lost,
        ),
        Rule(
            "row_duplicated",
            "The same was answered whole more than once.",
            "ask once for each row; say expect_repeats=True, or which rows there are, if it is meant",
            row_duplicated,
        ),
        Rule(
            "billed_twice",
            "An answer was generated more than once for one call.",
            "give answers time to come before hanging up; what was generated is billed, whether it is read or not",
            billed_twice,
            notes_of_bills,
        ),
    )
}
