"""Chat completions, plain: content, limits and usage."""

import httpx
import openai
import pytest

from llmkit.tokens import count_text, count_tokens
from mockserver import MockServer, reply
from tests.mockserver.asking import CHAT, chat, user
from tests.mockserver.conftest import Serve


def test_a_completion_is_one_that_the_sdk_reads(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="gpt-4o", messages=user())
    assert completion.object == "chat.completion"
    assert completion.model == "gpt-4o-2024-08-06"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.choices[0].message.role == "assistant"


def test_the_text_takes_up_words_of_the_prompt(client: openai.OpenAI) -> None:
    text = client.chat.completions.create(model="gpt-4o", messages=user()).choices[0].message.content or ""
    assert any(word in text for word in ("otters", "kelp", "forests"))


def test_usage_is_what_the_tokenizer_counts(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="gpt-4o", messages=user())
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == count_tokens(user(), model="gpt-4o")
    assert completion.usage.completion_tokens == count_text(completion.choices[0].message.content or "", model="gpt-4o")
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts_the_text_there(http: httpx.Client, name: str) -> None:
    completion = http.post(CHAT, json=chat(**{name: 5})).json()
    assert completion["usage"]["completion_tokens"] == 5
    assert completion["choices"][0]["finish_reason"] == "length"


def test_a_limit_that_is_just_reached_cuts_nothing(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("one two three"))
    completion = http.post(CHAT, json=chat(max_tokens=count_text("one two three", model="gpt-4o"))).json()
    assert completion["choices"][0] == completion["choices"][0] | {"finish_reason": "stop"}


@pytest.mark.parametrize("stop", ["and", ["zebra", "and"]])
def test_text_ends_before_a_stop_sequence(mockserver: MockServer, http: httpx.Client, stop: object) -> None:
    mockserver.script(reply("bread and butter and jam"))
    completion = http.post(CHAT, json=chat(stop=stop)).json()
    assert completion["choices"][0]["message"]["content"] == "bread "
    assert completion["choices"][0]["finish_reason"] == "stop"


def test_n_choices_differ_and_are_all_paid_for(http: httpx.Client) -> None:
    completion = http.post(CHAT, json=chat(n=3)).json()
    texts = [choice["message"]["content"] for choice in completion["choices"]]
    assert [choice["index"] for choice in completion["choices"]] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert completion["usage"]["completion_tokens"] == sum(count_text(text, model="gpt-4o") for text in texts)


def test_the_same_request_gets_the_same_bytes_from_any_server(serve: Serve) -> None:
    bodies = []
    for _ in range(2):
        server = serve(now=lambda: 1_750_000_000.0, seed=7)
        response = httpx.post(server.url + CHAT, headers={"authorization": "Bearer any"}, json=chat())
        bodies.append(response.content)
    assert bodies[0] == bodies[1]


def test_another_seed_gives_another_text(serve: Serve) -> None:
    texts = {
        httpx.post(
            serve(seed=seed).url + CHAT, headers={"authorization": "Bearer any"}, json=chat(messages=user())
        ).json()["choices"][0]["message"]["content"]
        for seed in range(4)
    }
    assert len(texts) > 1


def test_created_is_the_time_of_the_clock(serve: Serve) -> None:
    server = serve(now=lambda: 1_700_000_000.9)
    response = httpx.post(server.url + CHAT, headers={"authorization": "Bearer any"}, json=chat())
    assert response.json()["created"] == 1_700_000_000


def test_openai_prints_json_with_indent(http: httpx.Client) -> None:
    assert http.post(CHAT, json=chat()).text.startswith('{\n  "id": "chatcmpl-')


def test_openai_sends_its_headers(http: httpx.Client) -> None:
    headers = http.post(CHAT, json=chat()).headers
    assert headers["openai-version"] == "2020-10-01"
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-ratelimit-reset-requests"] == "6ms"
    assert headers["server"] == "cloudflare"


def test_request_ids_are_unique_and_in_the_journal(mockserver: MockServer, http: httpx.Client) -> None:
    ids = [http.post(CHAT, json=chat()).headers["x-request-id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert [exchange.request_id for exchange in mockserver.journal] == ids


def test_reasoning_models_have_no_logprobs_key(http: httpx.Client) -> None:
    choice = http.post(CHAT, json=chat(model="o3-mini")).json()["choices"][0]
    assert "logprobs" not in choice


def test_a_conversation_too_long_for_the_model_is_refused(http: httpx.Client) -> None:
    response = http.post(CHAT, json=chat(model="gpt-4", messages=user("word " * 9_000)))
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert "maximum context length is 8192 tokens" in response.json()["error"]["message"]


async def test_the_async_client_is_served_in_the_same_loop(network_allowance: object) -> None:
    async with MockServer() as server:
        network_allowance.allow(server.host, server.port)  # type: ignore[attr-defined] # a fixture of another plugin
        async with openai.AsyncOpenAI(base_url=server.openai_url, api_key="any", max_retries=0) as asynchronous:
            completion = await asynchronous.chat.completions.create(model="gpt-4o", messages=user())
    assert completion.choices[0].message.content


def test_to_ask_for_text_is_to_ask_for_nothing(http: httpx.Client) -> None:
    plain = http.post(CHAT, json=chat()).json()["choices"]
    assert http.post(CHAT, json=chat(response_format={"type": "text"})).json()["choices"] == plain
    assert http.post(CHAT, json=chat(response_format=None, tools=None)).json()["choices"] == plain
    said = [
        http.post("/v1/responses", json={"model": "gpt-4o", "input": "Hi", **more}).json()["output"][0]["content"]
        for more in ({}, {"text": {"format": {"type": "text"}}})
    ]
    assert said[0] == said[1]
