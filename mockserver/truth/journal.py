"""The journal: what the server saw and sent. No credential ever gets into it.

Writing it costs next to nothing: requests are kept as `Record`s, and become `Exchange`s when somebody reads. The oldest
are forgotten beyond a limit; what they cost stays in the ledger.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from mockserver.answers import Answer
from mockserver.forms import Form
from mockserver.truth.exchange import Exchange
from mockserver.truth.hiding import HIDDEN, hidden, hidden_text, hidden_texts
from mockserver.truth.record import Record, kept_of
from mockserver.truth.rows import attribute
from mockserver.truth.sums import Sums
from mockserver.wire import compact

__all__ = ["HIDDEN", "Exchange", "Journal", "hidden"]


class Journal(Sequence[Exchange]):
    """Exchanges in the order of their arrival; safe to read while requests are being answered.

    At most `max_exchanges` are kept, and of their bodies `max_bytes`; `dropped` counts those that were forgotten.
    """

    def __init__(self, *, max_exchanges: int = 50_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_exchanges, self._max_bytes = max_exchanges, max_bytes
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self.dropped = 0
        self._live: dict[int, Record] = {}  # being answered
        self._begin()

    def _begin(self) -> None:
        self._records: list[Record] = []
        self._bodies: deque[tuple[Record, int]] = deque()  # who keeps bodies, oldest first, and how much
        self._kept = 0
        self._folded = Sums()
        self._strays: list[Record] = []  # forgotten while they were being answered
        self._waiting: list[Record] = []  # absorbed, and not yet in their place
        self._under_way: dict[tuple[str, int], Record] = {}  # absorbed, and not yet ended
        self._drained: dict[int, tuple[Any, ...]] = {}
        self._regroup()

    def _regroup(self) -> None:
        self._groups: dict[str, list[Record]] = {}
        self._grouped = 0
        self._unsettled: list[Record] = []
        for record in self._records:
            record.is_grouped = False

    def open(
        self,
        *,
        started_at: float,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        dialect: str | None = None,
        headers: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.time,
        arrived: float | None = None,
        secrets: Collection[str] = (),
    ) -> int:
        """Begin an exchange with what is known of it at once, and return its number; `secrets` are hidden in it.

        `headers` have lower-case names; `now` is the clock by which the exchange is timed, `arrived` the real time of
        its beginning: now, if nobody has read it together with `started_at`.
        """
        number = next(self._numbers)
        shown = hidden_texts(query, secrets, has_names=True) if query else {}
        kept = kept_of(headers, secrets) if headers else ()
        record = Record(number, started_at, method, hidden_text(path, secrets), shown, dialect, kept, now)
        if arrived is not None:
            record.arrived = arrived
        record.is_touched = record.path != path or (bool(query) and shown is not query)
        self._live[number] = record
        with self._lock:
            self._records.append(record)
            if len(self._records) > self._max_exchanges + self._max_exchanges // 10:
                self._forget(len(self._records) - self._max_exchanges)
        return number

    def record(self, number: int) -> Record:
        """The record of an exchange that has not ended; of one that has, an empty one, which nobody sees."""
        return self._live.get(number) or Record(number)

    def update(self, number: int, *, secrets: Collection[str] = (), **facts: Any) -> None:
        """Add what is now known of an exchange, by the names of `Exchange`."""
        record = self.record(number)
        body = facts.pop("request", None)
        if body is not None and not record.body:
            record.asked(compact(body), None, secrets=secrets)
        record.write(facts, secrets)

    def asked(self, number: int, raw: bytes, form: Form | None = None, *, secrets: Collection[str] = ()) -> None:
        """Note the body of the request, as it came or as the form that it is."""
        self.record(number).asked(raw, form, secrets=secrets)

    def generated(self, number: int, answer: Answer) -> None:
        """Note what the server says before any fault acts on it."""
        self.record(number).generated(answer)

    def answered(self, number: int, answer: Answer, *, secrets: Collection[str] = (), request_id: str = "") -> None:
        """Note what is going to be sent."""
        record = self.record(number)
        record.answered(answer, request_id=request_id, secrets=secrets)
        self.keep(record)

    def progress(self, number: int, frames: int, size: int) -> None:
        """Note how many frames of an exchange have been sent, and how many bytes."""
        self.record(number).progress(frames, size)

    def ended(self, number: int, now: float) -> None:
        """Note that nothing more is sent."""
        record = self._live.pop(number, None)
        if record is not None:
            record.ended(now)

    def keep(self, record: Record) -> None:
        """Count the bodies of a record, now that they are known, and drop those of the oldest beyond the limit."""
        size = record.size
        if not size:
            return
        with self._lock:
            self._bodies.append((record, size))
            self._kept += size
            while self._kept > self._max_bytes and len(self._bodies) > 1:
                oldest, freed = self._bodies.popleft()
                oldest.strip()
                self._kept -= freed

    def _forget(self, count: int) -> None:
        self._strays += self._records[:count]
        gone = set(map(id, self._records[:count]))
        del self._records[:count]
        self.dropped += count
        self._bodies = deque(each for each in self._bodies if id(each[0]) not in gone)
        self._kept = sum(size for _, size in self._bodies)
        self._fold_strays()
        self._regroup()

    def _fold_strays(self) -> None:
        for record in self._strays:
            if record.ended_at is not None:
                self._folded.add(record)
        self._strays = [record for record in self._strays if record.ended_at is None]

    def clear(self) -> None:
        """Forget every exchange; numbers go on."""
        with self._lock:
            self.dropped = 0
            self._begin()

    @property
    def open_count(self) -> int:
        """How many requests are being answered."""
        with self._lock:
            return sum(record.ended_at is None for record in self._records)

    def wait_until_ended(self, timeout_s: float) -> bool:
        """Let answers come to their end, in real time: a client has its answer before the server has noted its end."""
        give_up_at = time.monotonic() + timeout_s
        while self.open_count:
            if time.monotonic() > give_up_at:
                return False
            threading.Event().wait(0.002)
        return True

    def since(self, number: int = 0, *, limit: int | None = None) -> list[Exchange]:
        """The exchanges after this number, at most the latest `limit` of them."""
        with self._lock:
            self._settle()
            found = [record for record in self._records if record.number > number]
        return list(map(Exchange.of, found if limit is None else found[max(len(found) - limit, 0) :]))

    def records(self) -> list[Record]:
        """What exchanges are made of, in order."""
        with self._lock:
            self._settle()
            return list(self._records)

    def sums(self) -> Sums:
        """What all exchanges since the last `clear` cost, forgotten ones included."""
        with self._lock:
            self._settle()
            folded, records = self._folded.plus(()), self._records + self._strays
        return folded.plus(records)

    def _settle(self) -> None:
        """Put what was absorbed in its place, and tell which requests are attempts of the same call."""
        for record in sorted(self._waiting, key=_arrival):
            record.number = next(self._numbers)
            self._records.append(record)
        if self._waiting:
            self._waiting = []
            self._records.sort(key=_arrival)
            self._regroup()
        fresh = self._unsettled + self._records[self._grouped :]
        self._grouped = len(self._records)
        self._unsettled = [record for record in fresh if record.ended_at is None]
        changed = {record.fingerprint: None for record in fresh if self._joins(record)}
        for fingerprint in changed:
            attribute(self._groups[fingerprint])

    def _joins(self, record: Record) -> bool:
        """Put a record that is decided into its group."""
        if record.answered_at is None and record.ended_at is None:
            record.call = record.number
            return False
        group = self._groups.setdefault(record.fingerprint, [])
        if not record.is_grouped:
            record.is_grouped = True
            group.append(record)
            if len(group) > 1 and group[-2].arrived > record.arrived:
                group.sort(key=_arrival)
        return True

    def drain(self) -> list[dict[str, Any]]:
        """What is new since the last time, as JSON has it; what has ended is forgotten here: see `absorb`."""
        with self._lock:
            drained = []
            for record in self._records:
                state = (record.status, record.frames, record.client_left, record.ended_at, record.model)
                if self._drained.get(record.number) != state:
                    self._drained[record.number] = state
                    drained.append({"number": record.number, **record.as_plain()})
            ended = [record for record in self._records if record.ended_at is not None]
            self._records = [record for record in self._records if record.ended_at is None]
            for record in ended:
                self._drained.pop(record.number, None)
            self._fold_strays()
            if self._folded or self.dropped:
                drained.append({"folded": self._folded.as_plain(), "dropped": self.dropped})
            self._folded, self.dropped = Sums(), 0
            self._bodies = deque(each for each in self._bodies if each[0].ended_at is None)
            self._kept = sum(size for _, size in self._bodies)
            self._regroup()
            return drained

    def absorb(self, drained: Iterable[Mapping[str, Any]], *, worker: str) -> None:
        """Take over what `drain` gave in the process `worker`; numbers are given in order of arrival, at reading."""
        with self._lock:
            for plain in drained:
                if "folded" in plain:
                    self._folded.merge(plain["folded"])
                    self.dropped += plain["dropped"]
                    continue
                self._absorb(plain, worker)
            if len(self._records) + len(self._waiting) > self._max_exchanges + self._max_exchanges // 10:
                self._settle()
                self._forget(len(self._records) - self._max_exchanges)

    def _absorb(self, plain: Mapping[str, Any], worker: str) -> None:
        place = (worker, plain["number"])
        record = self._under_way.get(place)
        if record is None:
            record = self._under_way[place] = Record(worker=worker)
            self._waiting.append(record)
        record.read_plain(plain)
        if record.ended_at is not None:
            del self._under_way[place]
            self.keep(record)

    @overload
    def __getitem__(self, index: int) -> Exchange: ...
    @overload
    def __getitem__(self, index: slice) -> list[Exchange]: ...
    def __getitem__(self, index: int | slice) -> Exchange | list[Exchange]:
        with self._lock:
            self._settle()
            found = self._records[index]
        return list(map(Exchange.of, found)) if isinstance(found, list) else Exchange.of(found)

    def __len__(self) -> int:
        with self._lock:
            return len(self._records) + len(self._waiting)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self[:])

    def __repr__(self) -> str:
        return f"Journal({self[:]!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            self._settle()
            plains = [{"number": record.number, **record.as_plain()} for record in self._records]
            return _restored, (plains, self._folded.as_plain(), self.dropped)


def _arrival(record: Record) -> float:
    return record.arrived


def _restored(plains: list[dict[str, Any]], folded: dict[str, Any], dropped: int) -> Journal:
    journal = Journal()
    for plain in plains:
        record = Record(plain["number"])
        record.read_plain(plain)
        journal._records.append(record)  # noqa: SLF001 - the other half of Journal.__reduce__
    numbers = [record.number for record in journal._records]  # noqa: SLF001
    journal._numbers = itertools.count(max(numbers, default=0) + 1)  # noqa: SLF001
    journal._folded.merge(folded)  # noqa: SLF001
    journal.dropped = dropped
    return journal
