"""Many prompts at once: in order, a few at a time, and going on after whatever stopped them."""

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from llmkit import AsyncClient, BulkFailed, CircuitOpen, Client, ConfigError, InvalidRequest, LLMError
from llmkit.bulk.running import Job, asked_patiently
from llmkit.parsers import Json
from mockserver import MockServer, fault, reply
from tests.llmkit.bulk.conftest import KEY, asked

PROMPTS = [f"What is number {number} about?" for number in range(30)]


def test_replies_come_in_the_order_of_the_prompts(server: MockServer, client: Client) -> None:
    server.script(fault.latency(delay_s=0.05, times=3))
    replies = client.map(PROMPTS)
    alone = [client.chat(prompt).text for prompt in PROMPTS[:3]]
    assert [reply.text for reply in replies[:3]] == alone
    assert len(replies) == len(PROMPTS)


async def test_the_async_client_maps_too(server: MockServer) -> None:
    async with AsyncClient(base_url=f"{server.url}/v1", api_key=KEY, model="gpt-4o") as client:
        replies = await client.map(["one", [{"role": "user", "content": "two"}]], concurrency=2)
    assert all(reply.complete for reply in replies)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_calls_are_under_way_than_wanted(server: MockServer, client: Client, concurrency: int) -> None:
    server.script(fault.latency(delay_s=0.02, times=len(PROMPTS)))
    client.map(PROMPTS[:9], concurrency=concurrency)
    spans = [(each.started_at, each.ended_at or 0.0) for each in server.journal]
    most = max(sum(begun <= start < ended for begun, ended in spans) for start, _ in spans)
    assert most <= concurrency


def test_the_same_call_again_asks_nothing(server: MockServer, client: Client, tmp_path: Path) -> None:
    first = client.map(PROMPTS, resume=tmp_path / "answers")
    again = client.map(PROMPTS, resume=tmp_path / "answers")
    assert [reply.text for reply in again] == [reply.text for reply in first]
    assert [reply.usage for reply in again] == [reply.usage for reply in first]
    assert len(asked(server)) == len(PROMPTS)


def test_prompts_may_be_added_and_moved(server: MockServer, client: Client, tmp_path: Path) -> None:
    client.map(["a", "b", "b"], resume=tmp_path / "answers")
    client.map(["b", "new", "a", "b", "b"], resume=tmp_path / "answers")
    assert Counter(asked(server)) == {"a": 1, "b": 3, "new": 1}


def test_other_parameters_are_other_questions(server: MockServer, client: Client, tmp_path: Path) -> None:
    client.map(["a"], resume=tmp_path / "answers")
    client.map(["a"], resume=tmp_path / "answers", temperature=0)
    assert len(asked(server)) == 2


def test_failures_are_told_after_all_others_have_come(server: MockServer, client: Client, tmp_path: Path) -> None:
    server.script(fault.http_error(status=422, match={"body": {"messages.0.content": "bad"}}, times=1))
    with pytest.raises(BulkFailed, match=r"1 of 3 calls failed; number 1: InvalidRequest.*resumes") as caught:
        client.map(["a", "bad", "c"], resume=tmp_path / "answers")
    assert list(caught.value.failures) == [1]
    assert [reply is None for reply in caught.value.results] == [False, True, False]
    assert all(reply.complete for reply in client.map(["a", "bad", "c"], resume=tmp_path / "answers"))
    assert Counter(asked(server)) == {"a": 1, "bad": 2, "c": 1}


def test_failures_can_stand_in_their_places(server: MockServer, client: Client) -> None:
    server.script(fault.http_error(status=422, match={"body": {"messages.0.content": "bad"}}, times=5))
    replies: list[object] = list(client.map(["a", "bad"], errors="return"))
    assert isinstance(replies[1], LLMError)


def test_what_would_fail_every_call_ends_the_run(server: MockServer, client: Client) -> None:
    server.script(fault.insufficient_quota(times=100))
    with pytest.raises(BulkFailed, match="were not made, for they would fail alike"):
        client.map(PROMPTS, concurrency=2)
    assert len(asked(server)) <= 4


async def test_while_the_breaker_is_open_a_call_waits_instead_of_failing_with_all_others() -> None:
    refusals = [CircuitOpen("open", retry_after_s=0.01)] * 3

    async def ask() -> str:
        if refusals:
            raise refusals.pop()
        return "reply"

    assert await asked_patiently(_job(ask, patience_s=5)) == "reply"


async def test_it_does_not_wait_for_longer_than_the_deadline_of_a_call() -> None:
    async def ask() -> str:
        raise CircuitOpen("open", retry_after_s=60)

    with pytest.raises(CircuitOpen):
        await asked_patiently(_job(ask, patience_s=5))


def _job(ask: Callable[[], Awaitable[str]], *, patience_s: float) -> Job:
    return Job(name="a", ask=ask, read=lambda payload: payload, patience_s=patience_s)


def test_a_wrong_prompt_is_told_before_anything_is_sent(server: MockServer, client: Client) -> None:
    with pytest.raises(InvalidRequest, match=r"prompts\[1\]"):
        client.map(["a", []])
    assert not asked(server)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": "one text"}, "it has to be a list"),
        ({"prompts": ["a"], "concurrency": 0}, "concurrency = 0"),
        ({"prompts": ["a"], "progress": "yes"}, "progress = 'yes'"),
        ({"prompts": ["a"], "errors": "ignore"}, "errors = 'ignore'"),
    ],
)
def test_arguments_that_are_none_are_refused(client: Client, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        client.map(**arguments)  # type: ignore[arg-type]


def test_no_prompts_have_no_replies(client: Client, tmp_path: Path) -> None:
    assert client.map([], resume=tmp_path / "answers") == []


def test_what_a_parser_makes_of_them_is_there_after_a_resume_too(
    server: MockServer, client: Client, tmp_path: Path
) -> None:
    server.script(reply('{"a": 1}', times=2))
    for _ in range(2):
        (answer,) = client.map(["a"], resume=tmp_path / "answers", parse=Json())
        assert answer.parsed == {"a": 1}
    assert len(asked(server)) == 1


def test_the_failure_pickles() -> None:
    error = BulkFailed("2 of 3 failed", failures={1: ConfigError("no")}, results=[None])
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), list(copy.failures), copy.results) == (str(error), [1], [None])


_PROGRAM = """
    import sys
    from llmkit import Client
    url, path = sys.argv[1:]
    with Client(base_url=url, api_key="sk-bulk-0123456789", model="gpt-4o") as client:
        client.map([f"What is number {number} about?" for number in range(30)], concurrency=4, resume=path)
"""


def test_a_kill_loses_no_answer_and_pays_for_none_twice_but_those_on_their_way(
    server: MockServer, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "answers"
    server.script(fault.latency(delay_s=0.1, times=1000))
    command = [sys.executable, "-c", textwrap.dedent(_PROGRAM), f"{server.url}/v1", str(path)]
    process = subprocess.Popen(command, env=dict(os.environ))
    while len(server.journal) < 14:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {json.loads(line)["key"] for line in path.read_bytes().splitlines()[1:] if line.endswith(b"}")}
    assert len(kept) >= 4
    assert all(reply.complete for reply in client.map(PROMPTS, resume=path))
    times = Counter(asked(server))
    assert set(times) == set(PROMPTS)
    assert sum(times.values()) <= len(PROMPTS) + 4
