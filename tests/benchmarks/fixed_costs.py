"""What a test pays for the recorder, also one that makes no request; and what a process pays to import it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import vcr

from llmkit.recording import cassette, use_cassette
from llmkit.recording.recorder import patched
from tests.benchmarks.measurement import Goal, Measurement, alternating
from tests.benchmarks.traffic import chat, vcr_save

BLOCKS, TESTS = 200, 1_500
_PLAIN = ("-p", "no:llmkit")


def measurements(directory: Path) -> Iterator[Measurement]:
    """Measure blocks, the plugin, and imports."""
    yield from _blocks(directory)
    yield from _plugin(directory)
    yield from _imports()


def _blocks(directory: Path) -> Iterator[Measurement]:
    """The plugin patches the clients once a run; a block of its own patches them each time."""
    ours, theirs = directory / "one.yaml", directory / "v-one.yaml"
    cassette.save(ours, [chat(1)])
    vcr_save(theirs, [chat(1)])
    runs = alternating(
        {
            "plugin": lambda: _within_patches(lambda: _enter(ours)),
            "alone": lambda: _enter(ours),
            "theirs": lambda: _enter_vcr(theirs),
        },
        runs=7,
    )
    of_vcr = runs["theirs"].best / BLOCKS
    for name, key in (("enter + load 1 + exit, in a run", "plugin"), ("enter + load 1 + exit, alone", "alone")):
        yield Measurement(
            name=name,
            ours=runs[key].best / BLOCKS,
            theirs=of_vcr,
            goal=Goal(at_most=0.3),
            spread=runs[key].spread,
        )


def _enter(path: Path) -> None:
    for _ in range(BLOCKS):
        with use_cassette(path):
            pass


def _within_patches(do: Callable[[], None]) -> None:
    with patched():
        do()


def _enter_vcr(path: Path) -> None:
    for _ in range(BLOCKS):
        with vcr.use_cassette(str(path), record_mode="none"):
            pass


def _plugin(directory: Path) -> Iterator[Measurement]:
    """By the slope from 1 test to 1,500: what the plugin costs at its start is a line of its own."""
    many, one = directory / "test_many.py", directory / "test_one.py"
    many.write_text("".join(f"def test_{number}(): pass\n" for number in range(TESTS)))
    one.write_text("def test_1(): pass\n")
    durations = alternating(
        {
            "many": lambda: _pytest(many),
            "one": lambda: _pytest(one),
            "many plain": lambda: _pytest(many, *_PLAIN),
            "one plain": lambda: _pytest(one, *_PLAIN),
        },
        runs=3,
        clock=_children_s,
    )
    best = {name: runs.best for name, runs in durations.items()}
    slope = (best["many"] - best["one"] - best["many plain"] + best["one plain"]) / (TESTS - 1)
    yield Measurement(
        name="plugin: a test without requests",
        ours=max(slope, 0.0),
        goal=Goal(at_most=0.3),
        spread=durations["many"].spread,
    )
    yield Measurement(
        name="plugin: a run of one test", live=best["one plain"], ours=best["one"], spread=durations["one"].spread
    )


def _pytest(path: Path, *options: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, *options, path.name]
    _run(command, cwd=path.parent)


def _imports() -> Iterator[Measurement]:
    durations = alternating(
        {
            "nothing": lambda: _run([sys.executable, "-c", "pass"]),
            "ours": lambda: _run([sys.executable, "-c", "import llmkit.recording.recorder"]),
            "patched": lambda: _run(
                [sys.executable, "-c", "from llmkit.recording.recorder import patched; patched().__enter__()"]
            ),
            "theirs": lambda: _run([sys.executable, "-c", "import vcr, vcr.patch"]),
        },
        runs=5,
        clock=_children_s,
    )
    nothing, ours, theirs = (durations[name].best for name in ("nothing", "ours", "theirs"))
    spread = durations["ours"].spread
    yield Measurement(name="import", ours=ours - nothing, theirs=theirs - nothing, spread=spread)
    yield Measurement(
        name="import, and patch the clients",
        ours=durations["patched"].best - nothing,
        theirs=theirs - nothing,
        spread=durations["patched"].spread,
    )


def _run(command: Sequence[str], *, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


def _children_s() -> float:
    """Return the CPU time of all processes that were started here and have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
