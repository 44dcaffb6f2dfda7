"""What is billed beside the text: thoughts, caches, predictions, voices."""

import base64
import io
import wave
from typing import Any

import httpx
import openai
import pytest

from llmkit.tokens import count_text
from mockserver import MockServer, reply
from tests.mockserver.asking import CHAT, WEATHER, chat, user


def ask(http: httpx.Client, **parameters: Any) -> dict[str, Any]:
    response = http.post(CHAT, json=chat(**parameters))
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def thoughts(body: dict[str, Any]) -> int:
    tokens: int = body["usage"]["completion_tokens_details"]["reasoning_tokens"]
    return tokens


def test_more_effort_takes_more_thoughts_and_none_takes_none(http: httpx.Client) -> None:
    spent = [thoughts(ask(http, model="gpt-5.4-mini", reasoning_effort=e)) for e in ("none", "low", "medium", "high")]
    assert spent[0] == 0
    assert spent == sorted(spent)
    assert len(set(spent)) == 4
    assert all(tokens % 64 == 0 for tokens in spent)


def test_where_no_effort_is_asked_for_each_model_has_its_own(http: httpx.Client) -> None:
    assert thoughts(ask(http, model="o3-mini")) > 0
    assert thoughts(ask(http, model="gpt-5.4")) == 0
    assert thoughts(ask(http, model="gpt-4o")) == 0


def test_thoughts_are_part_of_the_completion(http: httpx.Client) -> None:
    body = ask(http, model="o3-mini")
    said = count_text(body["choices"][0]["message"]["content"], model="o3-mini")
    assert body["usage"]["completion_tokens"] == thoughts(body) + said


def test_a_limit_below_the_thoughts_leaves_nothing_to_say(http: httpx.Client) -> None:
    body = ask(http, model="o3-mini", max_completion_tokens=32)
    assert body["choices"][0]["message"]["content"] == ""
    assert body["choices"][0]["finish_reason"] == "length"
    assert (body["usage"]["completion_tokens"], thoughts(body)) == (32, 32)


def test_a_limit_just_above_the_thoughts_cuts_the_text(http: httpx.Client) -> None:
    whole = ask(http, model="o3-mini")
    body = ask(http, model="o3-mini", max_completion_tokens=thoughts(whole) + 3)
    text = body["choices"][0]["message"]["content"]
    assert text
    assert whole["choices"][0]["message"]["content"].startswith(text)
    assert body["usage"]["completion_tokens"] == thoughts(whole) + 3


def test_what_a_script_says_takes_no_thought(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("said"))
    body = ask(http, model="o3-mini", max_completion_tokens=32)
    assert body["choices"][0]["message"]["content"] == "said"
    assert thoughts(body) == 0


def test_models_that_do_not_think_know_no_effort(http: httpx.Client) -> None:
    error = http.post(CHAT, json=chat(reasoning_effort="low")).json()["error"]
    assert error["message"] == "Unrecognized request argument supplied: reasoning_effort"


def long_talk() -> list[Any]:
    return [*user("kelp " * 1500), {"role": "assistant", "content": "Yes."}, *user("More?")]


def cached(body: dict[str, Any]) -> int:
    tokens: int = body["usage"]["prompt_tokens_details"]["cached_tokens"]
    return tokens


def test_what_was_sent_before_comes_from_the_cache_in_steps(http: httpx.Client) -> None:
    body = ask(http, messages=long_talk())
    assert 1024 <= cached(body) <= body["usage"]["prompt_tokens"]
    assert cached(body) % 128 == 0


def test_short_first_and_old_prompts_are_not_cached(http: httpx.Client) -> None:
    assert cached(ask(http)) == 0
    assert cached(ask(http, messages=user("kelp " * 1500))) == 0
    assert cached(ask(http, model="gpt-4-turbo", messages=long_talk())) == 0


def test_a_cache_key_says_that_the_beginning_is_shared(http: httpx.Client) -> None:
    rules = {"role": "system", "content": "kelp " * 1500}
    assert cached(ask(http, messages=[rules, *user()])) == 0
    assert cached(ask(http, messages=[rules, *user()], prompt_cache_key="all")) >= 1024


def test_a_prediction_is_accepted_as_far_as_it_comes_true(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("one two three four"))
    body = ask(http, prediction={"type": "content", "content": "one two five six seven"})
    details = body["usage"]["completion_tokens_details"]
    assert (details["accepted_prediction_tokens"], details["rejected_prediction_tokens"]) == (2, 3)
    assert body["usage"]["completion_tokens"] == 4 + 3


VOICE = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}, "model": "gpt-audio"}


def test_a_model_that_speaks_sends_sound_and_its_words(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="gpt-audio", messages=user(), modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}
    )
    message = completion.choices[0].message
    assert message.content is None
    assert message.audio is not None
    assert message.audio.transcript
    with wave.open(io.BytesIO(base64.b64decode(message.audio.data))) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (24_000, 1)
        assert sound.getnframes() > 0
    assert completion.usage is not None
    details = completion.usage.completion_tokens_details
    assert details is not None
    assert details.audio_tokens == 3 * count_text(message.audio.transcript, model="gpt-audio")


def test_without_sound_a_model_that_speaks_refuses(http: httpx.Client) -> None:
    error = http.post(CHAT, json=chat(model="gpt-audio")).json()["error"]
    assert error["message"] == "This model requires that either input content or output modality contain audio."


def test_a_model_that_searches_cites(http: httpx.Client) -> None:
    message = ask(http, model="gpt-4o-search-preview", web_search_options={})["choices"][0]["message"]
    citation = message["annotations"][0]["url_citation"]
    cited = message["content"][citation["start_index"] : citation["end_index"]]
    assert cited.endswith(f"({citation['url']}))")


def test_tools_are_billed_with_the_prompt(http: httpx.Client) -> None:
    bare, tooled = ask(http)["usage"], ask(http, tools=[WEATHER])["usage"]
    assert tooled["prompt_tokens"] > bare["prompt_tokens"] + 20


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_reply_that_does_not_fit_after_the_prompt_is_refused(http: httpx.Client, name: str) -> None:
    body = chat(model="gpt-4", messages=user("word " * 5_000), **{name: 8_000})
    error = http.post(CHAT, json=body).json()["error"]
    assert "(5008 in the messages, 8000 in the completion)" in error["message"]
    assert (error["param"], error["code"]) == ("messages", "context_length_exceeded")


@pytest.mark.parametrize(
    ("model", "parameters", "param", "code"),
    [
        ("gpt-5", {"reasoning_effort": "none"}, "reasoning_effort", "unsupported_value"),
        ("o4-mini", {"reasoning_effort": "minimal"}, "reasoning_effort", "unsupported_value"),
        ("o3-mini", {"top_p": 0.5}, "top_p", "unsupported_parameter"),
        ("o3-mini", {"presence_penalty": 1}, "presence_penalty", "unsupported_parameter"),
        ("o3-mini", {"logprobs": True}, "logprobs", "unsupported_parameter"),
        ("gpt-4o", {"metadata": {"a": True}}, "metadata.a", "invalid_type"),
    ],
)
def test_what_a_model_does_not_take_is_refused(
    http: httpx.Client, model: str, parameters: dict[str, Any], param: str, code: str
) -> None:
    response = http.post(CHAT, json=chat(model=model, **parameters))
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, param, code)


def test_the_efforts_that_a_model_takes_are_listed_in_the_words_of_each_surface(http: httpx.Client) -> None:
    supported = "Supported values are: 'low', 'medium', and 'high'."
    in_chat = http.post(CHAT, json=chat(model="o4-mini", reasoning_effort="minimal")).json()["error"]["message"]
    body = {"model": "o4-mini", "input": "Hi", "reasoning": {"effort": "minimal"}}
    in_responses = http.post("/v1/responses", json=body).json()["error"]["message"]
    assert in_chat == f"Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. {supported}"
    assert in_responses == f"Unsupported value: 'minimal' is not supported with the 'o4-mini' model. {supported}"


def test_chat_sends_models_of_responses_there(http: httpx.Client) -> None:
    response = http.post(CHAT, json=chat(model="o1-pro"))
    assert response.status_code == 404
    assert "only supported in v1/responses" in response.json()["error"]["message"]
    assert http.post("/v1/responses", json={"model": "o1-pro", "input": "Hi"}).status_code == 200


def test_responses_refuse_models_as_recorded(http: httpx.Client) -> None:
    absent = http.post("/v1/responses", json={"model": "gpt-5-chat-latest", "input": "Hi"})
    assert absent.status_code == 404
    message = "Model not found gpt-5-chat-latest"
    assert absent.json()["error"] == {
        "message": message, "type": "invalid_request_error", "param": "model", "code": None
    }  # fmt: skip
    research = {"model": "o3-deep-research", "input": "Hi"}
    assert http.post("/v1/responses", json=research).json()["error"]["param"] == "tools"
    searching = {**research, "tools": [{"type": "web_search_preview"}]}
    assert http.post("/v1/responses", json=searching).status_code == 200
