"""Everything about cassettes that a build should fail on, or that somebody should look at; no secret is ever shown."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from llmkit.recording.interaction import Interaction
from llmkit.recording.library.orphans import Tests
from llmkit.recording.library.pruning import Played, orphan_of
from llmkit.recording.library.summary import FIRST_REFUSAL, CassetteFile, Summary
from llmkit.recording.matching.match import key
from llmkit.recording.scrubbing import leaks
from llmkit.recording.scrubbing.deltas import joined
from llmkit.recording.scrubbing.disguises import disguises
from llmkit.recording.scrubbing.leaks import NOTHING, Allowed
from llmkit.recording.scrubbing.scrub import Scrubber, body_text, decompressed

_REVIEW = ".review"


class Severity(IntEnum):
    """How bad a finding is: an error fails a check, a warning only a strict one, a note never does."""

    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about the file at ``path``.

    ``kind`` is ``broken``, ``secret``, ``collision``, ``leftover``, ``orphan``, ``duplicate``, ``old`` or ``refusal``.
    ``interaction`` counts from 1 and ``line`` too; both are 0 where the whole file is meant.
    """

    kind: str
    severity: Severity
    path: Path
    message: str
    interaction: int = 0
    line: int = 0

    @property
    def place(self) -> str:
        """The path, with the line where one is meant."""
        return f"{self.path}:{self.line}" if self.line else str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspector:
    """Looks cassettes over: ``allowed`` may look like secrets, and ``max_age_days`` is how old a recording may be."""

    allowed: Allowed = NOTHING
    max_age_days: float | None = None
    scrubber: Scrubber = field(default_factory=Scrubber)

    def findings(self, cassette: CassetteFile) -> list[Finding]:
        """Return what is to be said about one file, whatever there is around it."""
        if cassette.problem:
            return [*self._broken(cassette)]
        return [
            *self._secrets(cassette),
            *_duplicates(cassette),
            *self._old(cassette),
            *_refusals(cassette),
        ]

    def _broken(self, cassette: CassetteFile) -> Iterator[Finding]:
        problem = cassette.problem
        assert problem is not None  # noqa: S101 - the caller has looked
        yield Finding(
            kind="broken", severity=Severity.ERROR, path=cassette.path, message=problem.problem, line=problem.line
        )
        yield from self._secrets_in_lines(cassette.path, _text(cassette.path), set())

    def _secrets(self, cassette: CassetteFile) -> Iterator[Finding]:
        known: set[str] = set()
        for number, one in enumerate(cassette.interactions, 1):
            for leak in leaks.find(one, allowed=self.allowed):
                known.add(leak.digest)
                yield _secret(cassette.path, str(leak), interaction=number)
            for where in known_places(one, self.scrubber):
                yield _secret(cassette.path, f"a value of this environment in {where}", interaction=number)
        comments = "".join(
            line if line.lstrip().startswith("#") else "\n" for line in _text(cassette.path).splitlines(keepends=True)
        )
        yield from self._secrets_in_lines(cassette.path, comments, known)

    def _secrets_in_lines(self, path: Path, text: str, known: set[str]) -> Iterator[Finding]:
        for leak in leaks.find_in_text(text, allowed=self.allowed):
            if leak.digest not in known:
                line = int(leak.where.rpartition(" ")[2])
                yield _secret(path, f"{leak.kind} (digest {leak.digest})", line=line)

    def _old(self, cassette: CassetteFile) -> Iterator[Finding]:
        summary = Summary.of(cassette, lambda _: None)
        if self.max_age_days is None or not cassette.interactions or summary.age_days <= self.max_age_days:
            return
        message = f"recorded {summary.age_days:.0f} days ago, more than {self.max_age_days:g}; record it again"
        yield Finding(kind="old", severity=Severity.WARNING, path=cassette.path, message=message)


def known_places(interaction: Interaction, scrubber: Scrubber) -> list[str]:
    """Return where in ``interaction`` a secret that ``scrubber`` looks for stands, in any encoding."""
    if not scrubber.secrets:
        return []
    hidden = disguises(scrubber.secrets)
    return [where for where, text in _texts(interaction) if next(iter(hidden.spans(text)), None)]


def _texts(interaction: Interaction) -> Iterator[tuple[str, str]]:
    request, response = interaction.request, interaction.response
    yield "uri", request.uri
    for side, headers in (("request", request.headers), ("response", response.headers)):
        yield from ((f"{side}.headers {name.lower()}", value) for name, values in headers.items() for value in values)
    for side, body in (("request", request.body), ("response", response.body)):
        text, _ = body_text(decompressed(body) or body)
        yield f"{side}.body", text
        yield from ((f"{side}.body {one.where}", one.text) for one in joined(text))


def around(paths: Iterable[Path], files: Sequence[Path]) -> Iterator[Finding]:
    """Say what is wrong with the names of ``files``, and what was left lying about in the directories ``paths``."""
    yield from _collisions(files)
    for path in paths:
        if path.is_dir():
            yield from _leftovers(path)


def orphans(files: Iterable[Path], tests: Tests, played: Played) -> Iterator[Finding]:
    """Name the cassettes among ``files`` that no test can play, by the sources or by what a run has ``played``."""
    for path in files:
        if found := orphan_of(path, tests, played):
            message = f"{found.test}: {found.reason}"
            yield Finding(kind="orphan", severity=Severity.ERROR, path=path, message=message)


def _collisions(files: Sequence[Path]) -> Iterator[Finding]:
    """Find names that are one name on a file system without case, or one that composes accents."""
    by_name: dict[str, list[Path]] = {}
    for path in files:
        by_name.setdefault(unicodedata.normalize("NFC", str(path)).casefold(), []).append(path)
    for first, *others in by_name.values():
        for path in others:
            message = f"the name is that of {first} where case or accents don't count"
            yield Finding(kind="collision", severity=Severity.ERROR, path=path, message=message)


def _leftovers(directory: Path) -> Iterator[Finding]:
    for path in sorted(directory.rglob(".*")):
        if path.name == _REVIEW and path.is_dir():
            message = "recordings that nobody has accepted or rejected yet"
        elif path.suffix == ".tmp" and path.is_file():
            message = "left by a write that was interrupted; delete it"
        else:
            continue
        yield Finding(kind="leftover", severity=Severity.ERROR, path=path, message=message)


def _duplicates(cassette: CassetteFile) -> Iterator[Finding]:
    """Find replies that were recorded twice: a real second reply to the same request has its own id and date."""
    seen: Counter[tuple[str, str]] = Counter()
    for number, one in enumerate(cassette.interactions, 1):
        facts = (key(one.request), repr((one.response.status, one.response.headers, one.response.body)))
        seen[facts] += 1
        if seen[facts] > 1:
            message = (
                "the same request with the same reply, for the second time"
                if seen[facts] == 2
                else (f"the same request with the same reply, for the {seen[facts]}th time")
            )
            yield Finding(
                kind="duplicate", severity=Severity.WARNING, path=cassette.path, message=message, interaction=number
            )


def _refusals(cassette: CassetteFile) -> Iterator[Finding]:
    for number, one in enumerate(cassette.interactions, 1):
        if one.response.status >= FIRST_REFUSAL:
            message = f"the recorded reply is a refusal: {one.response.status} {one.response.reason}".rstrip()
            yield Finding(
                kind="refusal", severity=Severity.NOTE, path=cassette.path, message=message, interaction=number
            )


def _secret(path: Path, message: str, *, interaction: int = 0, line: int = 0) -> Finding:
    return Finding(
        kind="secret", severity=Severity.ERROR, path=path, message=message, interaction=interaction, line=line
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
