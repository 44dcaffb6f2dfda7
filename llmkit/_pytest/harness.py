"""Record and replay in one test run: what happens before, in and after each test."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from llmkit._pytest import cassette_paths
from llmkit._pytest.collection import wishes_of
from llmkit._pytest.expectations import Expectations
from llmkit._pytest.failures import Broken, Leaked, NetworkSealed
from llmkit._pytest.inventory import Inventory, Opened, digest
from llmkit._pytest.judgement import Judgement
from llmkit._pytest.settings import Settings
from llmkit._pytest.tapes import Tapes
from llmkit._pytest.tracebacks import down_to_the_project
from llmkit.recording.addresses import Address, Provider
from llmkit.recording.errors import BrokenCassette, Unrecorded
from llmkit.recording.scrubbing.credentials import dummies
from llmkit.recording.sealing.seal import Seal, inherited
from llmkit.recording.sealing.watch import Watch
from llmkit.recording.tape import Tape

_OUTCOMES = pytest.StashKey[dict[str, str]]()


class Harness:
    """The hooks that open a test's cassette, seal the network, and fail what must not pass.

    What there is to say of a test travels in the attribute ``llmkit`` of its last report.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.inventory = Inventory(cassettes=settings.cassettes, root=settings.root)
        self._seal = Seal(is_allowed=self._may_reach_locally, allowed_hosts=settings.hosts, error=NetworkSealed)
        self._watch = Watch(self._seal.policy)
        self._expectations = Expectations()
        self._opened = Opened(settings.cassettes)
        self.tapes = Tapes(settings, self.inventory, self._opened, self._expectations.is_any)
        self._wider: dict[Path, Tape] = {}
        self._tape: Tape | None = None
        self._run = ExitStack()
        self._test = ExitStack()
        self._asked_before = 0
        self._is_patched = False

    def start(self) -> None:
        """Seal the network, and put dummy credentials where replay finds none."""
        if (of_parent := inherited()) is not None and of_parent.is_closed:
            of_parent.open()
            self._run.callback(of_parent.close)
        if self.settings.is_live:
            return
        if not self.settings.sends:
            try:
                self._run.enter_context(dummies(os.environ, providers=self.settings.dummies))
            except ValueError as error:
                raise pytest.UsageError(f"llmkit_dummy_credentials: {error}") from None
        self.tapes.begin()
        self._run.enter_context(self._expectations.watched())
        self._opened.start()
        self._run.callback(self._opened.stop)
        self._seal.close()

    def stop(self) -> None:
        """Undo `start`, and save what an interrupted test has recorded."""
        self._watch.stop()
        self._seal.open()
        if self._tape is not None:
            self._tape.save(is_complete=False)
        self._test.close()
        self._run.close()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """Open the test's cassette before the first of its fixtures."""
        self._begin(item)
        try:
            return (yield)
        except BaseException as error:
            self._report_unrecorded(item, error)
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Fail the test if its cassette is broken, or if it went past the recordings without noticing."""
        __tracebackhide__ = True
        self._check_files()
        try:
            result = yield
        except Unrecorded as error:
            self._report_unrecorded(item, error)
            raise error.with_traceback(down_to_the_project(error.__traceback__, self.settings.root)) from None
        except pytest.skip.Exception:
            self._fail_if_swallowed("the test was skipped")
            raise
        except BaseException as error:
            self._report_unrecorded(item, error)
            raise
        self._fail_if_swallowed("the test passed")
        self._fail_if_leaked()
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """Save the test's cassette after the last of its fixtures, and fail a test that passed but should not have."""
        problems: list[str] = []
        is_fine = False
        try:
            result = yield
            problems = list(self._problems(item))
            is_fine = not problems and not self._unrecorded()
        finally:
            self._end(item, is_fine=is_fine)
        self._fail_if_swallowed("the fixtures were torn down")
        self._fail_if_leaked()
        if problems:
            pytest.fail("\n\n".join(problems), pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Record what a fixture of wider scope asks, also when it is torn down, in a cassette of that scope."""
        if fixturedef.scope == "function" or self.settings.is_live:
            return (yield)
        self._patch()
        tape = self._wider_tape(fixturedef.scope, request.node)
        if self._tape is not None:
            tape.ledger = self._tape.ledger
        teardown, is_complete = ExitStack(), False
        fixturedef.addfinalizer(lambda: self._leave(teardown, tape))
        try:
            with _playing(tape):
                result = yield
            is_complete = True
        except BrokenCassette as error:
            raise Broken(error) from None
        finally:
            tape.save(is_complete=is_complete, is_shared=True)
            self._note_played(tape)
            fixturedef.addfinalizer(lambda: teardown.enter_context(_playing(tape)))
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note the outcome, and let the last report of a test carry what there is to say (also to another process)."""
        report = yield
        outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
        outcomes = item.stash.setdefault(_OUTCOMES, {})
        if outcomes.get(call.when) != "failed":  # each subtest that failed has a report, and the last says "passed"
            outcomes[call.when] = outcome
        if call.when == "teardown" and self._tape is not None:
            try:
                report.llmkit = self._facts(item, self._tape)  # type: ignore[attr-defined]  # pytest lets reports carry facts
            except Exception as error:  # noqa: BLE001 - any would end the whole run: the test fails instead
                report.outcome, report.longrepr = "failed", f"{type(error).__name__}: {error}"
            self._tape = None
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note which tests pass, also those that run in another process."""
        if report.failed:
            self.inventory.failed.add(report.nodeid)
        elif report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            self.inventory.passed.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let a worker of a distributed run send what it has seen."""
        self.inventory.opened |= self._opened.paths
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["llmkit"] = self.inventory.facts()

    def _facts(self, item: pytest.Item, tape: Tape) -> dict[str, Any]:
        unanswered = [f"{item.nodeid}: {asked.written.method} {asked.written.uri}" for asked in tape.unanswered]
        drifts = [(one.drift.tier.name, str(one)) for other in self._tapes() for one in other.drifts]
        return {
            "test": item.nodeid,
            "cassette": str(tape.path),
            "ledger": tape.ledger.facts(),
            "unanswered": unanswered,
            "is_budget_reached": self.tapes.is_budget_reached,
            "drifts": drifts,
            "misses": [str(miss) for other in self._tapes() for miss in other.all_misses],
            "oldest": {str(one.path): one.oldest.isoformat() for one in self._tapes() if one.oldest},
            "unplayed": self._unplayed(item, tape),
            "leaked": {
                str(one.path): sum(each.recorded_at >= one.manner.since for each in one.played)
                for one in self._tapes()
                if one.leak
            },
        }

    def _unplayed(self, item: pytest.Item, tape: Tape) -> list[int]:
        """Return the places of what a passed test left unplayed of a cassette of its own."""
        is_judged = self._has_passed(item) and not tape.is_broken and not wishes_of(item, self.settings).name
        return [place for place, _ in tape.unplayed] if is_judged else []

    def _begin(self, item: pytest.Item) -> None:
        self._seal.refused_children()  # a straggler's, which this test does not answer for
        self._seal.refused.clear()
        self._expectations.forget()
        item.stash[_OUTCOMES] = {}
        self._asked_before = Tape.asked_of_any
        for tape in self._wider.values():
            tape.begin_test()
        if self.settings.is_live or item.get_closest_marker("live"):
            self._seal.open()
            return
        self._patch()
        wishes = wishes_of(item, self.settings)
        path = self.settings.cassette_of(item, wishes)
        self._tape = self.tapes.open(path, wishes, nodeid=item.nodeid, test=item.nodeid if wishes.name else "")
        self._test.enter_context(_playing(self._tape))
        if self.settings.sends:
            self._seal.open()
            self._watch.start()

    def _end(self, item: pytest.Item, *, is_fine: bool) -> None:
        self._test.close()
        self._watch.stop()
        if not self.settings.is_live:
            self._seal.close()
        if self._tape is None:
            return
        outcomes = item.stash.get(_OUTCOMES, {})
        is_complete = is_fine and all(outcomes.get(when) in ("passed", "skipped") for when in ("setup", "call"))
        wishes = wishes_of(item, self.settings)
        is_named = bool(wishes.name)
        prunes = self.settings.prunes and self._has_passed(item) and "unplayed" not in wishes.allow
        if not self._tape.is_broken:
            self._tape.save(is_complete=is_complete, is_shared=is_named, prunes=prunes)
        if is_named:
            self._note_played(self._tape)

    def _problems(self, item: pytest.Item) -> Iterator[str]:
        if self._tape is None or not self._has_passed(item):
            return
        judgement = Judgement(
            tape=self._tape,
            wishes=wishes_of(item, self.settings),
            settings=self.settings,
            nodeid=item.nodeid,
            reached=tuple(self._watch.reached) if Tape.asked_of_any == self._asked_before else (),
            refused=tuple(self._tape.refused),
            drifts=tuple(one for tape in self._tapes() for one in tape.drifts),
        )
        yield from judgement.problems()

    def _has_passed(self, item: pytest.Item) -> bool:
        outcomes = item.stash.get(_OUTCOMES, {})
        return outcomes.get("setup") == "passed" and outcomes.get("call") == "passed"

    def _check_files(self) -> None:
        if self._tape is not None and self._tape.path.exists():
            try:
                self._tape.check()
            except BrokenCassette as error:
                raise Broken(error) from None

    def _patch(self) -> None:
        """Patch the clients, once for the run; the first test pays for importing vcrpy."""
        if not self._is_patched:
            from llmkit.recording.recorder import patched

            self._run.enter_context(patched())
            self._is_patched = True

    def _wider_tape(self, scope: str, node: pytest.Item | pytest.Collector) -> Tape:
        path = cassette_paths.of_scope(self.settings.cassettes, self.settings.root, scope, node)
        if path not in self._wider:
            self._wider[path] = self.tapes.open(path, self.settings.of_node(node), nodeid=node.nodeid)
        return self._wider[path]

    def _leave(self, teardown: ExitStack, tape: Tape) -> None:
        teardown.close()
        tape.save(is_shared=True)
        self._note_played(tape)

    def _note_played(self, tape: Tape) -> None:
        if tape.was_forked:
            self.inventory.spared.add(str(tape.path))
        if tape.played or tape.path.exists():
            self.inventory.shared.add(str(tape.path))
            self.inventory.played[str(tape.path)] |= {digest(one) for one in tape.played}

    def _may_reach_locally(self, address: Address) -> bool:
        recorded = Provider.from_environment().addresses | self.settings.recorded
        return address in self.tapes.allowed or address not in recorded

    def _tapes(self) -> list[Tape]:
        return [tape for tape in (self._tape, *self._wider.values()) if tape is not None]

    def _unrecorded(self) -> list[BaseException]:
        self._seal.refused_children()
        if self._tape is not None:
            self._tape.misses += self.tapes.missed_by_children()
        misses = (miss for tape in self._tapes() for miss in tape.misses)
        return [*misses, *self._seal.refused, *self.tapes.refused_to_send]

    def _forget_unrecorded(self) -> None:
        """What was reported once is not reported again in a later phase of the test."""
        for tape in self._tapes():
            tape.misses.clear()
        self._seal.refused.clear()
        self.tapes.refused_to_send.clear()

    def _fail_if_swallowed(self, what_happened: str) -> None:
        unrecorded = self._unrecorded()
        self._forget_unrecorded()
        if unrecorded:
            message = f"{what_happened}, but an error of replay was swallowed on the way:\n{unrecorded[0]}"
            pytest.fail(message, pytrace=False)

    def _fail_if_leaked(self) -> None:
        for tape in self._tapes():
            if tape.leak is not None and not tape.leak_was_told:
                tape.leak_was_told = True
                raise Leaked(tape.leak)

    def _report_unrecorded(self, item: pytest.Item, error: BaseException) -> None:
        """Show what was not recorded also where the application wrapped it in an error of its own."""
        others = [str(unrecorded) for unrecorded in self._unrecorded() if unrecorded is not error]
        self._forget_unrecorded()
        if others:
            item.add_report_section("call", "llmkit: not recorded", "\n".join(others))


def _playing(tape: Tape) -> AbstractContextManager[None]:
    from llmkit.recording.recorder import playing  # imports vcrpy

    return playing(tape)
