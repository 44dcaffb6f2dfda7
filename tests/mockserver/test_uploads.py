"""The uploads surface, as the official SDK sees it."""

import hashlib
from typing import Any

import httpx
import openai
import pytest

from mockserver import MockServer
from tests.mockserver.conftest import KEY, Serve


def _begun(client: openai.OpenAI, size: int, purpose: Any = "vision", name: str = "a.bin", **more: Any) -> str:
    return client.uploads.create(bytes=size, filename=name, mime_type="text/plain", purpose=purpose, **more).id


def test_parts_make_a_file_in_the_order_that_is_asked_for(client: openai.OpenAI) -> None:
    upload = _begun(client, 6)
    late, early = (client.uploads.parts.create(upload, data=data).id for data in (b"def", b"abc"))
    md5 = hashlib.md5(b"abcdef").hexdigest()
    done = client.uploads.complete(upload, part_ids=[early, late], md5=md5)
    assert done.status == "completed"
    assert done.file is not None
    assert client.files.content(done.file.id).read() == b"abcdef"
    assert client.files.retrieve(done.file.id) == done.file


def test_the_sdk_uploads_a_file_in_chunks(client: openai.OpenAI) -> None:
    content = bytes(range(256)) * 1000
    done = client.uploads.upload_file_chunked(
        file=content,
        filename="big.bin",
        bytes=len(content),
        mime_type="text/plain",
        purpose="vision",
        part_size=100_000,
    )
    assert done.file is not None
    assert client.files.content(done.file.id).read() == content


def test_azure_takes_uploads(azure: openai.AzureOpenAI) -> None:
    upload = _begun(azure, 3)
    part = azure.uploads.parts.create(upload, data=b"abc")
    assert part.upload_id == upload
    done = azure.uploads.complete(upload, part_ids=[part.id])
    assert done.file is not None
    assert azure.files.retrieve(done.file.id).bytes == 3


def test_the_file_lives_as_long_as_the_upload_said(client: openai.OpenAI) -> None:
    upload = _begun(client, 1, expires_after={"anchor": "created_at", "seconds": 7200})
    part = client.uploads.parts.create(upload, data=b"a").id
    file = client.uploads.complete(upload, part_ids=[part]).file
    assert file is not None
    assert file.expires_at == file.created_at + 7200


@pytest.mark.parametrize(
    ("ending", "status"), [("complete", "completed"), ("cancel", "cancelled"), ("wait", "expired")]
)
def test_an_upload_that_is_over_takes_nothing_more(
    mockserver: MockServer, client: openai.OpenAI, ending: str, status: str
) -> None:
    mockserver.clock.stop()
    upload = _begun(client, 1)
    part = client.uploads.parts.create(upload, data=b"a").id
    if ending == "complete":
        client.uploads.complete(upload, part_ids=[part])
    elif ending == "cancel":
        assert client.uploads.cancel(upload).status == "cancelled"
    else:
        mockserver.clock.advance(3600)
    for again in (
        lambda: client.uploads.parts.create(upload, data=b"a"),
        lambda: client.uploads.complete(upload, part_ids=[part]),
        lambda: client.uploads.cancel(upload),
    ):
        with pytest.raises(openai.BadRequestError, match=f"has status '{status}'"):
            again()


def test_a_completion_that_is_not_what_was_announced_leaves_the_upload_open(client: openai.OpenAI) -> None:
    upload = _begun(client, 3)
    part = client.uploads.parts.create(upload, data=b"abc").id
    for wrong in ({"part_ids": ["part_x"]}, {"part_ids": [part, part]}, {"part_ids": [part], "md5": "0" * 32}):
        with pytest.raises(openai.BadRequestError):
            client.uploads.complete(upload, **wrong)
    assert client.uploads.complete(upload, part_ids=[part]).status == "completed"


def test_a_batchs_input_is_judged_when_it_is_whole(client: openai.OpenAI) -> None:
    upload = _begun(client, 4, purpose="batch", name="in.jsonl")
    part = client.uploads.parts.create(upload, data=b"oops").id
    with pytest.raises(openai.BadRequestError, match="Invalid file format for Batch API"):
        client.uploads.complete(upload, part_ids=[part])


@pytest.mark.parametrize(
    ("field", "value"), [("bytes", 0), ("bytes", "3"), ("purpose", "fun"), ("filename", 1), ("mime_type", None)]
)
def test_an_upload_that_says_nothing_sensible_is_refused(http: httpx.Client, field: str, value: Any) -> None:
    body: dict[str, Any] = {"bytes": 3, "filename": "a", "mime_type": "text/plain", "purpose": "vision", field: value}
    response = http.post("/v1/uploads", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field


def test_what_is_missing_is_named(http: httpx.Client, client: openai.OpenAI) -> None:
    assert http.post("/v1/uploads", json={}).json()["error"]["message"] == "Missing required parameter: 'purpose'."
    upload = _begun(client, 1)
    part = http.post(f"/v1/uploads/{upload}/parts", files={"x": ("a", b"")})
    assert part.json()["error"]["message"] == "Missing required parameter: 'data'."
    assert http.post(f"/v1/uploads/{upload}/complete", json={}).json()["error"]["param"] == "part_ids"
    assert http.post("/v1/uploads/upload_x/cancel").status_code == 404


def test_a_lenient_server_answers_for_what_is_made_up(serve: Serve) -> None:
    with openai.OpenAI(base_url=serve(lenient=True).openai_url, api_key=KEY, max_retries=0) as lenient:
        assert lenient.uploads.create(bytes=0, filename="f", mime_type="m", purpose="assistants").status == "pending"
        assert lenient.uploads.parts.create("upload_abc123", data=b"Example data").upload_id == "upload_abc123"
        done = lenient.uploads.complete("upload_abc123", part_ids=["string"], md5="md5")
        assert done.status == "completed"
        assert done.file is not None
        assert lenient.uploads.cancel("upload_abc123").status == "cancelled"
