"""Writing and reading cassettes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from llmkit.recording import cassette
from llmkit.recording.errors import BrokenCassette
from llmkit.recording.interaction import Interaction
from llmkit.recording.manner import Manner, Scope
from llmkit.recording.tape import Tape
from tests.benchmarks.measurement import Goal, Measurement, alternating
from tests.benchmarks.traffic import chat, embeddings, vcr_cassette, vcr_load, vcr_request, vcr_response, vcr_save

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "cassettes"
"""Recordings of other projects, where they are at hand."""

RECORDED = 200


def measurements(directory: Path) -> Iterator[Measurement]:
    """Measure saves, loads, and recordings that are each safe on disk."""
    chats = [chat(number) for number in range(1_000)]
    yield from _saves_and_loads(directory, "1,000 chats", chats)
    yield from _saves_and_loads(directory, "400 embeddings", embeddings(400))
    yield from _checkpoints(directory, "chats", chats[:RECORDED])
    yield from _checkpoints(directory, "embeddings", embeddings(RECORDED))
    yield from _corpus()


def _saves_and_loads(directory: Path, what: str, interactions: Sequence[Interaction]) -> Iterator[Measurement]:
    path, theirs = directory / "ours.yaml", directory / "theirs.yaml"
    work: dict[str, Callable[[], Any]] = {
        "save": lambda: cassette.save(path, interactions),
        "vcr save": lambda: vcr_save(theirs, interactions),
        "first": lambda: cassette.load(path),
        "second": lambda: Tape(path).check(),
        "vcr load": lambda: vcr_load(theirs),
    }
    work["save"]()
    work["second"]()  # leaves the index
    runs = alternating(work, runs=5)
    save, first, second = runs["save"], runs["first"], runs["second"]
    size = f"{path.stat().st_size / 1e6:.0f} MB"
    of_vcr = runs["vcr load"].best
    is_large = what == "400 embeddings"
    at_once = Goal(at_most=1_500) if is_large else None
    fast = None if is_large else Goal(of="vcrpy/ours", at_least=8)
    yield Measurement(
        name=f"save {what} ({size})", ours=save.best, theirs=runs["vcr save"].best, goal=at_once, spread=save.spread
    )
    yield Measurement(name=f"first load of {what}", ours=first.best, theirs=of_vcr, spread=first.spread)
    yield Measurement(name=f"second load of {what}", ours=second.best, theirs=of_vcr, goal=fast, spread=second.spread)


def _checkpoints(directory: Path, what: str, interactions: Sequence[Interaction]) -> Iterator[Measurement]:
    """vcrpy writes once, at its end, and a crash loses all; here each call waits until it is safe on disk."""
    for kind, clock in (("CPU", time.process_time), ("wall", time.monotonic)):
        work = {
            "ours": lambda: _record(directory / "checkpoints.yaml", interactions),
            "theirs": lambda: _vcr_record(directory / "v-checkpoints.yaml", interactions),
        }
        runs = alternating(work, runs=3, clock=clock)
        ours, theirs = runs["ours"], runs["theirs"]
        yield Measurement(
            name=f"record {len(interactions)} {what}, each on disk: a call, {kind}",
            ours=ours.best / len(interactions),
            theirs=theirs.best / len(interactions),
            spread=ours.spread,
        )


def _record(path: Path, interactions: Sequence[Interaction]) -> None:
    path.unlink(missing_ok=True)
    tape = Tape(path, mode="new_episodes", manner=Manner(scope=Scope()))
    for one in interactions:
        asked = tape.ask(one.request)
        assert tape.play(asked) is None
        take = tape.take(asked)
        take.begin(200, "OK", one.response.headers)
        take.add(one.response.body)
        take.finish()
    tape.save()


def _vcr_record(path: Path, interactions: Sequence[Interaction]) -> None:
    cassette = vcr_cassette(path)
    for one in interactions:
        request = vcr_request(one.request)
        assert not cassette.can_play_response_for(request)
        cassette.append(request, vcr_response(one.response))
    cassette._save(force=True)


def _corpus() -> Iterator[Measurement]:
    paths = sorted(CORPUS.rglob("*.yaml")) if CORPUS.is_dir() else []
    if not paths:
        return
    runs = alternating(
        {
            "first": lambda: _read_by_us(paths, indexed=False),
            "second": lambda: _read_by_us(paths, indexed=True),
            "theirs": lambda: _read_by_vcr(paths),
        },
        runs=3,
    )
    yield Measurement(
        name=f"real cassettes that can be read, of {len(paths)}",
        unit="files",
        ours=_read_by_us(paths, indexed=True),
        theirs=_read_by_vcr(paths),
        goal=Goal(at_least=len(paths)),
    )
    for name in ("first", "second"):
        yield Measurement(
            name=f"{name} load of them all", ours=runs[name].best, theirs=runs["theirs"].best, spread=runs[name].spread
        )


def _read_by_us(paths: Sequence[Path], *, indexed: bool) -> int:
    count = 0
    for path in paths:
        with contextlib.suppress(BrokenCassette):
            if indexed:
                Tape(path).check()
            else:
                cassette.load(path)
            count += 1
    return count


def _read_by_vcr(paths: Sequence[Path]) -> int:
    count = 0
    for path in paths:
        # what vcrpy raises for a file that it can't read depends on what is in it
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError, UnicodeError):
            count += bool(vcr_load(path).data)
    return count
