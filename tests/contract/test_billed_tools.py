"""Prompts with tools, as the mock server counts them, against what OpenAI and Azure billed in recorded traffic."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mockserver import catalogue
from mockserver.surfaces import costs

USAGE = Path(__file__).parents[3] / "shared/data/usage.jsonl"

pytestmark = pytest.mark.skipif(
    not USAGE.exists(), reason="needs ../shared/data, the recorded traffic of public projects"
)
# the shares measured in November 2026; without the tools counted, no row agrees
NEAR_TOKENS = 4


def rows() -> Iterator[dict[str, Any]]:
    """Chats with tools and neither images nor a format, which are billed by rules of their own."""
    for line in USAGE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["api"] != "chat" or not row["usage"] or not row["has_tools"] or row["has_images"]:
            continue
        if catalogue.find(row["model"]) and not row["request"].get("response_format"):
            yield row


def difference(row: dict[str, Any]) -> int:
    return costs.prompt_tokens(row["request"], row["model"]) - int(row["usage"]["prompt_tokens"])


def is_first_turn(row: dict[str, Any]) -> bool:
    return not any(message.get("tool_calls") for message in row["request"]["messages"])


@pytest.mark.parametrize(("turn", "exact", "near"), [("first", 0.9, 0.99), ("later", 0.95, 0.99)])
def test_prompts_with_tools_are_billed_as_recorded(
    turn: str, exact: float, near: float, capsys: pytest.CaptureFixture[str]
) -> None:
    off = [difference(row) for row in rows() if is_first_turn(row) == (turn == "first")]
    agreeing, close = off.count(0), sum(abs(each) <= NEAR_TOKENS for each in off)
    with capsys.disabled():
        print(f"\n{turn} turns with tools: {agreeing} of {len(off)} prompts counted to the token, {close} within 4")
    assert len(off) > 200
    assert agreeing >= exact * len(off)
    assert close >= near * len(off)
