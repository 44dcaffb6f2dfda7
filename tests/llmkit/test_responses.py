"""Replies: whatever JSON a server sends, it is an answer or a typed error. Row 3.T6."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import Completion, Embedding, LLMError, MalformedResponse
from llmkit.responses import completion, embedding, parse_json
from llmkit.streaming import ChatReader

NAMES = [
    *(
        "choices",
        "message",
        "delta",
        "content",
        "refusal",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "index",
    ),
    *("finish_reason", "usage", "prompt_tokens", "prompt_tokens_details", "cached_tokens", "model", "error", "code"),
    *("index", "data", "embedding", "function_call", "custom", "input", "type", "object", "innererror"),
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from([10**400, ""])


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)


def mostly(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What belongs there, and once in a while anything else."""
    return st.integers(0, 24).flatmap(lambda dice: ANYTHING if dice == 24 else value)


def record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return mostly(st.fixed_dictionaries({name: mostly(value) for name, value in fields.items()}))


ANYTHING = st.recursive(SCALARS, objects, max_leaves=6)
CALL = record(index=st.integers(0, 2), id=st.text(max_size=2), function=record(name=st.text("ab"), arguments=st.text()))
MESSAGE = record(content=st.none() | st.text(), refusal=st.none() | st.text(), tool_calls=st.lists(CALL, max_size=2))
CHOICE = record(index=st.just(0), message=MESSAGE, delta=MESSAGE, finish_reason=st.sampled_from([None, "stop"]))
USAGE = record(prompt_tokens=st.integers())
CHAT = record(choices=st.lists(CHOICE, min_size=1, max_size=2), model=st.text(), usage=USAGE)
VECTOR = st.lists(st.floats(-1, 1) | st.integers(-1, 1), min_size=2, max_size=2)
EMBEDDINGS = st.permutations([0, 1]).flatmap(
    lambda order: record(data=st.tuples(*(record(index=st.just(index), embedding=VECTOR) for index in order)))
)


@given(CHAT)
def test_any_json_is_a_completion_or_a_typed_error(body: Any) -> None:
    try:
        answer = completion(parse_json(json.dumps(body).encode()))
    except LLMError:
        return
    assert isinstance(answer, Completion)
    answer.text.encode()
    assert all(call.name for call in answer.tool_calls)


@given(EMBEDDINGS)
def test_any_json_is_embeddings_or_a_typed_error(body: Any) -> None:
    try:
        answer = embedding(parse_json(json.dumps(body).encode()), texts=2)
    except LLMError:
        return
    assert isinstance(answer, Embedding)
    left, right = answer.vectors
    assert 0 < len(left) == len(right)


@given(st.lists(CHAT, max_size=4))
def test_any_frames_are_a_completion_or_a_typed_error(bodies: list[Any]) -> None:
    reader = ChatReader()
    try:
        for body in bodies:
            reader.feed(f"data: {json.dumps(body)}\n\n".encode())
        reader.end()
        answer = reader.completion()
    except LLMError:
        return
    assert answer.text == reader.text


def test_a_number_beyond_all_floats_is_no_vector() -> None:
    with pytest.raises(MalformedResponse, match="too large"):
        embedding({"data": [{"embedding": [10**400]}]}, texts=1)
