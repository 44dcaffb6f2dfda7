"""`pytest` replays, `pytest --record` records: every HTTP request of a test that leaves the machine.

One cassette a test, found by the test's name; what a fixture of wider scope asks goes to a cassette of that scope, so
that every test also runs alone. While nothing is recorded the network is sealed, from before the first conftest on.
The recorder itself is imported when the first test starts.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shlex
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from llmkit.recording.addresses import Address
    from llmkit.recording.ledger import Ledger
    from llmkit.recording.seal import Seal
    from llmkit.recording.tape import Mode, Tape

_MODES = ("new_episodes", "all", "none")
_UNSAFE_IN_NAMES = re.compile(r"[^\w.,=+@ \[\]-]")
_LONGEST_NAME = 150
_HARNESS = pytest.StashKey["Harness"]()
_OUTCOMES = pytest.StashKey[dict[str, bool]]()


class _RecordAction(argparse.Action):
    """``--record`` takes its value only with ``=``: ``pytest --record tests/x.py`` names a file, not a mode.

    argparse would give an optional value the next word, so each spelling is an option of its own, without a value.
    """

    def __call__(self, _parser: object, namespace: argparse.Namespace, _: object, option: str | None = None) -> None:
        setattr(namespace, self.dest, (option or "").partition("=")[2] or "new_episodes")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of record and replay."""
    group = parser.getgroup("llmkit", "record and replay (llmkit)")
    group.addoption(
        "--record",
        *(f"--record={mode}" for mode in _MODES),
        action=_RecordAction,
        nargs=0,
        dest="llmkit_record",
        default=None,
        help="record requests that have no recording and replay the others; =all records every request anew. "
        "Without it all are replayed and the network is sealed.",
    )
    group.addoption(
        "--live",
        action="store_true",
        dest="llmkit_live",
        help="neither record nor replay: send every request, with the network open",
    )
    group.addoption(
        "--cassettes", metavar="DIR", dest="llmkit_cassettes", help="where the cassettes lie (default: cassettes)"
    )
    parser.addini("llmkit_cassettes", "where the cassettes lie, relative to the rootdir", default="cassettes")
    parser.addini("llmkit_allowed_hosts", "hosts that tests may reach, unrecorded, while sealed", type="args")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Seal the network and put dummy credentials before the first conftest of the project is imported."""
    options = early_config.known_args_namespace
    if importlib.util.find_spec("vcr") is None:
        if options.llmkit_record:
            raise pytest.UsageError("--record needs vcrpy: pip install 'llmkit[testing]'")
        return
    if options.llmkit_live and options.llmkit_record:
        raise pytest.UsageError("--live and --record exclude each other: --live sends requests without recording them")
    harness = Harness(early_config, mode=options.llmkit_record or "none", is_live=options.llmkit_live)
    early_config.stash[_HARNESS] = harness
    early_config.add_cleanup(harness.stop)
    harness.start()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and, where recording is installed, the hooks."""
    config.addinivalue_line("markers", "live: send this test's requests; neither record nor replay them")
    harness = config.stash.get(_HARNESS, None)
    if harness is not None:
        config.pluginmanager.register(harness, "llmkit-harness")


class NetworkAllowance:
    """Addresses that a test may reach, unrecorded, also while the network is sealed."""

    def __init__(self, addresses: set[Address]) -> None:
        self._addresses = addresses

    def allow(self, host: str, port: int) -> None:
        """Let traffic to ``host`` and ``port`` through untouched, until the test ends."""
        from llmkit.recording.addresses import Address

        self._addresses.add(Address.at(host, port))


@pytest.fixture
def network_allowance(request: pytest.FixtureRequest) -> Iterator[NetworkAllowance]:
    """Let a server that the test itself started be reached, unrecorded: ``network_allowance.allow(host, port)``."""
    harness = request.config.stash.get(_HARNESS, None)
    addresses: set[Address] = set() if harness is None else harness.allowed
    yield NetworkAllowance(addresses)
    addresses.clear()


class Harness:
    """Record and replay in one test run."""

    def __init__(self, config: pytest.Config, *, mode: Mode, is_live: bool) -> None:
        from llmkit.recording.ledger import Ledger
        from llmkit.recording.seal import Seal

        self._mode = mode
        self._is_live = is_live
        directory = config.known_args_namespace.llmkit_cassettes or config.getini("llmkit_cassettes")
        self._root = config.rootpath
        self._cassettes = config.rootpath / directory
        self._environment: dict[str, str] = {}
        self._seal: Seal = Seal(
            is_allowed=self._may_reach_locally, allowed_hosts=frozenset(config.getini("llmkit_allowed_hosts"))
        )
        self._wider: dict[Path, Tape] = {}
        self._tape: Tape | None = None
        self._broken: Exception | None = None
        self._is_patched = False
        self._run = ExitStack()
        self._open = ExitStack()
        self.allowed: set[Address] = set()
        self.total: Ledger = Ledger()

    def start(self) -> None:
        """Put dummy credentials where the environment has none, and seal the network."""
        if self._is_live:
            return
        self._environment = _dummy_credentials(os.environ)
        os.environ.update(self._environment)
        self._seal.close()

    def stop(self) -> None:
        """Undo `start`, and what the first test put in place."""
        self._run.close()
        self._seal.open()
        for name, value in self._environment.items():
            if os.environ.get(name) == value:
                del os.environ[name]

    def pytest_report_header(self) -> str:
        """Say what happens to requests in this run."""
        if self._is_live:
            return "llmkit: live, requests are sent and not recorded"
        where = _shown(self._cassettes, self._root)
        does = {"none": "replaying from", "new_episodes": "recording what is missing to", "all": "recording all to"}
        return f"llmkit: {does[self._mode]} {where}{', network sealed' if self._mode == 'none' else ''}"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """Open the test's cassette before the first of its fixtures."""
        self._begin(item)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Fail the test if its cassette is broken, or if it went past the recordings without noticing."""
        __tracebackhide__ = True
        from llmkit.recording.errors import Unrecorded

        if self._broken is not None:
            pytest.fail(str(self._broken), pytrace=False)
        try:
            result = yield
        except Unrecorded as error:
            self._report_unrecorded(item, error)
            raise error.with_traceback(_down_to_the_project(error.__traceback__, self._root)) from None
        except BaseException as error:
            self._report_unrecorded(item, error)
            raise
        if unrecorded := self._unrecorded():
            pytest.fail(f"the test passed, but its code swallowed an error of replay:\n{unrecorded[0]}", pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """Save the test's cassette after the last of its fixtures."""
        try:
            return (yield)
        finally:
            self._end(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Record what a fixture of wider scope asks in a cassette of that scope."""
        if fixturedef.scope == "function" or self._tape is None:
            return (yield)
        from llmkit.recording.recorder import playing

        tape = self._wider_tape(_wider_path(self._cassettes, self._root, fixturedef.scope, request.node))
        tape.ledger = self._tape.ledger
        try:
            with playing(tape):
                return (yield)
        finally:
            tape.save(is_complete=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note the outcome, and let the last report of a test carry its ledger (also to another process)."""
        report = yield
        item.stash.setdefault(_OUTCOMES, {})[call.when] = report.passed
        if call.when == "teardown" and self._tape is not None:
            report.llmkit = self._tape.ledger.facts()  # type: ignore[attr-defined]  # pytest lets reports carry facts
            self._tape = None
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sum up."""
        if facts := getattr(report, "llmkit", None):
            self.total.add(facts)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was recorded and replayed."""
        total = self.total
        if not total.recorded and not total.replayed:
            return
        where = _shown(self._cassettes, self._root)
        recorded = f"{total.recorded} recorded ({_tokens(total.recorded_tokens)}), " if self._mode != "none" else ""
        sealed = "network sealed" if self._mode == "none" else f"cassettes in {where}"
        terminalreporter.write_line(f"llmkit: {recorded}{total.replayed} replayed; {sealed}")

    def _begin(self, item: pytest.Item) -> None:
        if self._is_live or item.get_closest_marker("live"):
            self._seal.open()
            return
        from llmkit.recording.errors import BrokenCassette
        from llmkit.recording.recorder import patched, playing
        from llmkit.recording.tape import Tape

        if not self._is_patched:
            self._run.enter_context(patched())  # once, and not for each test
            self._is_patched = True
        path = _cassette_path(self._cassettes, self._root, item)
        self._seal.refused.clear()
        self._broken = None
        try:
            self._tape = Tape(
                path, mode=self._mode, scope=self._scope(), remedy=f"pytest --record {shlex.quote(item.nodeid)}"
            )
        except BrokenCassette as error:
            self._broken = error
            self._seal.close()  # what a fixture asks before the test fails must not be paid for
            return
        self._open.enter_context(playing(self._tape))
        if self._mode != "none":
            self._seal.open()

    def _end(self, item: pytest.Item) -> None:
        self._open.close()
        if not self._is_live:
            self._seal.close()
        if self._tape is not None:
            outcomes = item.stash.get(_OUTCOMES, {})
            self._tape.save(is_complete=outcomes.get("setup", False) and outcomes.get("call", False))

    def _scope(self) -> Any:
        from llmkit.recording.tape import Scope

        return Scope(passes=lambda address: address in self.allowed)

    def _wider_tape(self, path: Path) -> Tape:
        from llmkit.recording.tape import Tape

        if path not in self._wider:
            self._wider[path] = Tape(path, mode=self._mode, scope=self._scope(), remedy="pytest --record")
        return self._wider[path]

    def _may_reach_locally(self, address: Address) -> bool:
        from llmkit.recording.addresses import Provider

        return address in self.allowed or address not in Provider.from_environment().addresses

    def _unrecorded(self) -> list[BaseException]:
        tapes = [tape for tape in (self._tape, *self._wider.values()) if tape is not None]
        return [*(miss for tape in tapes for miss in tape.misses), *self._seal.refused]

    def _report_unrecorded(self, item: pytest.Item, error: BaseException) -> None:
        """Show what was not recorded also where the application wrapped it in an error of its own."""
        others = [str(unrecorded) for unrecorded in self._unrecorded() if unrecorded is not error]
        if others:
            item.add_report_section("call", "llmkit", "\n".join(others))


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


def _dummy_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    from llmkit.recording.addresses import AZURE
    from llmkit.recording.tape import DUMMY_KEY

    dummies = {"OPENAI_API_KEY": DUMMY_KEY, "AZURE_OPENAI_API_KEY": DUMMY_KEY, "AZURE_OPENAI_ENDPOINT": AZURE}
    return {name: value for name, value in dummies.items() if not environment.get(name)}


def _cassette_path(cassettes: Path, root: Path, item: pytest.Item) -> Path:
    classes = [_file_name(node.name) for node in item.listchain() if isinstance(node, pytest.Class)]
    return cassettes.joinpath(_test_path(item.path, root), *classes, f"{_file_name(item.name)}.yaml")


def _wider_path(cassettes: Path, root: Path, scope: str, node: pytest.Item | pytest.Collector) -> Path:
    if scope == "session":
        return cassettes / "__session__.yaml"
    below = _test_path(node.path, root)
    if scope == "package":
        return cassettes / below / "__package__.yaml"
    if scope == "class":
        below = below / _file_name(node.name)
    return cassettes / below / f"__{scope}__.yaml"


def _test_path(path: Path, root: Path) -> Path:
    try:
        relative = path.relative_to(root)
    except ValueError:  # collected from outside the rootdir
        relative = Path(_file_name(str(path)))
    return relative.with_suffix("") if relative.suffix == ".py" else relative


def _file_name(name: str) -> str:
    """Return ``name`` where it is a plain file name; another gets a part of its hash, so that no two names meet."""
    plain = _UNSAFE_IN_NAMES.sub("-", name)
    if plain == name and len(name) <= _LONGEST_NAME and name.strip(". ") == name:
        return name
    return f"{plain[:_LONGEST_NAME].strip('. ')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _shown(path: Path, root: Path) -> str:
    return f"{path.relative_to(root)}/" if path.is_relative_to(root) else f"{path}/"


def _tokens(tokens: Mapping[str, int]) -> str:
    sums = {way: sum(count for key, count in tokens.items() if key.endswith(f" {way}")) for way in ("in", "out")}
    return f"{sums['in']:,} tokens in, {sums['out']:,} out"
