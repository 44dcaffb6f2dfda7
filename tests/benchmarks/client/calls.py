"""What a call costs, beside the SDK's `create()`, its `post()`, and its HTTP client alone.

`post()` is the SDK's transport: it builds the request and its headers, sends it and hands out the response, without
models of its own; `json.loads` is added, since ours reads the reply. HTTP alone is its HTTP library's `post()` of a
dict, and `json()` of the reply. Ours also checks the request, asks breaker and budget, keeps the deadline and judges
the reply. Our plain client runs the asynchronous one, so HTTP alone of the synchronous kind is not what it stands on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.cache import REPLY, TEXT
from tests.benchmarks.client.results import Line, best_us, repeated
from tests.benchmarks.client.sides import Reply, Sides, conversation, sides, transport
from tests.benchmarks.mockserver import servers

CALLS = {1: 40, 10: 20, 100: 5}  # of so many messages
WIDTH = 100
MOST_MORE_US = 100.0
_BODY = json.dumps(REPLY).encode()


def lines(directory: Path, *, runs: int) -> Iterator[Line]:
    """Calls one after the other, over a socket and within this process."""
    with server(directory, _BODY) as one, sides(url=f"http://127.0.0.1:{one.port}/v1") as those:
        yield from _lines("socket", those, runs)
    with sides(inside=transport(Reply(lambda: iter([_BODY])))) as those:
        yield from _lines("in process", those, runs)


def concurrent(directory: Path, *, runs: int) -> Iterator[Line]:
    """A hundred calls at the same time, by the CPU time of each."""
    with server(directory, _BODY) as one, sides(url=f"http://127.0.0.1:{one.port}/v1") as those:
        calls = those.awaited(conversation(1, TEXT))
        count = 3 * WIDTH
        found = best_us({name: those.together(count, WIDTH, do) for name, do in calls.items()}, each=count, runs=runs)
    for other in ("create()", "post()", "HTTP alone"):
        most = 1.0 if other == "create()" else None
        yield Line(
            name=f"{WIDTH} at once : {other}", ours=found["ours"], theirs=found[other], judged="times", at_most=most
        )
    for name, cost_us in found.items():
        yield Line(name=f"{WIDTH} at once, {name}, a core", ours=1e6 / cost_us, unit="/s")


def server(directory: Path, body: bytes, *, kind: str = "raw", option: str = "--body") -> Any:
    """A server on another core, if there is one, that does nothing but reply."""
    path = directory / f"{kind}{option}.txt"
    path.write_bytes(body)
    cores = sorted(os.sched_getaffinity(0))
    return servers.started(kind, servers.bare(kind, option, str(path)), cores={cores[0]})


def _lines(where: str, those: Sides, runs: int) -> Iterator[Line]:
    for count, calls in CALLS.items():
        said = conversation(count, TEXT)
        plain = {name: repeated(calls, do) for name, do in those.plain(said).items()}
        awaited = {name: those.run(calls, do) for name, do in those.awaited(said).items()}
        what = f"{count} message{'s' * (count > 1)}"
        yield from _beside(f"sync, {where}, {what}", plain, count, runs)
        yield from _beside(f"async, {where}, {what}", awaited, count, runs)


def _beside(name: str, work: dict[str, Callable[[], Any]], count: int, runs: int) -> Iterator[Line]:
    found = best_us(work, each=CALLS[count], runs=runs)
    ours = found["ours"]
    faster = 1.0 if count >= 10 else None
    yield Line(name=f"{name} : post()", ours=ours, theirs=found["post()"], judged="more", at_most=MOST_MORE_US)
    yield Line(name=f"{name} : create()", ours=ours, theirs=found["create()"], judged="times", at_most=faster)
    yield Line(name=f"{name} : HTTP alone", ours=ours, theirs=found["HTTP alone"])
