"""The ledger: what was generated, what of it reached the socket, and what a provider would bill.

Billed is what was generated, from the moment generation begins: also where the stream was cut, or the client left.
Refusals cost nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from mockserver.truth.record import Record

if TYPE_CHECKING:
    from mockserver.truth.journal import Journal


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


class Entry(NamedTuple):
    """What one request cost: frames and bytes generated, those that went out, and tokens."""

    number: int
    key: str
    model: str
    surface: str
    status: int
    generated_frames: int
    generated_bytes: int
    sent_frames: int
    sent_bytes: int
    prompt_tokens: int
    completion_tokens: int
    billable_tokens: int


class Ledger:
    """What the requests of a journal cost; always up to date."""

    def __init__(self, journal: "Journal") -> None:
        self._journal = journal

    @property
    def entries(self) -> list[Entry]:
        """Each request that the journal still has."""
        return [_entry(record) for record in self._journal.records()]

    @property
    def total(self) -> Sum:
        """All requests since the start or the last reset, also those that the journal has dropped."""
        total = Sum()
        for each in self._journal.sums().by_place.values():
            total.merge(each)
        return total

    @property
    def by_key(self) -> dict[str, Sum]:
        """The same by the digest of the API key."""
        return self._by("key")

    @property
    def by_model(self) -> dict[str, Sum]:
        """The same by model."""
        return self._by("model")

    @property
    def by_surface(self) -> dict[str, Sum]:
        """The same by surface."""
        return self._by("surface")

    def _by(self, name: str) -> dict[str, Sum]:
        sums: dict[str, Sum] = {}
        for place, each in self._journal.sums().by_place.items():
            sums.setdefault(getattr(place, name), Sum()).merge(each)
        return sums

    def as_json(self, *, entries: bool = True) -> dict[str, Any]:
        """The ledger as the admin API shows it."""
        shown: dict[str, Any] = {"total": asdict(self.total)}
        for name in ("key", "model", "surface"):
            shown[f"by_{name}"] = {each: asdict(total) for each, total in self._by(name).items()}
        return shown | {"entries": [entry._asdict() for entry in self.entries]} if entries else shown

    def __repr__(self) -> str:
        total = self.total
        return f"Ledger({total.requests} requests, {total.billable_tokens} billable tokens)"


def _entry(record: Record) -> Entry:
    spent, (_, frames, size) = record.spent, record.totals
    prompt, completion = (spent.prompt, spent.completion) if spent else (0, 0)
    return Entry(
        *(record.number, record.key, record.model or "", record.surface or "", record.status),
        *(frames, size, record.frames, record.octets),
        *(prompt, completion, prompt + completion),
    )
