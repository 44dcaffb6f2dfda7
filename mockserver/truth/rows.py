"""Which requests are attempts of one call, as far as the wire tells.

The official SDKs count their retries in `x-stainless-retry-count`. Who doesn't, or retries around an SDK, is taken to
try again when the same is asked after it failed. Where several calls ask the same, each request is taken for the retry
that speaks best for the client.
"""

from collections.abc import Iterable, Sequence

from mockserver.truth.exchange import Exchange
from mockserver.truth.record import Record

_SLACK_S = 1.0  # how long a server may take to notice that a client has hung up, while that one already asks again
_NEAR = 1000  # how many of the same attempts are looked at for the one before a retry


def attribute(group: Sequence[Record]) -> None:
    """Number the attempts of requests for the same thing, which are in order of arrival."""
    before = _counted(group)
    claimed = set(map(id, before.values()))
    failed: list[Record] = []  # the last attempts of calls that nobody is known to have taken up again
    for record in group:
        earlier = before.get(id(record))
        if earlier is None:
            earlier = _best(record, [each for each in failed if _is_over(each, record)])
            if earlier is not None:
                failed.remove(earlier)
        record.call = record.number if earlier is None else earlier.call
        record.attempt = 1 if earlier is None else earlier.attempt + 1
        if id(record) not in claimed and not record.complete:
            failed.append(record)


def _counted(group: Sequence[Record]) -> dict[int, Record]:
    """What each request says that it comes after, by its count of retries or its idempotency key."""
    before: dict[int, Record] = {}
    by_count: dict[int, list[Record]] = {}
    by_key: dict[str, Record] = {}
    for record in group:
        key, count = record.header("idempotency-key"), record.retry_count
        if key and key in by_key:
            before[id(record)] = by_key[key]
        elif count:
            _take_up(record, by_count.get(count - 1, []), before)
        if key:
            by_key[key] = record
        if count is not None:
            by_count.setdefault(count, []).append(record)
    return before


def _take_up(record: Record, earlier: list[Record], before: dict[int, Record]) -> None:
    """Find the attempt before a retry: one that failed, or else the latest, though that was whole."""
    best = _best(record, [each for each in earlier[-_NEAR:] if _is_over(each, record)])
    best = best or (earlier[-1] if earlier else None)
    if best is not None:
        earlier.remove(best)
        before[id(record)] = best


def calls_of(exchanges: Iterable[Exchange]) -> list[list[Exchange]]:
    """The attempts of each call, in the order in which the calls began."""
    calls: dict[int, list[Exchange]] = {}
    for exchange in exchanges:
        calls.setdefault(exchange.call, []).append(exchange)
    return list(calls.values())


def _is_over(tail: Record, record: Record) -> bool:
    """Whether the attempt had failed when `record` came."""
    if tail.complete:
        return False
    if tail.ended_at is None:
        return tail.delivered
    return tail.ended_at <= record.started_at + (_SLACK_S if tail.client_left else 0)


def _best(record: Record, tails: Sequence[Record]) -> Record | None:
    """The one whose told wait is over, or is most nearly so."""
    return min(tails, key=lambda tail: max(_due(tail) - record.started_at, 0), default=None)


def _due(tail: Record) -> float:
    return (tail.answered_at or tail.started_at) + (Exchange.of(tail).retry_after_s or 0)
