"""Chat completions as events."""

import json
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.tokens import count_text
from mockserver import MockServer, catalogue, reply
from mockserver.calls import Call
from mockserver.store import Store
from mockserver.surfaces import Setting
from mockserver.surfaces import chat as surface
from tests.mockserver.asking import AZURE_CHAT, CHAT, WEATHER, chat, user
from tests.mockserver.conftest import Serve


def events(http: httpx.Client, path: str = CHAT, **parameters: Any) -> list[dict[str, Any]]:
    """The parsed events of a stream, which must end with [DONE]."""
    response = http.post(path, json=chat(stream=True, **parameters))
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *frames, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"] if "delta" in choice
    )


def test_a_stream_says_what_the_plain_reply_says(http: httpx.Client) -> None:
    plain = http.post(CHAT, json=chat()).json()
    streamed = events(http)
    assert plain["choices"][0]["finish_reason"] == streamed[-1]["choices"][0]["finish_reason"]
    assert text_of(streamed)


def test_the_first_chunk_has_the_role_and_the_last_the_reason(http: httpx.Client) -> None:
    chunks = events(http)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert chunks[-1]["choices"][0]["delta"] == {}
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}


def test_letters_of_several_tokens_are_never_split(mockserver: MockServer, http: httpx.Client) -> None:
    text = "naïve 👩‍🚀 漢字かな ﷽"
    mockserver.script(reply(text))
    assert text_of(events(http)) == text


def test_usage_comes_last_and_is_null_before(http: httpx.Client) -> None:
    chunks = events(http, stream_options={"include_usage": True})
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_without_include_usage_no_chunk_speaks_of_it(http: httpx.Client) -> None:
    assert all("usage" not in chunk for chunk in events(http))


def test_chunks_are_padded_unless_the_request_declines(http: httpx.Client) -> None:
    assert all(chunk["obfuscation"] for chunk in events(http))
    assert all("obfuscation" not in chunk for chunk in events(http, stream_options={"include_obfuscation": False}))


def test_several_choices_come_under_their_index(http: httpx.Client) -> None:
    chunks = events(http, n=2)
    assert {choice["index"] for chunk in chunks for choice in chunk["choices"]} == {0, 1}


def test_a_tool_call_opens_with_its_name_and_continues_with_arguments(http: httpx.Client) -> None:
    chunks = events(http, tools=[WEATHER])
    opening = chunks[0]["choices"][0]["delta"]["tool_calls"][0]
    assert opening["function"] == {"name": "get_weather", "arguments": ""}
    pieces = [call for chunk in chunks[1:-1] for call in chunk["choices"][0]["delta"]["tool_calls"]]
    assert all(set(piece) == {"index", "function"} for piece in pieces)
    assert json.loads("".join(piece["function"]["arguments"] for piece in pieces))["city"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_the_sdk_puts_two_streamed_tool_calls_together(mockserver: MockServer, client: openai.OpenAI) -> None:
    mockserver.script(reply(tool_calls=[{"name": "a", "arguments": {"x": 1}}, {"name": "b", "arguments": {}}]))
    with client.chat.completions.stream(model="gpt-4o", messages=user()) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls or []
    assert [(call.function.name, call.function.arguments) for call in calls] == [("a", '{"x":1}'), ("b", "{}")]


def test_azure_begins_with_the_verdict_on_the_prompt(http: httpx.Client) -> None:
    first, second, *middle, last = events(http, AZURE_CHAT)
    assert first["choices"] == []
    assert first["prompt_filter_results"][0]["content_filter_results"]["jailbreak"] == {
        "detected": False,
        "filtered": False,
    }
    assert second["choices"][0]["content_filter_results"] == {}
    assert all("hate" in chunk["choices"][0]["content_filter_results"] for chunk in middle)
    assert last["choices"][0]["content_filter_results"] == {}


def test_azure_sorts_its_keys_and_does_not_pad(http: httpx.Client) -> None:
    chunks = events(http, AZURE_CHAT)
    assert all(list(chunk) == sorted(chunk) and "obfuscation" not in chunk for chunk in chunks)


SHAPES: list[dict[str, Any]] = [
    {},
    {"n": 2},
    {"stop": ["the", "."]},
    {"max_tokens": 7},
    {"logprobs": True},
    {"tools": [WEATHER]},
    {"functions": [WEATHER["function"]]},
    {"response_format": {"type": "json_object"}, "messages": user('JSON with "name"')},
    {"model": "o3-mini"},
    {"model": "gpt-4o-search-preview", "web_search_options": {}},
]


def put_together(chunks: list[dict[str, Any]]) -> dict[int, tuple[str, str, str]]:
    """Of each choice what it says, what it calls with, and why it ends."""
    made: dict[int, tuple[str, str, str]] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        text, arguments, _ = made.get(choice["index"], ("", "", ""))
        delta = choice["delta"]
        calls = [call["function"] for call in delta.get("tool_calls") or ()]
        calls += [delta["function_call"]] if "function_call" in delta else []
        arguments += "".join(call["arguments"] for call in calls)
        made[choice["index"]] = (text + (delta.get("content") or ""), arguments, choice["finish_reason"] or "")
    return made


def whole(body: dict[str, Any]) -> dict[int, tuple[str, str, str]]:
    made = {}
    for choice in body["choices"]:
        message = choice["message"]
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        calls += [message["function_call"]] if "function_call" in message else []
        arguments = "".join(call["arguments"] for call in calls)
        made[choice["index"]] = (message["content"] or "", arguments, choice["finish_reason"])
    return made


@pytest.mark.parametrize("parameters", SHAPES, ids=lambda each: " ".join(each) or "plain")
@pytest.mark.parametrize("path", [CHAT, AZURE_CHAT])
def test_streamed_or_whole_the_same_is_said(http: httpx.Client, path: str, parameters: dict[str, Any]) -> None:
    path = path.replace("/chat/chat/", f"/{parameters.get('model', 'chat')}/chat/")
    chunks = [chunk for chunk in events(http, path, **parameters) if chunk["choices"]]
    assert put_together(chunks) == whole(http.post(path, json=chat(**parameters)).json())


@given(
    prompt=st.text(min_size=1, max_size=40),
    limit=st.integers(1, 60),
    stop=st.lists(st.sampled_from(["the", ".", " a", "zebra", "is"]), max_size=2),
)
@settings(max_examples=25, deadline=None)
def test_limits_and_stops_cut_the_same_text(prompt: str, limit: int, stop: list[str]) -> None:
    def said(**parameters: Any) -> str:
        body = {"model": "gpt-4o", "messages": user(prompt), **parameters}
        result = surface.answer(call_of(body), setting())
        return str(result.body["choices"][0]["message"]["content"])

    text, cut = said(), said(max_tokens=limit, stop=stop)
    assert text.startswith(cut)
    assert not any(end in cut for end in stop)
    assert count_text(cut, model="gpt-4o") <= limit
    assert text == said(temperature=0.1, user="me", stream_options=None, n=1)


def call_of(body: dict[str, Any]) -> Call:
    return Call(
        number=1, method="POST", path=CHAT, surface="chat", dialect="openai", request_id="r", body=body, model="gpt-4o"
    )


def setting() -> Setting:
    model = catalogue.find("gpt-4o")
    assert model is not None

    def perform(*_: Any, **__: Any) -> Any:
        raise AssertionError("no request asks for another")

    return Setting(model=model, seed=1, now=0.0, created=0, store=Store(), perform=perform)


ODD: list[dict[str, Any]] = [
    {"messages": None},
    {"messages": [None, 3, {"role": "robot", "content": []}, {"role": "tool", "content": "x"}, *user("still here")]},
    {"max_tokens": 0, "max_completion_tokens": 0, "n": "two", "stop": {}, "seed": None},
    {"functions": [{"name": "name", "parameters": {"foo": "bar"}}], "function_call": "none"},
    {"tools": [{"type": "function"}, 7, {"type": "custom", "custom": {"name": "x"}}], "tool_choice": {"type": "what"}},
    {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "gone"}}},
    {"logprobs": True, "top_logprobs": 0, "prediction": {"content": [1, {"text": 2}]}, "modalities": ["text", "audio"]},
    {"response_format": {"type": "json_schema"}, "stream_options": "x", "metadata": {"a": 1}, "store": True},
    {"model": "gpt-6-astra", "web_search_options": {"search_context_size": "low"}, "reasoning_effort": 3},
]


@pytest.mark.parametrize("body", ODD, ids=lambda each: ",".join(each))
def test_a_lenient_server_answers_odd_bodies(lenient: MockServer, body: dict[str, Any]) -> None:
    for streamed in (False, True):
        response = httpx.post(
            lenient.url + CHAT, headers={"authorization": "Bearer any"}, json=chat(**body) | {"stream": streamed}
        )
        assert response.status_code == 200, response.text
        assert "error" not in response.text[:20]


@pytest.fixture
def lenient(serve: Serve) -> MockServer:
    return serve(lenient=True)
