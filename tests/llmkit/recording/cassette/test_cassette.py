from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vcr.persisters.filesystem import FilesystemPersister
from vcr.serializers import yamlserializer

from llmkit.recording import BrokenCassette, RecordingError
from llmkit.recording.cassette import load, save
from llmkit.recording.cassette.yaml_writer import dump
from llmkit.recording.interaction import Interaction, Request, Response

QUESTION = Request(
    method="POST",
    uri="https://api.openai.com/v1/chat/completions",
    headers={"content-type": ["application/json"]},
    body=b'{"model":"gpt-4o","messages":[{"role":"user","content":"Hi \xf0\x9f\x98\x80"}]}',
)
ANSWER = Response(
    status=200, reason="OK", headers={"content-type": ["application/json"]}, body=b'{"choices": [{"text": "Hello"}]}'
)
STREAM = Response(
    status=200, headers={"content-type": ["text/event-stream"]}, body=b'data: {"a": 1}\n\ndata: [DONE]\n\n'
)
INTERACTIONS = [Interaction(request=QUESTION, response=ANSWER), Interaction(request=QUESTION, response=STREAM)]

HEADERS = st.dictionaries(
    st.from_regex(r"[a-z][a-z-]{0,10}", fullmatch=True).filter(
        lambda name: name not in ("content-encoding", "content-length", "transfer-encoding")
    ),
    st.lists(st.text(), min_size=1, max_size=2),
    max_size=3,
)
BODIES = st.binary() | st.text().map(str.encode) | st.recursive(
    st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=8
).map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))  # fmt: skip
RESPONSES = st.builds(
    Response,
    status=st.integers(100, 599),
    reason=st.text(),
    headers=HEADERS,
    body=BODIES,
    ended=st.sampled_from(["", "closed"]),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "case.yaml"


@given(response=RESPONSES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_saved_is_loaded_byte_for_byte(path: Path, response: Response) -> None:
    save(path, [Interaction(request=QUESTION, response=response)])
    [loaded] = load(path)
    assert loaded.response == response


def test_a_json_body_stands_as_an_indented_block() -> None:
    assert '    body: |-\n      {\n        "model": "gpt-4o",\n        "messages": [\n' in dump(INTERACTIONS)


def test_a_stream_stands_line_by_line() -> None:
    assert '      string: |+\n        data: {"a": 1}\n\n        data: [DONE]\n' in dump(INTERACTIONS)


def test_an_emoji_is_not_escaped() -> None:
    assert '"content": "Hi 😀"' in dump(INTERACTIONS)


@pytest.mark.parametrize("hostile", ["\x85", "\u2028", "\r\n", "\ufeff"])
def test_characters_that_yaml_takes_for_line_breaks_survive(path: Path, hostile: str) -> None:
    body = f"one{hostile}two\n".encode()
    save(path, [Interaction(request=QUESTION, response=Response(status=200, body=body))])
    assert load(path)[0].response.body == body


def test_vanilla_vcrpy_reads_the_file(path: Path) -> None:
    save(path, INTERACTIONS)
    requests, responses = FilesystemPersister.load_cassette(path, yamlserializer)
    assert [request.uri for request in requests] == [QUESTION.uri] * 2
    assert json.loads(responses[0]["body"]["string"]) == json.loads(ANSWER.body)
    assert responses[1]["body"]["string"] == STREAM.body


def test_every_truncation_is_refused(path: Path) -> None:
    save(path, INTERACTIONS)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):  # without its last byte, a line feed, the file is still whole
        path.write_bytes(whole[:length])
        with pytest.raises(BrokenCassette, match=r"case\.yaml:\d+: broken cassette"):
            load(path)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, r"the file is empty \(0 bytes\)"),
        ("  \n\n", 1, r"the file is empty \(4 bytes\)"),
        ("version: 1\ninteractions:\n- request: [\n", 4, "did not find expected node content"),
        ("version: 1\ninteractions: 7\n", 2, "'interactions' is missing or no list"),
        ("- a\n- b\n", 1, "expected a mapping with 'interactions', found list"),
        ("interactions:\n- request:\n    method: GET\n  response: {status: 200}\n", 3, "needs 'method' and 'uri'"),
        ("interactions:\n- request: {method: GET, uri: /}\n  response:\n    body: x\n", 4, "needs a 'status'"),
        ("interactions:\n- request: {method: GET, uri: /}\n  response: {status: x}\n", 3, "can't be read"),
        (
            "interactions:\n- request: {method: GET, uri: 'http://[bad'}\n  response: {status: 200}\n",
            2,
            "needs 'method' and",
        ),
        ("interactions:\n- request: {method: [1], uri: /}\n  response: {status: 200}\n", 2, "needs 'method' and 'uri'"),
        ("interactions:\n- request: {method: GET, uri: /}\n  response: {status: 99}\n", 3, "status 99 is none of HTTP"),
        (
            "interactions:\n- request: {method: GET, uri: /}\n  response:\n    status:\n      code: ok\n",
            5,
            "the status 'ok' is no number",
        ),
        (
            "interactions:\n- request: {method: GET, uri: /}\n  response: {status: 200}\n  response: {status: 500}\n",
            4,
            "'response' is there twice, first in line 3",
        ),
        ("interactions: []\nother: {a: 1, b: 2, a: 1}\n", 2, "'a' is there twice, first in line 2"),
        ("interactions:\n- 5\n", 2, "a mapping of 'request' and 'response'"),
        ("format: llmkit/9\ninteractions: []\nend: 0\n", 1, "unknown format 'llmkit/9'"),
        ("format: llmkit/1\ninteractions: []\nend: 3\n", 3, "ends with 3 instead of 0"),
        ("interactions: []\na: !!python/object/apply:os.system ['true']\n", 2, "could not determine a constructor"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(path: Path, text: str, line: int, problem: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(BrokenCassette, match=problem) as caught:
        load(path)
    assert caught.value.line == line


@pytest.mark.parametrize(("old", "new"), [('"Hello"', '"Hello'), ("}\n", "},\n"), ('"choices"', "choices")])
def test_a_json_reply_that_an_edit_broke_is_refused_at_the_line_of_its_body(path: Path, old: str, new: str) -> None:
    save(path, INTERACTIONS)
    head, reply = path.read_text().split("  response:\n", 1)
    path.write_text(head + "  response:\n" + reply.replace(old, new, 1))
    with pytest.raises(BrokenCassette, match=r"the body is no JSON any more: .*'spelling'") as caught:
        load(path)
    assert path.read_text().splitlines()[caught.value.line - 1] == "      string: |-"


def test_a_broken_reply_without_a_spelling_is_played_as_it_stands(path: Path) -> None:
    for body in (b'{"choices": [', b"{\n  1: 2\n}"):
        save(path, [Interaction(request=QUESTION, response=Response(status=200, body=body))])
        assert load(path)[0].response.body == body


def test_a_request_that_never_was_json_is_loaded(path: Path) -> None:
    request = Request(method="POST", uri=QUESTION.uri, headers=QUESTION.headers, body=b'{\n  "model": \n')
    save(path, [Interaction(request=request, response=ANSWER)])
    assert load(path)[0].request == request


def test_a_merged_mapping_may_be_overridden(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("interactions:\n- request: {method: GET, uri: /}\n  response: {<<: {status: 500}, status: 200}\n")
    assert load(path)[0].response.status == 200


def test_a_directory_in_its_place_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(BrokenCassette, match="it can't be read: Is a directory"):
        load(path)


def test_bytes_that_are_no_utf8_are_refused_with_their_line(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"version: 1\n\xff\n")
    with pytest.raises(BrokenCassette, match=r"case\.yaml:2: .* byte 11 is not UTF-8"):
        load(path)


def test_a_broken_cassette_error_pickles() -> None:
    error = pickle.loads(pickle.dumps(BrokenCassette(Path("a.yaml"), 3, "it is cut off")))
    assert (error.path, error.line) == (Path("a.yaml"), 3)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(path, INTERACTIONS)
    before = path.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(RecordingError, match=r"can't write the cassette .*case\.yaml.*No space left"):
        save(path, [])
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match=r"can't write the cassette"):
        save(tmp_path / "file" / "case.yaml", INTERACTIONS)


def _write(path: Path, response: dict[str, Any], request: dict[str, Any] | None = None) -> None:
    path.parent.mkdir()
    asked = {"method": "GET", "uri": "https://a.test/", **(request or {})}
    path.write_text(yaml.safe_dump({"interactions": [{"request": asked, "response": response}]}))


def test_parsed_bodies_of_other_serializers_are_read(path: Path) -> None:
    _write(path, {"status": 200, "parsed_body": {"a": [1]}}, {"parsed_body": {"b": None}})
    [loaded] = load(path)
    assert (loaded.request.body, loaded.response.body) == (b'{"b":null}', b'{"a":[1]}')


def test_a_body_that_others_decoded_loses_its_content_encoding(path: Path) -> None:
    headers = {"Content-Encoding": ["gzip"], "Content-Length": ["7"], "x-request-id": ["r"]}
    _write(path, {"status": {"code": 200, "message": "OK"}, "headers": headers, "body": {"string": "plain"}})
    assert load(path)[0].response.headers == {"x-request-id": ["r"]}


def test_a_body_that_is_still_compressed_keeps_its_content_encoding(path: Path) -> None:
    _write(path, {"status": 200, "headers": {"content-encoding": ["gzip"]}, "body": {"string": b"\x1f\x8bx"}})
    assert load(path)[0].response.headers == {"content-encoding": ["gzip"]}
