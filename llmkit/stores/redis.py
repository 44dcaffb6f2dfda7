"""States and answers on a Redis or Valkey server, shared by all processes and machines that use it.

A rule is applied by compare-and-set: read the state and the server's time, compute, and write if nobody else has
written meanwhile; else again. Within a process the calls of an event loop take turns, so only processes compete.

When the server cannot be reached, is silent for a second, or refuses, nothing hangs and nothing fails: states are kept
in this process and answers are not cached, until it is back. It is tried again after 1 s, then 2 s, up to 5 s, by one
call at a time; a warning says when it went, and a note when it came back.

Connections belong to the event loop that opened them, so each loop has its own, and they close with it.
"""

import asyncio
import itertools
import json
import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from llmkit.errors import ConfigError
from llmkit.policies import State
from llmkit.policies.cache import Entry
from llmkit.stores import Rule
from llmkit.stores.memory import MemoryStates

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

NAMESPACE: Final = "llmkit:1"  # the number is that of the states' form: releases that write another do not mix
ANSWER_S: Final = 1.0  # a server in the same data centre answers in a millisecond
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 5.0
MOST_BYTES: Final = 8 << 20  # a larger answer would hold up the states
_AT_ONCE: Final = 8

_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}

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

log = logging.getLogger(__name__)


class RedisServer:
    """A server and how it is doing; `address` is its URL without user and password, which nothing else here shows.

    `url` is redis://, rediss:// (TLS), unix://, or the first two as valkey:// and valkeys://. The server may take
    `answer_s` for each call. Raises ConfigError for another URL, and where the package `redis` is missing.
    """

    def __init__(self, url: str, *, answer_s: float = ANSWER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = _address(url)
        self._connect = _connector(url, self.address, answer_s)
        self._answer_s = answer_s
        self._health = _Health(clock)
        self._lock = threading.Lock()
        self._lines: dict[asyncio.AbstractEventLoop, AsyncGenerator[_Line, None]] = {}

    def __repr__(self) -> str:
        return f"RedisServer({self.address!r})"

    async def ask(
        self, question: "Callable[[_Line], Awaitable[T]]", *, otherwise: Callable[[], T], turn: str = ""
    ) -> T:
        """The answer of the server, or `otherwise()` while it gives none. Calls with the same `turn` take turns.

        Who is cancelled does not wait for the answer; the question is finished all the same. To cancel it too would
        cost the connection, and is sometimes lost in `asyncio.wait_for` of Python 3.11, within redis-py.
        """
        outages = self._health.outages
        if not self._health.may_try():
            return otherwise()
        line = await self._line()
        answers = await asyncio.shield(asyncio.ensure_future(self._answers(line, question, outages, turn)))
        return answers[0] if answers else otherwise()

    async def _answers(
        self, line: "_Line", question: "Callable[[_Line], Awaitable[T]]", outages: int, turn: str
    ) -> tuple[T] | None:
        """The answer, or None if there is none."""
        async with line.lock(turn), line.room:
            if self._health.outages != outages:  # it went while this call was waiting
                return None
            try:
                async with asyncio.timeout(self._answer_s):
                    answer = await question(line)
            except line.errors as error:
                if self._health.failed(outages):
                    log.warning(
                        "The shared state at %s is gone, this process keeps its own: %s", self.address, _named(error)
                    )
                return None
        if self._health.answered():
            log.info("The shared state at %s is back", self.address)
        return (answer,)

    async def check(self) -> None:
        """Asks the server whether it is there; raises ConfigError that says why not."""
        line = await self._line()
        failure: ConfigError
        try:
            async with asyncio.timeout(self._answer_s):
                await line.client.ping()
                return
        except line.errors as error:
            failure = ConfigError(
                f"The server of the shared state, {self.address}, does not answer: {_named(error)}. "
                "Start it, or mend LLMKIT_STATE_URL"
            )
        raise failure

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        with self._lock:
            opened = self._lines.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.aclose()

    async def _line(self) -> "_Line":
        loop = asyncio.get_running_loop()
        with self._lock:
            self._lines = {known: opened for known, opened in self._lines.items() if not known.is_closed()}
            opened = self._lines.get(loop)
            if opened is None:
                opened = self._lines[loop] = _opened(self._connect)
        return await anext(opened)


class RedisStates:
    """A `StateStore` on a server; without it, in this process."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._local = MemoryStates()

    def __repr__(self) -> str:
        return f"RedisStates({self._server.address!r})"

    async def update(self, key: str, rule: Rule[T], *, ttl_s: float) -> T:
        """Applies `rule` to the state that all share, at the server's time."""
        name = f"{NAMESPACE}:{key}"

        async def swap(line: _Line) -> T:
            return await _swapped(line.client, name, rule, ttl_s)

        return await self._server.ask(swap, otherwise=lambda: self._local.update_now(key, rule), turn=name)

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

        async def get(line: _Line) -> bytes | None:
            value: bytes | None = await line.client.get(_cache_name(key))
            return value

        return _entry(await self._server.ask(get, otherwise=lambda: None))

    async def put(self, key: str, entry: Entry, *, keep_s: float) -> None:
        """Keeps the entry, unless it is larger than 8 MB."""
        if len(entry.payload) > MOST_BYTES:
            return
        value = f"{entry.stored_at!r}\n{entry.payload}".encode()

        async def put(line: _Line) -> None:
            await line.client.set(_cache_name(key), value, px=max(int(keep_s * 1000), 1))

        await self._server.ask(put, otherwise=lambda: None)

    async def delete(self, key: str) -> None:
        """Forgets the entry, if there is one."""

        async def delete(line: _Line) -> None:
            await line.client.delete(_cache_name(key))

        await self._server.ask(delete, otherwise=lambda: None)

    async def aclose(self) -> None:
        """Closes the connections of the running event loop; another call would open them again."""
        await self._server.aclose()


class _Health:
    """When to try a server: always while it answers, and after a failure one call at a time, after a pause."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.outages = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._next_try: float | None = None  # None while it answers
        self._pause_s = FIRST_PAUSE_S

    def may_try(self) -> bool:
        with self._lock:
            if self._next_try is None:
                return True
            now = self._clock()
            if now < self._next_try:
                return False
            self._next_try = now + ANSWER_S + self._pause_s  # for this call; the others wait for what it finds
            return True

    def failed(self, outages: int) -> bool:
        """Notes a failure, once for all calls that were under way; returns whether the server had answered before."""
        with self._lock:
            if outages != self.outages:
                return False
            self.outages += 1
            first = self._next_try is None
            self._next_try = self._clock() + self._pause_s
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            return first

    def answered(self) -> bool:
        """Notes an answer; returns whether there was none before."""
        if self._next_try is None:
            return False
        with self._lock:
            back = self._next_try is not None
            self._next_try, self._pause_s = None, FIRST_PAUSE_S
            return back


class _Line:
    """The connections of one event loop, and whose turn it is."""

    def __init__(self, client: "Redis", errors: tuple[type[Exception], ...]) -> None:
        self.client: Any = client
        self.errors = errors
        self.room = asyncio.Semaphore(_AT_ONCE)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def lock(self, turn: str) -> "AbstractAsyncContextManager[None]":
        return self._locks[turn] if turn else nullcontext()


async def _opened(connect: Callable[[], _Line]) -> AsyncGenerator[_Line, None]:
    """Lends a line again and again. An event loop closes its generators when it ends, or when they are forgotten."""
    line = connect()
    try:
        while True:
            yield line
    finally:
        await line.client.aclose()


async def _swapped(client: Any, name: str, rule: Rule[T], ttl_s: float) -> T:
    """What follows from the rule, once its new state is written, or is the old one."""
    keep_ms = max(int(ttl_s * 1000), 1)
    reply = await client.eval(_SWAP, 1, name, _READ, b"", b"", keep_ms)
    for tries in itertools.count(1):
        value, seconds, microseconds = reply
        state, result = rule(_decoded(value), int(seconds) + int(microseconds) / 1e6)
        wanted = _encoded(state)
        if wanted == value:
            break
        reply = await client.eval(_SWAP, 1, name, _WRITE, value, wanted, keep_ms)
        if not reply:
            break
        await asyncio.sleep(random.random() * 1e-3 * min(tries, 20))  # noqa: S311 - so that processes do not go in step
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


def _address(url: str) -> str:
    """The URL without user, password and options."""
    shown = _shown(url)
    if shown is None:
        raise ConfigError(
            "The address of the shared state (LLMKIT_STATE_URL) is none of a Redis or Valkey server: it has to look "
            "like redis://localhost:6379/0 or rediss://user:password@host:6379/0, with special characters of the "
            "password in percent encoding. It is not shown, for it may hold the password"
        )
    return shown


def _shown(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        return None
    if parts.scheme == "unix":
        return f"unix://{parts.path}" if parts.path and not parts.fragment else None
    database = parts.path.strip("/")
    if parts.scheme not in _SCHEMES or not host or parts.fragment or not (database.isdecimal() or not database):
        return None
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port or 6379}/{database or 0}"


def _connector(url: str, address: str, answer_s: float) -> "Callable[[], _Line]":
    """What opens a line; a function of its own, for an attribute would show the password."""
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
    except ModuleNotFoundError as error:
        raise ConfigError(f"A shared state needs the package {error.name!r}: pip install 'llmkit[redis]'") from None
    scheme, _, rest = url.partition("://")
    errors = (RedisError, OSError)

    def connect() -> _Line:
        pool = BlockingConnectionPool.from_url(
            f"{_SCHEMES[scheme.lower()]}://{rest}",
            max_connections=_AT_ONCE,
            timeout=answer_s,
            socket_connect_timeout=answer_s,
            socket_timeout=answer_s,
            retry=Retry(NoBackoff(), 0),
        )
        return _Line(Redis.from_pool(pool), errors)

    try:
        connect().client.connection_pool.make_connection()  # which connects to nothing, but reads the options
    except (TypeError, ValueError, RedisError):
        pass
    else:
        return connect
    raise ConfigError(
        f"The address of the shared state, {address}, has an option that is none of redis-py's: mend the URL"
    )


def _named(error: BaseException) -> str:
    """What an error of others says, with its class, for their words alone often say nothing."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
