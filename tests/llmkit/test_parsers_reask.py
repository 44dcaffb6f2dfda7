"""Tool calls checked against the tools offered, and asking again: what is said, how often, and when never.

Rows 5.I1 (tool calls), 5.I2, 5.T1 and 5.T4.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import Completion, ConfigError, ParseFailed, ToolCall
from llmkit.messages import conversation
from llmkit.parsers import Code, Items, Json, ParsedCall, ToolCalls, reask
from llmkit.parsers.reask import Again, Stop

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
FLAT = {"type": "function", "name": "now"}  # as the Responses API has it, without parameters


def call(name: str, arguments: object, *, id: str = "c1") -> ToolCall:
    return ToolCall(id=id, name=name, arguments=arguments if isinstance(arguments, str) else json.dumps(arguments))


def answer(text: str = "", *calls: ToolCall, finish: str | None = "stop") -> Completion:
    return Completion(text=text, finish_reason=finish, model="m", tool_calls=calls, payload={})


def refusal(parse: Any, reply: Any) -> ParseFailed:
    with pytest.raises(ParseFailed) as caught:
        parse(reply)
    return caught.value


def test_sound_tool_calls_come_with_their_arguments() -> None:
    parse = ToolCalls([WEATHER, FLAT])
    reply = answer("", call("get_weather", {"city": "Rome"}), call("now", "", id="c2"), finish="tool_calls")
    assert (
        parse(reply)
        == parse(reply.tool_calls)
        == [
            ParsedCall(id="c1", name="get_weather", arguments={"city": "Rome"}),
            ParsedCall(id="c2", name="now", arguments={}),
        ]
    )
    assert repr(parse) == "ToolCalls(get_weather, now)"


@pytest.mark.parametrize(
    ("name", "arguments", "shown"),
    [
        ("get_wether", {}, "tool 'get_wether' was not offered; did it mean 'get_weather'? They are 'get_weather'"),
        (
            "get_weather",
            '{"city":',
            "the arguments of 'get_weather' are no JSON, line 1, column 9: the JSON ends before",
        ),
        ("get_weather", '{"city": "a", "city": "b"}', "stands here for the second time"),
        ("get_weather", [], "the arguments of 'get_weather' are [], not an object"),
        ("get_weather", "", '"city" is a required property'),
        ("get_weather", {"city": 5}, '$.city (line 1, column 10): 5 is not of type "string"'),
    ],
)
def test_a_call_that_is_not_sound_is_refused(name: str, arguments: object, shown: str) -> None:
    assert shown in str(refusal(ToolCalls([WEATHER]), [call(name, arguments)]))


def test_all_calls_that_are_not_sound_are_told() -> None:
    error = refusal(ToolCalls([WEATHER]), [call("x", {}), call("get_weather", {"city": "a"}), call("get_weather", {})])
    assert str(error).splitlines()[0] == "2 tool calls are wrong"
    assert "tool 'x'" in str(error)


def test_no_call_is_an_error_unless_it_may_be() -> None:
    assert "the reply calls no tool; it says 'Hi'" in str(refusal(ToolCalls([WEATHER]), answer("Hi")))
    assert ToolCalls([WEATHER], optional=True)(answer("Hi")) == []


@pytest.mark.parametrize("tool", [5, {}, {"function": {}}, {"function": {"name": "f", "parameters": {"type": "x"}}}])
def test_what_is_no_tool_is_refused_when_the_parser_is_made(tool: object) -> None:
    with pytest.raises(ConfigError):
        ToolCalls([tool])


def test_a_parser_gets_the_text_or_all_of_the_reply() -> None:
    assert reask.parsed(Json(), answer("[1]")) == [1]
    assert reask.parsed(str.upper, answer("a")) == "A"
    reply = answer("", call("get_weather", {"city": "Rome"}), finish="tool_calls")
    assert reask.parsed(ToolCalls([WEATHER]), reply)[0].arguments == {"city": "Rome"}


@pytest.mark.parametrize("finish", ["length", "content_filter", None])
def test_a_reply_that_was_cut_off_is_not_parsed_though_it_could_be(finish: str | None) -> None:
    error = refusal(lambda reply: reask.parsed(Items(), reply), answer("- a\n- b", finish=finish))
    assert f"finish reason {finish!r}" in str(error)
    assert reask.is_cut_off(error)


@pytest.mark.parametrize(("parse", "text", "position"), [(json.loads, '{"a": no}', 6), (int, "seven", None)])
def test_a_function_of_ones_own_refuses_by_a_value_error(parse: Any, text: str, position: int | None) -> None:
    with pytest.raises(ParseFailed, match=r"^The parser refused the reply: .+") as caught:
        reask.parsed(parse, answer(text))
    assert (caught.value.text, caught.value.position) == (text, position)
    assert isinstance(reask.decide(caught.value, answer(text), asked=1, most=2), Again)


def test_asking_again_shows_the_reply_and_what_is_wrong_with_it() -> None:
    reply = answer("[1,]")
    again = reask.decide(refusal(Json(), reply.text), reply, asked=1, most=2)
    assert isinstance(again, Again)
    said, asked = again.messages
    assert said == {"role": "assistant", "content": "[1,]"}
    assert asked["role"] == "user"
    assert "line 1, column 4: this is no JSON" in asked["content"]
    assert conversation(again.messages) == list(again.messages)


def test_every_tool_call_is_answered_by_its_id() -> None:
    reply = answer("", call("x", {}), call("get_weather", {"city": "a"}, id="c2"), finish="tool_calls")
    again = reask.decide(refusal(ToolCalls([WEATHER]), reply), reply, asked=1, most=2)
    assert isinstance(again, Again)
    said, *results = again.messages
    assert [each["id"] for each in said["tool_calls"]] == [each["tool_call_id"] for each in results] == ["c1", "c2"]
    assert {each["role"] for each in results} == {"tool"}


@pytest.mark.parametrize(
    ("parse", "text"), [(Json(), '{"a": 1'), (Json(), "[tru"), (Code(), "```python\na"), (Json(), "```json\n[1]")]
)
def test_a_reply_that_ends_too_soon_is_not_asked_for_again_whatever_its_finish_reason(parse: Any, text: str) -> None:
    stop = reask.decide(refusal(parse, text), answer(text), asked=1, most=9)
    assert isinstance(stop, Stop)
    assert "ends before it is complete" in stop.reason


def test_an_empty_reply_may_be_asked_for_again() -> None:
    assert isinstance(reask.decide(refusal(Json(), ""), answer(""), asked=1, most=2), Again)


replies = st.builds(
    lambda text, finish: answer(text, finish=finish),
    st.text(),
    st.sampled_from(["stop", "tool_calls", "length", "content_filter", None]),
)


@given(replies, st.integers(1, 20), st.integers(1, 10), st.none() | st.integers(0, 20))
def test_no_more_requests_than_the_bound_and_none_after_a_reply_cut_off(
    reply: Completion, asked: int, most: int, position: int | None
) -> None:
    failed = ParseFailed("no", text=reply.text, position=position)
    decided = reask.decide(failed, reply, asked=asked, most=most)
    if isinstance(decided, Again):
        assert asked < most
        assert reply.complete
        assert not reask.is_cut_off(failed)
        assert [message["role"] for message in decided.messages] == ["assistant", "user"]
    else:
        assert decided.reason


@given(st.integers(1, 10))
def test_a_model_that_never_learns_is_asked_as_often_as_the_bound_says(most: int) -> None:
    asked = 1
    reply = answer("no")
    while isinstance(reask.decide(refusal(Json(), "no"), reply, asked=asked, most=most), Again):
        asked += 1
    assert asked == most


@pytest.mark.parametrize("most", [0, 11, -1, True, 1.5, None])
def test_a_bound_that_is_none_is_refused(most: Any) -> None:
    with pytest.raises(ConfigError, match="the bound has to be from 1 to 10"):
        reask.decide(ParseFailed("no"), answer("no"), asked=1, most=most)
