"""Finding a recording, and finding the right one: what a request costs on replay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import vcr

from llmkit.recording import cassette, use_cassette
from llmkit.recording.interaction import Interaction
from llmkit.recording.tape import Tape
from tests.benchmarks.measurement import Goal, Measurement, Runs, alternating
from tests.benchmarks.traffic import agent_loop, chat, vcr_cassette, vcr_replay

MANY, FEW, ASKED = 10_000, 100, 1_000
FLAT = 1.5
"""A lookup among 10,000 may cost so many times one among 100."""


def measurements(directory: Path, server: str) -> Iterator[Measurement]:
    """Measure lookups by their number, whole agent loops, and the answers to calls at once."""
    yield from _lookups(directory)
    yield from _agent_loops(directory)
    yield from _gathered(directory, server)


def _lookups(directory: Path) -> Iterator[Measurement]:
    interactions = [chat(number, reply=200) for number in range(MANY)]
    # spread over the cassette: vcrpy finds the first ones soon
    among_many, among_few = interactions[:: MANY // ASKED], interactions[:FEW]
    ours_many = _replay(directory / "many.yaml", interactions, among_many)
    ours_few = _replay(directory / "few.yaml", among_few, among_few)
    rounds = [(_timed(ours_many()) / ASKED, _timed(ours_few()) / FEW) for _ in range(9)]
    many, few = (Runs(durations) for durations in zip(*rounds, strict=True))
    vcr_few = _timed(vcr_replay(vcr_cassette(directory / "v.yaml", among_few), among_few)) / FEW
    seldom = interactions[MANY // 6 :: MANY // 3]  # vcrpy takes seconds for each
    vcr_many = _timed(vcr_replay(vcr_cassette(directory / "v.yaml", interactions), seldom)) / len(seldom)
    at_most = Goal(at_most=0.1)
    yield Measurement(name=f"lookup among {FEW}", ours=few.best, theirs=vcr_few, goal=at_most, spread=few.spread)
    yield Measurement(name=f"lookup among {MANY:,}", ours=many.best, theirs=vcr_many, goal=at_most, spread=many.spread)
    yield Measurement(
        name=f"lookup: {MANY:,} against {FEW}",
        unit="times",
        ours=many.best / few.best,
        theirs=vcr_many / vcr_few,
        goal=Goal(at_most=FLAT),
    )


def _agent_loops(directory: Path) -> Iterator[Measurement]:
    loop = agent_loop(10, 40)
    part = agent_loop(4, 20)
    whole = _best_replay(directory / "loop.yaml", loop)
    ours = _best_replay(directory / "part.yaml", part)
    theirs = _timed(vcr_replay(vcr_cassette(directory / "v.yaml", part), part)) / len(part)
    yield Measurement(name="agent loop, 4 x 20 turns: a call", ours=ours.best, theirs=theirs, spread=ours.spread)
    yield Measurement(name="agent loop, 10 x 40 turns: a call", ours=whole.best, spread=whole.spread)


def _best_replay(path: Path, interactions: Sequence[Interaction]) -> Runs:
    prepare = _replay(path, interactions, interactions)
    return Runs(tuple(_timed(prepare()) / len(interactions) for _ in range(3)))


def _replay(
    path: Path, interactions: Sequence[Interaction], asked: Sequence[Interaction]
) -> Callable[[], Callable[[], None]]:
    """Save ``interactions``, and return what loads them and returns what asks for each of ``asked``."""
    cassette.save(path, interactions)

    def prepare() -> Callable[[], None]:
        tape = Tape(path)
        tape.check()

        def replay() -> None:
            for one in asked:
                assert tape.play(tape.ask(one.request)) is not None

        return replay

    return prepare


def _timed(work: Callable[[], Any]) -> float:
    return alternating({"": work}, runs=1, clock=time.process_time)[""].best


def _gathered(directory: Path, server: str) -> Iterator[Measurement]:
    """Count the calls that get another's answer on replay, of 50 at once whose replies came last to first."""
    for name, bodies in (("different", [str(n) for n in range(50)]), ("identical", ["same"] * 50)):
        counts = [
            _count_of_wrong(partial(use_cassette, directory / f"{name}.yaml", "new_episodes"), server, bodies),
            _count_of_wrong(partial(vcr.use_cassette, str(directory / f"v-{name}.yaml")), server, bodies),
        ]
        yield Measurement(
            name=f"wrong answers of gather(50), {name} calls",
            unit="calls",
            ours=counts[0],
            theirs=counts[1],
            goal=Goal(at_most=0),
        )


def _count_of_wrong(open_cassette: Callable[[], Any], server: str, bodies: Sequence[str]) -> int:
    with open_cassette():
        recorded = asyncio.run(_all_at_once(server, bodies))
    with open_cassette():
        replayed = asyncio.run(_all_at_once(server, bodies))
    return sum(one != other for one, other in zip(recorded, replayed, strict=True))


async def _all_at_once(server: str, bodies: Sequence[str]) -> list[str]:
    async with httpx.AsyncClient(timeout=30) as client:
        # the server waits 3 ms less for each request than for the one before
        sent = (client.post(f"{server}/backwards", json={"q": body}) for body in bodies)
        return [reply.text for reply in await asyncio.gather(*sent)]
