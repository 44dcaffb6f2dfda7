"""Completions of before chat."""

import json
from typing import Any

import httpx
import openai
import pytest

from llmkit.tokens import count_text, encoding_for
from mockserver import MockServer, reply
from tests.mockserver.conftest import Serve

PATH = "/v1/completions"
AZURE = "/openai/deployments/gpt-3.5-turbo-instruct/completions?api-version=2024-10-21"
MODEL = "gpt-3.5-turbo-instruct"


def ask(http: httpx.Client, path: str = PATH, **parameters: Any) -> dict[str, Any]:
    response = http.post(path, json={"model": MODEL, "prompt": "Otters in kelp", **parameters})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def stream(http: httpx.Client, path: str = PATH, **parameters: Any) -> list[dict[str, Any]]:
    response = http.post(path, json={"model": MODEL, "prompt": "Otters in kelp", "stream": True, **parameters})
    *frames, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])


def test_a_completion_is_one_that_the_sdk_reads(client: openai.OpenAI) -> None:
    completion = client.completions.create(model=MODEL, prompt="Otters in kelp")
    assert completion.object == "text_completion"
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (
        count_text("Otters in kelp", model=MODEL),
        16,
    )


def test_a_stream_says_what_the_plain_reply_says_and_where_it_ends(http: httpx.Client) -> None:
    for parameters in ({}, {"max_tokens": 200}, {"stop": "."}, {"echo": True}):
        whole, chunks = ask(http, **parameters)["choices"][0], stream(http, **parameters)
        assert text_of(chunks) == whole["text"]
        reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
        assert reasons == [None] * (len(chunks) - 1) + [whole["finish_reason"]]


def test_a_streams_usage_comes_last_where_it_is_asked_for(http: httpx.Client) -> None:
    *chunks, last = stream(http, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"] == ask(http)["usage"]
    assert all(chunk["usage"] is None for chunk in chunks)


def test_each_prompt_has_as_many_choices_as_are_asked_for(http: httpx.Client) -> None:
    body = ask(http, prompt=["Otters", "Kelp"], n=2)
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert body["usage"]["completion_tokens"] == 64
    assert len({choice["text"] for choice in body["choices"]}) == 4


def test_tokens_are_prompts_too(http: httpx.Client) -> None:
    tokens = encoding_for(MODEL).encode("Otters in kelp")
    assert ask(http, prompt=tokens, echo=True)["choices"][0]["text"].startswith("Otters in kelp")
    assert len(ask(http, prompt=[tokens, tokens])["choices"]) == 2


def test_the_best_of_several_is_billed_with_the_others(http: httpx.Client) -> None:
    assert ask(http, best_of=3)["usage"]["completion_tokens"] == 3 * 16


def test_log_probabilities_come_in_four_lists(http: httpx.Client) -> None:
    choice = ask(http, logprobs=2, echo=True)["choices"][0]
    likely = choice["logprobs"]
    assert "".join(likely["tokens"]) == choice["text"]
    assert likely["token_logprobs"][0] is None
    assert all(len(top) == 2 for top in likely["top_logprobs"][1:])
    assert [choice["text"][at:][:1] for at in likely["text_offset"]] == [token[:1] for token in likely["tokens"]]


def test_streamed_log_probabilities_go_on_where_the_last_ended(http: httpx.Client) -> None:
    text, lists = "", [chunk["choices"][0] for chunk in stream(http, logprobs=1)]
    for choice in lists:
        assert choice["logprobs"]["text_offset"][:1] in ([], [len(text)])
        text += choice["text"]


def test_a_scripted_text_is_completed(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("as it was said"))
    assert ask(http)["choices"][0] == {
        "text": "as it was said",
        "index": 0,
        "logprobs": None,
        "finish_reason": "stop",
    }


def test_azure_adds_its_verdicts(http: httpx.Client) -> None:
    body = ask(http, AZURE, prompt=["Otters", "Kelp"])
    assert [each["prompt_index"] for each in body["prompt_filter_results"]] == [0, 1]
    assert body["choices"][0]["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
    first, second, *_ = stream(http, AZURE)
    assert (first["choices"], "prompt_filter_results" in first) == ([], True)
    assert second["choices"][0]["content_filter_results"]["violence"]["severity"] == "safe"


@pytest.mark.parametrize(
    ("parameters", "status", "message"),
    [
        ({"prompt": [123456]}, 400, "Invalid token in prompt: 123456. Minimum value is 0, maximum value is 100257"),
        ({"prompt": [[1], "a"]}, 400, "'$.prompt' is invalid"),
        ({"model": "gpt-4o"}, 404, "This is a chat model and not supported in the v1/completions endpoint."),
        ({"model": "text-embedding-3-small"}, 403, "You are not allowed to sample from this model"),
        ({"model": "text-davinci-003"}, 404, "The model `text-davinci-003` has been deprecated"),
        ({"n": 3, "best_of": 2}, 400, "more choices than it will generate"),
        ({"max_tokens": 5000}, 400, "however you requested 5005 tokens (5 in your prompt; 5000 for the completion)"),
        ({"messages": []}, 400, "Unrecognized request argument supplied: messages"),
        ({"logprobs": 6}, 400, "Expected a value <= 5, but got 6"),
    ],
)
def test_what_cannot_be_completed_is_refused(
    http: httpx.Client, parameters: dict[str, Any], status: int, message: str
) -> None:
    response = http.post(PATH, json={"model": MODEL, "prompt": "Otters in kelp", **parameters})
    assert response.status_code == status
    assert message in response.json()["error"]["message"]


def test_a_lenient_server_completes_odd_bodies(serve: Serve) -> None:
    server = serve(lenient=True)
    odd: list[dict[str, Any]] = [
        {"best_of": 0, "logit_bias": {"foo": 0}, "logprobs": 0, "max_tokens": "many"},
        {"prompt": None, "n": None, "stop": 3},
        {"prompt": [[], {"a": 1}, "x"], "echo": "yes"},
        {"prompt": {}, "model": "nobody-knows"},
    ]
    with httpx.Client(base_url=server.url, headers={"authorization": "Bearer any"}) as http:
        for parameters in odd:
            for streamed in (False, True):
                body = {"model": MODEL, "prompt": "Otters", **parameters, "stream": streamed}
                assert http.post(PATH, json=body).status_code == 200, parameters
