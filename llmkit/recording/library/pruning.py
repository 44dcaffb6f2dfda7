"""Deleting what nothing plays: cassettes without a test, and interactions that a run of the tests left unplayed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llmkit.recording import cassette
from llmkit.recording.cassette.yaml_reader import parse
from llmkit.recording.errors import BrokenCassette, RecordingError
from llmkit.recording.library.orphans import Orphan, Tests

PLAYED = Path(".pytest_cache/v/llmkit/played")
"""Where a run of pytest leaves what it played, below the root of the project."""


@dataclass(frozen=True, slots=True)
class Unplayed:
    """The interactions, counted from 0, that a run left unplayed in a file whose bytes had the hash ``sha256``."""

    sha256: str
    interactions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What a run of the tests reports: files by their absolute path, and files that it found to be orphans.

    ``at`` is when, in seconds since the epoch: of what was written later, the run could not know. Where it is None,
    somebody vouches for the report.
    """

    cassettes: Mapping[Path, Unplayed] = field(default_factory=dict)
    orphans: frozenset[Path] = frozenset()
    at: float | None = None

    @classmethod
    def of_last_run(cls, root: Path) -> Played:
        """Read what the last run of pytest left below ``root``; without one, nothing is known to be unplayed."""
        path = root / PLAYED
        if not os.path.isfile(path):  # noqa: PTH113 - pathlib's raises where a directory can't be entered
            return cls()
        return replace(cls.read(path), at=path.stat().st_mtime)

    @classmethod
    def read(cls, path: Path) -> Played:
        """Read the report at ``path``; raises `RecordingError` if it is none."""
        try:
            report: Any = json.loads(path.read_bytes())
            root = Path(report["root"])
            cassettes = {
                root / name: Unplayed(str(of["sha256"]), tuple(map(int, of["unplayed"])))
                for name, of in report.get("cassettes", {}).items()
            }
            return cls(cassettes=cassettes, orphans=frozenset(root / str(name) for name in report.get("orphans", ())))
        except OSError as error:
            raise RecordingError(f"{path}: it can't be read: {error.strerror}. Run pytest first") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordingError(f"{path}: it is no report of what was played: {error!r}. Run pytest again") from None

    def is_orphan(self, path: Path, tests: Tests) -> bool:
        """Tell whether the run had no test for ``path``, and nothing has changed since that could give it one."""
        if _absolute(path) not in self.orphans:
            return False
        return self.at is None or all(_written_at(one) <= self.at for one in (path, tests.module(path)) if one)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What goes: of the file at ``path`` the ``interactions``, counted from 1, or the whole file where there are none.

    ``sha256`` is the hash of the file's bytes that the decision was made on.
    """

    path: Path
    reason: str
    sha256: str
    interactions: tuple[int, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the file is deleted."""
        return not self.interactions


def plan(files: Iterable[Path], *, tests: Tests, played: Played | None = None) -> list[Removal]:
    """Return what can go of ``files``; nothing of a broken file, and nothing of one that has changed since the run."""
    return [removal for path in files for removal in _removals(path, tests, played or Played())]


def apply(removals: Iterable[Removal]) -> list[Removal]:
    """Delete what ``removals`` name, and return those that were carried out: a file that has changed since stays."""
    return [removal for removal in removals if _carried_out(removal)]


def _removals(path: Path, tests: Tests, played: Played) -> Iterator[Removal]:
    try:
        raw = cassette.read(path)
        count = len(parse(path, raw))
    except (BrokenCassette, FileNotFoundError):
        return
    digest = hashlib.sha256(raw).hexdigest()
    if orphan := orphan_of(path, tests, played):
        yield Removal(path=path, reason=f"orphan of {orphan.test}: {orphan.reason}", sha256=digest)
    elif (of := played.cassettes.get(_absolute(path))) and of.interactions and of.sha256 == digest:
        unplayed = tuple(sorted({number + 1 for number in of.interactions if 0 <= number < count}))
        if unplayed:
            whole = len(unplayed) == count
            yield Removal(path=path, reason="unplayed", sha256=digest, interactions=() if whole else unplayed)


def orphan_of(path: Path, tests: Tests, played: Played) -> Orphan | None:
    """Tell why no test can play the cassette at ``path``, by the sources or by what ran; None if one can."""
    if found := tests.orphan(path):
        return found
    is_lost = played.is_orphan(path, tests)
    return Orphan(path, tests.test_of(path), "the last run of pytest had no such test") if is_lost else None


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - pathlib's does not take out ".."


def _written_at(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _carried_out(removal: Removal) -> bool:
    with cassette.locked(removal.path):
        try:
            raw = cassette.read(removal.path)
        except FileNotFoundError:
            return False
        if hashlib.sha256(raw).hexdigest() != removal.sha256:
            return False
        if removal.is_whole:
            cassette.remove(removal.path)
        else:
            kept = [one for n, one in enumerate(parse(removal.path, raw), 1) if n not in removal.interactions]
            cassette.save(removal.path, kept)
    return True
