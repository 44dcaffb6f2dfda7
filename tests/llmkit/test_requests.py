"""Requests: what is sent, and when two of them are the same. Rows 3.I1 and 3.I6."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import InvalidRequest
from llmkit.requests import Request, chat_request, embedding_request, text_count

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
