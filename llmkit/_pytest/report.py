"""What a run says of its recordings: what they cost so far, and at its end what was paid, saved, missed and wrong."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections import Counter
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmkit._pytest import missed
from llmkit._pytest.bill import Bill
from llmkit._pytest.harness import Harness
from llmkit._pytest.judgement import listed
from llmkit._pytest.live_line import LiveLine
from llmkit._pytest.missed import Missed
from llmkit.recording import cassette
from llmkit.recording.interaction import Interaction
from llmkit.recording.replies.money import dollars
from llmkit.recording.take import Asked

_DOES = {
    "none": "replaying from {}, network sealed",
    "once": "recording where there is no cassette yet, to {}",
    "new": "recording what is missing or changed to {}",
    "new_episodes": "recording what is missing to {}",
    "all": "recording all to {}",
    "review": "recording what is missing or changed, for review, to {}",
    "verify": "verifying {} against the live API, writing nothing",
}
_SENT = {"none": "", "verify": "verified", "review": "paid for"}


class Report:
    """Sums up the reports of the tests in the process that has the terminal."""

    def __init__(self, config: pytest.Config, harness: Harness) -> None:
        self._config = config
        self._harness = harness
        self._settings = harness.settings
        self._bill = Bill(self._settings.prices, verb=_SENT.get(self._settings.record, "recorded"))
        self._passed: set[str] = set()
        self._facts: list[dict[str, Any]] = []
        self._problems: list[str] = []
        self._left: list[Path] = []
        self._dropped: dict[str, int] = {}
        self._line = LiveLine(config)
        harness.tapes.after_recording.append(self._count)
        config.pluginmanager.register(_Verdict(self), "llmkit-verdict")

    def pytest_report_header(self) -> str:
        """Say what happens to requests in this run."""
        if self._settings.is_live:
            return "llmkit: live, requests are sent and not recorded"
        does = _DOES[self._settings.record].format(self._where())
        speed = f", at {self._settings.wishes.speed:g} times the recorded speed" if self._settings.wishes.speed else ""
        budget = f", for {dollars(self._settings.budget)} at most" if self._settings.budget is not None else ""
        return f"llmkit: {does}{speed}{budget}"

    def pytest_sessionstart(self) -> None:
        """Find the terminal, which is there now."""
        self._line.open()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logstart(self) -> Generator[None, object, object]:
        """Let pytest write where the live line is."""
        return (yield from self._making_way())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        """Sum up."""
        self._sum_up(report)
        return (yield from self._making_way())

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """Say how far the run is, where no line can be rewritten."""
        self._line.log(self._bill.progress())

    def _making_way(self) -> Generator[None, object, object]:
        self._line.erase()
        result = yield
        self._line.show(self._bill.progress())
        return result

    def _sum_up(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            self._passed.add(report.nodeid)
        if report.when == "teardown" and report.failed:
            self._passed.discard(report.nodeid)
        if facts := getattr(report, "llmkit", None):
            self._enter(facts)

    def _enter(self, facts: dict[str, Any]) -> None:
        self._facts.append(facts)
        self._bill.enter(facts["test"], facts["ledger"])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what a worker of a distributed run has seen; one that crashed leaves the run in part unseen."""
        facts = getattr(node, "workeroutput", {}).get("llmkit")
        if facts is None or error:
            self._harness.inventory.is_partial = True
        if facts is not None:
            self._harness.inventory.merge(facts)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge the cassettes of the run, and fail it for what is wrong with them."""
        self._line.close()
        is_over = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if not is_over or session.shouldstop or session.shouldfail or self._settings.is_live:
            return
        orphans = list(self._harness.inventory.orphans())
        self._left = list(self._harness.inventory.of_other_parameters())
        self._note_dropped()
        self._prune_shared()
        self._problems = list(self._find_problems(orphans))
        self._remember(orphans)
        if self._problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was missed, what is wrong, what was recorded and what replaying saved."""
        if misses := self._misses():
            terminalreporter.section("llmkit: requests without a recording", yellow=True)
            for line in missed.shown(misses):
                terminalreporter.line(line)
        if self._problems:
            terminalreporter.section("llmkit: cassettes", red=True)
            for problem in self._problems:
                terminalreporter.line(problem)
        if table := list(self._bill.table()):
            terminalreporter.section(f"llmkit: {self._bill.verb}")
            for line in table:
                terminalreporter.line(line)
        for line in self._closing_lines():
            terminalreporter.line(line)

    def _misses(self) -> list[Missed]:
        return [Missed.parse(facts["test"], miss) for facts in self._facts for miss in facts["misses"]]

    def _where(self) -> str:
        return f"{self._settings.shown(self._settings.cassettes)}/"

    def _find_problems(self, orphans: list[tuple[Path, str]]) -> Iterator[str]:
        allow = self._settings.wishes.allow
        if "collisions" not in allow:
            yield from (f"collision: {line}" for line in self._harness.inventory.collisions())
        if "orphans" not in allow:
            for path, test in orphans:
                yield f"orphan: {self._settings.shown(path)} is of {test}, which is no more: {self._remedy(path)}"
        if "unplayed" not in allow and not self._settings.records:
            for path, unplayed in self._harness.inventory.unplayed(self._passed):
                yield f"unplayed: {_recordings(len(unplayed))} of {self._settings.shown(path)}, which no test plays"
                yield from listed([(f"interaction {place + 1}", one) for place, one in unplayed])
                yield "  next  prune what no test plays: pytest --record, the whole suite"

    def _note_dropped(self) -> None:
        """Note what passing tests let go of in cassettes of their own."""
        if self._settings.record != "new":
            return
        for facts in self._facts:
            is_pruned = facts["test"] in self._passed and facts["cassette"] not in self._harness.inventory.spared
            if facts["unplayed"] and is_pruned:
                self._dropped[facts["cassette"]] = len(facts["unplayed"])

    def verdict(self) -> str:
        """Return what the run fails for besides its tests, in a line, or ""."""
        kinds = Counter(line.partition(":")[0] for line in self._problems)
        counts = [
            f"{count} {kind}{'s' * (count > 1 and kind != 'unplayed')}"
            for kind, count in kinds.items()
            if kind in ("orphan", "collision", "unplayed")
        ]
        return f"llmkit: the run fails for {', '.join(counts)}" if counts else ""

    def _remedy(self, orphan: Path) -> str:
        """Return a command for a cassette without its test: another test may have taken its place in this run."""
        if new := self._successor_of(orphan):
            make = "" if new.parent.exists() else f"mkdir -p {self._from_here(new.parent)} && "
            return f"{new.stem} asks for what it holds: {make}git mv {self._from_here(orphan)} {self._from_here(new)}"
        has_cache = getattr(self._config, "cache", None) is not None
        return "llmkit cassettes prune" if has_cache else f"rm {self._from_here(orphan)}"

    def _successor_of(self, orphan: Path) -> Path | None:
        """Return where the one test of this run has no cassette yet that asked for what ``orphan`` holds."""
        shown = self._settings.shown(orphan)
        found = {one.cassette for one in self._misses() if one.cassette and shown in one.elsewhere}
        return Path(found.pop()) if len(found) == 1 else None

    def _from_here(self, path: Path) -> str:
        return shlex.quote(os.path.relpath(path, self._config.invocation_params.dir))

    def _prune_shared(self) -> None:
        """Let the cassettes that tests share go of what none of them plays any more."""
        if self._settings.record not in ("new", "all") or "unplayed" in self._settings.wishes.allow:
            return
        for path, unplayed in self._harness.inventory.unplayed(self._passed):
            self._prune(path, {place for place, _ in unplayed})
            self._dropped[str(path)] = len(unplayed)

    def _prune(self, path: Path, places: set[int]) -> None:
        with cassette.locked(path):
            kept = [one for place, one in enumerate(cassette.load(path)) if place not in places]
            if kept:
                cassette.save(path, kept)
            else:
                cassette.remove(path)

    def _remember(self, orphans: list[tuple[Path, str]]) -> None:
        """Leave what ``llmkit cassettes prune`` needs to know."""
        cache = getattr(self._config, "cache", None)
        if cache is None:
            return
        unplayed = {Path(facts["cassette"]): facts["unplayed"] for facts in self._facts if facts["unplayed"]}
        unplayed |= {
            path: [place for place, _ in places] for path, places in self._harness.inventory.unplayed(self._passed)
        }
        cassettes = {
            self._settings.shown(path): {"sha256": _hash(path), "unplayed": places}
            for path, places in unplayed.items()
            if path.exists()
        }
        known = {
            "root": str(self._settings.root),
            "cassettes": cassettes,
            "orphans": [self._settings.shown(path) for path, _ in orphans],
        }
        cache.set("llmkit/played", known)

    def _count(self, _: Asked, interaction: Interaction) -> None:
        self._bill.count(interaction.response)
        self._line.show(self._bill.progress())

    def _closing_lines(self) -> Iterator[str]:
        for facts in self._facts:
            yield from (f"llmkit: got no reply, and so can't be replayed: {one}" for one in facts["unanswered"])
        yield from self._drift_lines()
        yield from self._age_lines()
        for path in self._left:
            successor = f": {self._remedy(path)}" if self._successor_of(path) else ""
            yield f"llmkit: note: {self._settings.shown(path)} has no test with these parameters in this run{successor}"
        if unpriced := self._bill.unpriced():
            yield f"llmkit: no price is known of {', '.join(unpriced)}: name it with llmkit_prices"
        leaked = {path: count for facts in self._facts for path, count in facts.get("leaked", {}).items()}
        dropped = {self._settings.shown(Path(path)): count for path, count in self._dropped.items()}
        if sums := self._bill.sums(dropped=dropped, unwritten=sum(leaked.values())):
            yield f"llmkit: {sums}; {self._state()}"

    def _state(self) -> str:
        if self._settings.record == "verify":
            return f"nothing written to {self._where()}"
        if self._settings.record == "review" and self._settings.reviews.exists():
            return f"what was not decided on waits in {self._settings.shown(self._settings.reviews)}"
        return f"cassettes in {self._where()}" if self._settings.sends else "network sealed"

    def _drift_lines(self) -> Iterator[str]:
        drifts = dict.fromkeys((tier, text) for facts in self._facts for tier, text in facts["drifts"])
        if drifts:
            ways = f"{len(drifts)} ways" if len(drifts) > 1 else "one way"
            yield f"llmkit: the live API differs from the cassettes in {ways}"
        for tier in ("BREAKING", "NOTABLE", "ADDED"):
            yield from (f"  {tier.lower():<8}  {text}" for of_tier, text in drifts if of_tier == tier)

    def _age_lines(self) -> Iterator[str]:
        if self._settings.max_age_days is None:
            return
        limit = datetime.now(UTC) - timedelta(days=self._settings.max_age_days)
        ages = {path: at for facts in self._facts for path, at in facts["oldest"].items()}
        for path, at in ages.items():
            if datetime.fromisoformat(at) < limit:
                yield (
                    f"llmkit: warning: {self._settings.shown(Path(path))} is of {at[:10]}, older than "
                    f"{self._settings.max_age_days:g} days. Record it anew: pytest --record=all"
                )


class _Verdict:
    """Says last why a run fails whose tests all passed."""

    def __init__(self, report: Report) -> None:
        self._report = report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Generator[None, object, object]:
        """Write below the short summary, which pytest writes after all that others have to say."""
        result = yield
        if line := self._report.verdict():
            terminalreporter.line(line, red=True)
        return result


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _recordings(count: int) -> str:
    return f"{count} recording{'s' * (count != 1)}"
