"""What outlives a call: the states of breaker, limiter and retry budget, and the cached answers.

A `StateStore` applies a rule of `llmkit.policies` to a named state, one at a time whoever else does: `memory` for one
client, `redis` for all that share a server. The rule gets the store's own time, for clocks of machines differ.

    ticket = await store.update("breaker:https://…|gpt-4o", partial(breaker.admit, token=…, lease_s=…), ttl_s=TTL_S)

It never raises for a store that is gone: shared states are then kept in this process, until it is back. Each policy's
module shows its own calls. An `update` may be awaited while a task is being cancelled; it takes a second at most.

A `CacheStore` keeps `Entry`s by key (`policies.cache.key_of`), and never raises either: what it cannot read is a miss,
what it cannot write is not kept, and a warning in the log of `llmkit.stores` tells of both. Where `local` is true, look
with `get_now`, which needs no event loop: a hit in a file costs a few microseconds.

`opened` makes both of what a client is configured with.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from llmkit.errors import ConfigError
from llmkit.policies import State
from llmkit.policies.cache import Entry

T = TypeVar("T")
Rule = Callable[[State, float], tuple[State, T]]
"""From the state and the time in seconds (of the store's clock) to the new state and what follows."""


class StateStore(Protocol):
    """Named states that rules change, one at a time."""

    async def update(self, key: str, rule: Rule[T], *, ttl_s: float, within_s: float | None = None) -> T:
        """Applies `rule` to the state of that name and keeps the new one, for at least `ttl_s` seconds.

        A shared state that has not answered `within_s` seconds is taken for gone, for this once.
        """
        ...

    async def aclose(self) -> None:
        """Closes the connections of the running event loop; another update would open them again."""
        ...


class CacheStore(Protocol):
    """Answers by the key of their request."""

    local: bool
    """Whether `get_now` answers; else only `get` does."""

    def get_now(self, key: str) -> Entry | None:
        """The entry, at once; always None where the store is not `local`."""
        ...

    async def get(self, key: str) -> Entry | None:
        """The entry, or None."""
        ...

    async def put(self, key: str, entry: Entry, *, keep_s: float) -> None:
        """Keeps the entry for `keep_s` seconds, unless room is needed."""
        ...

    async def delete(self, key: str) -> None:
        """Forgets the entry, if there is one."""
        ...

    async def aclose(self) -> None:
        """Closes what is open; another call would open it again."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """What a client keeps its states and its answers in; without a cache, `cache` is None."""

    states: StateStore
    cache: CacheStore | None = None

    async def aclose(self) -> None:
        """Closes what is open on the running event loop."""
        await self.states.aclose()
        if self.cache is not None:
            await self.cache.aclose()


def opened(
    *,
    state_url: str | None = None,
    cache: object = None,
    endpoint: str = "",
) -> Stores:
    """The stores for these settings. Raises ConfigError for what is none of them.

    With `state_url` states are on that server, else in memory. `cache` is the path of a SQLite file, or of cassettes (a
    directory, or `*.yaml`), or a CacheStore; True is the server of `state_url`, or else the memory of this process. A
    cache of cassettes has to know `endpoint`, the identity in the keys.
    """
    # each is imported when it is wanted: redis takes 0.2 s, and cassettes need the recorder
    memory = import_module("llmkit.stores.memory")
    server = import_module("llmkit.stores.redis_server").RedisServer(state_url) if state_url else None
    states = import_module("llmkit.stores.redis").RedisStates(server) if server else memory.MemoryStates()
    if cache is None or cache is False:
        return Stores(states)
    if cache is True:
        return Stores(
            states, import_module("llmkit.stores.redis").RedisCache(server) if server else memory.MemoryCache()
        )
    return Stores(states, _cache(cache, endpoint))


def _cache(cache: object, endpoint: str) -> Any:
    if not isinstance(cache, str | os.PathLike):
        if all(hasattr(cache, name) for name in ("local", "get_now", "get", "put", "delete", "aclose")):
            return cache
        raise ConfigError(f"cache = {cache!r} is not valid: it has to be a path, True, False, or a CacheStore")
    path = Path(cache).expanduser()
    if path.is_dir() or path.suffix in (".yaml", ".yml"):
        return _cassettes(path, endpoint)
    return import_module("llmkit.stores.sqlite").SQLiteCache(path)


def _cassettes(path: Path, endpoint: str) -> Any:
    try:
        return import_module("llmkit.stores.cassettes").CassetteCache(path, endpoint=endpoint)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"A cache of cassettes needs the package {error.name!r}: pip install 'llmkit[testing]'"
        ) from None
