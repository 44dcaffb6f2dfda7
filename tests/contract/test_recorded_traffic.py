"""What public projects recorded from the real OpenAI and Azure OpenAI replays through our recorder.

The requests of each cassette are sent by the real `openai` SDK (by httpx2 where they go to another provider), matched,
and the replies compared with the recording, which is read here by plain YAML and not by our own reader.
"""

from __future__ import annotations

import email
import email.message
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import openai
import pytest
import yaml
from vcr.persisters.filesystem import FilesystemPersister
from vcr.serializers import yamlserializer

from llmkit.recording import use_cassette
from llmkit.recording.cassette import load, save

CASSETTES = Path(__file__).parents[3] / "shared" / "data" / "cassettes"
FILES = sorted(CASSETTES.glob("*/*.yaml"))

pytestmark = pytest.mark.skipif(not FILES, reason=f"the recorded public traffic is not here: {CASSETTES}")

PROVIDER_HOSTS = ("api.openai.com", ".openai.azure.com")
NOT_SENT_BY_SDK = frozenset({"content-length", "host", "accept-encoding", "connection", "transfer-encoding"})


def interactions_of(path: Path) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for interaction in yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)["interactions"]:
        yield interaction["request"], interaction["response"]


def body_of(part: Mapping[str, Any]) -> bytes:
    """Return a recorded body as it went over the wire, whichever way a project's serializer put it down."""
    body = part.get("body")
    if isinstance(body, dict):
        body = body["string"]
    if body is None and "parsed_body" in part:
        body = json.dumps(part["parsed_body"])
    plain = body.encode("utf-8") if isinstance(body, str) else body or b""
    return gzip.decompress(plain) if plain.startswith(b"\x1f\x8b") else plain


def send(request: Mapping[str, Any]) -> httpx2.Response:
    parts = urlsplit(request["uri"])
    content_type = next((v[0] for k, v in request["headers"].items() if k.lower() == "content-type"), "")
    body = body_of(request)
    if not (parts.hostname or "").endswith(PROVIDER_HOSTS):
        return httpx2.request(request["method"], request["uri"], content=body, headers={"content-type": content_type})
    return _send_by_sdk(
        request["method"], f"{parts.scheme}://{parts.netloc}", parts.path, parts.query, body, content_type
    )


def _send_by_sdk(method: str, base_url: str, path: str, query: str, body: bytes, content_type: str) -> httpx2.Response:
    sent: dict[str, Any] = {"content": body, "headers": {"content-type": content_type}} if body else {}
    if body and content_type.startswith("application/json"):
        sent = {"json_data": json.loads(body)}  # spelled anew by the SDK
    elif body and content_type.startswith("multipart/form-data"):
        sent = _parts(body, content_type)  # put together anew by the SDK, with a boundary of its own
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        options = openai._models.FinalRequestOptions.construct(
            method=method.lower(), url=path, params=dict(parse_qsl(query, keep_blank_values=True)), **sent
        )
        try:
            return client.request(httpx2.Response, options)
        except openai.APIStatusError as error:
            return error.response


def _parts(body: bytes, content_type: str) -> dict[str, Any]:
    """Take a multipart body apart into the SDK's fields and files."""
    message = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    fields: dict[str, Any] = {}
    files = []
    for part in message.get_payload():
        assert isinstance(part, email.message.Message)
        name = str(part.get_param("name", header="content-disposition"))
        payload = part.get_payload(decode=True)
        if "Content-Type" in part:
            files.append((name, (part.get_filename(), payload, part.get_content_type())))
        else:
            assert isinstance(payload, bytes)
            fields[name] = payload.decode()
    return {"json_data": fields, "files": files, "headers": {"content-type": "multipart/form-data"}}


def same(replayed: bytes, recorded: bytes) -> bool:
    try:
        return bool(json.loads(replayed) == json.loads(recorded))
    except ValueError:
        return replayed == recorded


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_third_party_cassette_replays(path: Path) -> None:
    with use_cassette(path) as tape:
        for request, response in interactions_of(path):
            reply = send(request)
            status = response["status"]
            assert reply.status_code == (status["code"] if isinstance(status, dict) else status)
            assert same(reply.content, body_of(response))
    assert tape.ledger.replayed == len(tape.interactions) > 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_third_party_cassette_that_we_write_is_read_alike_by_vanilla_vcrpy(path: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours.yaml"
    interactions = load(path)
    save(ours, interactions)
    assert [again.response for again in load(ours)] == [interaction.response for interaction in interactions]
    requests, responses = FilesystemPersister.load_cassette(ours, yamlserializer)
    for read, answered, interaction in zip(requests, responses, interactions, strict=True):
        assert (read.method, read.uri) == (interaction.request.method, interaction.request.uri)
        assert same(read.body or b"", interaction.request.body)
        assert same(answered["body"]["string"], interaction.response.body)


def test_a_recorded_stream_comes_out_of_the_sdk_event_by_event() -> None:
    streams = 0
    for path in FILES:
        with use_cassette(path), openai.OpenAI(api_key="none", max_retries=0) as client:
            for request, response in interactions_of(path):
                if _is_chat_stream(request):
                    body = json.loads(body_of(request))
                    stream = client.post(
                        "/chat/completions", cast_to=object, body=body, stream=True, stream_cls=openai.Stream[object]
                    )
                    assert list(stream) == _events(response)
                    streams += 1
    assert streams > 20


def _is_chat_stream(request: Mapping[str, Any]) -> bool:
    is_chat = request["uri"].endswith("api.openai.com/v1/chat/completions")
    return is_chat and bool(json.loads(body_of(request) or b"{}").get("stream"))


def _events(response: Mapping[str, Any]) -> list[Any]:
    return [json.loads(line[6:]) for line in body_of(response).decode().splitlines() if line.startswith("data: {")]
