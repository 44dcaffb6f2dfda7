"""What a cassette comes to: calls, tokens, cost, models, size and age; and what many come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

from llmkit.recording.errors import BrokenCassette
from llmkit.recording.interaction import Interaction, header
from llmkit.recording.replies.conversation import Facts, facts
from llmkit.recording.replies.ledger import Usage

Price = Callable[[Usage], Decimal | None]
DatedBy = Literal["recorded_at", "date header", "file"]

FIRST_REFUSAL = 400
_BILLED = frozenset({"chat", "completions", "embeddings", "responses"})
_LARGEST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Calls with their tokens in and out, and their cost in USD: None where none of them has a known price.

    ``unpriced`` counts the calls whose price, or whose usage, isn't known; ``cost`` leaves them out.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal | None = Decimal(0)
    unpriced: int = 0

    @classmethod
    def of(cls, told: Iterable[Facts], price: Price) -> Bill:
        """Add up what ``told`` says of some calls; a refusal is a call, but costs nothing."""
        told = list(told)
        billed = [one for one in told if one.status < FIRST_REFUSAL and one.surface in _BILLED]
        costs = [price(one.usage) for one in billed]
        known = [cost for cost in costs if cost is not None]
        return cls(
            calls=len(told),
            tokens_in=sum(one.usage.prompt_tokens for one in billed),
            tokens_out=sum(one.usage.completion_tokens for one in billed),
            cost=None if costs and not known else sum(known, Decimal(0)),
            unpriced=len(costs) - len(known),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CassetteFile:
    """A cassette as it lies on disk; ``size`` in bytes. Where it is broken, ``problem`` says why."""

    path: Path
    size: int
    modified: datetime
    interactions: tuple[Interaction, ...] = ()
    problem: BrokenCassette | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One cassette in a line; ``recorded_at`` is when its oldest reply came, as ``dated_by`` tells.

    ``models`` are those that served, or were asked for where the reply names none.
    """

    path: Path
    size: int
    recorded_at: datetime
    dated_by: DatedBy
    bill: Bill = field(default_factory=Bill)
    models: tuple[str, ...] = ()
    refusals: int = 0
    problem: BrokenCassette | None = None

    @classmethod
    def of(cls, cassette: CassetteFile, price: Price) -> Summary:
        """Sum ``cassette`` up."""
        told = [facts(one) for one in cassette.interactions]
        recorded_at, dated_by = _recorded_at(cassette)
        return cls(
            path=cassette.path,
            size=cassette.size,
            recorded_at=recorded_at,
            dated_by=dated_by,
            bill=Bill.of(told, price),
            models=tuple(sorted({one.served or one.asked for one in told} - {""})),
            refusals=sum(one.status >= FIRST_REFUSAL for one in told),
            problem=cassette.problem,
        )

    @property
    def age_days(self) -> float:
        """How many days ago the oldest reply came."""
        return (datetime.now(UTC) - self.recorded_at).total_seconds() / 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What many cassettes come to; ``oldest`` and ``newest`` are None where there is none.

    A replay of them all costs nothing: what ``bill`` says is what it saves.
    """

    files: int
    broken: int
    size: int
    bill: Bill
    streams: int
    refusals: int
    by_surface: tuple[tuple[str, Bill], ...]
    by_model: tuple[tuple[str, Bill], ...]
    by_status: tuple[tuple[int, int], ...]
    oldest: Summary | None
    newest: Summary | None
    largest: tuple[Summary, ...]

    @classmethod
    def of(cls, cassettes: Sequence[CassetteFile], price: Price) -> Stats:
        """Add ``cassettes`` up; what is broken only counts as a file."""
        interactions = [one for cassette in cassettes for one in cassette.interactions]
        told = [facts(one) for one in interactions]
        summaries = [Summary.of(cassette, price) for cassette in cassettes]
        whole = sorted((one for one in summaries if not one.problem), key=lambda one: one.recorded_at)
        dated = [one for one in whole if one.dated_by != "file"] or whole
        return cls(
            files=len(cassettes),
            broken=sum(one.problem is not None for one in cassettes),
            size=sum(one.size for one in cassettes),
            bill=Bill.of(told, price),
            streams=sum(map(_is_stream, interactions)),
            refusals=sum(one.status >= FIRST_REFUSAL for one in told),
            by_surface=_grouped(told, lambda one: one.surface if one.surface in _BILLED else "other", price),
            by_model=_grouped([one for one in told if one.surface in _BILLED], _model, price),
            by_status=tuple(sorted(Counter(one.status for one in told).items())),
            oldest=dated[0] if dated else None,
            newest=dated[-1] if dated else None,
            largest=tuple(sorted(summaries, key=lambda one: -one.size)[:_LARGEST]),
        )


def _model(told: Facts) -> str:
    return told.served or told.asked or "(not named)"


def _grouped(told: Iterable[Facts], name: Callable[[Facts], str], price: Price) -> tuple[tuple[str, Bill], ...]:
    """Return a bill for each group, that of the most calls first."""
    groups: dict[str, list[Facts]] = {}
    for one in told:
        groups.setdefault(name(one), []).append(one)
    bills = [(group, Bill.of(members, price)) for group, members in groups.items()]
    return tuple(sorted(bills, key=lambda one: (-one[1].calls, one[0])))


def _is_stream(interaction: Interaction) -> bool:
    return header(interaction.response.headers, "content-type").startswith("text/event-stream")


def _recorded_at(cassette: CassetteFile) -> tuple[datetime, DatedBy]:
    """Return when the oldest reply came: a check-out by git gives each file the time of today."""
    times: dict[DatedBy, list[datetime]] = {"recorded_at": [], "date header": []}
    for one in cassette.interactions:
        if at := one.recorded:
            times["recorded_at"].append(at)
        elif at := _instant(header(one.response.headers, "date"), parsedate_to_datetime):
            times["date header"].append(at)
    known = [(min(found), by) for by, found in times.items() if found]
    return min(known) if known else (cassette.modified, "file")


def _instant(text: str, read: Callable[[str], datetime]) -> datetime | None:
    try:
        found = read(text) if text else None
    except (ValueError, TypeError):
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
