"""Responses: what is said, kept, billed and refused, as the official SDK and plain HTTP see it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mockserver import MockServer, reply
from tests.mockserver.conftest import KEY, Serve

RESPONSES = "/v1/responses"
OTTERS = "Tell me about sea otters and kelp forests"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": SCHEMA,
    "strict": True,
}
MAIL: dict[str, Any] = {
    "type": "function",
    "name": "send_mail",
    "description": "Send an email to somebody",
    "parameters": {"type": "object", "properties": {"to": {"type": "string", "format": "email"}}},
    "strict": False,
}
HEADERS = {"authorization": f"Bearer {KEY}", "api-key": KEY}


def body(**parameters: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "input": OTTERS, **parameters}


def refusal(http: httpx.Client, status: int = 400, **parameters: Any) -> dict[str, Any]:
    answer = http.post(RESPONSES, json=parameters)
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


def text_of(said: dict[str, Any]) -> str:
    return "".join(part["text"] for item in said["output"] if item["type"] == "message" for part in item["content"])


def final(stream: str) -> dict[str, Any]:
    """The body that the last event of a stream carries."""
    last: dict[str, Any] = json.loads(stream.strip().split("\n\n")[-1].partition("data: ")[2])
    return dict(last["response"])


# ---- what is said


def test_a_text_is_answered_with_one_message(client: openai.OpenAI) -> None:
    said = client.responses.create(**body(instructions="Be kind", metadata={"who": "me"}, user="u"))
    assert (said.status, [item.type for item in said.output]) == ("completed", ["message"])
    assert "otters" in said.output_text
    assert (said.model, said.instructions, said.metadata, said.user) == (
        "gpt-4o-2024-08-06",
        "Be kind",
        {"who": "me"},
        "u",
    )


def test_the_same_request_gets_the_same_bytes_from_any_server(serve: Serve) -> None:
    def bytes_of(server: MockServer, **parameters: Any) -> bytes:
        return httpx.post(server.url + RESPONSES, json=body(**parameters), headers=HEADERS, timeout=10).content

    first, second, other = serve(seed=5), serve(seed=5), serve(seed=6)
    for parameters in ({}, {"stream": True}, {"tools": [WEATHER]}):
        assert bytes_of(first, **parameters) == bytes_of(first, **parameters) == bytes_of(second, **parameters)
        assert bytes_of(first, **parameters) != bytes_of(other, **parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"tools": [WEATHER], "input": "Weather in Paris in celsius?"},
        {"text": {"format": {"type": "json_schema", "name": "w", "schema": SCHEMA, "strict": True}}},
        {"model": "gpt-5", "reasoning": {"effort": "high", "summary": "auto"}},
    ],
)
def test_a_stream_says_what_the_plain_reply_says(client: openai.OpenAI, parameters: dict[str, Any]) -> None:
    plain = client.responses.create(**body(**parameters))
    with client.responses.stream(**body(**parameters)) as stream:
        streamed = stream.get_final_response()
    assert streamed.output_text == plain.output_text
    assert [item.to_dict()["id"] for item in streamed.output] == [item.to_dict()["id"] for item in plain.output]
    assert streamed.usage == plain.usage


def test_what_is_said_does_not_depend_on_how_it_is_kept_or_cut(http: httpx.Client) -> None:
    whole = text_of(http.post(RESPONSES, json=body()).json())
    for parameters in ({"store": False}, {"max_output_tokens": 4000}, {"metadata": {"a": "b"}}, {"stream": False}):
        assert text_of(http.post(RESPONSES, json=body(**parameters)).json()) == whole
    assert whole.startswith(text_of(http.post(RESPONSES, json=body(max_output_tokens=16)).json()))
    assert text_of(http.post(RESPONSES, json=body(instructions="Otherwise")).json()) != whole


def test_a_limit_leaves_the_response_incomplete(client: openai.OpenAI) -> None:
    said = client.responses.create(**body(max_output_tokens=16))
    assert said.status == "incomplete"
    assert said.incomplete_details
    assert said.incomplete_details.reason == "max_output_tokens"
    assert said.usage
    assert said.usage.output_tokens == 16
    assert said.output[0].to_dict()["status"] == "incomplete"
    last = list(client.responses.create(**body(max_output_tokens=16), stream=True))[-1]
    assert last.type == "response.incomplete"


def test_a_limit_may_leave_nothing_but_reasoning(http: httpx.Client) -> None:
    said = http.post(RESPONSES, json=body(model="gpt-5", max_output_tokens=16)).json()
    assert [item["type"] for item in said["output"]] == ["reasoning"]
    assert (said["status"], said["usage"]["output_tokens"]) == ("incomplete", 16)
    assert said["usage"]["output_tokens_details"] == {"reasoning_tokens": 16}


def test_reasoning_grows_with_effort(http: httpx.Client) -> None:
    def reasoned(**parameters: Any) -> int:
        said = http.post(RESPONSES, json=body(**parameters)).json()
        count = said["usage"]["output_tokens_details"]["reasoning_tokens"]
        assert (count > 0) == (said["output"][0]["type"] == "reasoning")
        return int(count)

    low, medium, high = (reasoned(model="gpt-5", reasoning={"effort": one}) for one in ("low", "medium", "high"))
    assert 0 < low <= medium < high
    assert reasoned(model="gpt-5", reasoning={"effort": "minimal"}) == 0
    assert reasoned(model="gpt-5.4") == 0
    assert reasoned(model="gpt-4o") == 0


def test_a_summary_and_hidden_reasoning_come_where_they_are_asked_for(http: httpx.Client) -> None:
    plain = http.post(RESPONSES, json=body(model="gpt-5")).json()["output"][0]
    assert (plain["summary"], "encrypted_content" in plain) == ([], False)
    asked = {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    full = http.post(RESPONSES, json=body(model="gpt-5", **asked)).json()["output"][0]
    assert full["summary"][0]["text"].startswith("**")
    assert full["encrypted_content"].startswith("gAAAAA")


def test_log_probabilities_come_where_they_are_included(http: httpx.Client) -> None:
    asked = body(include=["message.output_text.logprobs"], top_logprobs=2)
    part = http.post(RESPONSES, json=asked).json()["output"][0]["content"][0]
    assert "".join(entry["token"] for entry in part["logprobs"]) == part["text"]
    assert {len(entry["top_logprobs"]) for entry in part["logprobs"]} == {2}
    streamed = http.post(RESPONSES, json={**asked, "stream": True}).text
    deltas = [
        json.loads(line[6:])
        for line in streamed.splitlines()
        if '"response.output_text.delta"' in line and line[0] == "d"
    ]
    assert [entry for delta in deltas for entry in delta["logprobs"]] == part["logprobs"]


# ---- formats and tools


@pytest.mark.parametrize("strict", [True, False])
def test_a_schema_is_always_kept_to(client: openai.OpenAI, strict: bool) -> None:
    wanted: Any = {"format": {"type": "json_schema", "name": "weather", "schema": SCHEMA, "strict": strict}}
    said = client.responses.create(**body(text=wanted))
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(said.output_text))


def test_an_object_is_json(client: openai.OpenAI) -> None:
    wanted: Any = {"format": {"type": "json_object"}}
    said = client.responses.create(**body(input="Give me json with 'name' and 'age'", text=wanted))
    assert json.loads(said.output_text).keys() == {"name", "age"}


def test_a_conversation_with_a_tool_ends_in_words(client: openai.OpenAI) -> None:
    tools: Any = [WEATHER]
    asked = client.responses.create(**body(input="What is the weather in Paris?", tools=tools))
    call = asked.output[0]
    assert call.type == "function_call"
    assert call.name == "get_weather"
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(call.arguments))
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": '{"degrees": 21}'}
    told = client.responses.create(model="gpt-4o", input=[result], previous_response_id=asked.id, tools=tools)
    assert [item.type for item in told.output] == ["message"]
    assert "21" in told.output_text
    history: Any = [{"role": "user", "content": "What is the weather in Paris?"}, call.to_dict(), result]
    assert "21" in client.responses.create(model="gpt-4o", input=history, tools=tools).output_text


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", ["get_weather"]),
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "name": "send_mail"}, ["send_mail"]),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "send_mail"}]},
            ["send_mail"],
        ),
        ({"type": "web_search_preview"}, []),
    ],
)
def test_the_choice_of_tools_is_kept_to(http: httpx.Client, choice: Any, called: list[str]) -> None:
    asked = body(input="What is the weather in Paris?", tools=[WEATHER, MAIL], tool_choice=choice)
    output = http.post(RESPONSES, json=asked).json()["output"]
    assert [item["name"] for item in output if item["type"] == "function_call"] == called


def test_tools_are_called_in_parallel_unless_that_is_declined(http: httpx.Client) -> None:
    asked = body(input="Get the weather in Rome and send it by mail", tools=[WEATHER, MAIL])
    both = [item["name"] for item in http.post(RESPONSES, json=asked).json()["output"]]
    assert both == ["get_weather", "send_mail"]
    one = http.post(RESPONSES, json={**asked, "parallel_tool_calls": False}).json()["output"]
    assert [item["name"] for item in one] == ["get_weather"]


def test_hosted_tools_are_accepted_and_given_back(http: httpx.Client) -> None:
    tools = [{"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}]
    said = http.post(RESPONSES, json=body(tools=tools)).json()
    assert said["tools"] == tools
    assert text_of(said)


def test_a_custom_tool_gets_text(http: httpx.Client) -> None:
    item = http.post(RESPONSES, json=body(tools=[{"type": "custom", "name": "grep"}])).json()["output"][0]
    assert (item["type"], item["name"]) == ("custom_tool_call", "grep")
    assert item["input"]


def test_scripted_replies_are_said(mockserver: MockServer, client: openai.OpenAI) -> None:
    mockserver.script(
        reply("As scripted."),
        reply("As scripted.", chunk_delay_s=0),
        reply(tool_calls=[{"name": "get_weather", "arguments": {"city": "Oslo"}}]),
    )
    assert client.responses.create(**body()).output_text == "As scripted."
    streamed = list(client.responses.create(**body(), stream=True))
    assert "".join(event.delta for event in streamed if event.type == "response.output_text.delta") == "As scripted."
    call = client.responses.create(**body()).output[0]
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"city": "Oslo"}


def test_words_before_a_call_are_commentary(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("Let me look.", tool_calls=[{"name": "get_weather", "arguments": {}}]), reply("Done."))
    output = http.post(RESPONSES, json=body(model="gpt-5.4")).json()["output"]
    assert [(item["type"], item.get("phase")) for item in output] == [
        ("message", "commentary"),
        ("function_call", None),
    ]
    assert http.post(RESPONSES, json=body(model="gpt-5.4")).json()["output"][0]["phase"] == "final_answer"


# ---- what is kept


def test_a_response_can_be_read_again_until_it_is_deleted(client: openai.OpenAI) -> None:
    said = client.responses.create(**body())
    assert client.responses.retrieve(said.id).to_dict() == said.to_dict()
    client.responses.delete(said.id)
    with pytest.raises(openai.NotFoundError, match=f"Response with id '{said.id}' not found."):
        client.responses.retrieve(said.id)


def test_a_deletion_is_confirmed(http: httpx.Client) -> None:
    name = http.post(RESPONSES, json=body()).json()["id"]
    gone = http.delete(f"{RESPONSES}/{name}").json()
    assert gone == {"id": name, "object": "response.deleted", "deleted": True}


def test_what_is_not_stored_is_not_there(client: openai.OpenAI) -> None:
    said = client.responses.create(**body(store=False))
    assert said.to_dict()["store"] is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(said.id)


def test_a_response_is_read_again_as_a_stream_from_any_event_on(http: httpx.Client) -> None:
    streamed = http.post(RESPONSES, json=body(stream=True)).text
    name = final(streamed)["id"]
    again = http.get(f"{RESPONSES}/{name}", params={"stream": "true"})
    assert again.text == streamed
    rest = http.get(f"{RESPONSES}/{name}", params={"stream": "true", "starting_after": "4"}).text
    assert streamed.endswith(rest)
    assert '"sequence_number":5' in rest.split("\n\n")[0]


def test_the_earlier_turns_are_billed_and_remembered(client: openai.OpenAI) -> None:
    first = client.responses.create(**body())
    second = client.responses.create(model="gpt-4o", input="And urchins?", previous_response_id=first.id)
    alone = client.responses.create(model="gpt-4o", input="And urchins?")
    assert first.usage
    assert second.usage
    assert alone.usage
    assert second.usage.input_tokens > first.usage.total_tokens
    assert second.previous_response_id == first.id
    assert second.id != alone.id
    third = client.responses.create(model="gpt-4o", input="And urchins?", previous_response_id=second.id)
    ids = [item.id for item in client.responses.input_items.list(third.id, order="asc")]
    assert len(ids) == len(set(ids)) == 5


def test_a_long_beginning_is_cached(client: openai.OpenAI) -> None:
    first = client.responses.create(model="gpt-4o", input="otters and kelp " * 800)
    second = client.responses.create(model="gpt-4o", input="More", previous_response_id=first.id)
    assert first.usage
    assert second.usage
    assert first.usage.input_tokens_details.cached_tokens == 0
    assert 1024 <= second.usage.input_tokens_details.cached_tokens <= first.usage.input_tokens


def test_a_conversation_goes_on_by_its_id(client: openai.OpenAI) -> None:
    first = client.responses.create(**body(conversation={"id": "conv_1"}))
    again = client.responses.create(**body(conversation={"id": "conv_1"}))
    assert first.conversation
    assert first.conversation.id == "conv_1"
    assert first.usage
    assert again.usage
    assert again.usage.input_tokens > first.usage.input_tokens
    assert again.id != first.id


def test_items_are_referred_to_by_id(http: httpx.Client) -> None:
    first = http.post(RESPONSES, json=body()).json()
    refer = [{"type": "item_reference", "id": first["output"][0]["id"]}, {"role": "user", "content": "More"}]
    second = http.post(RESPONSES, json=body(input=refer)).json()
    assert second["usage"]["input_tokens"] > first["usage"]["output_tokens"]
    error = refusal(http, 404, **body(input=[{"type": "item_reference", "id": "msg_none"}]))
    assert error["message"].startswith("Item with id 'msg_none' not found.")


def test_input_items_come_in_pages(http: httpx.Client) -> None:
    items = [{"role": "user", "content": f"Number {number}"} for number in range(5)]
    name = http.post(RESPONSES, json=body(input=items)).json()["id"]

    def page(**query: Any) -> dict[str, Any]:
        found: dict[str, Any] = http.get(f"{RESPONSES}/{name}/input_items", params=query).json()
        return found

    def numbers(found: dict[str, Any]) -> list[str]:
        return [item["content"][0]["text"][-1] for item in found["data"]]

    first = page(limit=2, order="asc")
    assert (numbers(first), first["has_more"], first["object"]) == (["0", "1"], True, "list")
    assert (first["first_id"], first["last_id"]) == (first["data"][0]["id"], first["data"][1]["id"])
    rest = page(order="asc", after=first["last_id"])
    assert (numbers(rest), rest["has_more"]) == (["2", "3", "4"], False)
    assert numbers(page()) == ["4", "3", "2", "1", "0"]
    assert http.get(f"{RESPONSES}/{name}/input_items", params={"limit": 0}).status_code == 400


# ---- in the background


def test_a_background_response_comes_along_with_the_clock(mockserver: MockServer, client: openai.OpenAI) -> None:
    mockserver.clock.stop()
    started = client.responses.create(**body(background=True))
    assert (started.status, started.output, started.usage) == ("queued", [], None)
    mockserver.clock.advance(1)
    assert client.responses.retrieve(started.id).status == "in_progress"
    mockserver.clock.advance(1)
    done = client.responses.retrieve(started.id)
    assert (done.status, done.background) == ("completed", True)
    assert "otters" in done.output_text


def test_a_background_response_can_be_stopped_until_it_is_done(mockserver: MockServer, client: openai.OpenAI) -> None:
    mockserver.clock.stop()
    early = client.responses.create(**body(background=True))
    assert client.responses.cancel(early.id).status == "cancelled"
    mockserver.clock.advance(60)
    assert client.responses.retrieve(early.id).status == "cancelled"
    late = client.responses.create(**body(background=True, input="Something else"))
    mockserver.clock.advance(60)
    assert client.responses.cancel(late.id).status == "completed"


def test_a_response_in_the_foreground_cannot_be_stopped(client: openai.OpenAI) -> None:
    said = client.responses.create(**body())
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(said.id)


def test_a_background_stream_begins_in_the_queue(client: openai.OpenAI) -> None:
    events = list(client.responses.create(**body(background=True), stream=True))
    assert [event.type for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert events[-1].type == "response.completed"
    assert client.responses.retrieve(events[-1].response.id).status == "completed"


# ---- counted and compacted


def test_tokens_are_counted_as_they_are_billed(client: openai.OpenAI) -> None:
    asked: Any = {"model": "gpt-4o", "input": OTTERS, "instructions": "Be brief", "tools": [WEATHER]}
    billed = client.responses.create(**asked).usage
    counted = client.responses.input_tokens.count(**asked)
    assert billed
    assert counted.input_tokens == billed.input_tokens
    assert counted.object == "response.input_tokens"


def test_pictures_beside_messages_are_not_billed_by_their_letters(http: httpx.Client) -> None:
    picture = "data:image/png;base64," + "iVBORw0KGgo" * 40_000
    shot = {"type": "computer_screenshot", "image_url": picture}
    items = [
        {"type": "computer_call_output", "call_id": "call_1", "output": shot},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": picture},
        {"role": "user", "content": OTTERS},
    ]
    answer = http.post(RESPONSES, json=body(input=items))
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["input_tokens"] < 200


def test_a_compacted_conversation_is_billed_as_recorded(http: httpx.Client) -> None:
    sealed = {"type": "compaction", "encrypted_content": "gAAAAAB" * 700}
    question = {"role": "user", "content": OTTERS}
    alone, after = (http.post(RESPONSES, json=body(input=each)).json() for each in ([question], [sealed, question]))
    assert 235 <= after["usage"]["input_tokens"] - alone["usage"]["input_tokens"] <= 273


def test_what_a_hosted_tool_may_fetch_is_billed_but_does_not_count_beforehand(
    mockserver: MockServer, http: httpx.Client
) -> None:
    mockserver.quotas.set(tpm=5_000)
    answer = http.post(RESPONSES, json=body(model="gpt-5", tools=[{"type": "web_search"}]))
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["input_tokens"] > 5_000


def test_output_is_billed_by_its_tokens(mockserver: MockServer, http: httpx.Client) -> None:
    # as recorded: "This is a test." cost 6 tokens on gpt-4o-mini, and 16 were asked for this call
    mockserver.script(
        reply("This is a test."),
        reply(tool_calls=[{"name": "get_weather", "arguments": {"location": "San Francisco"}}]),
    )
    assert http.post(RESPONSES, json=body(model="gpt-4o-mini")).json()["usage"]["output_tokens"] == 6
    assert http.post(RESPONSES, json=body(model="gpt-4o-mini")).json()["usage"]["output_tokens"] == 16


def test_a_conversation_is_compacted(http: httpx.Client) -> None:
    history = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello to you!"}]
    short = http.post(f"{RESPONSES}/compact", json={"model": "gpt-4o-mini", "input": history}).json()
    assert short["object"] == "response.compaction"
    assert [item["type"] for item in short["output"]] == ["message", "compaction"]
    assert short["usage"]["input_tokens"] > 0
    again = http.post(RESPONSES, json=body(input=[*short["output"], {"role": "user", "content": "And now?"}]))
    assert again.status_code == 200


# ---- what is refused; those that were recorded are held to it in tests/contract/test_recorded_responses.py


@pytest.mark.parametrize(
    ("parameters", "param", "code"),
    [
        ({"foo": 1}, "foo", "unknown_parameter"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": [5]}, "input[0]", "invalid_type"),
        ({"instructions": []}, "instructions", "invalid_type"),
        ({"temperature": 3}, "temperature", "decimal_above_max_value"),
        ({"top_p": "x"}, "top_p", "invalid_type"),
        ({"truncation": "some"}, "truncation", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        ({"tool_choice": "maybe"}, "tool_choice", "invalid_value"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "invalid_value"),
        ({"metadata": {"a": 1}}, "metadata.a", "invalid_type"),
        ({"previous_response_id": "resp_none"}, "previous_response_id", "previous_response_not_found"),
        (
            {"input": [{"type": "computer_call_output", "call_id": [], "output": "x"}]},
            "input[0].call_id",
            "invalid_type",
        ),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input", None),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]}, "input", None),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, "input", None),
        ({"input": "otters " * 130_000}, "input", "context_length_exceeded"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_request_is_refused(http: httpx.Client, parameters: dict[str, Any], param: str, code: str | None) -> None:
    error = refusal(http, **body(**parameters))
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


@pytest.mark.parametrize("absent", ["model", "input"])
def test_what_is_required_must_be_there(http: httpx.Client, absent: str) -> None:
    error = refusal(http, **{name: value for name, value in body().items() if name != absent})
    assert (error["param"], error["code"]) == (absent, "missing_required_parameter")


def test_an_unknown_model_is_refused_otherwise_than_in_chat(http: httpx.Client) -> None:
    error = refusal(http, model="gpt-9", input="Hi")
    assert (error["param"], error["code"]) == ("model", "model_not_found")
    assert error["message"] == "The requested model 'gpt-9' does not exist."
    assert (
        "not supported with the Responses API" in refusal(http, model="text-embedding-3-small", input="Hi")["message"]
    )


def test_too_long_an_input_may_lose_its_beginning(http: httpx.Client) -> None:
    items = [{"role": "user", "content": "otters " * 40_000} for _ in range(4)]
    said = http.post(RESPONSES, json=body(input=items, truncation="auto"))
    assert said.status_code == 200
    assert said.json()["usage"]["input_tokens"] <= 128_000
    assert refusal(http, **body(input=items))["code"] == "context_length_exceeded"


@pytest.mark.parametrize("path", ["", "/cancel", "/input_items"])
def test_an_id_that_was_never_given_out_is_not_found(http: httpx.Client, path: str) -> None:
    method = "POST" if path == "/cancel" else "GET"
    answer = http.request(method, f"{RESPONSES}/resp_none{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, None)
    assert answer.json()["error"]["message"] == "Response with id 'resp_none' not found."


# ---- on Azure


def test_azure_serves_responses_under_v1(mockserver: MockServer) -> None:
    with openai.OpenAI(base_url=f"{mockserver.azure_endpoint}/openai/v1", api_key=KEY, max_retries=0) as client:
        said = client.responses.create(**body())
        assert "otters" in said.output_text
        assert client.responses.retrieve(said.id).output_text == said.output_text
        assert list(client.responses.create(**body(), stream=True))[-1].type == "response.completed"


def test_azure_serves_responses_by_api_version(mockserver: MockServer) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=mockserver.azure_endpoint, api_key=KEY, api_version="2025-03-01-preview", max_retries=0
    ) as client:
        said = client.responses.create(**body(stream=False))
        assert client.responses.retrieve(said.id).output_text == said.output_text
    without = httpx.post(f"{mockserver.url}/openai/responses", json=body(), headers=HEADERS)
    assert without.status_code == 404


def test_azure_judges_both_sides_of_a_response(mockserver: MockServer) -> None:
    url = f"{mockserver.url}/openai/v1/responses"
    plain = httpx.post(url, json=body(), headers=HEADERS).json()
    assert [verdict["source_type"] for verdict in plain["content_filters"]] == ["prompt", "completion"]
    assert not any(verdict["blocked"] for verdict in plain["content_filters"])
    streamed = httpx.post(url, json=body(stream=True), headers=HEADERS).text
    assert '"content_filters":null' in streamed.split("\n\n")[0]
    assert final(streamed)["content_filters"] == plain["content_filters"]


# ---- leniently


@pytest.fixture(scope="module")
def lenient() -> Iterator[MockServer]:
    with MockServer(seed=7, lenient=True) as server:
        yield server


@pytest.fixture
def anyhow(lenient: MockServer, network_allowance: Any) -> Iterator[httpx.Client]:
    network_allowance.allow(lenient.host, lenient.port)
    with httpx.Client(base_url=lenient.url, headers=HEADERS, timeout=10) as made:
        yield made


@pytest.mark.parametrize("path", ["", "/input_tokens", "/compact"])
def test_a_lenient_server_takes_an_empty_object(anyhow: httpx.Client, path: str) -> None:
    assert anyhow.post(RESPONSES + path, json={}).status_code == 200
    assert anyhow.post(RESPONSES + path, json={"stream": True}).status_code == 200


def test_a_lenient_server_makes_up_what_it_never_kept(anyhow: httpx.Client) -> None:
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/input_items"), ("DELETE", "")):
        answer = anyhow.request(method, f"{RESPONSES}/resp_made_up{path}")
        assert answer.status_code == 200
        assert "made_up" in answer.text or answer.json()["data"]
    streamed = anyhow.get(f"{RESPONSES}/resp_made_up", params={"stream": "true"})
    assert final(streamed.text)["id"] == "resp_made_up"


_KEYS = ["type", "name", "role", "content", "id", "text", "format", "schema", "effort", "parameters", "call_id"]
_KINDS = ("message", "function_call", "function_call_output", "reasoning", "compaction", "web_search_call", "function")
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.text(max_size=8) | st.sampled_from(_KINDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*_KEYS, "output", "arguments", "mode", "tools"]), inner, max_size=4)
    ),
    max_leaves=12,
)
_NAMES = (
    *("input", "instructions", "tools", "tool_choice", "text", "max_output_tokens", "reasoning", "include"),
    *("top_logprobs", "conversation", "previous_response_id", "metadata", "background", "store", "truncation"),
    *("temperature", "stream_options"),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd=st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=5), stream=st.booleans())
def test_a_lenient_server_survives_anything(anyhow: httpx.Client, odd: dict[str, Any], stream: bool) -> None:
    answer = anyhow.post(RESPONSES, json={"model": "gpt-5", **odd, "stream": stream})
    assert answer.status_code in (200, 400)
    for path in ("/input_tokens", "/compact"):
        assert anyhow.post(RESPONSES + path, json={"model": "gpt-4o", **odd}).status_code in (200, 400)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd=st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=5))
def test_a_strict_server_answers_or_refuses(http: httpx.Client, odd: dict[str, Any]) -> None:
    assert http.post(RESPONSES, json=body(**odd)).status_code in (200, 400, 404)
