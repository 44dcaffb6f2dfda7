"""Embeddings: shapes, sizes, and vectors that mean something."""

import base64
import math
import struct
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.tokens import count_text
from mockserver import MockServer, reply
from mockserver.generating.vectors import vector_for
from tests.mockserver.asking import EMBEDDINGS
from tests.mockserver.conftest import Serve

SMALL = "text-embedding-3-small"


def embed(http: httpx.Client, *texts: str, **parameters: Any) -> list[list[float]]:
    body = {"model": SMALL, "input": list(texts), "encoding_format": "float", **parameters}
    data = http.post(EMBEDDINGS, json=body).json()["data"]
    return [item["embedding"] for item in data]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("model", "size"), [(SMALL, 1536), ("text-embedding-3-large", 3072), ("text-embedding-ada-002", 1536)]
)
def test_vectors_have_the_size_of_the_model_and_length_one(http: httpx.Client, model: str, size: int) -> None:
    (vector,) = embed(http, "sea otters", model=model)
    assert len(vector) == size
    assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-9)


def test_shared_words_bring_texts_nearer(http: httpx.Client) -> None:
    query, near, far = embed(
        http, "how do I reset a password", "resetting the password of an account", "shipping rates to Norway"
    )
    assert cosine(query, near) > cosine(query, far) + 0.2


def test_the_same_text_gets_the_same_vector(http: httpx.Client) -> None:
    assert embed(http, "otter") == embed(http, "otter")


def test_dimensions_shorten_the_vector_and_keep_its_length_one(http: httpx.Client) -> None:
    (vector,) = embed(http, "otter", dimensions=64)
    assert len(vector) == 64
    assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-9)


def test_base64_carries_the_same_floats(http: httpx.Client) -> None:
    (vector,) = embed(http, "otter")
    encoded = http.post(EMBEDDINGS, json={"model": SMALL, "input": "otter", "encoding_format": "base64"}).json()
    floats = struct.unpack("<1536f", base64.b64decode(encoded["data"][0]["embedding"]))
    assert floats == pytest.approx(vector, abs=1e-7)


def test_the_sdk_reads_them_in_their_order_with_usage(client: openai.OpenAI) -> None:
    response = client.embeddings.create(model=SMALL, input=["one", "two", "three"])
    assert [item.index for item in response.data] == [0, 1, 2]
    assert response.usage.prompt_tokens == sum(count_text(text, model=SMALL) for text in ("one", "two", "three"))


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_token_ids_are_inputs_too(http: httpx.Client, tokens: Any) -> None:
    body = http.post(EMBEDDINGS, json={"model": SMALL, "input": tokens}).json()
    assert body["usage"]["prompt_tokens"] == 3


def test_a_scripted_vector_serves_every_input(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply(embedding=[1, 0]))
    assert embed(http, "a", "b") == [[1.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize("wrong", [[], "", [""], ["a", 1], 5, {"a": 1}, [[]], None, [-1], [True], ["x"] * 2049])
def test_inputs_that_are_none_are_refused(http: httpx.Client, wrong: Any) -> None:
    response = http.post(EMBEDDINGS, json={"model": SMALL, "input": wrong})
    assert response.status_code == 400
    assert "'$.input' is invalid" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "text-embedding-ada-002", "dimensions": 256}, "This model does not support specifying dimensions."),
        ({"dimensions": 2000}, "Must be less than or equal to 1536."),
        ({"dimensions": 0}, "Invalid 'dimensions': integer below minimum value."),
        ({"encoding_format": "hex"}, "Invalid value: 'hex'. Supported values are: 'float' and 'base64'."),
        ({"speed": 1}, "Unrecognized request argument supplied: speed"),
        ({"input": list(range(8193))}, "maximum context length is 8192 tokens, however you requested 8193 tokens"),
    ],
)
def test_parameters_out_of_place_are_refused(http: httpx.Client, parameters: Any, message: str) -> None:
    response = http.post(EMBEDDINGS, json={"model": SMALL, "input": "x", **parameters})
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


def similarity(first: str, second: str) -> float:
    one, other = (vector_for(text, dimensions=256, full=1536, seed=0) for text in (first, second))
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


@given(
    words=st.lists(
        st.text("bcdfgklmnprstvz", min_size=5, max_size=9), min_size=12, max_size=12, unique_by=lambda w: w[:4]
    )
)
@settings(max_examples=50, deadline=None)
def test_texts_that_share_more_words_are_nearer(words: list[str]) -> None:
    text = " ".join(words[:4])
    most, some, none = (" ".join(words[4 - shared : 8 - shared]) for shared in (3, 1, 0))
    assert similarity(text, text) == pytest.approx(1)
    assert similarity(text, most) > similarity(text, some) > similarity(text, none)


def test_a_lenient_server_embeds_odd_inputs(serve: Serve) -> None:
    server = serve(lenient=True)
    inputs: list[Any] = [None, [], {}, [None, 3.5], [[], ["a"]], ""]
    for odd in inputs:
        body = {"model": "text-embedding-3-small", "input": odd, "dimensions": "few", "encoding_format": 7}
        response = httpx.post(server.url + EMBEDDINGS, headers={"authorization": "Bearer any"}, json=body)
        assert response.status_code == 200, odd
