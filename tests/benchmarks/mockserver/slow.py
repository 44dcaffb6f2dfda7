"""Thousands of slow streams that are open at once: the server's memory for each, and how late its chunks are."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import cast

from typing_extensions import override

from tests.benchmarks.mockserver import load, prompts
from tests.benchmarks.mockserver.servers import Server

STREAMS = 5_000
WARM_UP = 50
DELAY_S = 2.0
OPENED_PER_S = 250  # so that all are open for half of their time
TEXT = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen."


def script(directory: Path) -> Path:
    """A script that answers every stream slowly, and the requests before them, which warm up, at once."""
    slow = {"reply": TEXT, "chunk_delay_s": DELAY_S, "times": STREAMS}
    path = directory / "slow.yaml"
    path.write_text(json.dumps({"steps": [{"reply": TEXT, "times": WARM_UP}, slow]}), encoding="utf-8")  # JSON is YAML
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`open_at_once` streams at most; bytes of each; how late chunks came, sorted; CPU of server and load.

    `gaps_ms` is how much longer than asked it took from each chunk to the next; `waited_s` how long the server was kept
    from its core by others.
    """

    open_at_once: int
    bytes_each: float
    lateness_ms: Sequence[float]
    steady_ms: Sequence[float]
    gaps_ms: Sequence[float]
    server_s: float
    waited_s: float
    load_s: float

    @property
    def kib_each(self) -> float:
        """The memory of one stream, in KiB."""
        return self.bytes_each / 1024

    @property
    def server_us(self) -> float:
        """The server's CPU time of a frame, its share of opening and closing included, in µs."""
        return self.server_s / len(self.lateness_ms) * 1e6

    @property
    def load_us(self) -> float:
        """The load's own CPU time of a frame, in µs."""
        return self.load_s / len(self.lateness_ms) * 1e6


def quantile(found: Sequence[float], share: float) -> float:
    """What `share` of these sorted values lies below."""
    return found[min(int(len(found) * share), len(found) - 1)]


def measured(server: Server, *, streams: int = STREAMS, opened_per_s: float = OPENED_PER_S) -> Found:
    """Open the streams at that pace (0: all together), and follow them to their ends."""
    load.run(load.sent(server.port, prompts.fresh(WARM_UP, seed=77)))
    requests = prompts.fresh(streams, seed=78, stream=True)
    crowd, before = _Crowd(), server.memory_bytes()
    cpu_s, waited_s, own_s = server.cpu_s(), server.waited_s(), time.process_time()
    memory = load.run(_followed(server, crowd, requests, opened_per_s))
    late = list(_lateness_ms(crowd))
    return Found(
        open_at_once=crowd.most,
        bytes_each=(memory - before) / streams,
        lateness_ms=sorted(ms for _, ms in late),
        steady_ms=sorted(ms for at_s, ms in late if at_s > crowd.all_open_s),
        gaps_ms=sorted(ms for arrivals in crowd.arrivals for ms in _gaps_ms(arrivals)),
        server_s=server.cpu_s() - cpu_s,
        waited_s=server.waited_s() - waited_s,
        load_s=time.process_time() - own_s,
    )


@dataclass(slots=True)
class _Crowd:
    """All streams: when each frame of each came, how many are open, and when the last one opened (loop time)."""

    arrivals: list[list[float]] = field(default_factory=list)
    open: int = 0
    most: int = 0
    all_open_s: float = 0.0
    broken: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


async def _followed(server: Server, crowd: _Crowd, requests: Sequence[bytes], opened_per_s: float) -> int:
    """The memory of the server while all are open."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    opening = []
    for number, request in enumerate(requests):
        if opened_per_s and (ahead_s := start + number / opened_per_s - loop.time()) > 0:
            await asyncio.sleep(ahead_s)
        opening.append(loop.create_task(_open(server.port, crowd, request)))
    await asyncio.gather(*opening)
    while len(crowd.arrivals) < len(requests):
        await _change(crowd)
    crowd.all_open_s = loop.time()
    memory = await asyncio.to_thread(server.memory_bytes)
    while crowd.open:
        await _change(crowd)
    if crowd.broken:
        raise ConnectionError(f"{crowd.broken} streams of {server.name} broke off")
    return memory


async def _open(port: int, crowd: _Crowd, request: bytes) -> None:
    await asyncio.get_running_loop().create_connection(lambda: _Stream(crowd, request), "127.0.0.1", port)


async def _change(crowd: _Crowd) -> None:
    crowd.changed.clear()
    await crowd.changed.wait()


class _Stream(asyncio.Protocol):
    def __init__(self, crowd: _Crowd, request: bytes) -> None:
        self._crowd, self._request = crowd, request
        self._arrivals: list[float] = []
        self._tail, self._ended = b"", False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._clock = asyncio.get_running_loop().time
        self._crowd.open += 1
        self._crowd.most = max(self._crowd.most, self._crowd.open)
        self._transport.write(self._request)

    @override
    def data_received(self, data: bytes) -> None:
        now = self._clock()
        frames = data.count(b"data: ")
        if frames and not self._arrivals:
            self._crowd.arrivals.append(self._arrivals)
            self._crowd.changed.set()
        self._arrivals += [now] * frames
        self._tail = (self._tail + data)[-5:]
        if self._tail == b"0\r\n\r\n":
            self._ended = True
            self._transport.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.open -= 1
        self._crowd.broken += not self._ended
        self._crowd.changed.set()


def _lateness_ms(crowd: _Crowd) -> Iterator[tuple[float, float]]:
    """When each chunk came, and how many ms after it was due: so many delays after the first of its stream."""
    for arrivals in crowd.arrivals:
        for number, at_s in enumerate(arrivals[1:], start=1):
            yield at_s, (at_s - arrivals[0] - number * DELAY_S) * 1000


def _gaps_ms(arrivals: Sequence[float]) -> Iterator[float]:
    """How much longer than the delay it took from each chunk to the next, in ms."""
    return ((later - sooner - DELAY_S) * 1000 for sooner, later in pairwise(arrivals))
