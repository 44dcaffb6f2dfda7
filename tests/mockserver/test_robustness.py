"""No input makes the server fail by itself: whatever comes is answered, or refused in the envelope of its dialect."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mockserver import MockServer
from tests.mockserver.asking import AZURE_CHAT, CHAT, EMBEDDINGS, WEATHER, user
from tests.mockserver.conftest import KEY

PATHS = (
    CHAT,
    EMBEDDINGS,
    AZURE_CHAT,
    "/openai/v1/chat/completions",
    "/openai/deployments/x/embeddings?api-version=2024-10-21",
    "/v1/models/x",
    "/anything",
)

numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=20,
)

PARAMETERS = (
    "messages tools functions tool_choice function_call response_format max_tokens max_completion_tokens stop n"
    " temperature top_p logprobs top_logprobs stream stream_options seed user metadata logit_bias modalities input"
    " encoding_format dimensions model reasoning_effort web_search_options"
)
KEYS = (
    "role content name tool_calls tool_call_id type text image_url url file file_data function arguments parameters"
    " properties required items anyOf $ref enum const minimum maximum multipleOf minItems uniqueItems"
    " additionalProperties pattern json_schema schema strict custom input format minLength allOf"
)
WORDS = (
    "user assistant tool system function text image_url file custom auto none required json_schema json_object object"
    " array string integer number boolean null #/properties/a # data:image/png;base64,AAAA float base64 gpt-4o o1-mini"
    " gpt-audio text-embedding-3-small json"
)

# values that look much like the API's own: the ones that get past the first checks
likely = st.recursive(
    st.one_of(
        st.sampled_from(WORDS.split()),
        st.booleans(),
        st.none(),
        st.integers(-3, 300),
        st.floats(-3, 3),
        st.just("json"),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=5)
    ),
    max_leaves=25,
)
likely_bodies = st.dictionaries(st.sampled_from(PARAMETERS.split()), likely, max_size=4).map(
    lambda wild: {"model": "gpt-4o", "messages": user(), "input": "x", **wild}
)


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer() as started:
        yield started


@pytest.fixture
def http(server: MockServer, network_allowance: Any) -> Iterator[httpx.Client]:
    network_allowance.allow(server.host, server.port)
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {KEY}"}, timeout=20) as made:
        yield made


def assert_answered(response: httpx.Response) -> None:
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.json()["error"]["message"]
    else:
        assert response.text


relaxed = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@given(path=st.sampled_from(PATHS), body=json_values)
def test_any_json_is_answered(http: httpx.Client, path: str, body: Any) -> None:
    assert_answered(http.post(path, json=body))


@relaxed
@given(path=st.sampled_from(PATHS), raw=st.binary(max_size=200))
def test_any_bytes_are_answered(http: httpx.Client, path: str, raw: bytes) -> None:
    assert_answered(http.post(path, content=raw))


@relaxed
@given(path=st.sampled_from((CHAT, AZURE_CHAT)), body=likely_bodies)
def test_any_likely_chat_body_is_answered(http: httpx.Client, path: str, body: Any) -> None:
    body.pop("input", None)
    assert_answered(http.post(path, json=body))


@relaxed
@given(body=likely_bodies)
def test_any_likely_embedding_body_is_answered(http: httpx.Client, body: Any) -> None:
    body.pop("messages", None)
    assert_answered(http.post(EMBEDDINGS, json={"model": "text-embedding-3-small", **body}))


@relaxed
@given(schema=likely)
def test_any_schema_is_answered(http: httpx.Client, schema: Any) -> None:
    named = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    body = {"model": "gpt-4o", "messages": user(), "response_format": named}
    assert_answered(http.post(CHAT, json=body))


@relaxed
@given(schema=likely, strict=st.booleans())
def test_any_tool_is_answered(http: httpx.Client, schema: Any, strict: bool) -> None:
    function = {"name": "f", "strict": strict, "parameters": {"type": "object", "properties": {"a": schema}}}
    tools = [{"type": "function", "function": function}, WEATHER]
    choice = {"type": "function", "function": {"name": "f"}}
    body = {"model": "gpt-4o", "messages": user(), "tools": tools, "tool_choice": choice}
    assert_answered(http.post(CHAT, json=body))


@relaxed
@given(message=st.dictionaries(st.sampled_from(KEYS.split()), likely, max_size=6))
def test_any_message_is_answered(http: httpx.Client, message: Any) -> None:
    role = {"role": "user"} if "role" not in message else {}
    body = {"model": "gpt-4o", "messages": [{**role, **message}, *user()]}
    assert_answered(http.post(CHAT, json=body))


STEP_KEYS = (
    "reply fault text tool_calls json embedding finish_reason name arguments args match times header body model stream"
    " status message retry_after_s limit at how type faults frame byte probability then field delta low high"
)
STEP_WORDS = (
    "f stop forever rate_limited server_error refused cut malformed_json rst eof duplicate drop null_field finish utf8"
    " gpt-* \ud800"
)
step_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.sampled_from(STEP_WORDS.split()), st.just(10**400)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(STEP_KEYS.split()), inner, max_size=4)
    ),
    max_leaves=10,
)


contents = st.dictionaries(
    st.sampled_from(["text", "tool_calls", "json", "embedding", "finish_reason"]),
    st.one_of(step_values, st.lists(st.one_of(numbers, st.just(10**400)), min_size=1, max_size=3)),
    min_size=1,
    max_size=2,
)
steps = st.builds(
    lambda kind, what, more: {**more, kind: what},
    st.sampled_from(["reply", "reply", "fault"]),
    st.one_of(contents, step_values),
    st.dictionaries(st.sampled_from(STEP_KEYS.split()[2:]), step_values, max_size=1),
)


@relaxed
@given(step=steps, stream=st.booleans())
def test_any_step_is_refused_at_once_or_can_be_taken(
    server: MockServer, http: httpx.Client, step: Any, stream: bool
) -> None:
    refusal = http.post("/__admin/script", content=json.dumps([step]))
    assert refusal.status_code in (200, 400)
    for path, body in (
        (CHAT, {"model": "gpt-4o", "messages": user(), "stream": stream}),
        (EMBEDDINGS, {"model": "text-embedding-3-small", "input": "x"}),
    ):
        try:
            answer = http.post(path, json=body)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            continue  # cut on purpose
        assert not answer.text.startswith("500 Internal Server Error")
    assert http.get("/__admin/script").status_code == 200
    server.reset()
