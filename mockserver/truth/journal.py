"""The journal: what the server saw and sent. No credential ever gets into it."""

import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, overload

from mockserver.answers import Answer
from mockserver.surfaces import Spent

HIDDEN = "[credential]"

_KEY = re.compile(r"\bsk-[\w-]{8,}|\bBearer\s+[\w.~+/-]{8,}=*")
_SECRET_NAMES = re.compile(r"api[-_]?key|authorization|subscription-key|secret|password", re.IGNORECASE)
_SHORTEST = 8  # a shorter credential may well be a word of the text


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what became of it.

    `request` is the parsed JSON body, credentials replaced; `outcome` the step applied, or "generated" or "refused";
    `frames` how many pieces of the body have been sent; `client_left` that the client was seen to hang up before it had
    all of them; `misses` why steps of the script left the request alone; `started_at` Unix seconds. A `status` of 0
    means that nothing is decided yet.
    """

    number: int
    started_at: float
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    surface: str | None = None
    dialect: str | None = None
    deployment: str | None = None
    model: str | None = None
    stream: bool = False
    request: Any = None
    request_id: str = ""
    operation: str | None = None
    status: int = 0
    outcome: str = ""
    fault: str | None = None
    step: int | None = None
    spent: Spent | None = None
    frames: int = 0
    bytes: int = 0
    client_left: bool = False
    misses: tuple[str, ...] = ()
    ended_at: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The exchange as the admin API shows it."""
        return asdict(self)


class Journal(Sequence[Exchange]):
    """Exchanges in the order of their arrival; safe to read while requests are being answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []
        self._sent: list[tuple[int, int]] = []  # of each exchange, kept apart: a stream counts up with every event
        self._first = 1

    def open(self, *, secrets: Collection[str] = (), **facts: Any) -> int:
        """Begin an exchange with what is known of it at once, and return its number; `secrets` are hidden in it."""
        clean = hidden(facts, secrets)
        with self._lock:
            number = self._first + len(self._exchanges)
            self._exchanges.append(Exchange(number=number, **clean))
            self._sent.append((0, 0))
            return number

    def update(self, number: int, *, secrets: Collection[str] = (), **facts: Any) -> None:
        """Add what is now known of an exchange; of one cleared away meanwhile nothing is kept."""
        clean = hidden(facts, secrets)
        with self._lock:
            index = number - self._first
            if 0 <= index < len(self._exchanges):
                self._exchanges[index] = replace(self._exchanges[index], **clean)

    def answered(self, number: int, answer: Answer, *, secrets: Collection[str] = (), request_id: str = "") -> None:
        """Note what is going to be sent."""
        self.update(number, secrets=secrets, status=answer.status, request_id=request_id)

    def progress(self, number: int, frames: int, size: int) -> None:
        """Note how many frames of an exchange have been sent, and how many bytes."""
        with self._lock:
            index = number - self._first
            if 0 <= index < len(self._sent):
                self._sent[index] = (frames, size)

    def ended(self, number: int, now: float) -> None:
        """Note that nothing more is sent."""
        self.update(number, ended_at=now)

    def clear(self) -> None:
        """Forget every exchange; numbers go on."""
        with self._lock:
            self._first += len(self._exchanges)
            self._exchanges.clear()
            self._sent.clear()

    @overload
    def __getitem__(self, index: int) -> Exchange: ...
    @overload
    def __getitem__(self, index: slice) -> list[Exchange]: ...
    def __getitem__(self, index: int | slice) -> Exchange | list[Exchange]:
        with self._lock:
            if isinstance(index, slice):
                return list(map(_counted, self._exchanges[index], self._sent[index]))
            return _counted(self._exchanges[index], self._sent[index])

    def __len__(self) -> int:
        with self._lock:
            return len(self._exchanges)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self[:])

    def __repr__(self) -> str:
        return f"Journal({self[:]!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self[:],)


def _counted(exchange: Exchange, sent: tuple[int, int]) -> Exchange:
    return replace(exchange, frames=sent[0], bytes=sent[1])


def _restored(exchanges: list[Exchange]) -> Journal:
    journal = Journal()
    journal._exchanges = exchanges  # noqa: SLF001 - the other half of Journal.__reduce__
    journal._sent = [(exchange.frames, exchange.bytes) for exchange in exchanges]  # noqa: SLF001
    journal._first = exchanges[0].number if exchanges else 1  # noqa: SLF001
    return journal


def hidden(value: Any, secrets: Collection[str]) -> Any:
    """`value` without the secrets that its request presented, and without what looks or is named like one."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN) if len(secret) >= _SHORTEST else value
        return _KEY.sub(HIDDEN, value)
    if isinstance(value, list | tuple):
        return type(value)(hidden(item, secrets) for item in value)
    if isinstance(value, Mapping):
        return {hidden(name, secrets): _hidden_entry(name, item, secrets) for name, item in value.items()}
    return value


def _hidden_entry(name: str, item: Any, secrets: Collection[str]) -> Any:
    return HIDDEN if isinstance(item, str) and _SECRET_NAMES.fullmatch(name) else hidden(item, secrets)
