"""What a server is told at its start, and what it keeps: the same for every request, whichever process answers it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mockserver.clock import Clock
from mockserver.generating.dice import Dice
from mockserver.quotas import Quotas
from mockserver.scripting.script import Script
from mockserver.store import Store
from mockserver.truth.journal import Journal

_CREATED = 1_767_225_600  # what objects say of their making where a seed is given: the first second of 2026


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server is told at its start.

    `seed` decides what is generated; without one it is 0, and objects say when they were really made. `deployments`
    maps Azure deployments to models, None lets any name pass; no `api_keys` lets any key pass. A `lenient` server
    answers what the API would refuse for ids, names and values that somebody made up. `body_limit` is in bytes.
    """

    seed: int | None = None
    deployments: Mapping[str, str] | None = None
    api_keys: frozenset[str] = field(default=frozenset(), repr=False)
    lenient: bool = False
    body_limit: int = 32 * 1024 * 1024
    now: Callable[[], float] = time.time

    def created_at(self, now: float) -> int:
        """What an object made at `now` says of its making, in Unix seconds."""
        return int(now) if self.seed is None or self.now is not time.time else _CREATED


@dataclass(slots=True)
class State:
    """What a server keeps between requests; `worker` is the number of its process, where there are several."""

    settings: Settings
    worker: int = 0
    clock: Clock = field(init=False)
    script: Script = field(init=False)
    store: Store = field(default_factory=Store)
    quotas: Quotas = field(default_factory=Quotas)
    journal: Journal = field(default_factory=Journal)

    def __post_init__(self) -> None:
        self.clock = Clock(self.settings.now)
        self.script = Script(seed=self.settings.seed or 0)

    def dice(self, purpose: str, number: int) -> Dice:
        """Random numbers for the request of this number, which no other request has."""
        return Dice(self.settings.seed or 0, purpose, self.worker, number)

    def reset(self) -> None:
        """Forget script, journal, quotas and objects; the clock goes on as it is."""
        self.script.replace((), seed=self.settings.seed or 0)
        self.journal.clear()
        self.store.clear()
        self.quotas.clear()
