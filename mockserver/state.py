"""What a server is told at its start, and what it keeps: the same for every request, whichever process answers it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mockserver.cassettes.origin import origin_of
from mockserver.cassettes.plays import Plays
from mockserver.clock import Clock
from mockserver.content_filter import NO_FILTER, ContentFilter
from mockserver.generating.dice import Dice
from mockserver.quotas import Quotas
from mockserver.scripting.script import Script
from mockserver.store import Store
from mockserver.truth.journal import Journal

if TYPE_CHECKING:
    from mockserver.cassettes.recordings import Recordings
    from mockserver.cassettes.tapes import Tapes

_CREATED = 1_767_225_600  # what objects say of their making where a seed is given: the first second of 2026


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server is told at its start.

    `seed` decides what is generated; without one it is 0, and objects say when they were really made. `deployments`
    maps Azure deployments to models, None lets any name pass; no `api_keys` lets any key pass. A `lenient` server
    answers what the API would refuse for ids, names and values that somebody made up. `body_limit` is in bytes.
    With `cassettes` the server answers what is recorded there, in the recorded times if `replay_speed` is 1, and at
    once if it is 0. With an `upstream`, an origin, it passes requests on to it, and records them into `record`.
    """

    seed: int | None = None
    deployments: Mapping[str, str] | None = None
    api_keys: frozenset[str] = field(default=frozenset(), repr=False)
    lenient: bool = False
    content_filter: ContentFilter = NO_FILTER
    body_limit: int = 32 * 1024 * 1024
    now: Callable[[], float] = time.time
    cassettes: Path | None = None
    replay_speed: float = 0.0
    upstream: str | None = None
    record: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot go together: ValueError."""
        if self.upstream is not None:
            object.__setattr__(self, "upstream", origin_of(self.upstream))
        elif self.record is not None:
            raise ValueError("there is nothing to record without an upstream, for example https://api.openai.com")

    @property
    def is_taped(self) -> bool:
        """Whether anything else than the server itself answers."""
        return self.cassettes is not None or self.upstream is not None

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
    plays: Plays = field(default_factory=Plays)
    recordings: "Recordings | None" = field(init=False, default=None)
    tapes: "Tapes | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.clock = Clock(self.settings.now)
        self.script = Script(seed=self.settings.seed or 0)
        self._open_cassettes()

    def _open_cassettes(self) -> None:
        """What plays and records; the recorder is loaded only where there is need of it."""
        if self.settings.cassettes is not None:
            from mockserver.cassettes.recordings import Recordings

            self.recordings = Recordings.load(self.settings.cassettes)
        if self.settings.upstream is not None and self.settings.record is not None:
            from mockserver.cassettes.tapes import Tapes

            self.tapes = Tapes(self.settings.record, self.settings.upstream)

    def dice(self, purpose: str, number: int) -> Dice:
        """Random numbers for the request of this number, which no other request has."""
        return Dice(self.settings.seed or 0, purpose, self.worker, number)

    def reset(self) -> None:
        """Forget script, journal, quotas, objects and what was played; the clock goes on as it is."""
        self.script.replace((), seed=self.settings.seed or 0)
        self.journal.clear()
        self.store.clear()
        self.quotas.clear()
        self.plays.clear()
