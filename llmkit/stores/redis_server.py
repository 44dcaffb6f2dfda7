"""A Redis or Valkey server: its connections, and how it is doing.

When it cannot be reached, is silent for a second, or refuses, nothing hangs and nothing fails: who asks gets what it
said it would take otherwise. The server is tried again after 1 s, then 2 s, up to 5 s, by one call at a time; a warning
says when it went, and a note when it came back.

Connections belong to the event loop that opened them, so each loop has its own, and they close with it.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from llmkit.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

ANSWER_S: Final = 1.0  # a server in the same data centre answers in a millisecond
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 5.0
_AT_ONCE: Final = 8

_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}

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
        self._lines: dict[asyncio.AbstractEventLoop, AsyncGenerator[Line, None]] = {}

    def __repr__(self) -> str:
        return f"RedisServer({self.address!r})"

    async def ask(
        self,
        question: "Callable[[Line], Awaitable[T]]",
        *,
        otherwise: Callable[[], T],
        turn: str = "",
        queue: "Callable[[Line], None]" = lambda line: None,  # noqa: ARG005 - who does not take turns
        within_s: float | None = None,
    ) -> T:
        """The answer of the server, or `otherwise()` while it gives none, or has given none `within_s` seconds.

        Calls with the same `turn` take turns, and are told by `queue` that they are about to wait for theirs.

        Who is cancelled, or has no more time, does not wait for the answer; the question is finished all the same. To
        cancel it too would cost the connection, and is sometimes lost in `asyncio.wait_for` of Python 3.11, within
        redis-py.
        """
        outages = self._health.outages
        if not self._health.may_try():
            return otherwise()
        line = await self._line()
        queue(line)
        asked = asyncio.ensure_future(self._answers(line, question, outages, turn))
        try:
            async with asyncio.timeout(within_s):
                answers = await asyncio.shield(asked)
        except TimeoutError:
            answers = None
        return answers[0] if answers else otherwise()

    async def _answers(
        self, line: "Line", question: "Callable[[Line], Awaitable[T]]", outages: int, turn: str
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

    async def _line(self) -> "Line":
        loop = asyncio.get_running_loop()
        with self._lock:
            self._lines = {known: opened for known, opened in self._lines.items() if not known.is_closed()}
            opened = self._lines.get(loop)
            if opened is None:
                opened = self._lines[loop] = _opened(self._connect)
        return await anext(opened)


class Line:
    """The connections of one event loop, whose turn it is, and what waits for one: by the name of the turn."""

    def __init__(self, client: "Redis", errors: tuple[type[Exception], ...]) -> None:
        self.client: Any = client
        self.errors = errors
        self.room = asyncio.Semaphore(_AT_ONCE)
        self.waiting: defaultdict[str, list[Any]] = defaultdict(list)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def lock(self, turn: str) -> "AbstractAsyncContextManager[None]":
        """What only one holds who has this turn; nothing where there are no turns."""
        return self._locks[turn] if turn else nullcontext()


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


async def _opened(connect: Callable[[], Line]) -> AsyncGenerator[Line, None]:
    """Lends a line again and again. An event loop closes its generators when it ends, or when they are forgotten."""
    line = connect()
    try:
        while True:
            yield line
    finally:
        await line.client.aclose()


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


def _connector(url: str, address: str, answer_s: float) -> "Callable[[], Line]":
    """What opens a line; a function of its own, for an attribute would show the password."""
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as LostConnection
        from redis.exceptions import RedisError
    except ModuleNotFoundError as error:
        raise ConfigError(f"A shared state needs the package {error.name!r}: pip install 'llmkit[redis]'") from None
    scheme, _, rest = url.partition("://")
    errors = (RedisError, OSError)

    def connect() -> Line:
        pool = BlockingConnectionPool.from_url(
            f"{_SCHEMES[scheme.lower()]}://{rest}",
            max_connections=_AT_ONCE,
            timeout=answer_s,
            socket_connect_timeout=answer_s,
            socket_timeout=answer_s,
            retry=Retry(NoBackoff(), 1, supported_errors=(LostConnection,)),  # one that was idle may have been closed
        )
        return Line(Redis.from_pool(pool), errors)

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
