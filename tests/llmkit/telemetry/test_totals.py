"""Usage and cost of all calls of a client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import AsyncClient, Client, LLMError, Usage, models
from llmkit.errors import Attempt
from llmkit.parsers import Json
from llmkit.policies.fallback import Fallback
from llmkit.telemetry import Summary, Tally
from llmkit.telemetry.prices import cost_of
from llmkit.telemetry.totals import may_be_billed
from mockserver import MockServer, fault, reply
from tests.llmkit.conftest import RawServer
from tests.llmkit.telemetry.conftest import KEY, Open

PRICE = models.spec_for("gpt-4o").price
assert PRICE is not None


def priced(usage: Usage) -> float:
    assert PRICE is not None
    return PRICE.cost(
        input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, cached_tokens=usage.cached_tokens
    )


@pytest.fixture
def unregistered() -> Iterator[None]:
    yield
    models.reset()


def overall(client: Client) -> Tally:
    return client.totals.snapshot().overall


def test_a_chat_is_counted_and_priced(connect: Open) -> None:
    client = connect()
    usage = client.chat("Hi").usage
    assert usage is not None
    assert client.totals.snapshot() == Summary(
        {
            "gpt-4o": Tally(
                requests=1,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                total_tokens=usage.total_tokens,
                priced_usd=priced(usage),
            )
        }
    )
    assert overall(client).cost_usd == priced(usage)


def test_streams_responses_embeddings_and_bulk_are_counted(connect: Open) -> None:
    client = connect()
    with client.stream("Hi") as stream:
        list(stream)
    bills = [stream.reply.usage, client.respond("Hi").usage]
    bills += [told.usage for told in client.map(["one", "two", "three"])]
    vectors = client.embed_many([f"text {number}" for number in range(10)], batch_tokens=8)
    used = client.totals.snapshot().by_model
    assert used["gpt-4o"].requests == 5
    assert used["gpt-4o"].total_tokens == sum(bill.total_tokens for bill in bills if bill is not None)
    assert vectors.usage is not None
    assert used["text-embedding-3-small"].prompt_tokens == vectors.usage.prompt_tokens
    assert used["text-embedding-3-small"].requests == len(vectors.attempts) > 1
    assert (used["text-embedding-3-small"].cost_usd or 0) > 0


def test_cached_tokens_have_their_price(raw: RawServer, connect: Open) -> None:
    usage = (
        '{"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010, '
        '"prompt_tokens_details": {"cached_tokens": 800}}'
    )
    raw.say(raw.http(raw.completion()[:-1].rpartition('"usage"')[0] + f'"usage": {usage}}}'))
    client = connect(base_url=raw.url)
    client.chat("Hi")
    assert overall(client).cached_tokens == 800
    assert overall(client).cost_usd == pytest.approx((200 * 2.5 + 800 * 1.25 + 10 * 10) / 1_000_000)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "a-model-that-nobody-knows"},
        {"usage": None},
        {"service_tier": "priority"},
        {"usage": {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": {"audio_tokens": 3}}},
    ],
    ids=["unknown model", "no usage", "another tier", "sound"],
)
def test_what_has_no_price_is_counted_and_not_guessed(connect: Open, change: dict[str, Any]) -> None:
    settings = connect().settings
    payload = {"model": "gpt-4o", "usage": {"prompt_tokens": 5, "completion_tokens": 5}} | change
    bill = None if payload["usage"] is None else Usage(prompt_tokens=5, completion_tokens=5, total_tokens=10)
    told = SimpleNamespace(model=payload["model"], usage=bill, payload=payload)
    asked = "gpt-4o" if payload["model"] == "gpt-4o" else str(payload["model"])
    assert cost_of(settings, asked, told) is None
    usual = SimpleNamespace(model="gpt-4o", usage=Usage(prompt_tokens=5), payload={"service_tier": "default"})
    assert cost_of(settings, "gpt-4o", usual) == pytest.approx(5 * 2.5 / 1_000_000)


def test_one_request_without_a_price_leaves_the_cost_unknown(raw: RawServer, connect: Open) -> None:
    raw.say(raw.http(raw.completion()))
    raw.say(raw.http(raw.completion().replace("gpt-4o-2024-08-06", "my-own-model")))
    client = connect(base_url=raw.url)
    client.chat("Hi")
    known = overall(client).cost_usd
    client.chat("Hi", model="my-own-model")
    used = client.totals.snapshot()
    assert used.by_model["my-own-model"].unpriced == 1
    assert used.overall.cost_usd is None
    assert used.overall.priced_usd == known
    assert "1 requests of unknown cost" in str(used)


def test_a_deployment_has_the_price_of_its_model(server: MockServer) -> None:
    with Client.azure(
        deployment="chat", endpoint=server.url, api_key=KEY, deployments={"chat": "gpt-4o-mini"}
    ) as client:
        usage = client.chat("Hi").usage
        assert usage is not None
        assert client.totals.snapshot().by_model["chat"].cost_usd == pytest.approx(
            (usage.prompt_tokens * 0.15 + usage.completion_tokens * 0.6) / 1_000_000
        )


def test_a_price_of_one_s_own_goes_first(connect: Open, unregistered: None) -> None:
    models.register("house-model", like="gpt-4o", price=[1_000.0, 0.0, 0.0])
    told = SimpleNamespace(model="gpt-4o-2024-08-06", usage=Usage(prompt_tokens=1000), payload={})
    assert cost_of(connect().settings, "house-model", told) == pytest.approx(1.0)


def test_the_model_that_answered_tells_the_price(connect: Open) -> None:
    """A deployment that is named as one model, and is another."""
    told = SimpleNamespace(model="gpt-4o-mini-2024-07-18", usage=Usage(prompt_tokens=1_000_000), payload={})
    assert cost_of(connect().settings, "gpt-4o", told) == pytest.approx(0.15)
    assert cost_of(connect().settings, "whatever", told) == pytest.approx(0.15)


def test_a_refusal_costs_nothing_and_a_broken_answer_may(server: MockServer, connect: Open) -> None:
    server.script(fault.server_error(status=503), fault.truncated_body(), reply("Hello"))
    client = connect()
    client.chat("Hi")
    assert (overall(client).requests, overall(client).failed, overall(client).maybe_billed) == (1, 2, 1)


@pytest.mark.parametrize(
    ("status", "billed"),
    [(None, True), (200, True), (400, False), (401, False), (408, True), (429, False), (500, False), (504, True)],
)
def test_the_status_tells_what_may_be_billed(status: int | None, billed: bool) -> None:
    assert may_be_billed(Attempt(status_code=status, error="x")) is billed


def test_a_stream_that_breaks_off_may_be_billed(server: MockServer, connect: Open) -> None:
    server.script(reply("Once upon a time") & fault.cut(at={"frame": 2}, how="eof"))
    client = connect()
    with pytest.raises(LLMError), client.stream("Hi") as stream:
        list(stream)
    assert (overall(client).requests, overall(client).failed, overall(client).maybe_billed) == (0, 1, 1)


def test_a_stream_that_is_left_may_be_billed(server: MockServer, connect: Open) -> None:
    server.script(reply("Once upon a time") & fault.stall(at={"frame": 3}))
    client = connect()
    with client.stream("Hi") as stream:
        next(iter(stream))
    assert (overall(client).failed, overall(client).maybe_billed) == (1, 1)


async def test_a_call_that_is_cancelled_may_be_billed(server: MockServer) -> None:
    server.script(fault.hang())
    async with AsyncClient(base_url=f"{server.url}/v1", api_key=KEY, model="gpt-4o") as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.chat("Hi")
        assert client.totals.snapshot().overall.maybe_billed == 1


def test_each_answer_to_a_re_ask_is_counted(server: MockServer, connect: Open) -> None:
    server.script(reply("no"), reply("[1]"))
    client = connect()
    assert client.chat("Hi", parse=Json(), reasks=1).parsed == [1]
    assert overall(client).requests == 2


def test_a_fallback_is_counted_under_its_own_name(server: MockServer, connect: Open) -> None:
    server.script(fault.server_error(status=500), reply("Hello"))
    client = connect(max_attempts=1, fallback="gpt-4o-mini")
    client.chat("Hi")
    used = client.totals.snapshot().by_model
    assert (used["gpt-4o"].requests, used["gpt-4o"].failed) == (0, 1)
    assert used["gpt-4o-mini"].requests == 1


def test_a_default_is_not_counted(server: MockServer, connect: Open) -> None:
    server.script(fault.server_error(status=500))
    client = connect(max_attempts=1, fallback=Fallback(default="Sorry"))
    client.chat("Hi")
    assert (overall(client).requests, overall(client).cache_hits) == (0, 0)


def test_a_cached_answer_saves(connect: Open, tmp_path: Path) -> None:
    client = connect(cache=str(tmp_path / "cache.sqlite"))
    usage = client.chat("Hi", temperature=0).usage
    assert client.chat("Hi", temperature=0).cached
    with client.stream("Hi", temperature=0) as stream:
        list(stream)
    used = overall(client)
    assert usage is not None
    assert (used.requests, used.cache_hits, used.saved_tokens) == (1, 2, 2 * usage.total_tokens)
    assert used.saved_usd == pytest.approx(2 * priced(usage))
    assert used.cost_usd == pytest.approx(priced(usage)), "what is saved is not paid"


def test_a_reset_begins_anew(connect: Open) -> None:
    client = connect()
    client.chat("Hi")
    before = client.totals.reset()
    assert before.overall.requests == 1
    assert client.totals.snapshot() == Summary()
    client.chat("Hi")
    assert (before.overall.requests, overall(client).requests) == (1, 1)


def test_a_snapshot_does_not_grow(connect: Open) -> None:
    client = connect()
    client.chat("Hi")
    taken = client.totals.snapshot()
    client.chat("Hi")
    assert taken.overall.requests == 1


def test_other_options_share_the_totals(connect: Open) -> None:
    client = connect()
    client.with_options(deadline_s=5).chat("Hi")
    assert overall(client).requests == 1


def test_many_threads_lose_nothing(connect: Open) -> None:
    client = connect()
    found: list[Tally] = []

    def ask() -> None:
        for _ in range(10):
            client.chat("Hi")
            found.append(client.totals.reset().overall)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(tally.requests for tally in found) + overall(client).requests == 40


def test_without_telemetry_nothing_is_counted(connect: Open) -> None:
    client = connect(telemetry=False)
    client.chat("Hi")
    assert client.totals.snapshot() == Summary()


TALLIES = st.builds(Tally, requests=st.integers(0, 9), unpriced=st.integers(0, 3), prompt_tokens=st.integers(0, 10**6))


@given(st.lists(TALLIES))
def test_the_overall_is_the_sum_of_all_models(tallies: list[Tally]) -> None:
    total = Summary({str(number): tally for number, tally in enumerate(tallies)}).overall
    assert total.prompt_tokens == sum(tally.prompt_tokens for tally in tallies)
    assert (total.cost_usd is None) == any(tally.cost_usd is None for tally in tallies)
