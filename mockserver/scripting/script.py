"""A script at work: which steps are left, and which one a request takes."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mockserver.calls import Call
from mockserver.generating.dice import Dice
from mockserver.scripting.matching import Situation
from mockserver.scripting.reading import Written, step_from
from mockserver.scripting.steps import Step
from mockserver.scripting.watching import ScriptFile


@dataclass(frozen=True, slots=True)
class Taken:
    """What a request got from the script: a step with its number, or nothing, and why earlier steps left it alone."""

    step: Step | None = None
    number: int = 0
    misses: tuple[str, ...] = ()


@dataclass(slots=True)
class _Entry:
    """A step in use: how often it may still be taken, and how many calls were like it."""

    number: int
    step: Step
    left: int | None
    seen: int = 0


class Script:
    """Steps still to be taken; safe to use from any thread.

    `seed` decides what steps with a probability do: each draw depends on it, on what is asked and on how often that was
    asked before, so that a schedule is the same under any concurrency.
    """

    def __init__(self, steps: Iterable[Step] = (), *, seed: int = 0) -> None:
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._file: ScriptFile | None = None
        self._default_seed = seed
        self._begin(seed)
        self.extend(steps)

    def _begin(self, seed: int) -> None:
        self.seed = seed
        self._steps: list[Step] = []
        self._waiting: list[_Entry] = []
        self._began_at: float | None = None
        self._state = ""
        self._asked: Counter[str] = Counter()

    def __bool__(self) -> bool:
        """Whether a request may find something in it."""
        return bool(self._waiting) or self._file is not None

    def start(self, source: Iterable[Step | dict[str, Any]] | str | Path, *, seed: int) -> None:
        """Begin with these steps, or with those of a file that is followed; ScriptError if it is no script.

        `seed` is for a script that names none.
        """
        if isinstance(source, str | Path):
            self.follow(ScriptFile(source), seed=seed)
        else:
            self.replace(source, seed=seed)

    def follow(self, file: ScriptFile, *, seed: int) -> None:
        """Take the steps of a file, now and whenever it has changed; `seed` is for one that names none."""
        self._file, self._default_seed = file, seed
        self._install(file.written, None)

    @property
    def problem(self) -> str | None:
        """What is wrong with the newest version of the script's file, None if nothing is."""
        self._refresh(None)
        return None if self._file is None else self._file.problem

    def _refresh(self, now: float | None) -> None:
        if self._file is None:
            return
        with self._reading:
            written = self._file.changed()
            if written is not None:
                self._install(written, now)

    def _install(self, written: Written, now: float | None) -> None:
        self.replace(written.steps, seed=self._default_seed if written.seed is None else written.seed, now=now)

    def replace(self, steps: Iterable[Step | dict[str, Any]], *, seed: int = 0, now: float | None = None) -> None:
        """These steps instead of all others, from their beginning, which is `now` or the first request."""
        checked = _checked(steps)
        with self._lock:
            self._begin(seed)
            self._began_at = now
            self._append(checked)

    def extend(self, steps: Iterable[Step | dict[str, Any]]) -> None:
        """Append steps; a dict is one as JSON has it."""
        checked = _checked(steps)
        with self._lock:
            self._append(checked)

    def _append(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self._steps.append(step)
            left = None if step.stands else step.repeats
            self._waiting.append(_Entry(len(self._steps), step, left))

    def clear(self) -> None:
        """Forget every step."""
        self.replace(())

    def take(self, call: Call, now: float = 0.0) -> Taken:
        """The first step that matches `call` and is not used up, used up by one; `now` on the server's clock."""
        self._refresh(now)
        if not self._waiting:
            return Taken()
        misses: list[str] = []
        with self._lock:
            attempt = self._attempt(call)
            self._count(call)
            began_at = self._began_at = now if self._began_at is None else self._began_at
            for entry in self._waiting:
                mismatch = self._mismatch(entry, call, now - began_at, attempt)
                if not mismatch:
                    self._use(entry)
                    step = entry.step.on(self.seed, entry.number, call.fingerprint, attempt)
                    return Taken(step, entry.number, tuple(misses))
                misses.append(f"step {entry.number} ({entry.step.label}): {mismatch}")
        return Taken(misses=tuple(misses))

    def _attempt(self, call: Call) -> int:
        self._asked[call.fingerprint] += 1
        return self._asked[call.fingerprint]

    def _count(self, call: Call) -> None:
        """Count the call for every step that waits for the nth of its kind, whoever takes it."""
        for entry in self._waiting:
            if entry.step.condition.nth is not None and not entry.step.condition.unlike(call):
                entry.seen += 1

    def _mismatch(self, entry: _Entry, call: Call, elapsed_s: float, attempt: int) -> str:
        mismatch = entry.step.mismatch(call, Situation(elapsed_s, self._state, entry.seen))
        return mismatch or self._missed_draw(entry, call, attempt)

    def _missed_draw(self, entry: _Entry, call: Call, attempt: int) -> str:
        chance = entry.step.chance
        if chance is None:
            return ""
        drawn = Dice(self.seed, "draw", entry.number, call.fingerprint, attempt).random()
        return "" if drawn < chance else f"drew {drawn:.3f}, and its probability is {chance:g}"

    def _use(self, entry: _Entry) -> None:
        if entry.step.state is not None:
            self._state = entry.step.state
        if entry.left is not None:
            entry.left -= 1
            if not entry.left:
                self._waiting.remove(entry)

    def left(self) -> list[Step]:
        """The steps still to be taken, each as often as it still may be."""
        self._refresh(None)
        with self._lock:
            return [_rest(entry) for entry in self._waiting]

    def steps(self) -> list[Step]:
        """Every step, as it was given."""
        self._refresh(None)
        with self._lock:
            return list(self._steps)

    def spec(self) -> list[dict[str, Any]]:
        """What is still to be taken, as scripts write it."""
        return [step.spec() for step in self.left()]


def _rest(entry: _Entry) -> Step:
    return entry.step if entry.left is None else entry.step.given(times=entry.left)


def _checked(steps: Iterable[Step | dict[str, Any]]) -> list[Step]:
    return [_step(each, index) for index, each in enumerate(steps)]


def _step(given: Any, index: int) -> Step:
    """A step, be it spelt as in a script's file; TypeError or ScriptError for what is none."""
    if isinstance(given, dict):
        return step_from(given, source=f"steps[{index}]")
    if not isinstance(given, Step):
        raise TypeError(f"{given!r} is no step; make steps with reply(…) and fault.…(…)")
    return given
