"""The cassettes of a project, or some of them, as one thing to ask: what `llmkit cassettes` shows, as values.

>>> from llmkit.recording.library.library import Library
>>> [finding for finding in Library("cassettes").check() if finding.kind == "secret"]
[]
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from llmkit.recording.cassette import load, read
from llmkit.recording.cassette.yaml_reader import parse
from llmkit.recording.errors import BrokenCassette, RecordingError
from llmkit.recording.interaction import Interaction
from llmkit.recording.library import checks, pruning
from llmkit.recording.library.checks import Finding, Inspector, Severity
from llmkit.recording.library.comparison import Change, compare
from llmkit.recording.library.editing import Scrubbed, scrub
from llmkit.recording.library.orphans import Tests
from llmkit.recording.library.project import Project
from llmkit.recording.library.pruning import Played, Removal
from llmkit.recording.library.summary import CassetteFile, Stats, Summary
from llmkit.recording.replies.prices import Prices
from llmkit.recording.scrubbing.leaks import Allowed
from llmkit.recording.scrubbing.scrub import Scrubber

_Content = Sequence[Interaction]
_NAMES = ("*.yaml", "*.yml")


class Library:
    """The cassettes at ``paths``, which are files and directories; hidden directories are passed over.

    ``root`` is that of the project, for telling which tests a cassette belongs to; found by itself where it is not
    given. Prices, and what may look like a secret, come from pytest's configuration unless given. Raises
    `RecordingError` where a path doesn't exist. What files hold is read once.
    """

    def __init__(
        self,
        *paths: str | os.PathLike[str],
        root: str | os.PathLike[str] | None = None,
        prices: Prices | None = None,
        allowed: Allowed | None = None,
    ) -> None:
        self.paths = tuple(map(Path, paths)) or (Path("cassettes"),)
        for path in self.paths:
            if not path.exists():
                raise RecordingError(f"there is no {str(path)!r}: name a cassette, or a directory of cassettes")
        self._root = None if root is None else Path(root)
        self._prices = prices
        self._allowed = allowed

    @cached_property
    def files(self) -> list[Path]:
        """The files, in order, each once."""
        return list(dict.fromkeys(file for path in self.paths for file in files_of(path)))

    def cassettes(self) -> list[CassetteFile]:
        """Return what each file holds, or what is broken about it."""
        return self._cassettes

    def summaries(self) -> list[Summary]:
        """Return a line for each cassette: calls, tokens, cost, models, size, age."""
        return [Summary.of(cassette, self.prices.cost) for cassette in self._cassettes]

    def stats(self) -> Stats:
        """Return what all cassettes come to."""
        return Stats.of(self._cassettes, self.prices.cost)

    def check(
        self,
        *,
        max_age_days: float | None = None,
        scrubber: Scrubber | None = None,
        played: Played | None = None,
    ) -> list[Finding]:
        """Return everything that a build should fail on or somebody should look at, the worst first.

        ``max_age_days`` is that of pytest's configuration unless given. Secrets of ``scrubber``, those of the
        environment unless given, are looked for besides what looks like one. ``played`` is as for `removals`.
        """
        days = self.project.max_age_days if max_age_days is None else max_age_days
        scrubber = Scrubber.from_environment() if scrubber is None else scrubber
        inspector = Inspector(allowed=self.allowed, max_age_days=days, scrubber=scrubber)
        found = [finding for cassette in self._cassettes for finding in inspector.findings(cassette)]
        found += checks.around(self.paths, self.files)
        for path in self.files:
            found += checks.orphans([path], self.tests_of(path), self._played_of(path, played))
        return sorted(found, key=lambda one: (-one.severity, str(one.path), one.line, one.interaction))

    def scrub(self, scrubber: Scrubber | None = None, *, is_dry: bool = False) -> Iterator[Scrubbed | BrokenCassette]:
        """Take the secrets out of each file, and yield what was taken; a broken file is left alone and yielded."""
        scrubber = Scrubber.from_environment() if scrubber is None else scrubber
        for path in self.files:
            if path.is_symlink() and (problem := opened(path).problem):
                yield problem
                continue
            try:
                yield scrub(path, scrubber, is_dry=is_dry)
            except BrokenCassette as error:
                yield error

    def removals(self, played: Played | None = None) -> list[Removal]:
        """Return what nothing plays: orphans and, by the report ``played`` of a run, what it left unplayed.

        It is the report of pytest's last run below the root of the project unless given.
        """
        return [
            one
            for path in self.files
            for one in pruning.plan([path], tests=self.tests_of(path), played=self._played_of(path, played))
        ]

    @cached_property
    def project(self) -> Project:
        """The project that the first of the paths lies in."""
        return self._project_of(self.paths[0])

    @property
    def prices(self) -> Prices:
        """What tokens cost."""
        return self.project.prices if self._prices is None else self._prices

    @property
    def allowed(self) -> Allowed:
        """What may look like a secret."""
        return self.project.allowed if self._allowed is None else self._allowed

    def tests_of(self, path: Path) -> Tests:
        """Return the tests of the project that ``path`` lies in."""
        project = self._project_of(path)
        return self._tests.setdefault(project.cassettes, Tests(project))

    def _played_of(self, path: Path, given: Played | None) -> Played:
        """Return ``given``, or what the last run of the project's tests has left."""
        if given is not None:
            return given
        root = self._project_of(path).root
        if root not in self._last_runs:
            self._last_runs[root] = Played.of_last_run(root)
        return self._last_runs[root]

    @cached_property
    def _last_runs(self) -> dict[Path, Played]:
        return {}

    @cached_property
    def _tests(self) -> dict[Path, Tests]:
        return {}

    @cached_property
    def _projects(self) -> dict[Path, Project]:
        return {}

    def _project_of(self, path: Path) -> Project:
        directory = path if path.is_dir() else path.parent
        if directory not in self._projects:
            self._projects[directory] = Project.around(directory, root=self._root)
        return self._projects[directory]

    @cached_property
    def _cassettes(self) -> list[CassetteFile]:
        return [opened(path) for path in self.files]


def opened(path: Path) -> CassetteFile:
    """Return what the file at ``path`` holds; one that is not whole has a ``problem`` instead."""
    size, modified = _size_and_time(path)
    try:
        interactions = tuple(parse(path, read(path)))
    except BrokenCassette as problem:
        return CassetteFile(path=path, size=size, modified=modified, problem=problem)
    except FileNotFoundError:
        where = "it is a link to a file that is gone" if path.is_symlink() else "it is gone"
        gone = BrokenCassette(path, 1, f"it can't be read: {where}")
        return CassetteFile(path=path, size=size, modified=modified, problem=gone)
    return CassetteFile(path=path, size=size, modified=modified, interactions=interactions)


def _size_and_time(path: Path) -> tuple[int, datetime]:
    """Return the size of the file at ``path`` and when it was written; of a link that leads nowhere, its own."""
    for look in (path.stat, path.lstat):
        with contextlib.suppress(OSError):  # who reads the file is told why it can't be read
            facts = look()
            return facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC)
    return 0, datetime.now(UTC)


def diff(before: Sequence[Interaction], after: Sequence[Interaction], *, is_exact: bool = False) -> list[Change]:
    """Return what changed from ``before`` to ``after``; see `comparison` for what doesn't count."""
    return compare(before, after, is_exact=is_exact)


def committed(path: Path, *, revision: str = "HEAD") -> list[Interaction]:
    """Return what git has of the cassette at ``path``.

    Raises `RecordingError` where git is missing, the file lies in no repository, or ``revision`` doesn't hold it.
    """
    shown = _git("show", f"{revision}:./{path.name}", revision=revision, path=path, cwd=path.absolute().parent)
    return parse(Path(f"{revision}:{path}"), shown)


def committed_files(directory: Path, *, revision: str = "HEAD") -> list[Path]:
    """Return the cassettes that git has below ``directory``, there or not; raises as `committed`."""
    listed = _git("ls-tree", "-r", "--name-only", "-z", revision, revision=revision, path=directory, cwd=directory)
    names = [Path(name) for name in os.fsdecode(listed).split("\0") if name]
    return [directory / name for name in names if any(map(name.match, _NAMES)) and not _is_hidden(name)]


def pairs(before: Path, after: Path | None, *, revision: str = "HEAD") -> Iterator[tuple[Path, _Content, _Content]]:
    """Yield the cassettes of two directories by name, or of one and of what git has of it: the path, old and new.

    Where one side has no such file, it holds nothing.
    """
    there = after or before
    new = {path.relative_to(there) for path in files_of(there)}
    known = committed_files(before, revision=revision) if after is None else files_of(before)
    old = {path.relative_to(before) for path in known}
    for name in sorted(old | new):
        was = committed(before / name, revision=revision) if after is None and name in old else []
        was = load(before / name) if after is not None and name in old else was
        yield there / name, was, load(there / name) if name in new else []


def _git(*arguments: str, revision: str, path: Path, cwd: Path) -> bytes:
    if revision.startswith("-"):  # git would take it for an option, and some of its options write files
        raise RecordingError(f"{revision!r} is no revision: name a commit, a branch or a tag")
    try:
        done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, check=False)  # noqa: S603, S607 - no shell
    except FileNotFoundError:
        raise RecordingError("git is not installed: name two to compare") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ").splitlines()
        raise RecordingError(f"git has no {path} in {revision}: {said[0] if said else 'it said nothing'}")
    return done.stdout


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def is_failure(findings: Iterable[Finding], *, is_strict: bool = False) -> bool:
    """Tell whether ``findings`` fail a check: errors do, and warnings where it is strict."""
    return any(one.severity >= (Severity.WARNING if is_strict else Severity.ERROR) for one in findings)


def files_of(path: Path, names: Sequence[str] = _NAMES) -> Iterator[Path]:
    """Yield ``path``, or of a directory the files with such ``names``, without those in hidden directories."""
    if not path.is_dir():
        yield path
        return
    for directory, below, there in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(there):
            if not name.startswith(".") and any(fnmatchcase(name, pattern) for pattern in names):
                yield Path(directory, name)
