"""States and answers on a Redis or Valkey server, shared by all processes and machines that use it.

A rule is applied by compare-and-set: read the state and the server's time, compute, and write if nobody else has
written meanwhile; else again, at once, so that who was refused is ahead of who comes. Within an event loop calls take
turns, and one that has its turn applies the rules of all that wait for the same state: only processes compete.

While the server is gone, states are kept in this process and answers are not cached (`redis_server`).
"""

import json
from functools import partial
from typing import Any, Final, TypeVar, cast

from llmkit.policies import State
from llmkit.policies.cache import Entry
from llmkit.stores import Rule
from llmkit.stores.memory import MemoryStates
from llmkit.stores.redis_server import Line, RedisServer

T = TypeVar("T")

NAMESPACE: Final = "llmkit:1"  # the number is that of the states' form: releases that write another do not mix
MOST_BYTES: Final = 8 << 20  # a larger answer would hold up the states

_READ, _WRITE = b"read", b"write"
_SWAP = """
local value = redis.call('GET', KEYS[1]) or ''
if ARGV[1] == 'read' or value ~= ARGV[2] then
  local now = redis.call('TIME')
  return {value, now[1], now[2]}
end
if ARGV[3] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
return {}
"""


class RedisStates:
    """A `StateStore` on a server; without it, in this process."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._local = MemoryStates()

    def __repr__(self) -> str:
        return f"RedisStates({self._server.address!r})"

    async def update(self, key: str, rule: Rule[T], *, ttl_s: float, within_s: float | None = None) -> T:
        """Applies `rule` to the state that all share, at the server's time."""
        wish = _Wish(f"{NAMESPACE}:{key}", rule, ttl_s)
        try:
            return cast(
                "T",
                await self._server.ask(
                    wish.fulfilled,
                    otherwise=lambda: self._local.update_now(key, rule),
                    turn=wish.name,
                    queue=wish.queue,
                    within_s=within_s,
                ),
            )
        finally:
            wish.leave()

    async def aclose(self) -> None:
        """Closes the connections of the running event loop; another update would open them again."""
        await self._server.aclose()


class RedisCache:
    """A `CacheStore` on a server; without it, every answer is a miss."""

    local = False

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def __repr__(self) -> str:
        return f"RedisCache({self._server.address!r})"

    def get_now(self, key: str) -> Entry | None:  # noqa: ARG002 - the protocol's name
        """None: the server has to be asked."""
        return None

    async def get(self, key: str) -> Entry | None:
        """The entry, or None."""

        async def get(line: Line) -> bytes | None:
            value: bytes | None = await line.client.get(_cache_name(key))
            return value

        return _entry(await self._server.ask(get, otherwise=lambda: None))

    async def put(self, key: str, entry: Entry, *, keep_s: float) -> None:
        """Keeps the entry, unless it is larger than 8 MB."""
        if len(entry.payload) > MOST_BYTES:
            return
        value = f"{entry.stored_at!r}\n{entry.payload}".encode()

        async def put(line: Line) -> None:
            await line.client.set(_cache_name(key), value, px=max(int(keep_s * 1000), 1))

        await self._server.ask(put, otherwise=lambda: None)

    async def delete(self, key: str) -> None:
        """Forgets the entry, if there is one."""

        async def delete(line: Line) -> None:
            await line.client.delete(_cache_name(key))

        await self._server.ask(delete, otherwise=lambda: None)

    async def aclose(self) -> None:
        """Closes the connections of the running event loop; another call would open them again."""
        await self._server.aclose()


_Outcome = tuple[Any, Exception | None]


class _Wish:
    """A rule that waits for its turn, together with others for the same state."""

    def __init__(self, name: str, rule: Rule[Any], ttl_s: float) -> None:
        self.name = name
        self.rule = rule
        self.ttl_s = ttl_s
        self.outcome: _Outcome | None = None
        self._queue: list[_Wish] = []

    def queue(self, line: Line) -> None:
        """Waits for a turn, be it this one's or that of another."""
        self._queue = line.waiting[self.name]
        self._queue.append(self)

    def leave(self) -> None:
        """Waits no longer."""
        if self in self._queue:
            self._queue.remove(self)

    async def fulfilled(self, line: Line) -> Any:
        """What follows from the rule; all that wait are applied with it, unless it was applied with another."""
        if self.outcome is None:
            self.leave()
            together = [self, *self._queue]
            self._queue.clear()
            rules, ttl_s = [wish.rule for wish in together], max(wish.ttl_s for wish in together)
            outcomes = await _swapped(line.client, self.name, partial(_one_after_another, rules), ttl_s)
            for wish, outcome in zip(together, outcomes, strict=True):
                wish.outcome = outcome
        result, error = cast("_Outcome", self.outcome)
        if error is not None:
            raise error
        return result


def _one_after_another(rules: list[Rule[Any]], state: State, now: float) -> tuple[State, list[_Outcome]]:
    """The state after all rules, and what follows from each; one that fails changes nothing, and others go on."""
    outcomes: list[_Outcome] = []
    for rule in rules:
        try:
            state, result = rule(state, now)
            outcomes.append((result, None))
        except Exception as error:  # noqa: BLE001 - raised again where it was asked
            outcomes.append((None, error))
    return state, outcomes


async def _swapped(client: Any, name: str, rule: Rule[T], ttl_s: float) -> T:
    """What follows from the rule, once its new state is written, or is the old one."""
    keep_ms = max(int(ttl_s * 1000), 1)
    reply = await client.eval(_SWAP, 1, name, _READ, b"", b"", keep_ms)
    while True:
        value, seconds, microseconds = reply
        state, result = rule(_decoded(value), int(seconds) + int(microseconds) / 1e6)
        wanted = _encoded(state)
        if wanted == value:
            return result
        reply = await client.eval(_SWAP, 1, name, _WRITE, value, wanted, keep_ms)
        if not reply:
            return result


def _encoded(state: State) -> bytes:
    return b"" if state is None else json.dumps(state, separators=(",", ":")).encode()


def _decoded(value: bytes) -> State:
    try:
        state = json.loads(value) if value else None
    except (ValueError, RecursionError):
        return None
    return tuple(state) if isinstance(state, list) else None


def _entry(value: bytes | None) -> Entry | None:
    """The entry in a value: when it was stored, a line break, and the JSON."""
    stored_at, _, payload = (value or b"").partition(b"\n")
    try:
        return Entry(payload.decode(), float(stored_at))
    except ValueError:
        return None


def _cache_name(key: str) -> str:
    return f"{NAMESPACE}:cache:{key}"
