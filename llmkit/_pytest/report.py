"""What a run says of its recordings: what they cost so far, and at its end what was paid, saved, missed and wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmkit._pytest.harness import Harness
from llmkit._pytest.judgement import listed
from llmkit._pytest.money import cost_of, dollars, tokens_of
from llmkit.recording import cassette
from llmkit.recording.interaction import Interaction
from llmkit.recording.ledger import Ledger
from llmkit.recording.prices import Prices
from llmkit.recording.take import Asked

_MOST_MISSES = 20
_DOES = {
    "none": "replaying from {}, network sealed",
    "once": "recording where there is no cassette yet, to {}",
    "new": "recording what is missing or changed to {}",
    "new_episodes": "recording what is missing to {}",
    "all": "recording all to {}",
    "review": "recording what is missing or changed, for review, to {}",
    "verify": "verifying {} against the live API, writing nothing",
}


class Report:
    """Sums up the reports of the tests in the process that has the terminal."""

    def __init__(self, config: pytest.Config, harness: Harness) -> None:
        self._config = config
        self._harness = harness
        self._settings = harness.settings
        self._prices = Prices.parse(self._settings.prices)
        self._total = Ledger()
        self._by_test: dict[str, Ledger] = {}
        self._passed: set[str] = set()
        self._facts: list[dict[str, Any]] = []
        self._problems: list[str] = []
        self._live = Ledger()
        self._session: pytest.Session | None = None
        harness.after_recording.append(self._show_live)

    def pytest_report_header(self) -> str:
        """Say what happens to requests in this run."""
        if self._settings.is_live:
            return "llmkit: live, requests are sent and not recorded"
        does = _DOES[self._settings.record].format(self._where())
        speed = f", at {self._settings.wishes.speed:g} times the recorded speed" if self._settings.wishes.speed else ""
        budget = f", for {dollars(self._settings.budget)} at most" if self._settings.budget is not None else ""
        return f"llmkit: {does}{speed}{budget}"

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remember what can be stopped."""
        self._session = session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sum up."""
        if report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            self._passed.add(report.nodeid)
        if report.when == "teardown" and report.failed:
            self._passed.discard(report.nodeid)
        if facts := getattr(report, "llmkit", None):
            self._enter(facts)
            if facts["is_budget_reached"] and self._session is not None:
                self._session.shouldstop = "the budget of the recording is reached"

    def _enter(self, facts: dict[str, Any]) -> None:
        ledger = Ledger()
        ledger.add(facts["ledger"])
        self._total.add(facts["ledger"])
        self._facts.append(facts)
        if ledger.recorded:
            self._by_test.setdefault(facts["test"], Ledger()).add(facts["ledger"])
            self._write_progress(self._total)

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
        is_over = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if not is_over or session.shouldstop or session.shouldfail or self._settings.is_live:
            return
        orphans = list(self._harness.inventory.orphans())
        self._prune_shared()
        self._problems = list(self._find_problems(orphans))
        self._remember(orphans)
        if self._problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was missed, what is wrong, what was recorded and what replaying saved."""
        if misses := [(facts["test"], miss) for facts in self._facts for miss in facts["misses"]]:
            terminalreporter.section("llmkit: requests without a recording", yellow=True)
            for line in _shown_misses(misses):
                terminalreporter.write_line(line)
        if self._problems:
            terminalreporter.section("llmkit: cassettes", red=True)
            for problem in self._problems:
                terminalreporter.write_line(problem)
        if self._by_test:
            terminalreporter.section("llmkit: recorded")
            for line in self._table():
                terminalreporter.write_line(line)
        for line in self._closing_lines():
            terminalreporter.write_line(line)

    def _where(self) -> str:
        return f"{self._settings.shown(self._settings.cassettes)}/"

    def _find_problems(self, orphans: list[tuple[Path, str]]) -> Iterator[str]:
        allow = self._settings.wishes.allow
        if "collisions" not in allow:
            yield from (f"collision: {line}" for line in self._harness.inventory.collisions())
        if "orphans" not in allow:
            for path, test in orphans:
                yield f"orphan: {self._settings.shown(path)} is of {test}, which is no more: llmkit cassettes prune"
        if "unplayed" not in allow and not self._settings.records:
            for path, unplayed in self._harness.inventory.unplayed(self._passed):
                yield f"unplayed: {len(unplayed)} recordings of {self._settings.shown(path)}, which no test plays"
                yield from listed([(f"interaction {place + 1}", one) for place, one in unplayed])

    def _prune_shared(self) -> None:
        """Let the cassettes that tests share go of what none of them plays any more."""
        if not self._settings.prunes or self._settings.record == "review":
            return
        for path, unplayed in self._harness.inventory.unplayed(self._passed):
            self._prune(path, {place for place, _ in unplayed})

    def _prune(self, path: Path, places: set[int]) -> None:
        with cassette.locked(path):
            kept = [one for place, one in enumerate(cassette.load(path)) if place not in places]
            if kept:
                cassette.save(path, kept)
            else:
                path.unlink()

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

    def _show_live(self, _: Asked, interaction: Interaction) -> None:
        self._live.record(interaction.response)
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and reporter.isatty:
            reporter.rewrite(f"llmkit: {self._progress(self._live)}", erase=True)

    def _write_progress(self, ledger: Ledger) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"llmkit: {self._progress(ledger)}")

    def _progress(self, ledger: Ledger) -> str:
        cost = cost_of(ledger, self._prices, "recorded")
        calls = f"{ledger.recorded} call{'s' * (ledger.recorded != 1)}"
        return f"{calls}, {tokens_of(ledger, 'recorded')}{f', {cost}' if cost else ''} so far"

    def _table(self) -> Iterator[str]:
        yield f"{'calls':>7} {'tokens in':>11} {'out':>9} {'cost':>12}  test"
        for name, ledger in (*self._by_test.items(), ("total", self._total)):
            tokens_in, tokens_out = ledger.tokens("recorded")
            cost = cost_of(ledger, self._prices, "recorded") or "?"
            yield f"{ledger.recorded:>7} {tokens_in:>11,} {tokens_out:>9,} {cost:>12}  {name}"

    def _closing_lines(self) -> Iterator[str]:
        for facts in self._facts:
            yield from (f"llmkit: got no reply, and so can't be replayed: {one}" for one in facts["unanswered"])
        yield from self._drift_lines()
        yield from self._age_lines()
        if self._total.recorded or self._total.replayed:
            yield f"llmkit: {self._recorded()}{self._replayed()}; {self._state()}"

    def _recorded(self) -> str:
        if not self._settings.sends:
            return ""
        tokens_in, tokens_out = self._total.tokens("recorded")
        cost = cost_of(self._total, self._prices, "recorded")
        does = "verified" if self._settings.record == "verify" else "recorded"
        sums = f"{tokens_in:,} tokens in, {tokens_out:,} out{f', {cost}' if cost else ''}"
        return f"{self._total.recorded} {does} ({sums}), "

    def _replayed(self) -> str:
        if not self._total.replayed:
            return "0 replayed"
        cost = cost_of(self._total, self._prices, "replayed")
        saved = f"{tokens_of(self._total, 'replayed')}{f' and {cost}' if cost else ''} saved"
        return f"{self._total.replayed} replayed ({saved})"

    def _state(self) -> str:
        return f"cassettes in {self._where()}" if self._settings.sends else "network sealed"

    def _drift_lines(self) -> Iterator[str]:
        drifts = dict.fromkeys((tier, text) for facts in self._facts for tier, text in facts["drifts"])
        if drifts:
            yield f"llmkit: the live API differs from the cassettes in {len(drifts)} ways"
            yield from (f"  {tier.lower()}: {text}" for tier, text in drifts)

    def _age_lines(self) -> Iterator[str]:
        if self._settings.max_age_days is None:
            return
        oldest = datetime.now(UTC) - timedelta(days=self._settings.max_age_days)
        old = [facts for facts in self._facts if facts["oldest"] and datetime.fromisoformat(facts["oldest"]) < oldest]
        for facts in old:
            path = self._settings.shown(Path(facts["cassette"]))
            yield (
                f"llmkit: warning: {path} is of {facts['oldest'][:10]}, older than "
                f"{self._settings.max_age_days:g} days. Record it anew: pytest --record=all {facts['test']}"
            )


def _shown_misses(misses: list[tuple[str, str]]) -> Iterator[str]:
    for test, miss in misses[:_MOST_MISSES]:
        lines = [line.strip() for line in miss.splitlines()]
        facts = [line for line in lines if line.startswith(("asked", "reason"))]
        yield f"{test}: {lines[0]}"
        yield from (f"  {fact}" for fact in facts)
    if len(misses) > _MOST_MISSES:
        yield f"… and {len(misses) - _MOST_MISSES} more"


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
