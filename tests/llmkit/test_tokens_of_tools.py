"""Tools, calls, schemas, pictures and responses, counted. Row 2.T2."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from llmkit import InvalidRequest, count_inputs, count_response_tokens, count_tokens

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "Return weather information for a city.", "parameters": CITY}


def tool(function: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": function}


def call(name: str, arguments: str, call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("model", "system", "question", "function", "billed"),
    [  # as billed in recorded traffic
        ("gpt-4.1", None, "What's the weather in San Francisco?", WEATHER, 51),
        (
            "gpt-4.1",
            "Be very terse, not even punctuation.",
            "What's the current date in YYYY-MM-DD format?",
            {"name": "get_date", "description": "Gets the current date", "parameters": {"properties": {}}},
            54,
        ),
        ("gpt-4o-mini", None, "What's the weather in Paris?", {**WEATHER, "description": ""}, 43),
        (
            "gpt-5-mini",
            None,
            "Call the get_fruit_image tool. What fruit is shown in the image? Just name the fruit.",
            {"name": "get_fruit_image", "description": "", "parameters": {"type": "object", "properties": {}}},
            134,
        ),
        (
            "gpt-4o-mini",
            "A streaming agent with tools",  # ends without a stop: the blank line after it is a token of its own
            "What is 6 times 7?",
            {
                "name": "multiply",
                "description": "Multiply two numbers.",
                "parameters": {
                    "type": "object",
                    "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
                    "required": ["a", "b"],
                },
            },
            58,
        ),
    ],
)
def test_tools_count_as_they_were_billed(
    model: str, system: str | None, question: str, function: dict[str, Any], billed: int
) -> None:
    messages = [{"role": "system", "content": system}] if system else []
    count = count_tokens([*messages, {"role": "user", "content": question}], model=model, tools=[tool(function)])
    assert count == billed
    assert count.margin == 1


def test_a_demanded_function_costs_its_name_on_models_that_do_not_reason() -> None:
    demanded = {"type": "function", "function": {"name": "get_weather"}}
    costs = {
        model: count_tokens("Hi", model=model, tools=[tool(WEATHER)], tool_choice=demanded)
        - count_tokens("Hi", model=model, tools=[tool(WEATHER)])
        for model in ("gpt-4o", "gpt-5")
    }
    assert costs == {"gpt-4o": 9, "gpt-5": 0}


def test_calls_at_once_are_one_call_with_a_list_of_results_before_gpt_5() -> None:
    calls = [call("f", '{"a":1}', "1"), call("f", '{"a":2}', "2")]
    results = [{"role": "tool", "tool_call_id": each["id"], "content": "72°F"} for each in calls]
    messages = [{"role": "assistant", "tool_calls": calls}, *results]
    together = count_tokens(messages, model="gpt-4o")
    uses = '{"tool_uses":[{"recipient_name":"functions.f","parameters":{"a":1}},'
    uses += '{"recipient_name":"functions.f","parameters":{"a":2}}]}'
    spelt = count_inputs([uses, '["72\\u00b0F", "72\\u00b0F"]'], model="gpt-4o")
    assert together == count_tokens([], model="gpt-4o") + 20 + spelt
    assert together.margin > 0


def test_a_result_costs_the_name_of_what_was_called() -> None:
    def exchange(name: str) -> int:
        said = [{"role": "assistant", "tool_calls": [call(name, "{}", "c")]}]
        return count_tokens([*said, {"role": "tool", "tool_call_id": "c", "content": "42"}], model="gpt-4o")

    assert exchange("get_user_country") - exchange("get") == 4  # two more tokens, twice


def test_instructions_and_a_schema_join_in_one_message() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    alone = count_tokens("Hi", model="gpt-4o", response_format=wanted) - count_tokens("Hi", model="gpt-4o")
    told = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    joined = count_tokens(told, model="gpt-4o", response_format=wanted) - count_tokens(told, model="gpt-4o")
    assert alone - joined == 5
    assert count_tokens("Hi", model="gpt-4o", response_format={"type": "json_object"}) == count_tokens(
        "Hi", model="gpt-4o"
    )


def test_words_that_the_model_is_not_told_cost_nothing_in_a_schema_for_the_answer() -> None:
    """A property may be called like one of them, and is told."""
    told = {"type": "object", "properties": {"required": {"type": "string"}}}
    untold = {**told, "required": ["required"], "additionalProperties": False, "$schema": "https://x"}
    bare = {**told, "properties": {}}
    costs = [
        count_tokens("Hi", model="gpt-4o", response_format={"type": "json_schema", "json_schema": {"schema": each}})
        for each in (told, untold, bare)
    ]
    assert costs[0] == costs[1] > costs[2]


def test_a_schema_that_refers_to_itself_ends() -> None:
    node: dict[str, Any] = {
        "type": "object",
        "properties": {side: {"$ref": "#/$defs/node"} for side in ("left", "right", "up", "down")},
    }
    looping = {"name": "grow", "parameters": {**node, "$defs": {"node": node}}}
    assert count_tokens("Hi", model="gpt-4o", tools=[tool(looping)]) > 20


@pytest.mark.parametrize(
    ("tools", "complaint"), [("f", "tools is 'f'"), ([5], r"tools\[0\] is 5"), ({"type": "function"}, "tools is {")]
)
def test_what_is_no_list_of_tools_is_told(tools: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        count_tokens("Hi", model="gpt-4o", tools=tools)


def picture(kind: str, width: int, height: int) -> str:
    heads = {
        "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height),
        "gif": b"GIF89a" + struct.pack("<HH", width, height),
        "jpeg": b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width),
        "webp": b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height),
        "webp, extended": b"RIFF\0\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0"
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little"),
        "webp, lossless": b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0/" + struct.pack("<I", (width - 1) | (height - 1) << 14),
    }
    payload = base64.b64encode(heads[kind] + b"\0" * 8).decode()
    return f"data:image/{kind.partition(',')[0]};base64,{payload}"


def priced(url: str, model: str, detail: str = "auto") -> int:
    image = [{"type": "image_url", "image_url": {"url": url, "detail": detail}}]
    return count_tokens([{"role": "user", "content": image}], model=model) - count_tokens("", model=model)


@pytest.mark.parametrize("kind", ["png", "gif", "jpeg", "webp", "webp, extended", "webp, lossless"])
def test_a_picture_costs_by_its_size_in_any_format(kind: str) -> None:
    assert priced(picture(kind, 330, 291), "gpt-5.6-sol") == 133


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "billed"),
    [
        ("gpt-4o", 60, 30, "auto", 255),
        ("gpt-4o", 1024, 1024, "high", 765),
        ("gpt-4o", 2048, 4096, "high", 1105),
        ("gpt-4o", 4096, 4096, "low", 85),
        ("gpt-4o-mini", 1, 1, "auto", 8500),
        ("gpt-5", 512, 512, "high", 210),
        ("gpt-5-nano", 128, 128, "auto", 25),
        ("gpt-4.1-nano", 128, 128, "auto", 41),
        ("gpt-4.1-mini", 1800, 2400, "auto", 2354),  # made smaller to 33 by 44 patches
    ],
)
def test_a_picture_costs_by_model_and_detail(model: str, width: int, height: int, detail: str, billed: int) -> None:
    """As in https://platform.openai.com/docs/guides/images-vision, and as billed."""
    assert priced(picture("png", width, height), model, detail) == billed


@pytest.mark.parametrize("url", ["data:image/png;base64,!", "data:image/png;base64,iVBORw0K", "https://x/y.png", ""])
def test_a_picture_without_a_size_has_a_wide_margin(url: str) -> None:
    image = [{"type": "image_url", "image_url": {"url": url}}]
    assert count_tokens([{"role": "user", "content": image}], model="gpt-4o").margin > 500


def test_a_call_that_the_api_keeps_costs_three_more_in_a_response() -> None:
    made = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    answered = {"type": "function_call_output", "call_id": "c", "output": "42"}
    kept = {**made, "id": "fc_1"}
    items = ([made, answered], [kept, answered])
    plain, referenced = (count_response_tokens(each, model="gpt-4o") for each in items)
    assert referenced - plain == 3


def test_reasoning_before_the_last_question_is_forgotten() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x" * 2900}
    asked = {"role": "user", "content": "Hi"}
    forgotten = count_response_tokens([thought, asked], model="gpt-5")
    assert (forgotten, forgotten.margin) == (count_response_tokens("Hi", model="gpt-5"), 0)
    remembered = count_response_tokens([asked, thought], model="gpt-5")
    assert abs(remembered - forgotten - 316) <= remembered.margin


@pytest.mark.parametrize("letters", [700, 7_000])
def test_what_the_api_compacted_costs_the_same_however_long_its_seal(letters: int) -> None:
    """Recorded: 235 to 273 tokens."""
    asked = {"role": "user", "content": "Hi"}
    compacted = {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAAAB" * letters}
    cost = count_response_tokens([compacted, asked], model="gpt-5") - count_response_tokens([asked], model="gpt-5")
    assert 235 <= cost <= 273


def test_a_screenshot_is_not_counted_letter_by_letter_and_leaves_a_margin() -> None:
    shot = {"type": "computer_screenshot", "image_url": "data:image/png;base64," + "iVBORw0KGgo" * 9_000}
    count = count_response_tokens([{"type": "computer_call_output", "call_id": "c", "output": shot}], model="gpt-5")
    assert count < 200
    assert count.margin > 1_000


def test_instructions_are_a_system_message_of_a_response() -> None:
    told = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    count = count_response_tokens("Hi", model="gpt-4o", instructions="Be brief.")
    assert count == count_response_tokens(told, model="gpt-4o") == count_tokens(told, model="gpt-4o")


def test_hosted_tools_are_estimates() -> None:
    count = count_response_tokens("Hi", model="gpt-4o", tools=[{"type": "web_search_preview"}])
    assert count > 300
    assert count.margin > 100


@pytest.mark.parametrize("given", [5, {"role": "user", "content": "Hi"}, [5], [{"content": "Hi", "type": "message"}]])
def test_what_is_no_input_is_told(given: Any) -> None:
    with pytest.raises(InvalidRequest, match="input"):
        count_response_tokens(given, model="gpt-4o")


def test_token_numbers_count_as_what_they_are() -> None:
    assert count_inputs([[1, 2, 3], "Hi", [4]], model="text-embedding-3-small") == 5
    assert count_inputs([1, 2, 3], model="gpt-3.5-turbo-instruct") == 3


@pytest.mark.parametrize("inputs", [5, b"Hi", [None], [["Hi"]]])
def test_what_has_no_tokens_is_told(inputs: Any) -> None:
    with pytest.raises(InvalidRequest, match="has no tokens"):
        count_inputs(inputs, model="text-embedding-3-small")
