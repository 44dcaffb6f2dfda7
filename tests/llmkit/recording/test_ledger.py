from __future__ import annotations

import json

import pytest

from llmkit.recording.interaction import Response
from llmkit.recording.ledger import Ledger, Usage, usage_of

CHAT = {"model": "gpt-4o", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
USAGE = Usage(model="gpt-4o", prompt_tokens=3, completion_tokens=4)


def reply(body: str) -> Response:
    return Response(status=200, body=body.encode())


def test_the_usage_of_a_json_reply_is_read() -> None:
    assert usage_of(reply(json.dumps(CHAT))) == USAGE


def test_the_usage_at_the_end_of_a_stream_is_read() -> None:
    events = [{"model": "gpt-4o", "usage": None}, CHAT]
    assert usage_of(reply("".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n")) == USAGE


def test_the_usage_inside_a_responses_event_is_read() -> None:
    inner = {"model": "gpt-4o", "usage": {"input_tokens": 3, "output_tokens": 4}}
    event = json.dumps({"type": "response.completed", "response": inner})
    assert usage_of(reply(f"event: response.completed\ndata: {event}\n\n")) == USAGE


@pytest.mark.parametrize("body", ["", "<html>", "[1]", '{"usage": 3}', "data: {", "data: [1]\n\n"])
def test_a_reply_without_usage_bills_nothing(body: str) -> None:
    assert usage_of(reply(body)) == Usage()


def test_a_binary_reply_bills_nothing() -> None:
    assert usage_of(Response(status=200, body=b"\xff\xfb")) == Usage()


def test_recorded_and_replayed_are_kept_apart() -> None:
    ledger = Ledger()
    ledger.record(reply(json.dumps(CHAT)))
    ledger.replay(reply(json.dumps(CHAT)))
    ledger.replay(reply(json.dumps(CHAT)))
    assert (ledger.recorded, ledger.replayed) == (1, 2)
    assert ledger.replayed_tokens == {"gpt-4o in": 6, "gpt-4o out": 8}


def test_the_facts_of_one_process_add_up_in_another() -> None:
    ledger, total = Ledger(), Ledger()
    ledger.record(reply(json.dumps(CHAT)))
    facts = json.loads(json.dumps(ledger.facts()))
    total.add(facts)
    total.add(facts)
    assert total.recorded == 2
    assert total.recorded_tokens == {"gpt-4o in": 6, "gpt-4o out": 8}
