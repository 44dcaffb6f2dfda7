"""``--record=review``: what was recorded waits beside the cassettes until someone has seen each change and accepted it.

A change is a recording that is new, one that is gone, or one that stands in the place of another; it is shown by what
it means, and as a diff of the cassette's own lines if that is asked for. What nobody has decided on stays where it is,
and is shown by the next review.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llmkit._pytest.settings import Settings
from llmkit.recording import cassette
from llmkit.recording.cassette.yaml_writer import block
from llmkit.recording.errors import BrokenCassette
from llmkit.recording.interaction import Interaction
from llmkit.recording.library.comparison import compare
from llmkit.recording.library.masking import harmless
from llmkit.recording.library.telling import Line, told
from llmkit.recording.matching.diff import nearest

_QUESTION = "accept this change? [y]es, [n]o, [d]iff of all lines, [a]ll that follow, [q]uit: "
_IGNORING = ".gitignore"
_ANSWERS = {"y": True, "yes": True, "n": False, "no": False}
_CONTEXT_LINES = 4
_KINDS = {"added": "+ a new recording", "gone": "- a recording that is gone", "changed": "~ a recording that changed"}
_UNTOLD = "  nothing but what is another in every recording: times, ids, headers that no client acts on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A recording that stands in the place of another; ``before`` or ``after`` is None where there is none."""

    before: Interaction | None
    after: Interaction | None

    def told(self) -> Iterator[Line]:
        """Yield what differs, as `llmkit cassettes diff` shows it."""
        old, new = ([one] if one else [] for one in (self.before, self.after))
        for change in compare(old, new):
            yield Line("about", f"{_KINDS[change.kind]}: {harmless(change.about[0])}")
            yield from told(change)

    def lines(self) -> Iterator[str]:
        """Yield all that differs, as a unified diff."""
        old, new = (block(one).splitlines() if one else [] for one in (self.before, self.after))
        yield from difflib.unified_diff(old, new, "recorded", "now", lineterm="", n=_CONTEXT_LINES)


class Review:
    """Asks about each change that waits, when the run is over."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._accepts_all = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show what waits, and write what is accepted."""
        waiting = sorted(self._settings.reviews.rglob("*.yaml"))
        if not waiting:
            terminalreporter.write_line("llmkit: nothing to review, no recording has changed")
            return
        terminalreporter.section("llmkit: review")
        try:
            _keep_from_git(self._settings.reviews)
            with self._uncaptured():
                while waiting:
                    self._review(waiting[0], terminalreporter)
                    waiting.pop(0)
        except (EOFError, KeyboardInterrupt):
            terminalreporter.write_line(
                f"\nllmkit: {len(waiting)} cassettes are not reviewed to their end and stay as they are; "
                f"what was recorded for them waits in {self._settings.shown(self._settings.reviews)}"
            )
        finally:
            _remove_empty(self._settings.reviews)

    @contextmanager
    def _uncaptured(self) -> Iterator[None]:
        """Let questions be asked and answered."""
        capture: Any = self._config.pluginmanager.get_plugin("capturemanager")
        if capture is None:
            yield
            return
        capture.suspend_global_capture(in_=True)
        try:
            yield
        finally:
            capture.resume_global_capture()

    def _review(self, pending: Path, terminal: pytest.TerminalReporter) -> None:
        target = self._settings.cassettes / pending.relative_to(self._settings.reviews)
        try:
            before = cassette.load(target) if target.exists() else []
            after = cassette.load(pending)
        except BrokenCassette as error:
            terminal.write_line(f"llmkit: {error}\nIt can't be reviewed; what was recorded waits in {pending}")
            return
        found = changes(before, after)
        rejected = [change for change in found if not self._is_accepted(change, target, terminal)]
        if len(rejected) < len(found):
            _write(target, list(_decided(after, rejected)))
        pending.unlink()
        accepted = len(found) - len(rejected)
        mixed = ". Old and new may not replay together: run its tests" if accepted and rejected else ""
        terminal.write_line(
            f"llmkit: {self._settings.shown(target)}: {accepted} change{'s' * (accepted != 1)} accepted, "
            f"{len(rejected)} rejected{mixed}"
        )

    def _is_accepted(self, change: Change, target: Path, terminal: pytest.TerminalReporter) -> bool:
        terminal.write_line("")
        terminal.write_line(self._settings.shown(target), bold=True)
        for line in list(change.told()) or [Line("about", _UNTOLD)]:
            terminal.write_line(line.text, green=line.kind == "after", red=line.kind == "before")
        while not self._accepts_all:
            answer = _ask(terminal.write).strip().lower()
            if answer in _ANSWERS:
                return _ANSWERS[answer]
            if answer in ("q", "quit"):
                raise EOFError
            if answer in ("d", "diff"):
                _show_lines(change, terminal)
            self._accepts_all = answer in ("a", "all")
        return True


def changes(before: list[Interaction], after: list[Interaction]) -> list[Change]:
    """Pair what is gone with what is new: each new one with the nearest that is gone."""
    gone = _without(before, after)
    found = []
    for new in _without(after, before):
        place = nearest(new.request, [one.request for one in gone])
        found.append(Change(before=None if place is None else gone.pop(place), after=new))
    return [*found, *(Change(before=one, after=None) for one in gone)]


def _without(interactions: Iterable[Interaction], others: Iterable[Interaction]) -> list[Interaction]:
    left = Counter(block(one) for one in others)
    found = []
    for one in interactions:
        text = block(one)
        if left[text]:
            left[text] -= 1
        else:
            found.append(one)
    return found


def _decided(after: list[Interaction], rejected: list[Change]) -> Iterator[Interaction]:
    """Yield what the cassette is to hold: ``after``, with each rejected change undone in its place."""
    undone = {block(change.after): change for change in rejected if change.after is not None}
    for one in after:
        change = undone.pop(block(one), None)
        if change is None:
            yield one
        elif change.before is not None:
            yield change.before
    yield from (change.before for change in rejected if change.before is not None and change.after is None)


def _show_lines(change: Change, terminal: pytest.TerminalReporter) -> None:
    for line in change.lines():
        terminal.write_line(line, green=line.startswith("+"), red=line.startswith("-"))


def _write(target: Path, interactions: list[Interaction]) -> None:
    if interactions:
        cassette.save(target, interactions)
    else:
        cassette.remove(target)


def _ask(write: Callable[..., None]) -> str:
    write(_QUESTION, flush=True)
    return input()


def _keep_from_git(reviews: Path) -> None:
    """Let nobody commit what waits for a review."""
    (reviews / _IGNORING).write_text("*\n", encoding="utf-8")


def _remove_empty(directory: Path) -> None:
    if not any(directory.rglob("*.yaml")):
        (directory / _IGNORING).unlink(missing_ok=True)
    for place in sorted(directory.rglob("*"), reverse=True) if directory.exists() else ():
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
    if directory.exists() and not any(directory.iterdir()):
        directory.rmdir()
