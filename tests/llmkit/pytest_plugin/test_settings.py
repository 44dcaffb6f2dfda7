"""What a project and its tests ask for is read, and what can't be read is a usage error that names it."""

from __future__ import annotations

import types
from decimal import Decimal
from typing import Any, cast

import pytest

from llmkit._pytest.settings import MODES, Settings

INI: dict[str, Any] = {
    "llmkit_cassettes": "cassettes",
    "llmkit_dummy_credentials": ["openai"],
    "llmkit_allowed_hosts": [],
    "llmkit_recorded_hosts": [],
    "llmkit_ignore": [],
    "llmkit_aliases": [],
    "llmkit_allow": [],
    "llmkit_allowed_secrets": [],
    "llmkit_max_age_days": "",
    "llmkit_prices": [],
}


def settings(pytestconfig: pytest.Config, ini: dict[str, Any] | None = None, **options: Any) -> Settings:
    names = ("record", "record_budget", "replay_speed", "live", "cassettes")
    given = types.SimpleNamespace(**{f"llmkit_{name}": options.get(name) for name in names})
    config = types.SimpleNamespace(rootpath=pytestconfig.rootpath, getini=(INI | (ini or {})).__getitem__)
    return Settings.of(cast("pytest.Config", config), given)


@pytest.mark.parametrize(
    ("options", "ini", "problem"),
    [
        *(({"replay_speed": it}, {}, f"--replay-speed: {it!r} is no speed") for it in ("", "-1", "nan", "inf", "x")),
        *(({"record_budget": it}, {}, f"--record-budget: {it!r} is no sum") for it in ("", "-1", "nan", "1 EUR")),
        *(({}, {"llmkit_max_age_days": it}, f"llmkit_max_age_days: {it!r} is no age") for it in ("old", "-1", "nan")),
        ({"record": "MODE]"}, {}, "--record: 'MODE]' is no mode: expected new, all, verify, review, none, once"),
        ({}, {"llmkit_ignore": ["a..b["]}, "llmkit_ignore: 'a..b[' is no path into a request"),
        ({}, {"llmkit_aliases": ["one two"]}, "llmkit_aliases: 'one two' is no alias"),
        ({}, {"llmkit_aliases": ["?a=b -> host"]}, "llmkit_aliases: an alias is two hosts"),
        ({}, {"llmkit_allow": ["all"]}, "llmkit_allow: 'all' is nothing that can be allowed"),
        ({}, {"llmkit_prices": ["cheap"]}, "llmkit_prices: 'cheap' is no price"),
        ({}, {"llmkit_allowed_secrets": ["abcdef: "]}, "llmkit_allowed_secrets: allowed secret 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_usage_error_with_its_name(
    pytestconfig: pytest.Config, options: dict[str, Any], ini: dict[str, Any], problem: str
) -> None:
    with pytest.raises(pytest.UsageError) as error:
        settings(pytestconfig, ini, **options)
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize(("given", "budget"), [("0.50", "0.50"), ("$2", "2"), ("0", "0"), ("1e-3", "0.001")])
def test_a_budget_is_a_sum_in_dollars(pytestconfig: pytest.Config, given: str, budget: str) -> None:
    assert settings(pytestconfig, record="new", record_budget=given).budget == Decimal(budget)


@pytest.mark.parametrize(("given", "speed"), [(None, 0), ("0", 0), ("1", 1), ("0.5", 0.5)])
def test_a_speed_is_a_factor_and_at_once_by_default(
    pytestconfig: pytest.Config, given: str | None, speed: float
) -> None:
    assert settings(pytestconfig, replay_speed=given).wishes.speed == speed


def test_only_some_modes_send_record_and_prune(pytestconfig: pytest.Config) -> None:
    found = {mode: settings(pytestconfig, record=mode) for mode in MODES}
    assert {mode for mode, one in found.items() if one.sends} == set(MODES) - {"none"}
    assert {mode for mode, one in found.items() if one.records} == set(MODES) - {"none", "verify"}
    assert {mode for mode, one in found.items() if one.prunes} == {"new", "review"}


class Item:
    """What of a test is looked at; ``marks`` from the module to the test itself."""

    nodeid = "test_it.py::test_one"

    def __init__(self, *marks: pytest.MarkDecorator) -> None:
        self._marks = marks

    def iter_markers(self, _: str) -> list[pytest.Mark]:
        return [mark.mark for mark in reversed(self._marks)]


def of_test(pytestconfig: pytest.Config, *marks: pytest.MarkDecorator, ini: dict[str, Any] | None = None) -> Any:
    return settings(pytestconfig, ini).of_node(cast("pytest.Item", Item(*marks)))


cassette = pytest.mark.cassette


def test_markers_add_to_what_the_project_says_and_the_nearest_names_the_cassette(pytestconfig: pytest.Config) -> None:
    wishes = of_test(
        pytestconfig,
        cassette("of/module", ignore="user", allow="refusals", replay_speed=2),
        cassette("of/test.yaml", ignore=["seed"], aliases={"b.example.com": "api.openai.com"}),
        ini={"llmkit_ignore": ["metadata.run"], "llmkit_aliases": ["a.example.com -> api.openai.com"]},
    )
    assert (wishes.name, wishes.speed, wishes.allow) == ("of/test", 2, {"refusals"})
    assert wishes.rules.ignore == ("metadata.run", "user", "seed")
    assert [one for one, _ in wishes.rules.aliases] == ["a.example.com", "b.example.com"]


def test_aliases_of_a_marker_may_be_lines_too(pytestconfig: pytest.Config) -> None:
    wishes = of_test(pytestconfig, cassette(aliases="a.example.com -> api.openai.com"))
    assert wishes.rules.aliases == (("a.example.com", "api.openai.com"),)


@pytest.mark.parametrize(
    ("mark", "problem"),
    [
        (cassette("one", "two"), "it takes one name and"),
        (cassette(3), "it takes one name and"),
        (cassette(speed=1), "not 'speed'"),
        (cassette("../outside"), "does not name a file below"),
        (cassette("/outside"), "does not name a file below"),
        (cassette(ignore=3), "ignore is a text or several, not 3"),
        (cassette(ignore=[3]), "ignore is a text or several"),
        (cassette(ignore="a["), "is no path into a request"),
        (cassette(aliases=3), "aliases is a text or several, not 3"),
        (cassette(aliases={"a": "?b=c"}), "an alias is two hosts"),
        (cassette(allow="everything"), "'everything' is nothing that can be allowed"),
        (cassette(replay_speed="fast"), "'fast' is no speed"),
        (cassette(replay_speed=[1]), "is no speed"),
        (cassette(replay_speed=True), "True is no speed"),
    ],
)
def test_a_marker_that_cannot_be_read_is_a_usage_error_with_its_test(
    pytestconfig: pytest.Config, mark: pytest.MarkDecorator, problem: str
) -> None:
    with pytest.raises(pytest.UsageError) as error:
        of_test(pytestconfig, mark)
    assert "@pytest.mark.cassette of test_it.py::test_one: " in str(error.value)
    assert problem in str(error.value)
