"""Token counts against what OpenAI and Azure billed in recorded traffic of public projects. Row 2.T2.

`scripts/score_tokens.py` reads and counts the traffic; it names the recordings that were edited and are set aside.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_tokens", ROOT / "scripts/score_tokens.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["score_tokens"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


SCORES = script()
pytestmark = pytest.mark.skipif(
    not SCORES.USAGE.exists(), reason="needs ../shared/data, the recorded traffic of public projects"
)

Scored = Any  # the script's class, which no type checker sees from here

# least share of requests counted to the token, and within two tokens
GOALS = {
    "chat, text, o200k": (0.99, 0.99),
    "chat, text, reasoning": (0.99, 0.99),
    "chat, text, cl100k": (0.97, 0.97),
    "chat, tools, o200k": (0.92, 0.98),
    "chat, tools, reasoning": (0.99, 1.0),
    "chat, tools, cl100k": (0.60, 0.85),
    "chat, tool history, o200k": (0.95, 0.99),
    "chat, tool history, reasoning": (0.99, 1.0),
    "chat, tool history, cl100k": (0.60, 0.85),
    "chat, json_schema": (0.70, 0.90),
    "responses, text, o200k": (0.97, 0.99),
    "responses, text, reasoning": (0.95, 0.96),
    "responses, text, cl100k": (1.0, 1.0),
    "responses, tools, o200k": (0.88, 0.88),  # some answers of several calls were billed as if there were no tools
    "responses, tools, reasoning": (0.99, 0.99),
    "responses, tool history, o200k": (0.95, 0.97),
    "responses, tool history, reasoning": (0.95, 0.99),
    "responses, json_schema": (0.70, 0.90),
    "embeddings": (1.0, 1.0),
    "completions": (1.0, 1.0),
}
# of these nobody can know the bill beforehand
UNFORESEEABLE = ("responses, hosted tools", "responses, encrypted reasoning", "responses, other items")


@cache
def scored() -> tuple[Scored, ...]:
    return tuple(SCORES.score(SCORES.rows(SCORES.USAGE)))


def kept(belongs: Callable[[Scored], bool]) -> list[Scored]:
    return [one for one in scored() if belongs(one) and not one.reason_to_set_aside]


def share(found: list[Scored], holds: Callable[[Scored], bool]) -> float:
    return sum(map(holds, found)) / len(found)


@pytest.mark.parametrize("group", GOALS)
def test_prompts_are_counted_as_they_were_billed(group: str) -> None:
    found, (exact, near) = kept(lambda one: one.group == group), GOALS[group]
    assert share(found, lambda one: one.off == 0) >= exact
    assert share(found, lambda one: abs(one.off) <= 2) >= near


def test_text_has_no_margin_and_everything_else_has_one() -> None:
    assert all(one.count.margin == 0 for one in kept(lambda one: one.group.startswith("chat, text")))
    assert all(one.count.margin > 0 for one in kept(lambda one: one.group.startswith(("chat, tool", "chat, json"))))


def test_bills_lie_within_the_margin_and_margins_are_narrow() -> None:
    found = kept(lambda one: one.group not in UNFORESEEABLE)
    assert share(found, lambda one: abs(one.off) <= one.count.margin) >= 0.99
    chats = [one for one in found if one.group.startswith("chat")]
    assert share(chats, lambda one: abs(one.off) <= one.count.margin) >= 0.99
    for members in (found, chats):
        assert median(one.count.margin / one.count.tokens for one in members if one.count) <= 0.01


def test_no_project_is_counted_much_worse_than_the_others() -> None:
    """A rule that was fitted to one project's requests would be wrong on another's."""
    kinds = ("chat, text", "chat, tool", "chat, json", "embeddings", "completions", "responses, text")
    for project in sorted({one.project for one in scored()}):
        found = [one for one in kept(lambda one: one.group.startswith(kinds)) if one.project == project]
        if len(found) >= 20:
            assert share(found, lambda one: abs(one.off) <= 2) >= 0.97, project


def test_each_recording_that_is_set_aside_is_there_and_counted_wrong() -> None:
    places = [f"{one.project}/{one.path}" for one in scored() if one.off]
    assert [end for end in SCORES.SET_ASIDE if not any(place.endswith(end) for place in places)] == []


def test_the_table_in_the_docs_is_as_it_is_scored() -> None:
    page = SCORES.TABLE.read_text(encoding="utf-8")
    assert SCORES.with_table(page, SCORES.table(scored())) == page, "run scripts/score_tokens.py"
