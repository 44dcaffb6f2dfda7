"""Breaker, budget, limit and fallback as calls of both clients meet them. Rows 4.I4, 4.I7 and 4.T7."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from llmkit import AsyncClient
from llmkit.errors import CircuitOpen, ConfigError, InvalidRequest, LLMError, RateLimited, ServerError
from llmkit.policies.fallback import Fallback, Target
from tests.llmkit.conftest import KEY, Caller, Open, RawServer

DOWN = "500 Internal Server Error"


def failing(raw: RawServer, *, times: int = 1, **headers: str) -> None:
    for _ in range(times):
        raw.say(raw.http('{"error": {"message": "no"}}', status=DOWN, **headers))


def outcomes(client: Caller, calls: int) -> list[type[LLMError] | None]:
    """How so many calls end."""
    found: list[type[LLMError] | None] = []
    for _ in range(calls):
        try:
            client.chat()
            found.append(None)
        except LLMError as error:
            found.append(type(error))
    return found


def test_under_lasting_failure_nothing_is_sent_while_the_breaker_is_open(caller: Open, raw: RawServer) -> None:
    failing(raw, retry_after="3600")
    client = caller(raw.url, max_attempts=1)
    assert outcomes(client, 100) == [ServerError] * 20 + [CircuitOpen] * 80
    assert len(raw.requests) == 20
    with pytest.raises(CircuitOpen, match="Nothing was sent to 'gpt-4o'") as failure:
        client.chat()
    assert failure.value.attempts == ()
    assert 3500 < (failure.value.retry_after_s or 0) <= 3600
    with pytest.raises(ServerError):
        client.chat(model="gpt-4o-mini")  # another deployment has a breaker of its own


def test_a_probe_that_succeeds_closes_it_and_one_that_fails_does_not(caller: Open, raw: RawServer) -> None:
    failing(raw, times=19)
    failing(raw, retry_after="0")  # opens it for no time at all, so that the next call is a probe
    failing(raw, retry_after="0")
    raw.say(raw.http(raw.completion()))
    client = caller(raw.url, max_attempts=1)
    assert outcomes(client, 23) == [ServerError] * 21 + [None] * 2


def test_it_can_be_switched_off(caller: Open, raw: RawServer) -> None:
    failing(raw, retry_after="3600")
    assert outcomes(caller(raw.url, max_attempts=1, breaker=False), 30) == [ServerError] * 30


def test_refusals_leave_it_closed(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http('{"error": {"message": "slower"}}', status="429 Too Many Requests", retry_after="3600"))
    assert outcomes(caller(raw.url, max_attempts=1), 30) == [RateLimited] * 30


async def test_calls_that_are_cancelled_leave_it_closed_and_a_cancelled_probe_frees_the_door(raw: RawServer) -> None:
    for _ in range(25):
        raw.say(hang=True)
    failing(raw, times=19)
    failing(raw, retry_after="0")
    raw.say(hang=True)
    raw.say(raw.http(raw.completion()))
    async with AsyncClient(base_url=raw.url, api_key=KEY, model="gpt-4o", max_attempts=1, deadline_s=60) as client:
        for _ in range(25):
            await cancelled(client, raw)
        for _ in range(20):
            with pytest.raises(ServerError):
                await client.chat("Hi")
        await cancelled(client, raw)  # the probe
        assert (await client.chat("Hi")).text == "Hello"


async def cancelled(client: AsyncClient, raw: RawServer) -> None:
    """A call that is cancelled when its request has arrived."""
    before = len(raw.requests)
    call = asyncio.create_task(client.chat("Hi"))
    async with asyncio.timeout(10):
        while len(raw.requests) == before:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_of_many_calls_at_once_one_is_the_probe(raw: RawServer) -> None:
    failing(raw, times=19)
    failing(raw, retry_after="0")
    raw.say(raw.http(raw.completion()), gap_s=0.3)
    async with AsyncClient(base_url=raw.url, api_key=KEY, model="gpt-4o", max_attempts=1, deadline_s=60) as client:
        for _ in range(20):
            with pytest.raises(ServerError):
                await client.chat("Hi")
        results = await asyncio.gather(*(client.chat("Hi") for _ in range(50)), return_exceptions=True)
    assert [type(result).__name__ for result in results].count("CircuitOpen") == 49
    assert len(raw.requests) == 21


def test_all_calls_together_retry_no_more_than_their_budget(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http('{"error": {"message": "slower"}}', status="429 Too Many Requests", retry_after="0"))
    client, started = caller(raw.url, max_attempts=10), time.monotonic()
    assert outcomes(client, 30) == [RateLimited] * 30
    lasted_s = time.monotonic() - started
    assert 130 <= len(raw.requests) <= 131 + lasted_s, "30 first requests, 100 retries, and one more for each second"


def test_a_request_over_the_limit_is_not_sent_where_the_deadline_comes_first(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(raw.completion()))
    client = caller(raw.url, rpm=2, deadline_s=5)
    assert outcomes(client, 2) == [None, None]
    with pytest.raises(RateLimited, match="rpm = 2") as failure:
        client.chat()
    assert 55 < (failure.value.retry_after_s or 0) <= 60
    assert len(raw.requests) == 2


def test_a_request_that_never_fits_says_so(caller: Open, raw: RawServer) -> None:
    with pytest.raises(RateLimited, match=r"may take \d+ tokens.* tpm = 5 never") as failure:
        caller(raw.url, tpm=5).chat()
    assert failure.value.retry_after_s is None


@pytest.mark.parametrize("option", [{"cache": "answers.db"}, {"fallback": 5}])
def test_an_option_that_is_none_is_told_before_anything_is_sent(
    caller: Open, raw: RawServer, option: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(option))} = "):
        caller(raw.url).chat(**option)


@pytest.mark.parametrize(
    "fallback", ["gpt-4o-mini", ["nowhere", "gpt-4o-mini"], Fallback(models=(Target("gpt-4o-mini"),))]
)
def test_another_model_answers_and_the_reply_says_so(caller: Open, raw: RawServer, fallback: Any) -> None:
    failing(raw, times=2 if isinstance(fallback, list) else 1)
    raw.say(raw.http(raw.completion("from another")))
    reply = caller(raw.url, max_attempts=1, fallback=fallback).chat()
    assert reply.text == "from another"
    assert reply.degraded is not None
    assert (reply.degraded.kind, reply.degraded.target, reply.degraded.error) == ("model", "gpt-4o-mini", "ServerError")
    assert raw.bodies[-1]["model"] == "gpt-4o-mini"


def test_a_model_answers_in_place_of_one_whose_breaker_is_open(caller: Open, raw: RawServer) -> None:
    failing(raw, times=20, retry_after="3600")
    raw.say(raw.http(raw.completion()))
    client = caller(raw.url, max_attempts=1)
    outcomes(client, 20)
    reply = client.chat(fallback="gpt-4o-mini")
    assert reply.degraded is not None
    assert reply.degraded.error == "CircuitOpen"
    assert len(raw.requests) == 21


def test_a_text_answers_where_nothing_else_does(caller: Open, raw: RawServer) -> None:
    failing(raw)
    reply = caller(raw.url, max_attempts=1, fallback=Fallback(models=(Target("b"),), default="Later.")).chat()
    assert reply.text == "Later."
    assert reply.degraded is not None
    assert reply.degraded.kind == "default"
    assert len(reply.attempts) == 2


def test_an_old_cached_answer_is_recalled(caller: Open, raw: RawServer, tmp_path: Path) -> None:
    raw.say(raw.http(raw.completion("once")))
    failing(raw)
    client = caller(raw.url, max_attempts=1, cache=str(tmp_path / "answers.db"), fallback=Fallback(stale=True))
    client.chat(temperature=0)
    connection = sqlite3.connect(tmp_path / "answers.db", isolation_level=None)
    connection.execute("UPDATE answer SET stored_at = stored_at - 60 * 86400")
    connection.close()
    reply = client.chat(temperature=0)
    assert reply.text == "once"
    assert reply.degraded is not None
    assert reply.degraded.kind == "cache"
    assert len(raw.requests) == 2


def test_what_the_caller_got_wrong_is_no_case_for_a_fallback(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http('{"error": {"message": "bad"}}', status="400 Bad Request"))
    with pytest.raises(InvalidRequest):
        caller(raw.url, fallback=Fallback(models=(Target("b"),), stale=True, default="Later.")).chat()
    assert len(raw.requests) == 1


def test_what_is_answered_as_asked_is_not_marked(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(raw.completion()))
    assert caller(raw.url, fallback="gpt-4o-mini").chat().degraded is None


def test_when_all_fail_the_first_failure_is_told(caller: Open, raw: RawServer) -> None:
    failing(raw)
    raw.say(raw.http('{"error": {"message": "no such model"}}', status="404 Not Found"))
    with pytest.raises(ServerError) as failure:
        caller(raw.url, max_attempts=1, fallback="gpt-4o-mini").chat()
    assert [attempt.status_code for attempt in failure.value.attempts] == [500, 404]
