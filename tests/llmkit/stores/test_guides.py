"""The guides to caching and shared state: their examples run, and their figures are those of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmkit.policies import budget, circuit_breaker, rate_limit
from llmkit.policies.budget import RetryBudget
from llmkit.policies.cache import DAY_S, CachePolicy
from llmkit.policies.circuit_breaker import CircuitBreaker
from llmkit.recording.cassette import save
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.stores import memory, redis, redis_server, sqlite
from mockserver import MockServer
from tests.llmkit.conftest import RawServer

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
CACHING, SHARED = (" ".join((GUIDES / f"{name}.md").read_text().split()) for name in ("caching", "shared-state"))
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("OPENAI_", "AZURE_", "LLMKIT_", "COVERAGE_"))
}


def examples(name: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (GUIDES / f"{name}.md").read_text(), re.MULTILINE | re.DOTALL)


def ran(code: str, directory: Path, **environment: str) -> str:
    program = [sys.executable, "-W", "error", "-c", code]
    key = {"OPENAI_API_KEY": "sk-guide-0123456789"}
    run = subprocess.run(
        program, env=CLEAN | key | environment, cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def test_an_answer_is_given_again_as_the_guide_says(tmp_path: Path) -> None:
    with MockServer(seed=1) as server:
        said = ran(examples("caching")[0], tmp_path, OPENAI_BASE_URL=server.openai_url)
    assert said.startswith("False\nTrue\ntemperature is not set, so each answer differs")


def test_recordings_answer_as_the_guide_says(tmp_path: Path) -> None:
    body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}'
    request = Request(method="POST", uri="https://api.openai.com/v1/chat/completions", body=body)
    (tmp_path / "cassettes").mkdir()
    save(
        tmp_path / "cassettes" / "hello.yaml",
        [Interaction(request=request, response=Response(status=200, body=RawServer.completion("As ever").encode()))],
    )
    assert ran(examples("caching")[1], tmp_path) == "As ever\n"


def test_a_fallback_answers_as_the_guide_says(tmp_path: Path) -> None:
    (code,) = examples("shared-state")
    said = ran(code, tmp_path, OPENAI_BASE_URL="http://127.0.0.1:1/v1", LLMKIT_MAX_ATTEMPTS="1")
    assert re.match(r"default  The connection to http://127.0.0.1:1 failed", said)


BREAKER, BUDGET, POLICY = CircuitBreaker(), RetryBudget(), CachePolicy()


@pytest.mark.parametrize(
    ("guide", "words"),
    [
        (SHARED, f"{BREAKER.failures} failures in a row"),
        (SHARED, f"more than {circuit_breaker.MEMORY_S:g} s after the one before"),
        (SHARED, f"else {BREAKER.open_s:g} s, doubled with each failed probe, {BREAKER.longest_open_s:g} s at most"),
        (SHARED, f"may make {BUDGET.capacity:g} retries, one more each second, and one more for every two calls"),
        (SHARED, f"In no {rate_limit.WINDOW_S:g} seconds more is sent"),
        (SHARED, f"the same, after {redis_server.ANSWER_S:g} s;"),
        (SHARED, f"after {redis_server.FIRST_PAUSE_S:g} s, then 2 s, up to every {redis_server.LONGEST_PAUSE_S:g} s"),
        (SHARED, f"Keys begin with `{redis.NAMESPACE}:`"),
        (CACHING, f"given for {POLICY.fresh_s / DAY_S:g} days"),
        (CACHING, f"for {POLICY.keep_s / DAY_S:g} days in all"),
        (CACHING, f"more than {sqlite.MOST_BYTES >> 30} GiB in a file"),
        (CACHING, f"in memory of more than {memory.MOST_BYTES >> 20} MiB"),
    ],
)
def test_a_figure_is_that_of_the_code(guide: str, words: str) -> None:
    assert words in guide


def test_what_the_words_say_of_the_budget_is_so() -> None:
    assert (BUDGET.per_s, BUDGET.per_success, budget.PACED_S) == (1, 0.5, 1)
    assert circuit_breaker.LONGEST_ASKED_S == DAY_S
