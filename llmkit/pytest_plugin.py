"""`pytest` replays, `pytest --record` records: every HTTP request of a test that leaves the machine.

One cassette a test, found by the test's name; what a fixture of wider scope asks goes to a cassette of that scope, so
that every test also runs alone. While nothing is recorded the network is sealed, from before the first conftest on.
This module, which every pytest run imports, holds the options; what they do is in `llmkit._pytest`.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from llmkit._pytest.harness import Harness
    from llmkit.recording.addresses import Address

_SettingType = Literal["string", "args", "linelist"]

_MODES = ("new", "all", "verify", "review", "none", "once", "new_episodes")
_HARNESS: pytest.StashKey[Harness] = pytest.StashKey()


class _RecordAction(argparse.Action):
    """``--record`` takes its value only with ``=``: ``pytest --record tests/x.py`` names a file, not a mode.

    argparse would give an optional value the next word, so each spelling is an option of its own, without a value.
    """

    def __call__(self, _parser: object, namespace: argparse.Namespace, _: object, option: str | None = None) -> None:
        setattr(namespace, self.dest, (option or "").partition("=")[2] or "new")


_RECORD: Mapping[str, Any] = {"action": _RecordAction, "nargs": 0, "dest": "llmkit_record", "default": None}
_RECORD_HELP = (
    "record what is missing or changed, replay the rest, and drop what a passing test no longer plays (=new, the "
    "default); =all records everything anew, =review asks before it writes, =verify compares the live API with the "
    "cassettes and writes nothing. vcrpy's once, new_episodes and none are understood. Without --record, all is "
    "replayed and the network is sealed."
)
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--record-budget": {
        "metavar": "USD",
        "dest": "llmkit_record_budget",
        "help": "with --record: send no request that could let the cost of this run pass this sum, and stop there; "
        "what was paid for is kept",
    },
    "--replay-speed": {
        "metavar": "F",
        "dest": "llmkit_replay_speed",
        "help": "replay F times as fast as was recorded: 1 as recorded, 2 in half the time; 0, the default, is at once",
    },
    "--live": {
        "action": "store_true",
        "dest": "llmkit_live",
        "help": "neither record nor replay: send every request, with the network open",
    },
    "--cassettes": {
        "metavar": "DIR",
        "dest": "llmkit_cassettes",
        "help": "where the cassettes lie (default: cassettes)",
    },
}
_SETTINGS: tuple[tuple[str, _SettingType, Any, str], ...] = (
    ("llmkit_cassettes", "string", "cassettes", "where the cassettes lie, relative to the rootdir"),
    (
        "llmkit_dummy_credentials",
        "args",
        ["openai", "azure"],
        (
            "whose variables replay fills where they are empty (default: openai azure); leave one out for an "
            "application that chooses its provider by them"
        ),
    ),
    (
        "llmkit_recorded_hosts",
        "args",
        [],
        "servers of this machine that are recorded like the others: localhost:11434",
    ),
    ("llmkit_allowed_hosts", "args", [], "hosts that tests may reach, unrecorded, while sealed"),
    (
        "llmkit_ignore",
        "linelist",
        [],
        "what tells two requests not apart, one a line: JSON paths (metadata.run_id, messages[*].name) and ?query-keys",
    ),
    (
        "llmkit_aliases",
        "linelist",
        [],
        (
            "hosts that stand for another, one a line (eu.example.com -> api.openai.com), and values of query keys "
            "(?api-version=2024-06-01 -> ?api-version=2024-10-21)"
        ),
    ),
    ("llmkit_allow", "args", [], "what is let be, of: unplayed, orphans, collisions, refusals, unintercepted"),
    (
        "llmkit_allowed_secrets",
        "linelist",
        [],
        "what looks like a secret and is none, one a line: <digest>: <reason>",
    ),
    ("llmkit_max_age_days", "string", "", "warn of recordings that are older than so many days"),
    (
        "llmkit_prices",
        "linelist",
        [],
        "prices in USD a million tokens, one a line: <model> = <in> / <out>, or <deployment> = <model>",
    ),
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options and settings of record and replay."""
    config = pluginmanager.get_plugin("pytestconfig")
    given = () if config is None else config.invocation_params.args
    # a mode that there isn't is an option, too: `Settings` says what is wrong with it, as argparse can't
    modes = dict.fromkeys((*_MODES, *(mode for mode in map(_mode_of, given) if mode)))
    group = parser.getgroup("llmkit", "record and replay (llmkit)")
    group.addoption("--record", *(f"--record={mode}" for mode in modes), help=argparse.SUPPRESS, **_RECORD)
    group.addoption("--record[=new|all|verify|review]", help=_RECORD_HELP, **_RECORD)  # for --help; nobody types it
    for option, facts in _OPTIONS.items():
        group.addoption(option, **facts)
    for name, kind, default, description in _SETTINGS:
        parser.addini(name, description, type=kind, default=default)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Seal the network, and put dummy credentials, before the first conftest of the project is imported."""
    options = early_config.known_args_namespace
    if not _can_record():
        if options.llmkit_record:
            raise pytest.UsageError("--record needs vcrpy: pip install 'llmkit[testing]'")
        return
    if options.llmkit_live and options.llmkit_record:
        raise pytest.UsageError("--live and --record exclude each other: --live sends requests without recording them")
    from llmkit._pytest.harness import Harness
    from llmkit._pytest.settings import Settings

    harness = Harness(Settings.of(early_config, options))
    early_config.stash[_HARNESS] = harness
    early_config.add_cleanup(harness.stop)
    harness.start()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and, where recording is installed, the hooks."""
    config.addinivalue_line("markers", "live: send this test's requests; neither record nor replay them")
    config.addinivalue_line(
        "markers",
        "cassette(name, *, ignore, aliases, allow, replay_speed): let tests share the cassette of that name, say what "
        "tells two requests not apart, and what is let be (unplayed, refusals, unintercepted)",
    )
    harness = config.stash.get(_HARNESS, None)
    if harness is not None:
        from llmkit._pytest import registration

        registration.register(config, harness)


def pytest_report_header() -> str | None:
    """Warn where the plugin is there and can't do its work."""
    if _can_record():
        return None
    return "llmkit: nothing is replayed, THE NETWORK IS OPEN: vcrpy is missing (pip install 'llmkit[testing]')"


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
    addresses: set[Address] = set() if harness is None else harness.tapes.allowed
    yield NetworkAllowance(addresses)
    addresses.clear()


def _mode_of(argument: object) -> str:
    return str(argument).removeprefix("--record=") if str(argument).startswith("--record=") else ""


def _can_record() -> bool:
    return importlib.util.find_spec("vcr") is not None
