"""What is judged, and what all rules know of it."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mockserver.truth.exchange import Exchange
from mockserver.truth.findings import Finding, Measure
from mockserver.truth.rows import calls_of

Attempts = list[Exchange]

# refusals that the same request gets again (RFC 9110, 15.5); the official SDKs retry 408, 409, 429 and 5xx only
FINAL = frozenset({400, 401, 403, 404, 405, 413, 415, 422})
_FINAL_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
# surfaces whose requests are no rows: nothing is generated for them
_ADMINISTRATIVE = frozenset({None, "", "files", "uploads", "batches", "models", "vector_stores"})
# what may differ between two ways to ask for the same: another model or deployment, streamed or not, other limits
_MANNER = frozenset({"model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens"})


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
        """The answers that have every word, by what was asked, however it was asked."""
        answered: dict[str, list[Exchange]] = {}
        for call in self.rows:
            for each in call:
                if has_all(each):
                    answered.setdefault(content(each), []).append(each)
        return answered

    def came_later(self, attempt: Exchange) -> bool:
        """Whether the same was asked in another way, and answered whole, after this attempt."""
        return any(each.number > attempt.number for each in self.answered.get(content(attempt), ()))


def finding(severity: Any, message: str, exchanges: Iterable[Exchange], call: Attempts | None = None) -> Finding:
    """A finding that a rule is going to put its name to."""
    numbers = tuple(each.number for each in exchanges)
    return Finding(rule="", severity=severity, message=message, exchanges=numbers, call=call[0].call if call else None)


def pairs(call: Attempts) -> Iterator[tuple[Exchange, Exchange]]:
    """Attempts that follow a failed one, which the client has heard of."""
    return ((one, other) for one, other in itertools.pairwise(call) if not one.complete)


def pause(one: Exchange, other: Exchange) -> float:
    """How long the client waited: from the decision on the answer, or from its end where it broke off."""
    since = one.answered_at if one.status >= 400 else one.ended_at
    return max(other.started_at - (since if since is not None else one.started_at), 0.0)


def says_so(other: Exchange) -> Any:
    """How sure it is that a request is a retry: the client's count or key says so, or it only looks like one."""
    return "certain" if other.retry_count or "idempotency-key" in other.headers else "likely"


def is_final(each: Exchange) -> bool:
    """Whether an answer refuses for good, so that a retry changes nothing; `x-should-retry` overrules the status."""
    verdict_of_server = each.response_header("x-should-retry")
    if verdict_of_server == "true":
        return False
    spent = each.status == 429 and each.error_code in _FINAL_CODES
    return each.status in FINAL or spent or (each.status >= 400 and verdict_of_server == "false")


def has_all(each: Exchange) -> bool:
    """Whether a client has every word and the reason why it ends, be it that the mark of the end is missing."""
    return each.complete or (200 <= each.status < 300 and each.delivered and each.oddity == "unmarked")


def whole_rows(case: Case) -> Attempts:
    """Every whole answer to a row; where a call has none, the last that lacks nothing but the mark of its end."""
    return [each for call in case.rows for each in _whole(call)]


def _whole(call: Attempts) -> Attempts:
    return [each for each in call if each.complete] or [each for each in call if has_all(each)][-1:]


def named(case: Case, names: Iterable[str]) -> dict[str, Attempts]:
    """The whole answers whose requests name a row."""
    whole = [(each, " ".join(texts(each.request))) for each in whole_rows(case)]
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


def content(each: Exchange) -> str:
    """What a request is about, however it is asked."""
    request = each.request
    if not isinstance(request, dict):
        return each.fingerprint
    about = {name: value for name, value in request.items() if name not in _MANNER}
    return json.dumps([about, each.files], sort_keys=True)


def texts(value: Any) -> Iterator[str]:
    """The texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def unique(pairs: Iterable[tuple[Exchange, Exchange]]) -> list[Exchange]:
    """The exchanges of these pairs, each once."""
    return list({each.number: each for pair in pairs for each in pair}.values())


def in_words(seconds: float) -> str:
    """Seconds in words."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def rows_in_words(rows: int) -> str:
    """How many rows there should be, up to the verb."""
    return "1 row was" if rows == 1 else f"{rows} rows were"
