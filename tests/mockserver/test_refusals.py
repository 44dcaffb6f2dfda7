"""What is refused, and in which words; recorded cases are in tests/contract/test_error_shapes.py."""

from typing import Any

import httpx
import pytest

from tests.mockserver.asking import AZURE_CHAT, CHAT, EMBEDDINGS, WEATHER, chat, user
from tests.mockserver.conftest import KEY, Serve

TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."


def message(**fields: Any) -> dict[str, Any]:
    return {"messages": [fields]}


@pytest.mark.parametrize(
    ("parameters", "text", "param", "code"),
    [
        ({"messages": []}, "Invalid 'messages': empty array.", "messages", "empty_array"),
        ({"messages": None}, "Invalid type for 'messages': expected an array of objects", "messages", "invalid_type"),
        ({"messages": "hi"}, "expected an array, but got a string instead.", "messages", "invalid_type"),
        ({"messages": [5]}, "expected an object, but got an integer instead.", "messages[0]", "invalid_type"),
        (message(content="x"), "Missing required parameter", "messages[0].role", "missing_required_parameter"),
        (message(role="pope", content="x"), "Invalid value: 'pope'. Supported", "messages[0].role", "invalid_value"),
        (
            message(role="user"),
            "Invalid value for 'content': expected a string, got null.",
            "messages.[0].content",
            None,
        ),
        (message(role="assistant"), "Invalid value for 'content'", "messages.[0].content", None),
        (
            message(role="user", content=5),
            "expected one of a string or array of objects",
            "messages[0].content",
            "invalid_type",
        ),
        (message(role="user", content="x", name="a b"), "does not match pattern", "messages[0].name", "invalid_value"),
        (message(role="user", content="x", name=5), "expected a string", "messages[0].name", "invalid_type"),
        (
            message(role="tool", content="x"),
            "Missing required",
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
        (message(role="tool", content="x", tool_call_id="c"), TOOL, "messages.[0].role", None),
        (message(role="function", content="x"), "Missing parameter 'name'", "messages.[0].name", None),
        (
            {"messages": [{"role": "assistant", "tool_calls": [TOOL_CALL]}, *user()]},
            "The following tool_call_ids did not have response messages: call_1",
            "messages",
            None,
        ),
        (
            message(role="assistant", tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "n"}}]),
            "Missing required parameter",
            "messages[0].tool_calls[0].custom.input",
            "missing_required_parameter",
        ),
        (
            message(role="assistant", function_call={"name": "f"}),
            "Missing required parameter",
            "messages[0].function_call.arguments",
            "missing_required_parameter",
        ),
        (
            message(role="user", content=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,???"}}]),
            "You uploaded an unsupported image.",
            None,
            "invalid_image_format",
        ),
        ({"temperature": "hot"}, "expected a decimal, but got a string", "temperature", "invalid_type"),
        (
            {"temperature": -1},
            "decimal below minimum value. Expected a value >= 0",
            "temperature",
            "decimal_below_min_value",
        ),
        ({"n": 129}, "integer above maximum value. Expected a value <= 128", "n", "integer_above_max_value"),
        ({"n": 1.5}, "expected an integer, but got a decimal number", "n", "invalid_type"),
        ({"stream": "yes"}, "expected a boolean, but got a string", "stream", "invalid_type"),
        ({"user": {}}, "expected a string, but got an object", "user", "invalid_type"),
        (
            {"stop": ["a"] * 5},
            "array too long. Expected an array with maximum length 4",
            "stop",
            "array_above_max_length",
        ),
        ({"service_tier": "gold"}, "Invalid value: 'gold'.", "service_tier", "invalid_value"),
        ({"chat": 1}, "Unrecognized request argument supplied: chat", None, None),
        ({"a": 1, "b": 2}, "Unrecognized request arguments supplied: a, b", None, None),
        ({"stream_options": {}}, "only allowed when 'stream' is enabled", "stream_options", None),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "at the same time", None, "invalid_parameter_combination"),
        ({"max_tokens": 99_999}, "supports at most 16384 completion tokens", "max_tokens", "invalid_value"),
        ({"tool_choice": "auto"}, "only allowed when 'tools' are specified", "tool_choice", None),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "no function named 'g' was specified",
            "tool_choice",
            None,
        ),
        (
            {"tools": [{"type": "custom", "custom": {}}]},
            "Missing",
            "tools[0].custom.name",
            "missing_required_parameter",
        ),
        ({"response_format": {"type": "json_object"}}, "must contain the word 'json'", "messages", None),
        ({"response_format": {"type": "xml"}}, "Invalid value: 'xml'", "response_format.type", "invalid_value"),
        ({"model": 5}, "Invalid type for 'model'", "model", "invalid_type"),
        ({"model": None}, "you must provide a model parameter", None, None),
        ({"model": "o3", "temperature": 0.5}, "Only the default (1) value", "temperature", "unsupported_value"),
    ],
)
def test_a_wrong_chat_request_is_refused_in_the_apis_words(
    http: httpx.Client, parameters: dict[str, Any], text: str, param: str | None, code: str | None
) -> None:
    response = http.post(CHAT, json=chat(**parameters))
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert text in error["message"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


def test_missing_messages_are_named(http: httpx.Client) -> None:
    assert http.post(CHAT, json={"model": "gpt-4o"}).json()["error"]["param"] == "messages"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[1]",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"model": NaN}',
        b'{"model": "gpt-4o", "user": "\\ud800"}',
        b"[" * 50_000,
        b'{"a":' * 400 + b"1" + b"}" * 400,
    ],
)
def test_what_is_no_json_object_is_refused(http: httpx.Client, raw: bytes) -> None:
    response = http.post(CHAT, content=raw)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("We could not parse the JSON body of your request.")


def test_brackets_in_a_text_are_no_depth(http: httpx.Client) -> None:
    assert http.post(CHAT, json=chat(messages=user('"[{\\"' * 400))).status_code == 200


def test_a_path_that_is_not_served_is_a_404(http: httpx.Client) -> None:
    response = http.post("/v1/nonsense", json={})
    assert response.status_code == 404
    assert response.json()["error"]["message"] == "Invalid URL (POST /v1/nonsense)"


def test_another_method_is_a_405(http: httpx.Client) -> None:
    response = http.put(CHAT)
    assert response.status_code == 405
    assert "Not allowed to PUT on /v1/chat/completions" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (CHAT, chat(model="gpt-99"), 404),
        (CHAT, chat(model="text-embedding-3-small"), 403),
        (CHAT, chat(model="gpt-3.5-turbo-instruct"), 404),
        (CHAT, chat(model="gpt-3.5-turbo-0613"), 404),
        (EMBEDDINGS, {"model": "gpt-4o", "input": "x"}, 403),
    ],
)
def test_a_model_that_is_not_there_or_not_for_it(http: httpx.Client, path: str, body: Any, status: int) -> None:
    response = http.post(path, json=body)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_a_body_over_the_limit_is_a_413(http: httpx.Client) -> None:
    response = http.post(CHAT, content=b"x" * (32 * 1024 * 1024 + 1))
    assert response.status_code == 413
    assert "Maximum content size limit (33554432) exceeded" in response.json()["error"]["message"]


class TestKeys:
    """Credentials, present and absent."""

    def test_none_is_refused_with_advice(self, serve: Serve) -> None:
        response = httpx.post(serve().url + CHAT, json=chat())
        assert response.status_code == 401
        assert response.json()["error"]["message"].startswith("You didn't provide an API key.")

    def test_any_passes_unless_some_are_named(self, serve: Serve) -> None:
        headers = {"authorization": "Bearer anything"}
        assert httpx.post(serve().url + CHAT, headers=headers, json=chat()).status_code == 200
        assert httpx.post(serve(api_keys=["other"]).url + CHAT, headers=headers, json=chat()).status_code == 401

    def test_a_named_one_passes(self, serve: Serve) -> None:
        headers = {"authorization": f"bearer {KEY}"}
        assert httpx.post(serve(api_keys=[KEY]).url + CHAT, headers=headers, json=chat()).status_code == 200

    @pytest.mark.parametrize(
        ("key", "quoted"),
        [("DEADBEEF", "DEADBEEF"), ("test-api-key", "test-api-key"), ("<not-a-real-key>", "<not-a-r****key>")],
    )
    def test_a_wrong_one_is_quoted_as_the_api_masks_it(self, serve: Serve, key: str, quoted: str) -> None:
        server = serve(api_keys=["other"])
        error = httpx.post(server.url + CHAT, headers={"authorization": f"Bearer {key}"}, json=chat()).json()["error"]
        assert error["message"].startswith(f"Incorrect API key provided: {quoted}. You can find")
        assert error["code"] == "invalid_api_key"

    @pytest.mark.parametrize("headers", [{"api-key": KEY}, {"authorization": f"Bearer {KEY}"}])
    def test_azure_takes_either_header(self, serve: Serve, headers: dict[str, str]) -> None:
        assert httpx.post(serve(api_keys=[KEY]).url + AZURE_CHAT, headers=headers, json=chat()).status_code == 200

    def test_azure_refuses_in_its_own_words(self, serve: Serve) -> None:
        response = httpx.post(serve().url + AZURE_CHAT, json=chat())
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "401"
        assert "apim-request-id" in response.headers
