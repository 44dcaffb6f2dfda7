"""Parsers in calls over real sockets: what is parsed, asked for again, and never asked for again.

Rows 5.I1, 5.I2, 5.T3 and 5.T4, as far as they are about parsers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

from llmkit import Client, ParseFailed
from llmkit.parsers import Boolean, Choice, Code, Items, Json, Model, Number, ParsedCall, Schema, ToolCalls
from llmkit.templates import patterns
from mockserver import MockServer, reply

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}


class City(pydantic.BaseModel):
    city: str


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[MockServer, Client]]:
    with MockServer() as server, Client(base_url=server.openai_url, api_key="any", model="gpt-4o-mini") as client:
        yield server, client


@pytest.fixture
def server(shared: tuple[MockServer, Client]) -> MockServer:
    shared[0].reset()
    return shared[0]


@pytest.fixture
def client(shared: tuple[MockServer, Client]) -> Client:
    return shared[1]


@pytest.mark.parametrize(
    ("parse", "text", "parsed"),
    [
        (Json(), '```json\n{"city": "Łódź"}\n```', {"city": "Łódź"}),
        (Schema(CITY), '{"city": "Rome"}', {"city": "Rome"}),
        (Model(City), '{"city": "Rome"}', City(city="Rome")),
        (Code("python"), "Sure:\n```python\nprint(1)\n```", "print(1)\n"),
        (Items(), "1. a\n2. b", ["a", "b"]),
        (Number(unit="%"), "45 %", 45),
        (Choice("good", "bad"), "Good.", "good"),
        (Boolean(), "no", False),
        (str.upper, "hello", "HELLO"),
    ],
)
def test_a_reply_is_parsed(server: MockServer, client: Client, parse: Any, text: str, parsed: object) -> None:
    server.script(reply(text))
    assert client.chat("Hi", parse=parse).parsed == parsed


def test_what_is_refused_is_asked_for_again_with_the_reason(server: MockServer, client: Client) -> None:
    server.script(reply("It is Rome."), reply('{"city": 5}'), reply('{"city": "Rome"}'))
    assert client.chat("Which city?", parse=Schema(CITY), reasks=2).parsed == {"city": "Rome"}
    first, second, third = (exchange.request["messages"] for exchange in server.journal)
    assert second[:-1] == [*first, {"role": "assistant", "content": "It is Rome."}]
    assert "line 1, column 1: this is no JSON" in second[-1]["content"]
    assert third[: len(second)] == second
    assert '$.city (line 1, column 10): 5 is not of type "string"' in third[-1]["content"]


def test_a_tool_call_is_checked_and_asked_for_again(server: MockServer, client: Client) -> None:
    wrong, right = ({"name": "get_weather", "arguments": {"city": city}} for city in (5, "Rome"))
    server.script(reply(tool_calls=[wrong]), reply(tool_calls=[right]))
    answer = client.chat("Rome?", tools=[WEATHER], parse=ToolCalls([WEATHER]), reasks=1)
    [call] = answer.parsed
    assert isinstance(call, ParsedCall)
    assert (call.name, call.arguments) == ("get_weather", {"city": "Rome"})
    [_, second] = [exchange.request["messages"] for exchange in server.journal]
    assert second[-1]["tool_call_id"] == second[-2]["tool_calls"][0]["id"]


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        (reply('{"city": "Ro', finish_reason="length"), "not complete"),
        (reply('{"city": "Rome"}', finish_reason="length"), "not complete"),
        (reply("", finish_reason="content_filter"), "not complete"),
        (reply('{"city": "Ro'), "the reply was cut off"),
        (reply('```json\n{"city": "Rome"}'), "the reply was cut off"),
    ],
)
def test_a_reply_that_was_cut_off_is_never_asked_for_again(
    server: MockServer, client: Client, step: Any, shown: str
) -> None:
    server.script(step, reply('{"city": "Rome"}'))
    with pytest.raises(ParseFailed, match=shown):
        client.chat("Which city?", parse=Schema(CITY), reasks=5)
    assert len(server.journal) == 1


@pytest.mark.parametrize("reasks", [None, 0, 3])
def test_a_model_that_never_learns_is_asked_as_often_as_allowed(
    server: MockServer, client: Client, reasks: int | None
) -> None:
    server.script(reply("no").times("forever"))
    with pytest.raises(ParseFailed) as caught:
        client.chat("Which city?", parse=Json(), reasks=reasks)
    assert len(server.journal) == 1 + (reasks or 0) == len(caught.value.attempts)


def test_a_pattern_and_its_parser_go_together(server: MockServer, client: Client) -> None:
    labels = ["positive", "negative"]
    server.script(reply("Negative"))
    assert client.chat(patterns.classify("Awful.", labels), parse=Choice(*labels)).parsed == "negative"
