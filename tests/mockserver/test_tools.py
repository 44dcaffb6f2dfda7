"""Tool calls and structured outputs."""

import json
from typing import Any

import httpx
import jsonschema_rs
import openai
import pytest
from pydantic import BaseModel

from mockserver import MockServer, reply
from tests.mockserver.asking import CHAT, MAIL, WEATHER, chat, user


def ask(http: httpx.Client, **parameters: Any) -> dict[str, Any]:
    response = http.post(CHAT, json=chat(**parameters))
    assert response.status_code == 200, response.text
    choice: dict[str, Any] = response.json()["choices"][0]
    return choice


def called(choice: dict[str, Any]) -> str:
    name: str = choice["message"]["tool_calls"][0]["function"]["name"]
    return name


def test_the_tool_that_fits_the_prompt_is_called(http: httpx.Client) -> None:
    for prompt, name in (("How is the weather in Oslo?", "get_weather"), ("Please email Ada", "send_mail")):
        assert called(ask(http, tools=[WEATHER, MAIL], messages=user(prompt))) == name


def test_arguments_conform_to_the_tools_schema(http: httpx.Client) -> None:
    choice = ask(http, tools=[WEATHER], messages=user("Weather in Oslo, in celsius"))
    arguments = json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])
    jsonschema_rs.validate(WEATHER["function"]["parameters"], arguments)  # type: ignore[index] # a literal above
    assert arguments["unit"] == "celsius"
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None


def test_a_named_tool_is_called_whatever_the_prompt(http: httpx.Client) -> None:
    choice = {"type": "function", "function": {"name": "send_mail"}}
    assert called(ask(http, tools=[WEATHER, MAIL], messages=user("The weather?"), tool_choice=choice)) == "send_mail"


def test_with_tool_choice_none_text_is_said(http: httpx.Client) -> None:
    assert ask(http, tools=[WEATHER], tool_choice="none")["message"]["content"]


def test_after_a_tool_result_the_text_uses_it(http: httpx.Client) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    conversation = [
        *user("The weather in Oslo?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"temperature": 31.5}'},
    ]
    text = ask(http, tools=[WEATHER], messages=conversation)["message"]["content"]
    assert "31.5" in text
    assert "get_weather" in text


def test_a_custom_tool_gets_free_text(http: httpx.Client) -> None:
    tool = {"type": "custom", "custom": {"name": "notes"}}
    assert ask(http, tools=[tool])["message"]["tool_calls"][0]["custom"]["input"]


def test_a_tool_without_parameters_is_called_without_arguments(http: httpx.Client) -> None:
    tool = {"type": "function", "function": {"name": "now"}}
    assert ask(http, tools=[tool])["message"]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_the_sdk_parses_a_structured_output(client: openai.OpenAI) -> None:
    class Ticket(BaseModel):
        title: str
        urgent: bool
        tags: list[str]

    completion = client.chat.completions.parse(model="gpt-4o", messages=user(), response_format=Ticket)
    assert isinstance(completion.choices[0].message.parsed, Ticket)


def test_the_enum_value_that_the_prompt_mentions_is_chosen(http: httpx.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"team": {"enum": ["billing", "shipping", "legal"]}},
        "required": ["team"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "triage", "schema": schema}}
    text = ask(http, messages=user("My parcel: the shipping was late"), response_format=wanted)["message"]["content"]
    assert json.loads(text) == {"team": "shipping"}


def test_a_json_object_has_the_keys_that_the_prompt_quotes(http: httpx.Client) -> None:
    prompt = 'Answer in JSON with the keys "name" and "reason"'
    text = ask(http, messages=user(prompt), response_format={"type": "json_object"})["message"]["content"]
    assert set(json.loads(text)) == {"name", "reason"}


@pytest.mark.parametrize(
    ("tool", "complaint"),
    [
        ({"type": "object"}, "object schema missing properties"),
        ({}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'"),
        ({"type": "object", "properties": {"a": {"type": "what"}}}, "not a valid JSON Schema"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}, "reference can only point"),
    ],
)
def test_a_bad_function_schema_is_refused(http: httpx.Client, tool: Any, complaint: str) -> None:
    function = {"type": "function", "function": {"name": "f", "parameters": tool}}
    error = http.post(CHAT, json=chat(tools=[function])).json()["error"]
    assert complaint in error["message"]
    assert (error["code"], error["param"]) == ("invalid_function_parameters", "tools[0].function.parameters")


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"type": "object", "properties": {}}, "'additionalProperties' is required to be supplied and to be false"),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False, "required": []},
            "Missing 'a'",
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {}}}},
                "additionalProperties": False,
                "required": ["a"],
            },
            "In context=('properties', 'a', 'items')",
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {}}]}},
                "additionalProperties": False,
                "required": ["a"],
            },
            "In context=('properties', 'a', 'anyOf', '1')",
        ),
    ],
)
def test_a_strict_schema_must_be_strict(http: httpx.Client, schema: Any, complaint: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}}
    error = http.post(CHAT, json=chat(response_format=wanted)).json()["error"]
    assert error["message"].startswith("Invalid schema for response_format 's': In context=")
    assert complaint in error["message"]
    assert error["param"] == "response_format"


def test_a_schema_that_nothing_conforms_to_is_refused(http: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    response = http.post(CHAT, json=chat(response_format=wanted))
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "response_format"


def test_a_schema_beyond_the_server_is_refused_in_its_own_voice(mockserver: MockServer, http: httpx.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "pattern": "^\\p{Emoji}+$"}},
        "required": ["name"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    body = chat(response_format=wanted)
    error = http.post(CHAT, json=body).json()["error"]
    assert error["message"].startswith("mockserver makes no value for this schema: a pattern that is not covered")
    assert "This is a limit of the mock server, not an answer of the API." in error["message"]
    assert "reply(json=…)" in error["message"]
    assert (error["type"], error["code"]) == ("mockserver_limit", "schema_not_covered")
    mockserver.script(reply(json={"as": "advised"}), reply('{"name": "Ada"}'))
    assert http.post(CHAT, json=body).json() == {"as": "advised"}
    assert http.post(CHAT, json=body).json()["choices"][0]["message"]["content"] == '{"name": "Ada"}'
