"""Chat completions as events."""

import json
from typing import Any

import httpx
import openai

from mockserver import MockServer, reply
from tests.mockserver.asking import AZURE_CHAT, CHAT, WEATHER, chat, user


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
