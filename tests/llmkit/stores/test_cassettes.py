"""Recordings serve as a cache, for the endpoint that they were recorded from."""

import json
from pathlib import Path
from typing import Any

import pytest

from llmkit.errors import ConfigError
from llmkit.policies.cache import Entry, endpoint_identity, key_of, loads
from llmkit.recording import BrokenCassette
from llmkit.recording.cassette import save
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.stores.cassettes import CassetteCache

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}
REPLY = {"id": "1", "model": "gpt-4o", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
IDENTITY = endpoint_identity(address="https://api.openai.com/v1")
FRAMES = [
    {"id": "1", "choices": [{"index": 0, "delta": {"content": "Hel"}}]},
    {"id": "1", "choices": [{"index": 0, "delta": {"content": "lo"}}]},
    {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]


def recorded(
    body: Any = BODY,
    reply: Any = REPLY,
    *,
    uri: str = "https://api.openai.com/v1/chat/completions",
    method: str = "POST",
    **response: Any,
) -> Interaction:
    data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    facts: dict[str, Any] = {"status": 200, "headers": {"content-type": ["application/json"]}, "body": data}
    request = Request(method=method, uri=uri, body=body if isinstance(body, bytes) else json.dumps(body).encode())
    return Interaction(request=request, response=Response(**facts | response))


def found(
    path: Path, *interactions: Interaction, body: Any = BODY, surface: str = "chat", endpoint: str = IDENTITY
) -> Any:
    """What a cache of these interactions answers to `body`."""
    save(path / "cassette.yaml", interactions)
    cache = CassetteCache(path, endpoint=endpoint)
    key = key_of(surface, body, endpoint=endpoint)
    assert key is not None
    entry = cache.get_now(key)
    return entry and loads(entry)


def test_a_recorded_answer_is_given(tmp_path: Path) -> None:
    assert found(tmp_path, recorded()) == REPLY


def test_another_request_is_a_miss(tmp_path: Path) -> None:
    assert found(tmp_path, recorded(), body=BODY | {"seed": 1}) is None


def test_what_is_sent_without_a_stream_may_say_so(tmp_path: Path) -> None:
    assert found(tmp_path, recorded(BODY | {"stream": False})) == REPLY


def test_a_recorded_stream_is_given_as_what_it_adds_up_to(tmp_path: Path) -> None:
    stream = b"".join(b"data: %b\n\n" % json.dumps(frame).encode() for frame in FRAMES) + b"data: [DONE]\n\n"
    body = BODY | {"stream": True}
    reply = found(tmp_path, recorded(body, stream, headers={"content-type": ["text/event-stream"]}), body=body)
    assert reply["choices"][0]["message"]["content"] == "Hello"


def test_vectors_are_given(tmp_path: Path) -> None:
    body, reply = {"model": "e", "input": ["a"]}, {"data": [{"embedding": "AAAA"}]}
    interaction = recorded(body, reply, uri="https://api.openai.com/v1/embeddings")
    assert found(tmp_path, interaction, body=body, surface="embeddings") == reply


def test_of_equal_requests_the_first_recording_counts(tmp_path: Path) -> None:
    assert found(tmp_path, recorded(), recorded(reply=REPLY | {"id": "2"})) == REPLY


AZURE = "https://resource.openai.azure.com"


@pytest.mark.parametrize(
    ("uri", "facts"),
    [
        ("https://api.openai.com/v1/chat/completions", {"address": "http://127.0.0.1:8123/v1"}),
        (f"{AZURE}/openai/v1/chat/completions", {"address": "https://mine.openai.azure.com"}),
        (
            f"{AZURE}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            {"address": "https://mine.openai.azure.com", "api_version": "2024-10-21"},
        ),
        ("https://gateway.example/a/chat/completions", {"address": "https://gateway.example/a"}),
    ],
)
def test_the_address_may_go_by_its_stable_name(tmp_path: Path, uri: str, facts: dict[str, str]) -> None:
    assert found(tmp_path, recorded(uri=uri), endpoint=endpoint_identity(**facts)) == REPLY


@pytest.mark.parametrize(
    ("uri", "facts"),
    [
        (f"{AZURE}/openai/v1/chat/completions", {"address": "https://api.openai.com/v1"}),
        ("https://api.openai.com/v1/chat/completions", {"address": "https://mine.openai.azure.com"}),
        (
            f"{AZURE}/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01",
            {"address": "https://mine.openai.azure.com", "api_version": "2024-10-21"},
        ),
        (
            f"{AZURE}/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21",
            {"address": "https://mine.openai.azure.com", "api_version": "2024-10-21"},
        ),
        ("https://gateway.example/b/chat/completions", {"address": "https://gateway.example/a"}),
    ],
)
def test_another_address_version_or_deployment_is_a_miss(tmp_path: Path, uri: str, facts: dict[str, str]) -> None:
    assert found(tmp_path, recorded(uri=uri), endpoint=endpoint_identity(**facts)) is None


@pytest.mark.parametrize(
    "interaction",
    [
        recorded(uri="https://elsewhere.example/v1/chat/completions"),
        recorded(uri="https://api.openai.com/v1/models"),
        recorded(method="GET"),
        recorded(status=500),
        recorded(ended="closed"),
        recorded(b"no JSON"),
        recorded([1]),
        recorded(reply=b"<html>"),
        recorded(reply=[1]),
        recorded(reply={"choices": [{"message": {"content": "Hel"}, "finish_reason": "length"}]}),
        recorded(reply=b"data: {}\n\n", headers={"content-type": ["text/event-stream"]}),
    ],
    ids=lambda one: f"{one.request.method} {one.request.uri} {one.response.status} {one.response.body[:30]!r}",
)
def test_what_is_no_answer_of_this_endpoint_is_a_miss(tmp_path: Path, interaction: Interaction) -> None:
    assert found(tmp_path, interaction) is None


async def test_nothing_is_written(tmp_path: Path) -> None:
    save(tmp_path / "cassette.yaml", [recorded()])
    before = (tmp_path / "cassette.yaml").read_bytes()
    cache = CassetteCache(tmp_path / "cassette.yaml", endpoint=IDENTITY)
    await cache.put("k", Entry("{}", 1.0), keep_s=60)
    await cache.delete("k")
    await cache.aclose()
    assert await cache.get("k") is None
    assert (tmp_path / "cassette.yaml").read_bytes() == before


def test_a_place_without_cassettes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no cassettes"):
        CassetteCache(tmp_path, endpoint=IDENTITY)


@pytest.mark.parametrize("endpoint", ["", endpoint_identity(project="p")])
def test_an_endpoint_without_an_address_is_refused(tmp_path: Path, endpoint: str) -> None:
    save(tmp_path / "cassette.yaml", [recorded()])
    with pytest.raises(ConfigError, match="has to name an address"):
        CassetteCache(tmp_path, endpoint=endpoint)


def test_a_broken_cassette_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cassette.yaml").write_text("version: 1\ninter")
    with pytest.raises(BrokenCassette):
        CassetteCache(tmp_path, endpoint=IDENTITY)
