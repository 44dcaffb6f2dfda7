from __future__ import annotations

import gzip
import json
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.interaction import Response
from llmkit.recording.replies.ledger import Ledger, Usage, usage_of

CHAT = {"model": "gpt-4o", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
USAGE = Usage(model="gpt-4o", prompt_tokens=3, completion_tokens=4)


def reply(body: object, *, status: int = 200) -> Response:
    return Response(status=status, body=(body if isinstance(body, str) else json.dumps(body)).encode())


def a_dollar(usage: Usage) -> Decimal | None:
    return Decimal(1) if usage.model == "gpt-4o" else None


def test_the_usage_of_a_json_reply_is_read() -> None:
    assert usage_of(reply(CHAT)) == USAGE


def test_the_usage_at_the_end_of_a_stream_is_read() -> None:
    events = [{"model": "gpt-4o", "usage": None}, CHAT]
    assert usage_of(reply("".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n")) == USAGE


def test_the_usage_inside_a_responses_event_is_read() -> None:
    inner = {"model": "gpt-4o", "usage": {"input_tokens": 3, "output_tokens": 4}}
    event = json.dumps({"type": "response.completed", "response": inner})
    assert usage_of(reply(f"event: response.completed\ndata: {event}\n\n")) == USAGE


@pytest.mark.parametrize(
    ("tokens", "details"), [("prompt_tokens", "prompt_tokens_details"), ("input_tokens", "input_tokens_details")]
)
def test_tokens_of_the_prompt_cache_are_told_apart(tokens: str, details: str) -> None:
    usage = {tokens: 9, details: {"cached_tokens": 6, "cache_write_tokens": 2}}
    read = usage_of(reply({"model": "m", "usage": usage}))
    assert (read.prompt_tokens, read.cached_tokens, read.cache_write_tokens) == (9, 6, 2)


def test_the_usage_of_a_compressed_reply_is_read() -> None:
    body = gzip.compress(json.dumps(CHAT).encode())
    assert usage_of(Response(status=200, headers={"Content-Encoding": ["gzip"]}, body=body)) == USAGE


def test_the_service_tier_that_served_is_read() -> None:
    assert usage_of(reply({**CHAT, "service_tier": "flex"})).service_tier == "flex"


@pytest.mark.parametrize("body", ["", "<html>", "[1]", '{"usage": 3}', "data: {", "data: [1]\n\n"])
def test_a_reply_without_usage_bills_nothing(body: str) -> None:
    assert usage_of(reply(body)) == Usage()


@pytest.mark.parametrize("count", [-1, "7", None, 1.5])
def test_a_count_that_is_none_is_no_count(count: object) -> None:
    assert usage_of(reply({"model": 7, "usage": {"prompt_tokens": count}})) == Usage()


def test_a_binary_reply_bills_nothing() -> None:
    assert usage_of(Response(status=200, body=b"\xff\xfb")) == Usage()


def test_recorded_and_replayed_are_kept_apart() -> None:
    ledger = Ledger()
    ledger.record(reply(CHAT))
    ledger.replay(reply(CHAT))
    ledger.replay(reply(CHAT))
    assert (ledger.recorded, ledger.replayed) == (1, 2)
    assert (ledger.tokens("recorded"), ledger.tokens("replayed")) == ((3, 4), (6, 8))


def test_every_reply_is_paid_by_itself() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.record(reply(CHAT))
    assert ledger.cost(a_dollar, "recorded") == (Decimal(3), frozenset())


def test_models_without_a_price_are_named() -> None:
    ledger = Ledger()
    ledger.record(reply(CHAT))
    ledger.record(reply({**CHAT, "model": "home-made"}))
    assert ledger.cost(a_dollar, "recorded") == (Decimal(1), frozenset({"home-made"}))


def test_what_has_no_price_at_all_costs_nobody_knows_what() -> None:
    ledger = Ledger()
    ledger.record(reply("data: {}\n\n"))
    assert ledger.cost(a_dollar, "recorded") == (None, frozenset({""}))


def test_no_calls_cost_nothing() -> None:
    assert Ledger().cost(a_dollar, "recorded") == (Decimal(0), frozenset())


def test_a_refusal_is_a_call_but_costs_nothing() -> None:
    ledger = Ledger()
    ledger.record(reply({"error": {}}, status=429))
    assert ledger.recorded == 1
    assert ledger.cost(a_dollar, "recorded") == (Decimal(0), frozenset())


counts = st.integers(0, 10)
usages = st.builds(Usage, model=st.text(), prompt_tokens=counts, cached_tokens=counts, service_tier=st.text())
ledgers = st.builds(
    Ledger,
    recorded=counts,
    replayed=counts,
    recorded_usages=st.lists(usages).map(Counter),
)


@given(ledgers)
def test_the_facts_of_one_process_add_up_in_another(ledger: Ledger) -> None:
    total = Ledger()
    facts = json.loads(json.dumps(ledger.facts()))
    total.add(facts)
    assert total == ledger
    total.add(facts)
    assert total.recorded == 2 * ledger.recorded
    assert total.tokens("recorded")[0] == 2 * ledger.tokens("recorded")[0]
