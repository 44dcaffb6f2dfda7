"""What a project asks of record and replay, in pytest's configuration, and what a single test asks by its markers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

import pytest

from llmkit._pytest import cassette_paths
from llmkit.recording.addresses import Address
from llmkit.recording.manner import Mode
from llmkit.recording.matching.match import PLAIN, Rules
from llmkit.recording.replies.prices import Prices
from llmkit.recording.scrubbing.leaks import NOTHING, Allowed

T = TypeVar("T")

MODES: Mapping[str, Mode] = {
    "new": "new_episodes",
    "all": "all",
    "verify": "verify",
    "review": "new_episodes",
    "none": "none",
    "once": "once",
    "new_episodes": "new_episodes",
}
"""What ``--record=`` takes, and how tapes are played then. ``new`` prunes, too, as ``new_episodes`` does not."""

FAULTS = ("unplayed", "orphans", "collisions", "refusals", "unintercepted")
"""What fails a run, by the names under which ``llmkit_allow`` and a marker's ``allow`` let it be."""

FAULTS_OF_TESTS = tuple(name for name in FAULTS if name != "orphans")
"""Those that a single test can be let."""

_LONGEST_NAME = 200  # bytes; file systems end at 255, and a temporary name is longer
_MARKER_TAKES = ("ignore", "aliases", "allow", "replay_speed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a test asks for: a cassette by name, more that does not matter, what is let be, how fast a replay goes."""

    name: str = ""
    rules: Rules = PLAIN
    allow: frozenset[str] = frozenset()
    speed: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a project asks for, and how it was asked to run now; ``record`` is a name of `MODES`."""

    root: Path
    cassettes: Path
    record: str = "none"
    is_live: bool = False
    budget: Decimal | None = None
    dummies: tuple[str, ...] = ()
    hosts: frozenset[str] = frozenset()
    recorded: frozenset[Address] = frozenset()
    allowed_secrets: Allowed = NOTHING
    max_age_days: float | None = None
    prices: Prices = field(default_factory=Prices)
    wishes: Wishes = Wishes()

    @classmethod
    def of(cls, config: pytest.Config, options: Any) -> Settings:
        """Read the options and the configuration; raises `pytest.UsageError` with the name of what can't be read."""
        root = config.rootpath
        rules = _read("llmkit_aliases", lambda: Rules(aliases=tuple(map(_alias, config.getini("llmkit_aliases")))))
        ignore = _read("llmkit_ignore", lambda: Rules(ignore=tuple(config.getini("llmkit_ignore")))).ignore
        allow = _read("llmkit_allow", lambda: _faults(config.getini("llmkit_allow")))
        speed = _read("--replay-speed", lambda: _speed(options.llmkit_replay_speed))
        return cls(
            root=root,
            cassettes=root / (options.llmkit_cassettes or config.getini("llmkit_cassettes")),
            record=_read("--record", lambda: _mode(options.llmkit_record or "none")),
            is_live=options.llmkit_live,
            budget=_read("--record-budget", lambda: _budget(options.llmkit_record_budget)),
            dummies=tuple(config.getini("llmkit_dummy_credentials")),
            hosts=frozenset(config.getini("llmkit_allowed_hosts")),
            recorded=_read(
                "llmkit_recorded_hosts", lambda: frozenset(map(_address, config.getini("llmkit_recorded_hosts")))
            ),
            allowed_secrets=_read(
                "llmkit_allowed_secrets", lambda: Allowed.parse(config.getini("llmkit_allowed_secrets"))
            ),
            max_age_days=_read("llmkit_max_age_days", lambda: _days(config.getini("llmkit_max_age_days"))),
            prices=_read("llmkit_prices", lambda: Prices.parse(config.getini("llmkit_prices"))),
            wishes=Wishes(rules=replace(rules, ignore=ignore), allow=allow, speed=speed),
        )

    @property
    def mode(self) -> Mode:
        """How tapes are played."""
        return MODES[self.record]

    @property
    def records(self) -> bool:
        """Whether requests are sent that have no recording."""
        return self.mode not in ("none", "verify")

    @property
    def sends(self) -> bool:
        """Whether requests are sent at all."""
        return self.mode != "none"

    @property
    def prunes(self) -> bool:
        """Whether a passing test lets go of what it no longer plays."""
        return self.record in ("new", "review")

    def pending(self, path: Path) -> Path | None:
        """Return where a recording waits for its review that is to become the cassette at ``path``."""
        if self.record != "review":
            return None
        return self.reviews / path.relative_to(self.cassettes)

    @property
    def reviews(self) -> Path:
        """Where recordings wait for their review."""
        return self.cassettes / ".review"

    def of_node(self, node: pytest.Item | pytest.Collector) -> Wishes:
        """Return what is asked for a test, or for the fixtures of a class or module.

        The project asks, and the markers do, the nearest one first.
        """
        wishes = self.wishes
        for mark in reversed(list(node.iter_markers("cassette"))):
            wishes = _read(f"@pytest.mark.cassette of {node.nodeid}", functools.partial(_marked, wishes, mark))
        return wishes

    def cassette_of(self, item: pytest.Item, wishes: Wishes) -> Path:
        """Return the cassette that ``item`` plays, which ``wishes`` may name."""
        if wishes.name:
            return cassette_paths.named(self.cassettes, wishes.name)
        return cassette_paths.of_test(self.cassettes, self.root, item)

    def shown(self, path: Path) -> str:
        """Return ``path`` as people read it, from the root on."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def _read(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValueError, TypeError) as error:
        raise pytest.UsageError(f"{name}: {error}") from None


def _marked(wishes: Wishes, mark: pytest.Mark) -> Wishes:
    unknown = sorted(set(mark.kwargs) - set(_MARKER_TAKES))
    if unknown or len(mark.args) > 1 or not all(isinstance(name, str) and name for name in mark.args):
        takes = ", ".join(_MARKER_TAKES)
        raise ValueError(f"it takes one name and {takes}, not {unknown[0] if unknown else mark.args!r}")
    given = mark.kwargs
    speed = given.get("replay_speed")
    return Wishes(
        name=_name(mark.args[0]) if mark.args else wishes.name,
        rules=wishes.rules.and_also(
            ignore=_listed("ignore", given.get("ignore", ())), aliases=_aliases(given.get("aliases", {}))
        ),
        allow=wishes.allow | _faults(_listed("allow", given.get("allow", ())), FAULTS_OF_TESTS),
        speed=wishes.speed if speed is None else _speed(speed),
    )


def _name(name: str) -> str:
    parts = Path(name.removesuffix(".yaml")).parts
    if not parts or Path(name).is_absolute() or ".." in parts or any(part.startswith(".") for part in parts):
        raise ValueError(f"{name!r} does not name a file below the directory of the cassettes")
    if longest := next((part for part in parts if len(part.encode("utf-8", "replace")) > _LONGEST_NAME), ""):
        raise ValueError(f"{longest[:20]}… is too long for the name of a file: at most {_LONGEST_NAME} bytes")
    return "/".join(parts)


def _listed(name: str, value: object) -> tuple[str, ...]:
    values = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    if not all(isinstance(one, str) and one for one in values):
        raise ValueError(f"{name} is a text or several, not {value!r}")
    return values


def _aliases(value: object) -> dict[str, str]:
    """Read what a marker gives: a mapping, or lines as in the configuration."""
    pairs = dict(value) if isinstance(value, Mapping) else dict(map(_alias, _listed("aliases", value)))
    if not all(isinstance(text, str) for pair in pairs.items() for text in pair):
        raise ValueError(f"aliases are texts, not {value!r}")
    return pairs


def _mode(name: str) -> str:
    *others, last = MODES
    if name not in MODES:
        raise ValueError(f"{name!r} is no mode: expected {', '.join(others)} or {last}")
    return name


def _faults(names: Iterable[str], among: tuple[str, ...] = FAULTS) -> frozenset[str]:
    found = frozenset(names)
    if unknown := sorted(found - set(among)):
        raise ValueError(f"{unknown[0]!r} is nothing that can be allowed: expected some of {', '.join(among)}")
    return found


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not host:
        raise ValueError(f"{text!r} is no server: expected a host and a port, like localhost:11434")
    return Address.at(host, int(port))


def _alias(line: str) -> tuple[str, str]:
    one, arrow, other = (part.strip() for part in line.partition("->"))
    if not arrow:
        raise ValueError(f"{line!r} is no alias: expected 'eu.example.com -> api.openai.com'")
    return one, other


def _speed(value: object) -> float:
    if value is None:
        return 0.0
    try:
        speed = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except ValueError:
        speed = -1.0
    if not 0 <= speed < math.inf:
        raise ValueError(f"{value!r} is no speed: expected 0 (at once), 1 (as recorded) or a factor, like 2 or 0.5")
    return speed


def _budget(value: str | None) -> Decimal | None:
    if value is None:
        return None
    try:
        budget = Decimal(value.removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"{value!r} is no sum: expected US dollars, like 0.50") from None
    if not budget.is_finite() or budget < 0:
        raise ValueError(f"{value!r} is no sum: expected US dollars, like 0.50")
    return budget


def _days(value: str) -> float | None:
    if not value:
        return None
    try:
        days = float(value)
    except ValueError:
        days = math.nan
    if not 0 < days < math.inf:
        raise ValueError(f"{value!r} is no age: expected a number of days, like 90")
    return days
