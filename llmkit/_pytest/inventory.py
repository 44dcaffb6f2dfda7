"""What a run has seen of the tests and their cassettes, and what of it should not be: orphans, collisions, unplayed.

Each process of a distributed run keeps one; they are merged where the run is summed up. What the run did not look at,
it does not judge.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmkit._pytest import cassette_paths
from llmkit.recording import cassette
from llmkit.recording.errors import BrokenCassette
from llmkit.recording.interaction import Interaction

_Facts = dict[str, Any]

_TEST_FILE = re.compile(r"test_.*\.py|.*_test\.py")
_NEVER_COLLECTED = frozenset({"__pycache__", "build", "dist", "node_modules", "venv"})


@dataclass(slots=True)
class Inventory:
    """Cassettes by path, as texts, since it travels between processes.

    ``tests`` are the collected tests by cassette, also those that were then left out; ``modules`` the files that were
    collected whole; ``shared`` the cassettes with a name or of a wider scope. ``played`` has the digests of what was
    played of a shared cassette. ``chosen`` are the places that the command line named, ``is_partial`` says that tests
    were left out otherwise.
    """

    cassettes: Path
    root: Path
    tests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    modules: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    played: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    opened: set[str] = field(default_factory=set)
    chosen: set[str] = field(default_factory=set)
    is_partial: bool = False

    def facts(self) -> _Facts:
        """Return plain values, fit to travel."""
        return {
            "tests": dict(self.tests),
            "modules": sorted(self.modules),
            "shared": sorted(self.shared),
            "played": {path: sorted(digests) for path, digests in self.played.items()},
            "opened": sorted(self.opened),
            "chosen": sorted(self.chosen),
            "is_partial": self.is_partial,
        }

    def merge(self, facts: _Facts) -> None:
        """Add what the inventory of another process says."""
        for path, tests in facts["tests"].items():
            self.tests[path] = list(dict.fromkeys([*self.tests[path], *tests]))
        for path, digests in facts["played"].items():
            self.played[path] |= set(digests)
        self.modules |= set(facts["modules"])
        self.shared |= set(facts["shared"])
        self.opened |= set(facts["opened"])
        self.chosen |= set(facts["chosen"])
        self.is_partial |= facts["is_partial"]

    def collisions(self) -> Iterator[str]:
        """Name tests whose cassettes are one file, here or on a file system that does not tell cases apart."""
        by_place = defaultdict(set)
        for path in self.tests:
            by_place[unicodedata.normalize("NFC", path).casefold()].add(path)
        for paths in by_place.values():
            own = [test for path in sorted(paths) for test in self.tests[path] if path not in self.shared]
            strangers = [test for path in paths & self.shared for test in self.tests[path] if own]
            if len(own) > 1 or strangers or len(paths) > 1:
                named = sorted({*own, *strangers} or {test for path in paths for test in self.tests[path]})
                yield f"{' and '.join(named)} have one cassette: {min(paths)}. Rename one of them"

    def orphans(self) -> Iterator[tuple[Path, str]]:
        """Yield the cassettes that no test plays any more, each with the test that it was of."""
        for path in sorted(self.cassettes.rglob("*.yaml")):
            is_hidden = any(part.startswith(".") for part in path.relative_to(self.cassettes).parts)
            if not is_hidden and str(path) not in self.tests and str(path) not in self.opened and self._is_lost(path):
                yield path, self._test_of(path)

    def _is_lost(self, path: Path) -> bool:
        """Tell whether this run shows that the test is gone that ``path`` was of."""
        modules = cassette_paths.modules_of(path, self.cassettes, self.root)
        if any(str(module) in self.modules for module in modules):
            return not cassette_paths.is_of_scope(path)
        is_gone = not any(module.exists() for module in modules)
        return is_gone and not self.is_partial and (self._saw(modules[0]) if modules else self._saw_everything())

    def _saw(self, path: Path) -> bool:
        return not self.chosen or any(path.is_relative_to(place) for place in self.chosen)

    def _saw_everything(self) -> bool:
        """Tell whether no test file was left out by what the command line named."""
        return not self.chosen or all(map(self._saw, _test_files(self.root)))

    def _test_of(self, path: Path) -> str:
        modules = cassette_paths.modules_of(path, self.cassettes, self.root)
        likely = [one for one in modules if one.exists()] or [one for one in modules if one.stem.startswith("test")]
        if not likely:
            return path.stem
        module = likely[0].relative_to(self.root)
        classes = path.relative_to(self.cassettes).parts[len(module.parts) : -1]
        return "::".join((module.as_posix(), *classes, path.stem))

    def unplayed(self, passed: set[str]) -> Iterator[tuple[Path, list[tuple[int, Interaction]]]]:
        """Yield the shared cassettes with what no test has played, where all that could play it ran and passed."""
        for name in sorted(self.shared if not self.is_partial and self._saw_everything() else ()):
            if not set(self.tests.get(name, ())) <= passed:
                continue
            try:
                stored = cassette.load(Path(name))
            except (FileNotFoundError, BrokenCassette):
                continue  # a broken one has failed its tests
            unplayed = [(n, one) for n, one in enumerate(stored) if digest(one) not in self.played[name]]
            if unplayed:
                yield Path(name), unplayed


def _test_files(root: Path) -> Iterator[Path]:
    """Yield the files below ``root`` that pytest would collect by their names."""
    for directory, below, names in os.walk(root):
        below[:] = [one for one in below if not one.startswith(".") and one not in _NEVER_COLLECTED]
        yield from (Path(directory, name) for name in names if _TEST_FILE.fullmatch(name))


def digest(interaction: Interaction) -> str:
    """Return what tells an interaction of a cassette from the others, before and after its request is scrubbed."""
    request, response = interaction.request, interaction.response
    target = (request.method, request.uri.partition("?")[0], interaction.recorded_at)
    facts = repr((target, response.status, response.body, response.ended))
    return hashlib.blake2b(facts.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class Opened:
    """Notices the cassettes below ``directory`` that anything in this process opens, by any means."""

    def __init__(self, directory: Path) -> None:
        self._start = f"{directory}{os.sep}"
        self.paths: set[str] = set()

    def start(self) -> None:
        """Begin to notice."""
        _put_hook_in()
        _watchers.append(self)

    def stop(self) -> None:
        """Notice no more."""
        _watchers.remove(self)

    def notice(self, path: str) -> None:
        """Take note of a file that was opened."""
        if path.startswith(self._start):
            self.paths.add(path)


_watchers: list[Opened] = []


@functools.cache
def _put_hook_in() -> None:
    """Let Python tell what is opened; an audit hook can't be taken out again, so there is one a process."""
    sys.addaudithook(_notice)


def _notice(event: str, args: tuple[object, ...]) -> None:
    if event == "open" and _watchers and isinstance(args[0], str) and args[0].endswith(".yaml"):
        path = os.path.abspath(args[0])  # noqa: PTH100 - pathlib's does not take out "..", and costs more
        for watcher in _watchers:
            watcher.notice(path)
