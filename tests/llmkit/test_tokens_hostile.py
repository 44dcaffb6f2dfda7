"""Messages, tools and schemas that nobody should send: counted, or refused with an error of ours. Row 2.T5."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import InvalidRequest, count_response_tokens, count_text, count_tokens, fit_messages, trim_text
from llmkit.tokens import count_inputs

MODEL = "gpt-4o"


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def circular() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    schema["properties"]["a"] = schema
    return schema


def tool(schema: object) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", "parameters": schema}}]


HOSTILE = [
    pytest.param(nested(100_000), id="nested without end"),
    pytest.param(circular(), id="circular"),
    pytest.param({"type": "object", "properties": {"a": {"default": 10**5000}}}, id="digits"),
    pytest.param({"type": "object", "properties": {"a": {"default": {(1, 2): 3}}}}, id="keys"),
]


@pytest.mark.parametrize("schema", HOSTILE)
@pytest.mark.parametrize(
    "count",
    [
        lambda schema: count_tokens("hi", model=MODEL, tools=tool(schema)),
        lambda schema: count_tokens("hi", model=MODEL, tools=[{"type": "web_search_of_ours", "filters": schema}]),
        lambda schema: count_tokens(
            "hi", model=MODEL, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
        ),
        lambda schema: count_response_tokens("hi", model=MODEL, tools=[{"type": "function", **tool(schema)[0]}]),
        lambda schema: count_response_tokens([{"type": "computer_call", "action": schema}], model=MODEL),
        lambda schema: count_response_tokens([{"type": "function_call_output", "output": schema}], model=MODEL),
        lambda schema: count_response_tokens(
            [{"role": "user", "content": [{"type": "input_file", "x": schema}]}], model=MODEL
        ),
        lambda schema: count_tokens([{"role": "user", "content": [{"type": "file", "x": schema}]}], model=MODEL),
    ],
    ids=["tool", "hosted", "format", "response tool", "item", "output", "part", "chat part"],
)
def test_what_json_cannot_say_is_refused(count: Callable[[Any], int], schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        count(schema)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("levels", [300, 480, 900, 980, 100_000])
@pytest.mark.parametrize("calls", [1, 2])
def test_arguments_that_are_nested_without_end_are_counted(levels: int, calls: int) -> None:
    """They are text, and a model may have written anything."""
    made = [{"id": str(n), "function": {"name": "f", "arguments": "[" * levels + "]" * levels}} for n in range(calls)]
    results = [{"role": "tool", "tool_call_id": str(n), "content": "[" * levels + "]" * levels} for n in range(calls)]
    counted = count_tokens([{"role": "assistant", "content": None, "tool_calls": made}, *results], model=MODEL)
    assert counted > levels // 4


@pytest.mark.parametrize("strange", [[1], {"a": 1}, 5, None])
def test_a_strange_id_of_a_call_is_none(strange: object) -> None:
    call = {"id": strange, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        {"role": "tool", "tool_call_id": strange, "content": "x"},
    ]
    assert count_tokens(messages, model=MODEL) > 10
    assert fit_messages(messages, model=MODEL).messages == messages


@pytest.mark.parametrize("kind", [[], {}, 5])
def test_an_item_of_a_strange_type_is_estimated(kind: object) -> None:
    assert count_response_tokens([{"type": kind, "x": "y"}], model=MODEL).margin > 0
    assert count_tokens([{"role": "user", "content": [{"type": kind, "x": "y"}]}], model=MODEL).margin > 0
    assert count_tokens("hi", model=MODEL, tools=[{"type": kind, "x": "y"}]) > 8


@pytest.mark.parametrize("text", [5, None, b"bytes", ["a"]])
def test_what_is_no_text_is_refused(text: Any) -> None:
    with pytest.raises(InvalidRequest, match="has to be a text"):
        count_text(text, model=MODEL)
    with pytest.raises(InvalidRequest, match="has to be a text"):
        trim_text(text, model=MODEL, tokens=5)


@pytest.mark.parametrize("arguments", [{"tokens": 2.5}, {"tokens": "5"}, {"tokens": 5, "keep": "middle"}])
def test_what_no_trimming_can_be_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"tokens = |keep = "):
        trim_text("a b c d e f g", model=MODEL, **arguments)


@pytest.mark.parametrize(
    "arguments", [{"window": "5"}, {"window": 0}, {"window": -5}, {"window": 2.5}, {"answer": -1}, {"answer": "1"}]
)
def test_what_is_no_number_of_tokens_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=f"{next(iter(arguments))} = "):
        fit_messages("hi", model=MODEL, **arguments)


@pytest.mark.parametrize("inputs", [[None], 5, [["a"]], [[1, "a"]], b"bytes"])
def test_inputs_that_are_none_are_refused(inputs: Any) -> None:
    with pytest.raises(InvalidRequest):
        count_inputs(inputs, model="text-embedding-3-small")


def test_required_names_are_found_in_one_step_each() -> None:
    """5,000 properties are allowed: https://platform.openai.com/docs/guides/structured-outputs."""

    class Name(str):
        __slots__ = ()
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            Name.compared += 1
            return str.__eq__(self, other)

    names = [Name(f"property {number}") for number in range(500)]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names[::-1]}
    count_tokens("hi", model=MODEL, tools=tool(schema))
    assert Name.compared < 5_000


def test_a_recursion_limit_is_left_as_it_was() -> None:
    before = sys.getrecursionlimit()
    with pytest.raises(InvalidRequest):
        count_tokens("hi", model=MODEL, tools=tool(nested(100_000)))
    assert sys.getrecursionlimit() == before
