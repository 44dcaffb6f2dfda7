"""What may be cached, and under which key."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.errors import ConfigError
from llmkit.policies.cache import (
    CachePolicy,
    Entry,
    endpoint_identity,
    entry_of,
    key_of,
    loads,
    not_asked,
    not_kept,
    replayed,
)

ENDPOINT = endpoint_identity(address="https://api.openai.com/v1")
BODY: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(st.text(), json_values, max_size=6)


def choice(**fields: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"} | fields


def reply(*choices: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "choices": list(choices) or [choice()]} | fields


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reversed_keys(value[name]) for name in reversed(value)}
    return [reversed_keys(one) for one in value] if isinstance(value, list) else value


@given(bodies)
def test_the_order_of_keys_makes_no_other_key(body: dict[str, Any]) -> None:
    assert key_of("chat", reversed_keys(body), endpoint=ENDPOINT) == key_of("chat", body, endpoint=ENDPOINT)


def test_a_stream_has_the_key_of_the_answer_that_it_adds_up_to() -> None:
    streamed = BODY | {"stream": True, "stream_options": {"include_usage": True}}
    assert key_of("chat", streamed, endpoint=ENDPOINT) == key_of("chat", BODY, endpoint=ENDPOINT)


@given(bodies, bodies)
def test_requests_share_a_key_only_if_they_say_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key_of("chat", one, endpoint=ENDPOINT) == key_of("chat", other, endpoint=ENDPOINT)) is same


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.5},
        {"max_tokens": 5},
        {"seed": 1},
        {"model": "gpt-4o-mini"},
        {"messages": [{"role": "user", "content": "Hi!"}]},
        {"tools": []},
        {"stream_options": {}},
        {"something_of_a_gateway": {"a": 1}},
    ],
)
def test_every_parameter_is_part_of_the_key(change: dict[str, Any]) -> None:
    assert key_of("chat", BODY | change, endpoint=ENDPOINT) != key_of("chat", BODY, endpoint=ENDPOINT)


@pytest.mark.parametrize(
    "facts",
    [
        {"address": "https://elsewhere.example/v1"},
        {"address": "https://api.openai.com/v1", "organization": "org-1"},
        {"address": "https://api.openai.com/v1", "project": "org-1"},
        {"address": "https://api.openai.com/v1", "api_version": "2024-10-21"},
    ],
)
def test_the_endpoint_is_part_of_the_key(facts: dict[str, str]) -> None:
    assert key_of("chat", BODY, endpoint=endpoint_identity(**facts)) != key_of("chat", BODY, endpoint=ENDPOINT)


def test_surfaces_have_keys_of_their_own() -> None:
    assert key_of("chat", BODY, endpoint=ENDPOINT) != key_of("responses", BODY, endpoint=ENDPOINT)


@pytest.mark.parametrize("body", [{"a": {1: 2, "1": 3}}, {"a": float("nan")}, {"a": object()}])
def test_what_has_no_one_form_has_no_key(body: dict[str, Any]) -> None:
    assert key_of("chat", body, endpoint=ENDPOINT) is None


@pytest.mark.parametrize(
    ("surface", "change", "code"),
    [
        ("chat", {}, None),
        ("chat", {"temperature": 0.0}, None),
        ("chat", {"tools": [{"type": "function", "function": {"name": "f"}}]}, None),
        ("chat", {"temperature": None}, "sampled"),
        ("chat", {"temperature": 1}, "sampled"),
        ("chat", {"temperature": False}, "sampled"),
        ("chat", {"temperature": "0"}, "sampled"),
        ("chat", {"temperature": None, "seed": 7}, "sampled"),
        ("chat", {"web_search_options": {}}, "tools"),
        ("responses", {"store": False, "tools": [{"type": "web_search"}]}, "tools"),
        ("responses", {"store": False, "tools": ["web_search"]}, "tools"),
        ("responses", {"store": False}, None),
        ("responses", {}, "stateful"),
        ("responses", {"store": False, "previous_response_id": "resp_1"}, "stateful"),
        ("responses", {"store": False, "conversation": "conv_1"}, "stateful"),
        ("embeddings", {"temperature": None}, None),
    ],
)
def test_only_requests_with_one_answer_are_cached(surface: str, change: dict[str, Any], code: str | None) -> None:
    body = {name: value for name, value in (BODY | change).items() if value is not None}
    skip = not_asked(surface, body)
    assert (skip and skip.code) == code
    assert not_asked(surface, body, opted_in=True) is None


def test_a_skip_says_what_to_do() -> None:
    assert "set temperature=0, or opt in" in str(not_asked("chat", {}))


FILTERED = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": True, "severity": "high"}}
SAFE = {"hate": {"filtered": False, "severity": "safe"}, "custom_blocklists": {"filtered": False, "details": []}}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (reply(), None),
        (reply(choice(finish_reason="tool_calls", message={"content": None, "tool_calls": [{"id": "c"}]})), None),
        (reply(choice(content_filter_results=SAFE), prompt_filter_results=[{"content_filter_results": SAFE}]), None),
        (reply({"text": "Hello", "finish_reason": "stop"}), None),
        (reply(choice(finish_reason="length")), "incomplete"),
        (reply(choice(finish_reason=None)), "incomplete"),
        (reply(choice(), choice(finish_reason="length")), "incomplete"),
        (reply(choice(finish_reason="content_filter")), "filtered"),
        (reply(choice(content_filter_results=FILTERED)), "filtered"),
        (reply(prompt_filter_results=[{"prompt_index": 0, "content_filter_results": FILTERED}]), "filtered"),
        (reply(choice(message={"content": None, "refusal": "I can't."})), "refused"),
        (reply(choice(message={"content": ""})), "empty"),
        ({"choices": []}, "empty"),
        ({"choices": ["x"]}, "incomplete"),
        ({}, "empty"),
    ],
)
def test_only_whole_unfiltered_answers_are_kept(payload: dict[str, Any], code: str | None) -> None:
    skip = not_kept("chat", payload)
    assert (skip and skip.code) == code


def output(*parts: Any) -> list[Any]:
    return [{"type": "message", "content": list(parts)}]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"status": "completed", "output": output({"type": "output_text", "text": "Hello"})}, None),
        ({"status": "completed", "output": [{"type": "function_call", "name": "f"}]}, None),
        ({"status": "incomplete", "output": output({"type": "output_text", "text": "Hel"})}, "incomplete"),
        ({"status": "completed", "output": output({"type": "refusal", "refusal": "No."})}, "refused"),
        ({"status": "completed", "output": []}, "empty"),
        ({"status": "completed", "output": [], "content_filters": [{"blocked": True}]}, "filtered"),
    ],
)
def test_only_whole_responses_are_kept(payload: dict[str, Any], code: str | None) -> None:
    skip = not_kept("responses", payload)
    assert (skip and skip.code) == code


@pytest.mark.parametrize(("payload", "code"), [({"data": [{"embedding": "AAAA"}]}, None), ({"data": []}, "empty")])
def test_vectors_are_kept(payload: dict[str, Any], code: str | None) -> None:
    skip = not_kept("embeddings", payload)
    assert (skip and skip.code) == code


@given(json_values)
def test_no_reply_breaks_the_judgement(payload: Any) -> None:
    for surface in ("chat", "responses", "embeddings"):
        not_kept(surface, {"choices": payload, "output": payload, "data": payload, "content_filters": payload})
        not_kept(surface, {"status": "completed", "choices": [payload], "output": [payload]})


@given(bodies)
def test_what_is_kept_comes_back_as_it_was(payload: dict[str, Any]) -> None:
    assert loads(entry_of(payload, now=1.0)) == payload


@pytest.mark.parametrize("payload", [{"text": "half a pair: \ud83d"}, {"deep": json.loads("[" * 300 + "]" * 300)}])
def test_what_only_the_slower_reader_takes_comes_back_too(payload: dict[str, Any]) -> None:
    assert loads(entry_of(payload, now=1.0)) == payload


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"a": 1', "[" * 100_000])
def test_a_broken_entry_is_none(text: str) -> None:
    assert loads(Entry(text, 1.0)) is None


@given(st.text())
def test_the_pieces_of_a_replayed_text_are_the_text(text: str) -> None:
    assert "".join(replayed(text)) == text


def test_a_replayed_text_comes_in_several_pieces() -> None:
    assert list(replayed("Hello there, world. \n")) == ["Hello", " there,", " world.", " \n"]


def test_an_entry_is_fresh_for_its_time() -> None:
    policy = CachePolicy(fresh_s=60, keep_s=120)
    entry = Entry("{}", 1000.0)
    assert policy.is_fresh(entry, 1059.9)
    assert not policy.is_fresh(entry, 1060.0)


@pytest.mark.parametrize("numbers", [{"fresh_s": 0}, {"fresh_s": 9, "keep_s": 8}, {"keep_s": float("inf")}])
def test_times_that_make_no_sense_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="not valid"):
        CachePolicy(**numbers)
