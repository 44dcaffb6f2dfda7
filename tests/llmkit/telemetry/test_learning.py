"""Bills teach the calibration of token counts, where that is asked for."""

from __future__ import annotations

import json

from llmkit import Calibration, TokenCount, count_tokens
from llmkit.telemetry import Telemetry
from tests.llmkit.conftest import RawServer
from tests.llmkit.telemetry.conftest import Open

QUESTION = [{"role": "user", "content": "What is a whale?"}]


def billed(raw: RawServer, tokens: int) -> None:
    body = json.loads(raw.completion()) | {"usage": {"prompt_tokens": tokens, "completion_tokens": 2}}
    raw.say(raw.http(json.dumps(body)))


def test_a_gateway_that_adds_tokens_is_learnt(raw: RawServer, connect: Open) -> None:
    count = count_tokens(QUESTION, model="gpt-4o")
    billed(raw, count.tokens + 40)
    client = connect(base_url=raw.url, telemetry=Telemetry(calibrate=True))
    for _ in range(8):
        client.chat(QUESTION)
    assert client.calibration.adjust(count, model="gpt-4o") == TokenCount(count.tokens + 40, 0)


def test_after_a_few_bills_each_sixteenth_is_learnt(raw: RawServer, connect: Open) -> None:
    billed(raw, 12)
    client = connect(base_url=raw.url, telemetry=Telemetry(calibrate=True))
    for _ in range(33):
        client.chat(QUESTION)
    assert len(client.calibration.differences["gpt-4o"]) == 10


def test_nothing_is_learnt_unless_asked_for(raw: RawServer, connect: Open) -> None:
    billed(raw, 12)
    client = connect(base_url=raw.url)
    client.chat(QUESTION)
    assert client.calibration == Calibration()


def test_a_reply_without_a_bill_teaches_nothing(raw: RawServer, connect: Open) -> None:
    raw.say(raw.http(raw.completion().rpartition(', "usage"')[0] + "}"))
    client = connect(base_url=raw.url, telemetry=Telemetry(calibrate=True))
    client.chat(QUESTION)
    assert client.calibration == Calibration()
