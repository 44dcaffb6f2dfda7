"""The server as a process: alone or with workers, from its first line on stdout to an orderly end."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from mockserver.app import pipeline_of
from mockserver.loops import run
from mockserver.site import Site
from mockserver.state import Settings, State
from mockserver.tls import TlsFiles, context_of
from mockserver.truth.journal import Journal
from mockserver.workers.hub import Hub, WorkerDied


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server listens, with how many processes, and how long it waits for running answers at its end.

    `tls_files` are certificate and key in PEM.
    """

    host: str
    port: int
    workers: int = 1
    tls_files: TlsFiles = None
    grace_s: float = 30.0


class _Server(Protocol):
    """A server that can begin and end: one process, or several."""

    async def start(self, host: str, port: int) -> int:
        """Begin to serve, and return the port."""

    async def watch(self) -> None:
        """Return, or raise, when it has ended by itself."""

    async def stop(self) -> None:
        """Let running answers come to their end."""

    async def abort(self) -> None:
        """End at once."""


def serve(settings: Settings, place: Place, *, script: str | None = None, announce: Callable[[str], None]) -> Journal:
    """Serve until SIGINT or SIGTERM, and return what was seen; a second signal does not wait for running answers.

    `announce` is told the URL as soon as it can be asked.

    ScriptError if `script` is no script, OSError if the port is taken, WorkerDied if a worker process ends by itself,
    RecordingError if a cassette cannot be read, or may not be written as it holds what looks like a secret.
    """
    state = State(settings)
    if script is not None:
        state.script.start(script, seed=settings.seed or 0)
    server: _Server = _Alone(state, place)
    if place.workers > 1:
        server = Hub(state, count=place.workers, grace_s=place.grace_s, tls_files=place.tls_files)
    run(_until_told(server, place, announce))
    if state.tapes is not None and state.tapes.leak is not None:
        raise state.tapes.leak
    return state.journal


async def _until_told(server: _Server, place: Place, announce: Callable[[str], None]) -> None:
    told, told_again = asyncio.Event(), asyncio.Event()

    def hear() -> None:
        (told_again if told.is_set() else told).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, hear)
    port = await server.start(place.host, place.port)
    host = f"[{place.host}]" if ":" in place.host else place.host
    announce(f"http{'s' if place.tls_files else ''}://{host}:{port}")
    try:
        await _first(told.wait(), server.watch())
    except WorkerDied:
        await server.stop()
        raise
    stopping = asyncio.create_task(server.stop())
    await _first(asyncio.shield(stopping), told_again.wait())
    if not stopping.done():
        await server.abort()
    await stopping


async def _first(*awaitables: Awaitable[object]) -> None:
    """Wait for the first of these to be done, and no longer for the others; what it raises is raised."""
    tasks = [asyncio.ensure_future(each) for each in awaitables]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for task in done:
        task.result()


class _Alone:
    """A server of one process."""

    def __init__(self, state: State, place: Place) -> None:
        self._site = Site(pipeline_of(state), tls=context_of(place.tls_files), grace_s=place.grace_s)

    async def start(self, host: str, port: int) -> int:
        return await self._site.listen(host, port)

    async def watch(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        await self._site.stop()

    async def abort(self) -> None:
        self._site.release()
