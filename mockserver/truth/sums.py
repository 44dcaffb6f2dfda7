"""Sums of what requests cost: a few numbers for any count of requests, which add up over processes."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from mockserver.truth.record import Record


@dataclass(slots=True, kw_only=True)
class Sum:
    """What some requests cost: tokens generated and billed, frames and bytes generated, and those that went out."""

    requests: int = 0
    refused: int = 0
    generated_frames: int = 0
    generated_bytes: int = 0
    sent_frames: int = 0
    sent_bytes: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    billable_tokens: int = 0

    def add(self, record: Record) -> None:
        """Count one more request."""
        spent, (_, frames, size) = record.spent, record.totals
        self.requests += 1
        self.refused += record.status >= 400
        self.generated_frames += frames
        self.generated_bytes += size
        self.sent_frames += record.frames
        self.sent_bytes += record.octets
        if spent is not None:
            self.prompt_tokens += spent.prompt
            self.cached_tokens += spent.cached
            self.completion_tokens += spent.completion
            self.billable_tokens += spent.total

    def merge(self, other: "Sum") -> None:
        """Count all that `other` has counted."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class Place(NamedTuple):
    """What sums are told apart by: the digest of the API key, the model and the surface; empty where there is none."""

    key: str
    model: str
    surface: str


class Sums:
    """A sum for each place."""

    def __init__(self, sums: Mapping[Place, Sum] | None = None) -> None:
        self.by_place: dict[Place, Sum] = dict(sums or {})

    def __bool__(self) -> bool:
        return bool(self.by_place)

    def add(self, record: Record) -> None:
        """Count one more request."""
        place = Place(record.key, record.model or "", record.surface or "")
        self.by_place.setdefault(place, Sum()).add(record)

    def plus(self, records: Iterable[Record]) -> "Sums":
        """These sums and what the records add to them."""
        sums = Sums()
        sums.merge(self.as_plain())
        for record in records:
            sums.add(record)
        return sums

    def merge(self, plain: Mapping[str, Any]) -> None:
        """Add what `as_plain` gave, here or in another process."""
        for place, counts in plain["sums"]:
            self.by_place.setdefault(Place(*place), Sum()).merge(Sum(**counts))

    def as_plain(self) -> dict[str, Any]:
        """The sums as JSON has them."""
        return {"sums": [[list(place), asdict(total)] for place, total in self.by_place.items()]}
