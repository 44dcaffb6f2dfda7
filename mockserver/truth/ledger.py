"""The ledger: what was generated, what of it reached the socket, and what a provider would bill.

Billed is what was generated, from the moment generation begins: also where the stream was cut, or the client left.
Refusals cost nothing.
"""

from dataclasses import asdict
from typing import Any, NamedTuple

from mockserver.truth.journal import Journal
from mockserver.truth.record import Record
from mockserver.truth.sums import Sum


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

    def __init__(self, journal: Journal) -> None:
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
