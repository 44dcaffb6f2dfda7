"""Requests: what is sent, and when two of them are the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmkit.requests import Request, chat_request, embedding_request

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
    assert (
        chat_request("Hi", model="m", stream=True, parameters={"stream_options": None}).body["stream_options"] is None
    )
