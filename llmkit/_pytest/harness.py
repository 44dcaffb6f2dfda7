"""Record and replay in one test run: what happens before, in and after each test."""

from __future__ import annotations

import os
import shlex
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

from llmkit._pytest import cassette_paths
from llmkit._pytest.failures import Broken, CassetteMiss, NetworkSealed
from llmkit.recording.addresses import Address, Provider
from llmkit.recording.credentials import dummies
from llmkit.recording.errors import BrokenCassette, Unrecorded
from llmkit.recording.ledger import Ledger
from llmkit.recording.seal import Seal
from llmkit.recording.tape import Manner, Mode, Scope, Tape

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_OUTCOMES = pytest.StashKey[dict[str, bool]]()


class Harness:
    """The hooks that open a test's cassette, seal the network, and say what came of it."""

    def __init__(self, config: pytest.Config, *, mode: Mode, is_live: bool, directory: str) -> None:
        self._mode = mode
        self._is_live = is_live
        self._root = config.rootpath
        self._cassettes = config.rootpath / directory
        self._dummies = config.getini("llmkit_dummy_credentials")
        self._hosts = frozenset(config.getini("llmkit_allowed_hosts"))
        self._seal = Seal(is_allowed=self._may_reach_locally, allowed_hosts=self._hosts, error=NetworkSealed)
        self._wider: dict[Path, Tape] = {}
        self._tape: Tape | None = None
        self._run = ExitStack()
        self._test = ExitStack()
        self._is_patched = False
        self.allowed: set[Address] = set()
        self.total = Ledger()
        self.unanswered: list[str] = []

    def start(self) -> None:
        """Seal the network, and put dummy credentials where replay finds none."""
        if self._is_live:
            return
        if self._mode == "none":
            try:
                self._run.enter_context(dummies(os.environ, providers=self._dummies))
            except ValueError as error:
                raise pytest.UsageError(f"llmkit_dummy_credentials: {error}") from None
        self._seal.close()

    def stop(self) -> None:
        """Undo `start`, and save what an interrupted test has recorded."""
        self._seal.open()
        if self._tape is not None:
            self._tape.save(is_complete=False)
        self._test.close()
        self._run.close()

    def pytest_report_header(self) -> str:
        """Say what happens to requests in this run."""
        if self._is_live:
            return "llmkit: live, requests are sent and not recorded"
        where = cassette_paths.shown(self._cassettes, self._root)
        does = {"none": "replaying from", "new_episodes": "recording what is missing to", "all": "recording all to"}
        return f"llmkit: {does[self._mode]} {where}{', network sealed' if self._mode == 'none' else ''}"

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
        if self._tape is not None:
            try:
                self._tape.check()
            except BrokenCassette as error:
                raise Broken(error) from None
        try:
            result = yield
        except Unrecorded as error:
            self._report_unrecorded(item, error)
            raise error.with_traceback(_down_to_the_project(error.__traceback__, self._root)) from None
        except pytest.skip.Exception:
            self._fail_if_swallowed("the test was skipped")
            raise
        except BaseException as error:
            self._report_unrecorded(item, error)
            raise
        self._fail_if_swallowed("the test passed")
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """Save the test's cassette after the last of its fixtures."""
        try:
            result = yield
        finally:
            self._end(item)
        self._fail_if_swallowed("the fixtures were torn down")
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Record what a fixture of wider scope asks, also when it is torn down, in a cassette of that scope."""
        if fixturedef.scope == "function" or self._is_live:
            return (yield)
        self._patch()
        tape = self._wider_tape(fixturedef.scope, request.node)
        if self._tape is not None:
            tape.ledger = self._tape.ledger
        teardown, is_complete = ExitStack(), False
        fixturedef.addfinalizer(lambda: _leave(teardown, tape))
        try:
            with _playing(tape):
                result = yield
            is_complete = True
        except BrokenCassette as error:
            raise Broken(error) from None
        finally:
            tape.save(is_complete=is_complete, is_shared=True)
            fixturedef.addfinalizer(lambda: teardown.enter_context(_playing(tape)))
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note the outcome, and let the last report of a test carry its ledger (also to another process)."""
        report = yield
        item.stash.setdefault(_OUTCOMES, {})[call.when] = report.passed or report.skipped
        if call.when == "teardown" and self._tape is not None:
            unanswered = [
                f"{item.nodeid}: {asked.written.method} {asked.written.uri}" for asked in self._tape.unanswered
            ]
            report.llmkit = {"ledger": self._tape.ledger.facts(), "unanswered": unanswered}  # type: ignore[attr-defined]  # pytest lets reports carry facts
            self._tape = None
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sum up."""
        if facts := getattr(report, "llmkit", None):
            self.total.add(facts["ledger"])
            self.unanswered += facts["unanswered"]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was recorded and replayed."""
        total = self.total
        if total.recorded or total.replayed:
            where = cassette_paths.shown(self._cassettes, self._root)
            recorded = f"{total.recorded} recorded ({_tokens(total.tokens('recorded'))}), " if self._mode != "none" else ""
            sealed = "network sealed" if self._mode == "none" else f"cassettes in {where}"
            terminalreporter.write_line(f"llmkit: {recorded}{total.replayed} replayed; {sealed}")
        for request in self.unanswered:
            terminalreporter.write_line(f"llmkit: got no reply, and so can't be replayed: {request}")

    def _begin(self, item: pytest.Item) -> None:
        self._seal.refused.clear()
        for tape in self._wider.values():
            tape.misses.clear()
        if self._is_live or item.get_closest_marker("live"):
            self._seal.open()
            return
        self._patch()
        path = cassette_paths.of_test(self._cassettes, self._root, item)
        self._tape = self._open(path, remedy=f"pytest --record {shlex.quote(item.nodeid)}")
        self._test.enter_context(_playing(self._tape))
        if self._mode != "none":
            self._seal.open()

    def _end(self, item: pytest.Item) -> None:
        self._test.close()
        if not self._is_live:
            self._seal.close()
        if self._tape is not None:
            outcomes = item.stash.get(_OUTCOMES, {})
            self._tape.save(is_complete=outcomes.get("setup", False) and outcomes.get("call", False))

    def _patch(self) -> None:
        """Patch the clients, once for the run; the first test pays for importing vcrpy."""
        if not self._is_patched:
            from llmkit.recording.recorder import patched

            self._run.enter_context(patched())
            self._is_patched = True

    def _open(self, path: Path, *, remedy: str) -> Tape:
        return Tape(path, mode=self._mode, manner=Manner(scope=self._scope(), remedy=remedy, miss=CassetteMiss))

    def _scope(self) -> Scope:
        return Scope(passes=lambda address: address in self.allowed or address.host in self._hosts)

    def _wider_tape(self, scope: str, node: pytest.Item | pytest.Collector) -> Tape:
        path = cassette_paths.of_scope(self._cassettes, self._root, scope, node)
        if path not in self._wider:
            self._wider[path] = self._open(path, remedy=f"pytest --record {shlex.quote(node.nodeid)}".rstrip(" '"))
        return self._wider[path]

    def _may_reach_locally(self, address: Address) -> bool:
        return address in self.allowed or address not in Provider.from_environment().addresses

    def _unrecorded(self) -> list[BaseException]:
        tapes = [tape for tape in (self._tape, *self._wider.values()) if tape is not None]
        return [*(miss for tape in tapes for miss in tape.misses), *self._seal.refused]

    def _forget_unrecorded(self) -> None:
        """What was reported once is not reported again in a later phase of the test."""
        for tape in (self._tape, *self._wider.values()):
            if tape is not None:
                tape.misses.clear()
        self._seal.refused.clear()

    def _fail_if_swallowed(self, what_happened: str) -> None:
        unrecorded = self._unrecorded()
        self._forget_unrecorded()
        if unrecorded:
            message = f"{what_happened}, but an error of replay was swallowed on the way:\n{unrecorded[0]}"
            pytest.fail(message, pytrace=False)

    def _report_unrecorded(self, item: pytest.Item, error: BaseException) -> None:
        """Show what was not recorded also where the application wrapped it in an error of its own."""
        others = [str(unrecorded) for unrecorded in self._unrecorded() if unrecorded is not error]
        self._forget_unrecorded()
        if others:
            item.add_report_section("call", "llmkit", "\n".join(others))


def _playing(tape: Tape) -> AbstractContextManager[None]:
    from llmkit.recording.recorder import playing  # imports vcrpy

    return playing(tape)


def _leave(teardown: ExitStack, tape: Tape) -> None:
    teardown.close()
    tape.save(is_shared=True)


def _down_to_the_project(traceback: TracebackType | None, root: Path) -> TracebackType | None:
    """Return ``traceback`` down to its last frame in the project: the line that asked, without the SDK below it."""
    frames = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    while frames and not _is_of_project(frames[-1], root):
        frames.pop()
    shortened = None
    for frame in reversed(frames):
        shortened = TracebackType(shortened, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return shortened


def _is_of_project(traceback: TracebackType, root: Path) -> bool:
    path = Path(traceback.tb_frame.f_code.co_filename)
    return path.is_relative_to(root) and "site-packages" not in path.parts


def _tokens(tokens: tuple[int, int]) -> str:
    return f"{tokens[0]:,} tokens in, {tokens[1]:,} out"
