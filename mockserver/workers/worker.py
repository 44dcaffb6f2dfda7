"""A worker: answers requests in a process of its own, and asks the hub for what is shared."""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Client
from typing import Any, cast

import aiohttp
from aiohttp import web

from mockserver import faults
from mockserver.app import pipeline_of
from mockserver.calls import Call
from mockserver.cassettes.plays import Plays
from mockserver.clock import Clock
from mockserver.loops import run
from mockserver.quotas import Charge, Quotas
from mockserver.scripting.script import Script, Taken
from mockserver.site import Site
from mockserver.state import Settings, State
from mockserver.store import Store
from mockserver.tls import TlsFiles, context_of
from mockserver.wire import compact
from mockserver.workers.lines import Line, Remote, in_background

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a worker is told when it begins: where the hub listens, and what everybody is told at the start."""

    number: int
    settings: Settings
    hub: str
    admin: str
    key: bytes = field(repr=False)
    grace_s: float
    tls_files: TlsFiles = None


def work(post: Post, listener: socket.socket, board: Sequence[int]) -> None:
    """Serve until a signal arrives: the whole life of a worker process."""
    faults.kinds()  # steps come over the line by the names of their faults
    line, state = _joined(post, board)
    try:
        run(_serve(post, state, listener))
    finally:
        with suppress(EOFError, OSError):  # where the hub is gone, nobody asks any more
            line.ask("journal", "absorb", state.journal.drain(), worker=str(post.number))
        line.close()


def _joined(post: Post, board: Sequence[int]) -> tuple[Line, State]:
    """The line on which this worker asks, and its state, which is the hub's where that is shared."""
    state = State(post.settings, worker=post.number)
    line = _call(post, "asks")
    state.script = SharedScript(line, board)
    state.quotas = SharedQuotas(line, board)
    state.store = cast("Store", Remote(line, "store"))
    state.plays = cast("Plays", Remote(line, "plays"))
    told = Client(post.hub, family="AF_UNIX", authkey=post.key)
    told.send(post.number)
    office = {"journal": state.journal, "clock": _Follower(state.clock)}
    in_background(told, office, name="mockserver-orders", hung_up=_leave)
    return line, state


def _leave() -> None:
    """End this process as if it had been told to: without its hub it is of no use, and holds the port."""
    os.kill(os.getpid(), signal.SIGTERM)


def _call(post: Post, purpose: str) -> Line:
    connection = Client(post.hub, family="AF_UNIX", authkey=post.key)
    connection.send(purpose)
    return Line(connection)


async def _serve(post: Post, state: State, listener: socket.socket) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the hub hears it too, and says what is to be done
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(post.admin)) as session:
        forwarder = Forwarder(session)
        site = Site(pipeline_of(state), admin=forwarder.routes(), tls=context_of(post.tls_files), grace_s=post.grace_s)
        await site.share(listener)
        await stopped.wait()
        await site.stop()


class Forwarder:
    """Hands requests to `/__admin` on to the hub."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def routes(self) -> list[web.RouteDef]:
        """Every path below `/__admin`, with any method."""
        return [web.route("*", "/__admin/{path:.*}", self.forward)]

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """What the hub answers."""
        url = f"http://hub{request.raw_path}"
        headers = _end_to_end(request.headers)
        try:
            async with self._session.request(request.method, url, data=request.content, headers=headers) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, OSError) as exc:
            message = f"the process that answers /__admin cannot be reached: {exc}; is the server coming to its end?"
            return web.Response(
                status=503, body=compact({"error": {"message": message}}), content_type="application/json"
            )
        return web.Response(status=answer.status, body=body, headers=_end_to_end(answer.headers))


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are not about one connection alone."""
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


class SharedScript(Script):
    """The hub's script; a request asks for a step only where the board says that there are any."""

    def __init__(self, line: Line, board: Sequence[int]) -> None:
        super().__init__()
        self._line, self._board = line, board

    def __bool__(self) -> bool:
        return bool(self._board[0])

    def take(self, call: Call, now: float = 0.0) -> Taken:
        """The first step that matches, taken from all workers."""
        if not self._board[0]:
            return Taken()
        taken: Taken = self._line.ask("script", "take", call, now)
        return taken


class SharedQuotas(Quotas):
    """The hub's quotas; a request is charged there only where the board says that there are limits."""

    def __init__(self, line: Line, board: Sequence[int]) -> None:
        super().__init__()
        self._line, self._board = line, board

    @property
    def are_limited(self) -> bool:
        """Whether the hub has anything to charge."""
        return bool(self._board[1])

    def charge(self, **request: Any) -> Charge:
        """Charge a request to what all workers share."""
        if not self._board[1]:
            return super().charge(**request)
        charge: Charge = self._line.ask("quotas", "charge", **request)
        return charge

    def settle(self, charge: Charge, *, actual_tokens: int, now: float) -> None:
        """Say what a request has used."""
        self._line.ask("quotas", "settle", charge, actual_tokens=actual_tokens, now=now)


class _Follower:
    """Keeps this worker's clock with the hub's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def next_wake(self) -> float | None:
        """When the first of this worker's waiting answers goes on."""
        return self._clock.next_wake()

    def follow(self, is_virtual: bool, at: float) -> None:  # noqa: FBT001 - it comes over the line as it is
        """Stand where the hub's clock stands, or run with it."""
        if not is_virtual:
            self._clock.run()
        elif self._clock.is_virtual and at >= self._clock.now():
            self._clock.advance(at - self._clock.now())
        else:
            self._clock.stop(at)
