"""Cached answers and shared state as calls of both clients meet them."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from llmkit import AsyncClient, Client, StreamEvent
from llmkit.errors import CircuitOpen, ConfigError, RateLimited, ServerError
from llmkit.policies.cache import endpoint_identity
from llmkit.recording.cassette import save
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.stores.cassettes import CassetteCache
from llmkit.stores.sqlite import BUSY_S
from mockserver import MockServer
from tests.llmkit.conftest import KEY, Open, RawServer
from tests.llmkit.stores.redis_process import RedisProcess


@pytest.fixture
def answers(raw: RawServer) -> RawServer:
    """A server that says Hello, again and again."""
    raw.say(raw.http(raw.completion()))
    return raw


def test_an_answer_is_given_again_without_a_request(caller: Open, answers: RawServer, tmp_path: Path) -> None:
    client = caller(answers.url, cache=str(tmp_path / "answers.db"))
    first, second = client.chat(temperature=0), client.chat(temperature=0)
    assert (first.cached, second.cached) == (False, True)
    assert (second.text, second.usage, second.payload) == (first.text, first.usage, first.payload)
    assert len(answers.requests) == 1
    assert caller(answers.url, cache=str(tmp_path / "answers.db")).chat(temperature=0).cached


def test_a_sampled_answer_is_kept_only_by_request(caller: Open, answers: RawServer, tmp_path: Path) -> None:
    client = caller(answers.url, cache=str(tmp_path / "answers.db"))
    reply = client.chat()
    assert "temperature is not set" in (reply.not_cached or "")
    assert not client.chat(cache=True).cached
    assert client.chat(cache=True).cached
    assert not client.chat(temperature=0, cache=False).cached


def test_a_call_that_wants_a_cache_is_told_where_its_client_has_none(caller: Open, answers: RawServer) -> None:
    client = caller(answers.url)
    assert "this client has no cache" in (client.chat(cache=True).not_cached or "")
    assert client.chat(temperature=0).not_cached is None


@pytest.mark.parametrize("choice", [{"finish_reason": "length"}, {"finish_reason": "content_filter"}])
def test_what_is_not_whole_is_asked_for_again(
    caller: Open, raw: RawServer, tmp_path: Path, choice: dict[str, str]
) -> None:
    raw.say(raw.http(raw.completion("Hel", **choice)))
    raw.say(raw.http(raw.completion("Hello")))
    client = caller(raw.url, cache=str(tmp_path / "answers.db"))
    cut = client.chat(temperature=0)
    assert cut.not_cached
    assert client.chat(temperature=0).text == "Hello"


def test_an_answer_of_another_address_is_not_given(caller: Open, answers: RawServer, tmp_path: Path) -> None:
    path = str(tmp_path / "answers.db")
    caller(answers.url, cache=path).chat(temperature=0)
    assert not caller(answers.url, cache=path, project="other").chat(temperature=0).cached
    assert not caller(answers.url.replace("127.0.0.1", "localhost"), cache=path).chat(temperature=0).cached


def test_a_stream_is_given_again_as_a_stream(caller: Open, raw: RawServer, tmp_path: Path) -> None:
    raw.say(raw.event_stream + raw.frame("Hello ") + raw.frame("there") + raw.frame(finish="stop") + raw.done)
    client = caller(raw.url, cache=str(tmp_path / "answers.db"))
    live: list[StreamEvent] = []
    again: list[StreamEvent] = []
    first = client.stream(live, temperature=0)
    second = client.stream(again, temperature=0)
    assert (first.cached, second.cached) == (False, True)
    assert "".join(event.text for event in again) == "Hello there" == second.text
    assert len(again) > 1
    assert again[-1].finish_reason == "stop"
    assert len(raw.requests) == 1


def test_no_secret_gets_into_the_file(caller: Open, raw: RawServer, tmp_path: Path) -> None:
    raw.say(raw.http(raw.completion(f"Your key is {KEY}")))
    client = caller(raw.url, cache=str(tmp_path / "answers.db"))
    client.chat("a private question", temperature=0)
    client.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert KEY.encode() not in written
    assert b"private" not in written


def test_a_file_that_is_no_cache_stops_the_client(caller: Open, answers: RawServer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="no cache of llmkit"):
        caller(answers.url, cache=str(tmp_path / "notes.txt"))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_cache_that_breaks_costs_no_answer(caller: Open, answers: RawServer, tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    client = caller(answers.url, cache=str(path))
    client.chat(temperature=0)
    client.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    assert client.chat(temperature=0).text == "Hello"


def test_a_file_that_others_write_to_holds_no_call_up(answers: RawServer, tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    with (
        Client(base_url=answers.url, api_key=KEY, model="gpt-4o", deadline_s=0.5, cache=str(path)) as client,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        assert client.chat("Hi", temperature=0).text == "Hello"
        assert time.monotonic() - begun < BUSY_S - 1


def test_cassettes_serve_as_the_cache(caller: Open, raw: RawServer, tmp_path: Path) -> None:
    body = b'{"messages": [{"content": "Hi", "role": "user"}], "model": "gpt-4o", "temperature": 0}'
    reply = Response(
        status=200, headers={"content-type": ["application/json"]}, body=raw.completion("as ever").encode()
    )
    request = Request(method="POST", uri=f"{raw.url}/chat/completions", body=body)
    save(tmp_path / "cassette.yaml", [Interaction(request=request, response=reply)])
    cassettes = CassetteCache(tmp_path, endpoint=endpoint_identity(address=raw.url))
    assert caller(raw.url, cache=cassettes).chat(temperature=0).text == "as ever"
    assert not raw.requests


def test_clients_share_answers_on_a_server(caller: Open, answers: RawServer, redis: RedisProcess) -> None:
    one, other = (caller(answers.url, cache=True, state_url=redis.url) for _ in range(2))
    assert [client.chat(temperature=0).cached for client in (one, other)] == [False, True]


def test_a_breaker_that_one_client_has_opened_is_open_for_all(
    caller: Open, raw: RawServer, redis: RedisProcess
) -> None:
    raw.say(raw.http('{"error": {"message": "no"}}', status="500 Internal Server Error", retry_after="3600"))
    one, other = (caller(raw.url, max_attempts=1, state_url=redis.url) for _ in range(2))
    for client in (one, other) * 10:
        with pytest.raises(ServerError):
            client.chat()
    for client in (one, other):
        with pytest.raises(CircuitOpen):
            client.chat()
    assert len(raw.requests) == 20


def test_clients_share_one_rate_limit(caller: Open, answers: RawServer, redis: RedisProcess) -> None:
    one, other = (caller(answers.url, rpm=2, deadline_s=5, state_url=redis.url) for _ in range(2))
    one.chat()
    other.chat()
    with pytest.raises(RateLimited):
        one.chat()
    assert len(answers.requests) == 2


def test_the_environment_names_the_server(
    caller: Open, answers: RawServer, redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKIT_STATE_URL", redis.url)
    caller(answers.url, cache=True).chat(temperature=0)
    assert b"llmkit:1:cache:" in redis.command(b"KEYS", b"*")


@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_calls_are_answered_when_the_server_has_gone(
    caller: Open, answers: RawServer, mortal_redis: RedisProcess, how: str
) -> None:
    client = caller(answers.url, cache=True, rpm=100, state_url=mortal_redis.url)
    client.chat(temperature=0)
    getattr(mortal_redis, how)()
    assert [client.chat(temperature=0).text for _ in range(5)] == ["Hello"] * 5
    assert len(answers.requests) == 6


async def test_a_silent_server_leaves_a_call_time_for_its_request(
    answers: RawServer, mortal_redis: RedisProcess
) -> None:
    async with AsyncClient(
        base_url=answers.url, api_key=KEY, model="gpt-4o", deadline_s=0.9, state_url=mortal_redis.url
    ) as client:
        mortal_redis.freeze()
        assert (await client.chat("Hi")).text == "Hello"
    mortal_redis.thaw()


def test_calls_are_answered_where_no_server_ever_was(caller: Open, answers: RawServer) -> None:
    client = caller(answers.url, cache=True, rpm=100, state_url="redis://:hunter2@127.0.0.1:1/0")
    assert client.chat(temperature=0).text == "Hello"
    assert "hunter2" not in repr(client.client)


async def test_of_many_calls_at_once_each_counts_once(redis: RedisProcess) -> None:
    """Though what they change in the shared state is changed together."""
    with MockServer() as server:
        async with AsyncClient(
            base_url=server.openai_url, api_key=KEY, model="gpt-4o", rpm=50, deadline_s=30, state_url=redis.url
        ) as client:
            results = await asyncio.gather(*(client.chat("Hi") for _ in range(200)), return_exceptions=True)
        assert len(server.journal) == 50
    kinds = [type(result).__name__ for result in results]
    assert (kinds.count("Completion"), kinds.count("RateLimited")) == (50, 150)


PROGRAM = """
import sys
from llmkit import Client

base_url, path = sys.argv[1:]
with Client(base_url=base_url, api_key="any-key-at-all", model="gpt-4o", cache=path) as client:
    for number in range(20):
        assert client.chat(f"Question {number}", temperature=0).text == "Hello"
"""


def test_processes_share_one_file(answers: RawServer, tmp_path: Path) -> None:
    program = [sys.executable, "-W", "error", "-c", PROGRAM, answers.url, str(tmp_path / "answers.db")]
    for _ in range(2):
        processes = [subprocess.Popen(program, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 2
    assert 20 <= len(answers.requests) <= 40, "the second two ask for nothing"
