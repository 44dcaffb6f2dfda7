"""The hub: keeps what the workers share, starts and stops them, and answers `/__admin` for all."""

import asyncio
import multiprocessing
import multiprocessing.connection
import secrets
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from aiohttp import web
from typing_extensions import override

from mockserver.app import admin_routes
from mockserver.clock import Clock
from mockserver.state import State
from mockserver.tls import TlsFiles
from mockserver.truth.journal import Journal
from mockserver.workers.lines import Line, in_background
from mockserver.workers.worker import Post, work


class WorkerDied(RuntimeError):
    """A worker has ended that nobody had asked to."""


class Hub:
    """`count` worker processes on one listening socket, and what they share."""

    def __init__(self, state: State, *, count: int, grace_s: float, tls_files: TlsFiles = None) -> None:
        self._time = state.clock = _SharedClock(state.settings.now)
        state.journal = _SharedJournal(lambda: self._tell("journal", "clear"))
        self._posting = threading.Lock()
        self._state, self._count, self._grace_s, self._tls_files = state, count, grace_s, tls_files
        self._folder = tempfile.TemporaryDirectory(prefix="mockserver-")
        self._key = secrets.token_bytes(32)
        self._board = multiprocessing.get_context("spawn").RawArray("q", 2)
        self._workers: list[BaseProcess] = []
        self._orders: dict[int, Line] = {}

    async def start(self, host: str, port: int) -> int:
        """Begin to serve, and return the port; OSError if it is taken."""
        self._door = _SharedDoor(host, self._tell_others)
        listener = self._door.listener(port)
        await self._answer_admin()
        self._post_up()
        lines = multiprocessing.connection.Listener(self._path("hub"), family="AF_UNIX", authkey=self._key)
        for number in range(1, self._count + 1):
            self._hire(number, listener)
        await asyncio.to_thread(self._connect, lines)
        bound = self._door.bound = int(listener.getsockname()[1])
        listener.close()
        return bound

    def _path(self, name: str) -> str:
        return str(Path(self._folder.name) / name)

    def _hire(self, number: int, listener: socket.socket) -> None:
        post = Post(
            number=number,
            settings=self._state.settings,
            hub=self._path("hub"),
            admin=self._path("admin"),
            key=self._key,
            grace_s=self._grace_s,
            tls_files=self._tls_files,
        )
        process = multiprocessing.get_context("spawn").Process(
            target=work, args=(post, listener, self._board), name=f"mockserver-{number}", daemon=True
        )
        process.start()
        self._workers.append(process)

    def _connect(self, lines: multiprocessing.connection.Listener) -> None:
        """Take both calls of each worker: the one on which it asks, and the one on which it is told."""
        office = {
            "script": _SharedScript(self._state, self._post_up),
            "quotas": self._state.quotas,
            "store": self._state.store,
            "plays": self._state.plays,
            "journal": self._state.journal,
            "door": self._door,
        }
        for _ in range(2 * self._count):
            connection = lines.accept()
            purpose = connection.recv()
            if purpose == "asks":
                in_background(connection, office, name="mockserver-office")
            else:
                self._orders[purpose] = Line(connection)
        lines.close()

    async def _answer_admin(self) -> None:
        app = web.Application(client_max_size=self._state.settings.body_limit, middlewares=[self._in_step])
        app.router.add_routes(admin_routes(self._state))
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.UnixSite(self._runner, self._path("admin")).start()

    @web.middleware
    async def _in_step(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Know all that the workers know before the answer, and let them know what has changed after it."""
        await asyncio.to_thread(self.collect)
        before = self._clock()
        response: web.StreamResponse = await handler(request)
        self._post_up()
        if self._clock() != before:
            await asyncio.to_thread(self._tell, "clock", "follow", *self._clock())
        return response

    def _clock(self) -> tuple[bool, float]:
        clock = self._state.clock
        return clock.is_virtual, clock.now() if clock.is_virtual else 0.0

    def collect(self) -> None:
        """Take in what the workers have seen since the last time."""
        for worker, records in self._tell("journal", "drain").items():
            self._state.journal.absorb(records, worker=str(worker))
        self._time.elsewhere = [wake for wake in self._tell("clock", "next_wake").values() if wake is not None]

    def _tell(self, subject: str, method: str, *args: Any) -> dict[int, Any]:
        """What each worker answers, by its number; one that is on its way out has handed in what it saw."""
        return self._tell_others(0, subject, method, *args)

    def _tell_others(self, asker: int, subject: str, method: str, *args: Any) -> dict[int, Any]:
        """What each worker but one answers: the one that waits for an answer itself."""
        answers: dict[int, Any] = {}
        for number, line in self._orders.items():
            if number == asker:
                continue
            with suppress(EOFError, OSError):
                answers[number] = line.ask(subject, method, *args)
        return answers

    def _post_up(self) -> None:
        """Say on the board whether it is worth asking for steps and quotas."""
        with self._posting:  # or an older look at the script could be posted over a newer one
            self._board[0] = int(bool(self._state.script))
            self._board[1] = int(self._state.quotas.are_limited)

    async def watch(self) -> None:
        """Return when a worker has ended by itself: WorkerDied."""
        sentinels: Sequence[int] = [process.sentinel for process in self._workers]
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        for sentinel in sentinels:
            loop.add_reader(sentinel, gone.set)
        try:
            await gone.wait()
        finally:
            for sentinel in sentinels:
                loop.remove_reader(sentinel)
        codes = [await asyncio.to_thread(_exit_code, process) for process in self._workers]
        raise WorkerDied(f"a worker has ended by itself; the exit codes are {codes}")

    async def stop(self) -> None:
        """Let the workers come to their end, and take in what they saw last."""
        await asyncio.to_thread(self.collect)
        for process in self._workers:
            process.terminate()
        await asyncio.gather(*(asyncio.to_thread(process.join, self._grace_s + 5) for process in self._workers))
        for process in self._workers:
            process.kill()
        await self._runner.cleanup()
        self._folder.cleanup()

    async def abort(self) -> None:
        """End the workers at once."""
        for process in self._workers:
            process.kill()


class _SharedClock(Clock):
    """The hub's clock: nobody sleeps here, and `elsewhere` is when answers wake that wait in the workers."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self.elsewhere: list[float] = []

    @override
    def next_wake(self) -> float | None:
        return min((wake for wake in self.elsewhere if wake > self.now()), default=None)


class _SharedJournal(Journal):
    """The hub's journal: what is forgotten here while it is being answered, the workers do not hand in later."""

    def __init__(self, told: Callable[[], object]) -> None:
        super().__init__()
        self._told = told

    @override
    def clear(self) -> None:
        self._told()
        super().clear()


class _SharedDoor:
    """The port that all workers listen to, which one of them may shut and open for all."""

    def __init__(self, host: str, tell_others: Callable[..., object]) -> None:
        self._host, self._tell_others = host, tell_others
        self._turns = threading.Lock()
        self._is_shut = False
        self.bound = 0

    def listener(self, port: int) -> socket.socket:
        """A socket that listens there; OSError if the port is taken."""
        listener = socket.create_server((self._host, port), backlog=1024, family=_family(self._host))
        listener.setblocking(False)  # noqa: FBT003 - the name of the method says it
        return listener

    def shut(self, *, by: int) -> bool:
        """Let all but the worker `by`, whose loop waits for this, leave the port; False if it is shut already."""
        with self._turns:
            if self._is_shut:
                return False
            self._is_shut = True
        self._tell_others(by, "door", "leave")
        return True

    def open(self) -> None:
        """Let all listen again."""
        with self.listener(self.bound) as listener:
            self._tell_others(0, "door", "come_back", listener)
        self._is_shut = False


class _SharedScript:
    """The script, as workers ask for it."""

    def __init__(self, state: State, changed: Any) -> None:
        self._state, self._changed = state, changed

    def take(self, call: Any, now: float) -> Any:
        """What `Script.take` gives; the board is told if that was the last step."""
        taken = self._state.script.take(call, now)
        self._changed()
        return taken


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _exit_code(process: BaseProcess) -> int | None:
    process.join(0.1)
    return process.exitcode
