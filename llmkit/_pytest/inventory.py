"""What a run has seen of the tests and their cassettes, and what of it should not be: orphans, collisions, unplayed.

Each process of a distributed run keeps one; they are merged where the run is summed up. What the run did not look at,
it does not judge.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmkit._pytest import cassette_paths
from llmkit.recording import audit
from llmkit.recording.errors import BrokenCassette
from llmkit.recording.interaction import Interaction
from llmkit.recording.naming import may_be_of
from llmkit.recording.tape import Tape

_Facts = dict[str, Any]

_MERGED = ("modules", "shared", "opened", "chosen", "spared", "naming", "alike")
_NEVER_COLLECTED = ("__pycache__",)
_VIRTUAL = "pyvenv.cfg"
_HASH = re.compile(r"-[0-9a-f]{8}$")  # of a file's name that could not be the test's


@dataclass(slots=True)
class Inventory:
    """Cassettes by path, as texts, since it travels between processes.

    ``tests`` are the collected tests by cassette, also those that were then left out; ``modules`` the files that were
    collected whole; ``shared`` the cassettes with a name or of a wider scope, ``spared`` those in which recordings may
    be unplayed, ``naming`` the tests that name theirs, ``alike`` those whose cassettes may be one file. ``played`` has
    the digests of what was played of a shared cassette. ``chosen`` are the places that were to be looked at,
    ``is_partial`` says that tests were left out otherwise. What follows doesn't travel: ``passed`` and ``failed`` are
    the tests of all processes; ``is_by_command`` says that the command line named places, not the configuration;
    ``test_files`` and ``not_entered`` are pytest's patterns of files and of directories.
    """

    cassettes: Path
    root: Path
    tests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    modules: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    played: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    opened: set[str] = field(default_factory=set)
    chosen: set[str] = field(default_factory=set)
    spared: set[str] = field(default_factory=set)
    naming: set[str] = field(default_factory=set)
    alike: set[str] = field(default_factory=set)
    is_partial: bool = False
    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    is_by_command: bool = True
    test_files: tuple[str, ...] = ("test_*.py", "*_test.py")
    not_entered: tuple[str, ...] = ()

    def facts(self) -> _Facts:
        """Return plain values, fit to travel."""
        return {
            "tests": dict(self.tests),
            "played": {path: sorted(digests) for path, digests in self.played.items()},
            "is_partial": self.is_partial,
            **{name: sorted(getattr(self, name)) for name in _MERGED},
        }

    def merge(self, facts: _Facts) -> None:
        """Add what the inventory of another process says."""
        for path, tests in facts["tests"].items():
            self.tests[path] = list(dict.fromkeys([*self.tests[path], *tests]))
        for path, digests in facts["played"].items():
            self.played[path] |= set(digests)
        for name in _MERGED:
            getattr(self, name).update(facts[name])
        self.is_partial |= facts["is_partial"]

    def collisions(self) -> Iterator[str]:
        """Name tests whose cassettes are one file, here or on a file system that does not tell cases apart."""
        by_place: dict[str, dict[str, set[str]]] = defaultdict(dict)
        for path, tests in self.tests.items():
            if judged := set(tests) - self.alike:
                by_place[unicodedata.normalize("NFC", path).casefold()][path] = judged
        for tests_of in by_place.values():
            named = sorted(set().union(*tests_of.values()))
            is_shared = len(tests_of) == 1 and self.naming.issuperset(named)
            if len(named) > 1 and not is_shared:
                yield f"{' and '.join(named)} have one cassette: {min(tests_of)}. Rename one of them"

    def files(self) -> Iterator[Path]:
        """Yield the files of cassettes, without those that wait for a review."""
        for path in sorted(self.cassettes.rglob("*.yaml")):
            if not any(part.startswith(".") for part in path.relative_to(self.cassettes).parts):
                yield path

    def orphans(self) -> Iterator[tuple[Path, str]]:
        """Yield the cassettes that no test plays any more, each with the test that it was of."""
        yield from ((path, self._test_of(path)) for path in self._lost() if not self._has_function(path))

    def of_other_parameters(self) -> Iterator[Path]:
        """Yield the cassettes whose test is there, but not with the parameters that an option may have left out."""
        yield from (path for path in self._lost() if self._has_function(path))

    def _has_function(self, path: Path) -> bool:
        functions = {
            _function_of(test).rpartition("::")[2]
            for cassette, tests in self.tests.items()
            if Path(cassette).parent == path.parent
            for test in tests
        }
        return any(may_be_of(path.stem, function) for function in functions)

    def _lost(self) -> Iterator[Path]:
        known = {*self.tests, *self.opened, *self.shared}
        for path in self.files():
            if str(path) in known or not self._is_lost(path):
                continue
            if (self._all_passed() and self._saw_every_file()) or not self._is_named(path):
                yield path

    def _is_lost(self, path: Path) -> bool:
        """Tell whether this run shows that the test is gone that ``path`` was of."""
        modules = cassette_paths.modules_of(path, self.cassettes, self.root)
        is_of_scope = cassette_paths.is_of_scope(path)
        if any(str(module) in self.modules for module in modules):
            return not cassette_paths.is_of_doctest(path) and (not is_of_scope or self._all_passed())
        if self.is_partial or any(module.exists() for module in modules):
            return False
        if is_of_scope and (not modules or modules[0].with_suffix("").is_dir()):
            return self._all_passed() and self._saw_every_file()
        if cassette_paths.is_from_outside(path, self.cassettes):
            return False
        return self._saw(modules[0]) if modules else self._saw_everything()

    def _all_passed(self) -> bool:
        """Tell whether every test of the project has passed in this run: then what none of them opened, none needs."""
        tests = {test for tests in self.tests.values() for test in tests}
        return not self.is_partial and tests <= self.passed - self.failed and self._saw_everything()

    def _is_named(self, path: Path) -> bool:
        """Tell whether a test file has the name of this cassette in it: a test that did not run may open it."""
        named = re.compile(rf"""["'/]{re.escape(path.stem)}(\.yaml)?["']""")
        files = {*self._files_of_tests(), *map(Path, self.modules)}
        return any(named.search(one.read_text(encoding="utf-8", errors="replace")) for one in files if one.is_file())

    def _saw(self, path: Path) -> bool:
        return not self.chosen or any(path.is_relative_to(place) for place in self.chosen)

    def _saw_everything(self) -> bool:
        """Tell whether no test file was left out by what the command line named, if it named anything."""
        return not self.is_by_command or self._saw_every_file()

    def _saw_every_file(self) -> bool:
        """Tell whether no test file of the project was left out, not even one that the configuration leaves out."""
        return not self.chosen or all(map(self._saw, self._files_of_tests()))

    def _files_of_tests(self) -> Iterator[Path]:
        """Yield the files below the root that pytest would collect by their names."""
        patterns = (*self.not_entered, *_NEVER_COLLECTED)
        for directory, below, names in os.walk(self.root):
            places = {name: Path(directory, name) for name in (*below, *names)}
            below[:] = [
                name for name in below if not _fits(places[name], patterns) and not (places[name] / _VIRTUAL).exists()
            ]
            yield from (places[name] for name in names if _fits(places[name], self.test_files))

    def _test_of(self, path: Path) -> str:
        modules = cassette_paths.modules_of(path, self.cassettes, self.root)
        likely = [one for one in modules if one.exists()] or [one for one in modules if one.stem.startswith("test")]
        if not likely:
            return path.stem
        module = likely[0].relative_to(self.root)
        classes = path.relative_to(self.cassettes).parts[len(module.parts) : -1]
        return "::".join((module.as_posix(), *(_HASH.sub("", name) for name in (*classes, path.stem))))

    def unplayed(self, passed: set[str]) -> Iterator[tuple[Path, list[tuple[int, Interaction]]]]:
        """Yield the shared cassettes with what no test has played, where all that could play it ran and passed."""
        passed = passed & self.passed - self.failed
        for name in sorted(self.shared - self.spared if not self.is_partial and self._saw_everything() else ()):
            if self._users_of(name) <= passed and (unplayed := self._unplayed_of(name, passed)):
                yield Path(name), unplayed

    def _unplayed_of(self, name: str, passed: set[str]) -> list[tuple[int, Interaction]]:
        try:
            stored = Tape(Path(name)).interactions
        except BrokenCassette:
            return []  # its tests have failed
        if not all(one.test in passed or self._is_gone(one.test) for one in stored if one.test):
            return []
        played = self.played[name]
        # two workers that find nothing may both record the same request: only the first of these is ever played
        twins = {_asked(one): one.test for one in reversed(stored) if digest(one) in played}
        return [
            (place, one)
            for place, one in enumerate(stored)
            if digest(one) not in played and twins.get(_asked(one), one.test) == one.test
        ]

    def _is_gone(self, test: str) -> bool:
        """Tell whether the file of ``test`` is gone, or was collected whole without the function of that name."""
        module, function = self.root / test.partition("::")[0], _function_of(test)
        if not module.exists():
            return True
        collected = {_function_of(one) for tests in self.tests.values() for one in tests}
        return str(module) in self.modules and function not in collected

    def _users_of(self, name: str) -> set[str]:
        """Return the tests that could play the shared cassette ``name``: of a wider scope, all that are in it."""
        if tests := self.tests.get(name):
            return set(tests)
        every = {test for tests in self.tests.values() for test in tests}
        scope = Path(name).relative_to(self.cassettes).parent.as_posix()
        return {one for one in every if one.replace(".py::", "/").replace("::", "/").startswith(f"{scope}/")} or every


def _fits(path: Path, patterns: tuple[str, ...]) -> bool:
    """Tell whether ``path`` is of one of ``patterns``, as pytest reads them: one without a slash is of the name."""
    return any(
        fnmatch.fnmatch(str(path), pattern if pattern.startswith(os.sep) else f"*{os.sep}{pattern}")
        if os.sep in pattern
        else fnmatch.fnmatch(path.name, pattern)
        for pattern in patterns
    )


def _function_of(test: str) -> str:
    """Return the id of a test without its parameters."""
    return test.partition("[")[0]


def digest(interaction: Interaction) -> str:
    """Return what tells an interaction of a cassette from the others, as tapes hold them."""
    response = interaction.response
    facts = repr((_asked(interaction), interaction.recorded_at, response.status, response.body, response.ended))
    return hashlib.blake2b(facts.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _asked(interaction: Interaction) -> tuple[str, str, str]:
    request = interaction.request
    try:
        body = json.dumps(json.loads(request.body), sort_keys=True)  # a cassette indents it
    except (ValueError, RecursionError):
        body = repr(request.body)
    return request.method, request.uri.partition("?")[0], body


class Opened:
    """Notices the cassettes below ``directory`` that anything in this process opens, by any means."""

    def __init__(self, directory: Path) -> None:
        self._start = f"{directory}{os.sep}"
        self._listeners: dict[str, audit.Listener] = {
            "open": lambda args: self._notice(args[0]),
            "os.rename": lambda args: self._notice(args[1]),  # a cassette is written aside and then renamed
        }
        self.paths: set[str] = set()

    def start(self) -> None:
        """Begin to notice."""
        for event, listener in self._listeners.items():
            audit.listen(event, listener)

    def stop(self) -> None:
        """Notice no more."""
        for event, listener in self._listeners.items():
            audit.leave(event, listener)

    def _notice(self, name: object) -> None:
        if isinstance(name, (str, os.PathLike)) and str(name).endswith(".yaml"):
            path = os.path.abspath(name)  # noqa: PTH100 - pathlib's does not take out "..", and costs more
            if path.startswith(self._start):
                self.paths.add(path)
