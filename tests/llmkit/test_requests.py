"""Requests: what is sent, and when two of them are the same. Rows 3.I1 and 3.I6."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ContextOverflow, InvalidRequest
from llmkit.models import spec_for
from llmkit.requests import (
    Request,
    chat_request,
    check,
    completion_request,
    embedding_request,
    response_request,
    text_count,
)

bodies = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
    ),
    max_size=4,
)


@given(bodies, st.randoms())
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(body: dict[str, Any], random: Any) -> None:
    keys = list(body)
    random.shuffle(keys)
    assert Request("chat", body).fingerprint == Request("chat", {key: body[key] for key in keys}).fingerprint


@given(bodies, bodies)
def test_different_requests_have_different_fingerprints(left: dict[str, Any], right: dict[str, Any]) -> None:
    same = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    assert (Request("chat", left).fingerprint == Request("chat", right).fingerprint) is same
    assert Request("chat", left).fingerprint != Request("embeddings", left).fingerprint


def test_the_callers_messages_are_not_changed() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    request = chat_request(iter(messages), model="gpt-4o", parameters={})
    request.body["messages"][0]["content"] = "Bye"
    assert messages == [{"role": "user", "content": "Hi"}]


def test_parameters_win_over_defaults() -> None:
    body = embedding_request("a", model="m", parameters={"encoding_format": "float"}).body
    assert body == {"model": "m", "input": ["a"], "encoding_format": "float"}


def test_a_stream_asks_for_its_usage_unless_that_is_taken_out() -> None:
    """None is for servers that refuse the option."""
    asked = chat_request("Hi", model="m", stream=True, parameters={})
    assert asked.body["stream_options"] == {"include_usage": True}
    assert "stream_options" not in chat_request("Hi", model="m", stream=True, parameters={"stream_options": None}).body


@pytest.mark.parametrize(
    ("texts", "inputs", "count"),
    [
        ("a", ["a"], 1),
        (["a", "b"], ["a", "b"], 2),
        (iter(["a", "b"]), ["a", "b"], 2),
        ([1, 2, 3], [1, 2, 3], 1),
        ([[1, 2], (3,)], [[1, 2], [3]], 2),
    ],
)
def test_a_text_is_a_string_or_a_list_of_token_ids(texts: Any, inputs: list[Any], count: int) -> None:
    request = embedding_request(texts, model="m", parameters={})
    assert (request.body["input"], text_count(request)) == (inputs, count)


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (None, "None"),
        (5, "5"),
        (b"ab", "b'ab'"),
        ({"a": 1}, "{'a': 1}"),
        (["a", 1], r"texts\[1\] is 1"),
        ([1, "a"], r"texts\[1\] is 'a'"),
        ([b"ab"], r"texts\[0\] is b'ab'"),
        ([None], r"texts\[0\] is None"),
        ([True], r"texts\[0\] is True"),
        ([-1], r"texts\[0\] is -1"),
        ([[1], []], r"texts\[1\] is \[\]"),
        ([["a"]], r"texts\[0\] is \['a'\]"),
        ([{"a": 1}], r"texts\[0\] is \{'a': 1\}"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(texts: Any, shown: str) -> None:
    """The API would embed some of these, as something that nobody meant, and bill it."""
    with pytest.raises(InvalidRequest, match=shown):
        embedding_request(texts, model="m", parameters={})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timeout", "deadline_s"),
        ("max_retries", "max_attempts"),
        ("extra_body", "keyword argument"),
        ("extra_headers", "headers"),
        ("extra_query", "query"),
        ("stream", r"client\.stream"),
    ],
)
def test_the_sdks_own_options_do_not_go_into_the_body(name: str, hint: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} is not a parameter here: .*{hint}"):
        chat_request("Hi", model="m", parameters={name: 3})
    with pytest.raises(InvalidRequest, match=f"{name} is not a parameter here"):
        embedding_request("Hi", model="m", parameters={name: 3})


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for parameters, content in ({"metadata": deep}, "Hi"), ({}, deep):
        with pytest.raises(InvalidRequest):
            chat_request([{"role": "user", "content": content}], model="m", parameters=parameters)


@pytest.mark.parametrize("surface", ["chat", "responses", "completions", "embeddings"])
def test_what_is_longer_than_the_window_is_refused_on_every_surface(surface: str) -> None:
    long = "word " * 9_000
    requests = {
        "chat": lambda: chat_request(long, model="gpt-4", parameters={}),
        "responses": lambda: response_request(long, model="gpt-4", parameters={}),
        "completions": lambda: completion_request(["Hi", long], model="gpt-3.5-turbo-instruct", parameters={}),
        "embeddings": lambda: embedding_request(["Hi", long], model="text-embedding-3-small", parameters={}),
    }
    request = requests[surface]()
    with pytest.raises(ContextOverflow, match=r"There are 9,00\d tokens \(give or take 0\) in .*, more than the [48],"):
        check(request, spec_for(request.model))


def test_the_answer_has_to_fit_into_the_window_too() -> None:
    """As in mckaywrigley/chatbot-ui#102; models that reason have a room of its own for it."""
    long = "word " * 7_900

    def asked(room: int) -> Request:
        return check(chat_request(long, model="gpt-4", parameters={"max_tokens": room}), spec_for("gpt-4"))

    assert asked(200).body["max_tokens"] == 200
    with pytest.raises(ContextOverflow, match="with 1,000 for the answer more than the 8,192 of gpt-4"):
        asked(1_000)
    reasoning = replace(spec_for("gpt-4"), family="reasoning")
    check(chat_request(long, model="gpt-4", parameters={"max_tokens": 1_000}), reasoning)


def test_texts_are_measured_one_by_one() -> None:
    spec = spec_for("text-embedding-3-small")
    check(embedding_request(["word " * 5_000] * 3, model=spec.name, parameters={}), spec)
    with pytest.raises(ContextOverflow, match=r"in input\[0\]"):
        check(embedding_request([1] * 8_193, model=spec.name, parameters={}), spec)


def test_a_response_that_the_api_may_shorten_is_not_too_long() -> None:
    request = response_request("word " * 9_000, model="gpt-4", parameters={"truncation": "auto"})
    assert check(request, spec_for("gpt-4")) is request


@pytest.mark.parametrize(("name", "value"), [("temperature", float("nan")), ("user", "\ud800"), ("seed", 1j)])
def test_what_cannot_be_sent_is_named(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"cannot be sent as JSON: {name} = "):
        chat_request("Hi", model="m", parameters={name: value})
