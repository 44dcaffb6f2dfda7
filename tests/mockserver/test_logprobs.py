"""Log probabilities of tokens."""

import itertools
import json
import math
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver import MockServer, reply
from mockserver.generating.dice import Dice
from mockserver.surfaces.logprobs import Logprobs
from tests.mockserver.asking import AZURE_CHAT, CHAT, WEATHER, chat, user


def choice_of(http: httpx.Client, **parameters: Any) -> dict[str, Any]:
    choice: dict[str, Any] = http.post(CHAT, json=chat(logprobs=True, **parameters)).json()["choices"][0]
    return choice


def streamed(http: httpx.Client, path: str = CHAT, **parameters: Any) -> list[dict[str, Any]]:
    frames = http.post(path, json=chat(logprobs=True, stream=True, **parameters)).text.split("\n\n")[:-2]
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    return [choice for chunk in chunks for choice in chunk["choices"]]


def test_the_sdk_reads_an_entry_for_each_token(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="gpt-4o", messages=user(), logprobs=True, top_logprobs=3)
    choice = completion.choices[0]
    assert choice.logprobs is not None
    assert choice.logprobs.refusal is None
    tokens = choice.logprobs.content or []
    assert "".join(one.token for one in tokens) == choice.message.content
    assert completion.usage is not None
    assert len(tokens) == completion.usage.completion_tokens
    assert all(len(one.top_logprobs) == 3 for one in tokens)


def test_the_said_token_leads_the_likeliest(http: httpx.Client) -> None:
    for entry in choice_of(http, top_logprobs=2)["logprobs"]["content"]:
        first = entry.pop("top_logprobs")[0]
        assert first == entry
        assert bytes(entry["bytes"]).decode() == entry["token"]


@pytest.mark.parametrize("more", [{}, {"top_logprobs": 0}, {"top_logprobs": None}])
def test_without_alternatives_the_list_is_empty(http: httpx.Client, more: dict[str, Any]) -> None:
    assert all(entry["top_logprobs"] == [] for entry in choice_of(http, **more)["logprobs"]["content"])


@pytest.mark.parametrize("path", [CHAT, AZURE_CHAT])
def test_a_stream_carries_them_beside_each_piece(http: httpx.Client, path: str) -> None:
    opening, *middle, end = streamed(http, path, top_logprobs=2)
    assert opening["logprobs"] == {"content": [], "refusal": None}
    assert end["logprobs"] is None
    for choice in middle:
        (entry,) = choice["logprobs"]["content"]
        assert entry["token"] == choice["delta"]["content"]
        assert len(entry["top_logprobs"]) == 2


def test_a_letter_of_several_tokens_has_an_entry_for_each(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("a﷽").times(2))
    entries = choice_of(http)["logprobs"]["content"]
    assert b"".join(bytes(entry["bytes"]) for entry in entries).decode() == "a﷽"
    assert entries[1]["token"] == "".join(f"\\x{byte:02x}" for byte in entries[1]["bytes"])
    pieces = [entry for choice in streamed(http)[:-1] for entry in choice["logprobs"]["content"]]
    assert [entry["bytes"] for entry in pieces] == [entry["bytes"] for entry in entries]


def test_a_call_of_a_tool_has_none(http: httpx.Client) -> None:
    assert choice_of(http, tools=[WEATHER])["logprobs"] is None
    assert {choice["logprobs"] for choice in streamed(http, tools=[WEATHER])} == {None}


def test_a_reasoning_model_gives_them_when_asked(http: httpx.Client) -> None:
    assert choice_of(http, model="gpt-5.4")["logprobs"]["content"]
    assert "logprobs" not in http.post(CHAT, json=chat(model="gpt-5.4")).json()["choices"][0]


def test_the_same_request_gets_the_same_ones(http: httpx.Client) -> None:
    assert choice_of(http, top_logprobs=4) == choice_of(http, top_logprobs=4)


def test_asking_for_more_alternatives_changes_none() -> None:
    few, many = (Logprobs(count, Dice(7)).of([b"Hello", b" there"])["content"] for count in (2, 5))
    assert few == [{**entry, "top_logprobs": entry["top_logprobs"][:2]} for entry in many]


@pytest.mark.parametrize(
    ("parameters", "message", "code"),
    [
        ({"top_logprobs": 3}, "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", None),
        ({"top_logprobs": 0, "logprobs": False}, "is only allowed when 'logprobs' is enabled.", None),
        (
            {"top_logprobs": 21, "logprobs": True},
            "Invalid value for 'top_logprobs': must be less than or equal to 20.",
            None,
        ),
        ({"top_logprobs": -1, "logprobs": True}, "Expected a value >= 0, but got -1", "integer_below_min_value"),
        ({"top_logprobs": "3", "logprobs": True}, "expected an integer, but got a string", "invalid_type"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    http: httpx.Client, parameters: dict[str, Any], message: str, code: str | None
) -> None:
    response = http.post(CHAT, json=chat(**parameters))
    assert response.status_code == 400
    error = response.json()["error"]
    assert message in error["message"]
    assert (error["param"], error["code"]) == ("top_logprobs", code)


@given(seed=st.integers(), count=st.integers(0, 20), tokens=st.lists(st.binary(min_size=1, max_size=4), max_size=5))
def test_probabilities_fall_and_never_exceed_certainty(seed: int, count: int, tokens: list[bytes]) -> None:
    for entry in Logprobs(count, Dice(seed)).of(tokens)["content"]:
        odds = [one["logprob"] for one in entry["top_logprobs"]]
        assert len(odds) == len({one["token"] for one in entry["top_logprobs"]}) == count
        assert all(first >= second for first, second in itertools.pairwise([entry["logprob"], *odds]))
        assert entry["logprob"] < 0
        assert math.fsum(map(math.exp, odds)) < 1 + 1e-9
