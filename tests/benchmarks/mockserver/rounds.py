"""Rounds of load that go to each server in turn, so that what else happens on the machine falls on all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks.mockserver import load
from tests.benchmarks.mockserver.servers import Server

Requests = Callable[[int], Sequence[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """So many requests in `wall_s`; the CPU seconds of the server and of the load."""

    requests: int
    wall_s: float
    server_s: float
    load_s: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.wall_s

    @property
    def server_us(self) -> float:
        """The server's CPU time of a request, in µs."""
        return self.server_s / self.requests * 1e6

    @property
    def load_us(self) -> float:
        """The load's own CPU time of a request, in µs."""
        return self.load_s / self.requests * 1e6


@dataclass(frozen=True, slots=True)
class Rounds:
    """The rounds of one server."""

    server: str
    rounds: tuple[Round, ...]

    @property
    def rate(self) -> float:
        """The median of requests a second."""
        return statistics.median(one.rate for one in self.rounds)

    @property
    def server_us(self) -> float:
        """The median of the server's CPU time of a request, in µs."""
        return statistics.median(one.server_us for one in self.rounds)

    @property
    def load_us(self) -> float:
        """The median of the load's CPU time of a request, in µs."""
        return statistics.median(one.load_us for one in self.rounds)

    @property
    def spread(self) -> float:
        """How far the median of the CPU time is above the least, as a share of that."""
        return self.server_us / min(one.server_us for one in self.rounds) - 1


def alternating(
    servers: Sequence[Server], requests: Requests, *, rounds: int, connections: int = load.CONNECTIONS
) -> list[Rounds]:
    """Send `requests(number)` to each server in each round; round 0 warms up and counts for nothing."""
    found: dict[str, list[Round]] = {server.name: [] for server in servers}
    for number in range(rounds + 1):
        batch = requests(number)
        for server in servers if number % 2 else reversed(servers):
            one = _round(server, batch, connections)
            found[server.name] += [one] if number else []
    return [Rounds(server.name, tuple(found[server.name])) for server in servers]


def ratio(ours: Rounds, theirs: Rounds, *, of: Callable[[Round, Round], float]) -> float:
    """The median of a ratio that was taken in each round."""
    return statistics.median(map(of, ours.rounds, theirs.rounds))


def _round(server: Server, batch: Sequence[bytes], connections: int) -> Round:
    gc.collect()
    cpu_s, own_s = server.cpu_s(), time.process_time()
    wall_s = load.run(load.sent(server.port, batch, connections=connections))
    server_s, load_s = server.cpu_s() - cpu_s, time.process_time() - own_s
    return Round(requests=len(batch), wall_s=wall_s, server_s=server_s, load_s=load_s)
