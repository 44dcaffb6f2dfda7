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
    doorkeeper = _Doorkeeper()
    line, state = _joined(post, board, doorkeeper)
    try:
        run(_serve(post, state, listener, doorkeeper, _Neighbours(line, post.number)))
    finally:
        with suppress(EOFError, OSError):  # where the hub is gone, nobody asks any more
            line.ask("journal", "absorb", state.journal.drain(), worker=str(post.number))
        line.close()


def _joined(post: Post, board: Sequence[int], doorkeeper: "_Doorkeeper") -> tuple[Line, State]:
    """The line on which this worker asks, and its state, which is the hub's where that is shared."""
    state = State(post.settings, worker=post.number)
    line = _call(post, "asks")
    state.script = SharedScript(line, board)
    state.quotas = SharedQuotas(line, board)
    state.store = cast("Store", Remote(line, "store"))
    state.plays = cast("Plays", Remote(line, "plays"))
    told = Client(post.hub, family="AF_UNIX", authkey=post.key)
    told.send(post.number)
    office = {"journal": state.journal, "clock": _Follower(state.clock), "door": doorkeeper}
    in_background(told, office, name="mockserver-orders", hung_up=_leave)
    return line, state


def _leave() -> None:
    """End this process as if it had been told to: without its hub it is of no use, and holds the port."""
    os.kill(os.getpid(), signal.SIGTERM)


def _call(post: Post, purpose: str) -> Line:
    connection = Client(post.hub, family="AF_UNIX", authkey=post.key)
    connection.send(purpose)
    return Line(connection)


async def _serve(
    post: Post, state: State, listener: socket.socket, doorkeeper: "_Doorkeeper", neighbours: "_Neighbours"
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the hub hears it too, and says what is to be done
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(post.admin)) as session:
        forwarder = Forwarder(session)
        site = Site(
            pipeline_of(state),
            admin=forwarder.routes(),
            tls=context_of(post.tls_files),
            grace_s=post.grace_s,
            neighbours=neighbours,
        )
        await site.share(listener)
        doorkeeper.take_up(site)
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
            async with self._session.request(
                request.method, url, data=request.content, headers=headers, allow_redirects=False
            ) as answer:
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


class _Doorkeeper:
    """Leaves the port and comes back to it, as the hub says; the hub is answered by a thread beside the site's loop."""

    def take_up(self, site: Site) -> None:
        """Keep the door of this site, which the running loop serves."""
        self._site, self._loop = site, asyncio.get_running_loop()

    def leave(self) -> None:
        """Listen no more, from the return of this on."""
        asyncio.run_coroutine_threadsafe(self._left(), self._loop).result()

    async def _left(self) -> None:
        self._site.leave()
        await asyncio.sleep(0)  # uvloop closes a socket in the turn after

    def come_back(self, listener: socket.socket) -> None:
        """Listen to a port that was left."""
        asyncio.run_coroutine_threadsafe(self._site.come_back(listener), self._loop)


class _Neighbours:
    """The other workers at the port, as this one's door knows them."""

    def __init__(self, line: Line, number: int) -> None:
        self._line, self._number = line, number

    def shut(self) -> bool:
        is_shut: bool = self._line.ask("door", "shut", by=self._number)
        return is_shut

    def open(self) -> None:
        self._line.ask("door", "open")
