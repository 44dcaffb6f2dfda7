"""The files surface, as the official SDK and plain HTTP see it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from mockserver import MockServer
from tests.mockserver.conftest import KEY, Serve

_LINE = b'{"custom_id": "a"}\n'


@pytest.fixture
def lenient(serve: Serve) -> Iterator[openai.OpenAI]:
    """The official SDK at a lenient server."""
    with openai.OpenAI(base_url=serve(lenient=True).openai_url, api_key=KEY, max_retries=0, timeout=10) as made:
        yield made


def _refused(http: httpx.Client, *, status: int = 400, path: str = "/v1/files", **request: Any) -> dict[str, Any]:
    response = http.post(path, **request)
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    return error


def test_a_file_is_kept_until_it_is_deleted(client: openai.OpenAI) -> None:
    made = client.files.create(file=("notes.txt", b"\x00\xffwords"), purpose="vision")
    assert (made.filename, made.bytes, made.purpose, made.status) == ("notes.txt", 7, "vision", "processed")
    assert made.id.startswith("file-")
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == b"\x00\xffwords"
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)


def test_two_files_alike_are_two(client: openai.OpenAI) -> None:
    ids = {client.files.create(file=("a", b"same"), purpose="vision").id for _ in range(2)}
    assert len(ids) == 2


def test_azure_keeps_files_at_both_of_its_places(azure: openai.AzureOpenAI, http: httpx.Client) -> None:
    made = azure.files.create(file=("in.jsonl", _LINE), purpose="batch")
    assert azure.files.content(made.id).read() == _LINE
    assert http.get(f"/openai/v1/files/{made.id}").json()["id"] == made.id
    assert http.get(f"/openai/files/{made.id}").status_code == 404  # no api-version
    assert [file.id for file in azure.files.list()] == [made.id]


def test_an_unknown_file_is_the_recorded_404(http: httpx.Client) -> None:
    for response in (
        http.get("/v1/files/file-x"),
        http.delete("/v1/files/file-x"),
        http.get("/v1/files/file-x/content"),
    ):
        assert response.status_code == 404
        assert response.json() == {
            "error": {
                "message": "No such File object: file-x",
                "type": "invalid_request_error",
                "param": "id",
                "code": None,
            }
        }


def test_content_comes_as_bytes_of_the_recorded_type(client: openai.OpenAI, http: httpx.Client) -> None:
    made = client.files.create(file=("in.jsonl", _LINE), purpose="batch")
    response = http.get(f"/v1/files/{made.id}/content")
    assert (response.headers["content-type"], response.content) == ("application/octet-stream", _LINE)


@pytest.mark.parametrize("purpose", ["assistants", "user_data"])
def test_files_of_some_purposes_cannot_be_read_back(client: openai.OpenAI, purpose: Any) -> None:
    made = client.files.create(file=("a.txt", b"text"), purpose=purpose)
    with pytest.raises(openai.BadRequestError, match=f"Not allowed to download files of purpose: {purpose}"):
        client.files.content(made.id)


def test_a_form_that_lacks_something_is_refused(http: httpx.Client) -> None:
    assert _refused(http, data={"purpose": "vision"}, files={"x": ("a", b"")})["param"] == "file"
    assert _refused(http, files={"file": ("a", b"")})["message"] == "Missing required parameter: 'purpose'."
    assert _refused(http, json={"purpose": "vision"})["param"] == "file"


def test_a_purpose_that_nobody_knows_is_refused(http: httpx.Client) -> None:
    form: dict[str, Any] = {"data": {"purpose": "fun"}, "files": {"file": ("a", b"")}}
    assert _refused(http, **form)["message"].startswith("Invalid value: 'fun'. Supported values are: 'assistants', ")
    refusal = _refused(http, path="/openai/v1/files", **form)
    assert refusal == {"code": "invalidPayload", "message": "Invalid value for purpose."}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", _LINE, "Invalid file format for Batch API. Must be .jsonl"),
        ("in.jsonl", b"", "Invalid file format for Batch API. Must be .jsonl"),
        ("in.jsonl", b"{malformed", "Invalid file format for Batch API. Must be .jsonl"),
        ("in.jsonl", b"[1]\n", "Invalid file format for Batch API. Must be .jsonl"),
        ("in.jsonl", '{"a": "ü"}'.encode("utf-16"), "Invalid file for Batch API. Must be utf-8 encoded"),
    ],
)
def test_what_cannot_be_the_input_of_a_batch_is_refused(
    http: httpx.Client, name: str, content: bytes, message: str
) -> None:
    refusal = _refused(http, data={"purpose": "batch"}, files={"file": (name, content)})
    assert refusal == {"message": message, "type": "invalid_request_error", "param": None, "code": None}


def test_lines_after_the_first_are_judged_by_the_batch_only(client: openai.OpenAI) -> None:
    client.files.create(file=("in.jsonl", _LINE + b"{broken"), purpose="batch")


def test_a_file_over_the_limit_of_bodies_is_refused(serve: Serve) -> None:
    server = serve()
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as http:
        files = {"file": ("big.bin", bytes(33 * 1024 * 1024))}
        assert http.post("/v1/files", data={"purpose": "vision"}, files=files).status_code == 413


def test_files_go_away_when_their_time_is_over(mockserver: MockServer, client: openai.OpenAI) -> None:
    mockserver.clock.stop()
    brief = client.files.create(
        file=("a", b"a"), purpose="vision", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    batch = client.files.create(file=("a.jsonl", _LINE), purpose="batch")
    kept = client.files.create(file=("a", b"a"), purpose="vision")
    assert (brief.expires_at, kept.expires_at) == (brief.created_at + 3600, None)
    assert batch.expires_at == batch.created_at + 30 * 86_400
    mockserver.clock.advance(3599)
    assert len(list(client.files.list())) == 3
    mockserver.clock.advance(1)
    assert [file.id for file in client.files.list()] == [kept.id, batch.id]
    with pytest.raises(openai.NotFoundError):
        client.files.content(brief.id)
    mockserver.clock.advance(30 * 86_400)
    assert [file.id for file in client.files.list()] == [kept.id]


@pytest.mark.parametrize(
    ("expiry", "param"),
    [
        ({"anchor": "created_at"}, "expires_after.seconds"),
        ({"seconds": "3600"}, "expires_after.anchor"),
        ({"anchor": "last_active_at", "seconds": "3600"}, "expires_after.anchor"),
        ({"anchor": "created_at", "seconds": "soon"}, "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": "3599"}, "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": "2592001"}, "expires_after.seconds"),
    ],
)
def test_a_wrong_expiry_is_refused(http: httpx.Client, expiry: dict[str, str], param: str) -> None:
    fields = {f"expires_after[{name}]": value for name, value in expiry.items()}
    form: dict[str, Any] = {"data": {"purpose": "vision", **fields}, "files": {"file": ("a", b"")}}
    assert _refused(http, **form)["param"] == param


def test_lists_come_in_pages_newest_first(client: openai.OpenAI) -> None:
    made = [client.files.create(file=(f"{n}", b"x"), purpose="vision").id for n in range(5)]
    other = client.files.create(file=("o.txt", b"x"), purpose="user_data").id
    assert [file.id for file in client.files.list()] == [other, *reversed(made)]
    assert [file.id for file in client.files.list(purpose="vision", order="asc")] == made
    page = client.files.list(purpose="vision", limit=2)
    assert ([file.id for file in page.data], page.has_more) == ([made[4], made[3]], True)
    assert [file.id for file in page] == made[::-1]  # the SDK follows `after` over all pages
    last = client.files.list(after=made[1], limit=1)
    assert ([file.id for file in last.data], last.has_more) == ([made[0]], False)


def test_the_envelope_of_a_list_names_its_ends(http: httpx.Client, client: openai.OpenAI) -> None:
    empty = http.get("/v1/files").json()
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    made = [client.files.create(file=(f"{n}", b"x"), purpose="vision").id for n in range(2)]
    page = http.get("/v1/files").json()
    assert (page["first_id"], page["last_id"]) == (made[1], made[0])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "integer_below_min_value"),
        ("limit=10001", "integer_above_max_value"),
        ("limit=ten", "invalid_type"),
        ("order=up", "invalid_value"),
        ("after=file-x", None),
    ],
)
def test_a_wrong_page_is_refused(http: httpx.Client, query: str, code: str | None) -> None:
    response = http.get(f"/v1/files?{query}")
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code


def test_a_lenient_server_answers_for_what_is_made_up(lenient: openai.OpenAI) -> None:
    assert lenient.files.retrieve("file_id").id == "file_id"
    assert lenient.files.content("file_id").read() == b""
    assert lenient.files.delete("file_id").deleted
    assert list(lenient.files.list(after="after", limit=0, order="asc", purpose="purpose")) == []
    made = lenient.files.create(file=b"Example data", purpose="batch")
    assert lenient.files.content(made.id).read() == b"Example data"


def test_what_is_said_of_a_file_is_plain_json(http: httpx.Client) -> None:
    response = http.post("/v1/files", data={"purpose": "vision"}, files={"file": ('ü".txt', b"1")})
    assert json.loads(response.content)["object"] == "file"
