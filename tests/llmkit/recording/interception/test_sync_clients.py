"""http.client and urllib3 under the recorder: what lies above and below one reply works as it does without."""

from __future__ import annotations

import array
import http.client
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from llmkit.recording import CassetteMiss, use_cassette
from llmkit.recording.cassette import load, save
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.manner import Mode
from tests.llmkit.recording.conftest import ABORT, GATE, Upstream

BOTH: tuple[Mode, ...] = ("new_episodes", "none")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.yaml"


def _by_hand(connection: http.client.HTTPConnection, *parts: bytes, is_chunked: bool = False) -> Any:
    connection.putrequest("POST", "/v1/x")
    if is_chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    else:
        connection.putheader("Content-Length", str(sum(map(len, parts))))
    connection.endheaders()
    for part in parts:
        connection.send(b"%x\r\n%s\r\n" % (len(part), part) if is_chunked else part)
    if is_chunked:
        connection.send(b"0\r\n\r\n")
    with connection.getresponse() as reply:
        return json.load(reply)["asked"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_request_put_together_by_hand_is_recorded(path: Path, upstream: Upstream, is_chunked: bool) -> None:
    for mode in BOTH:
        connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)
        with use_cassette(path, record=mode):
            assert _by_hand(connection, b'{"a":', b"1}", is_chunked=is_chunked) == upstream.seen[0]
        connection.close()
    assert [json.loads(one.request.body) for one in load(path)] == [{"a": 1}]
    assert len(upstream.seen) == 1


def test_a_request_put_together_by_hand_can_be_a_miss(path: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", 1, timeout=5)
    with use_cassette(path), pytest.raises(CassetteMiss):
        _by_hand(connection, b"{}")


def test_one_connection_serves_several_requests_recorded_or_not(path: Path, upstream: Upstream) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)

    def ask(where: str) -> str:
        connection.request("GET", where)
        return str(json.load(connection.getresponse())["path"])

    with use_cassette(path, record="new_episodes"):
        assert [ask("/v1/a"), ask("/v1/b")] == ["/v1/a", "/v1/b"]
    with use_cassette(path, record="new_episodes"):
        assert [ask("/v1/a"), ask("/v1/c"), ask("/v1/b")] == ["/v1/a", "/v1/c", "/v1/b"]
    assert ask("/v1/d") == "/v1/d"
    connection.close()
    assert len(load(path)) == 3


def test_a_connection_that_could_not_send_is_as_it_was(path: Path, upstream: Upstream) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", 1, timeout=5)
    with use_cassette(path, record="new_episodes"):
        with pytest.raises(ConnectionRefusedError):
            connection.request("GET", "/v1/a")
        connection.close()
        connection.port = upstream.port
        assert _by_hand(connection, b"{}") == {}
    connection.close()
    assert [one.request.method for one in load(path)] == ["GET", "POST"]


def test_a_connection_closed_before_its_replay_is_read_lets_its_socket_go(path: Path, upstream: Upstream) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)
    with use_cassette(path, record="new_episodes"):
        connection.request("GET", "/v1/a")
        connection.getresponse().read()
    socket = connection.sock
    with use_cassette(path):
        connection.request("GET", "/v1/a")
        connection.close()
    assert socket is not None
    assert socket.fileno() == -1


def test_a_connection_goes_back_to_its_pool_when_its_reply_was_read(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"), urllib3.PoolManager() as pool:
        for _ in range(3):
            reply = pool.request("GET", f"{upstream.url}/v1/a", preload_content=False)
            assert b"".join(reply.stream(4))
            assert reply.connection is None
        assert pool.connection_from_url(upstream.url).num_connections == 1  # type: ignore[attr-defined,unused-ignore]


def test_retries_lie_above_the_recorder(path: Path, upstream: Upstream) -> None:
    answers = [
        Response(status=503),
        Response(status=200, body=b"late", ended="aborted: x"),
        Response(status=200, body=b"ok"),
    ]
    asked = Request(method="GET", uri="https://api.openai.com/v1/a")
    save(path, [Interaction(request=asked, response=answer) for answer in answers])
    retry = urllib3.Retry(total=5, status_forcelist=[503], backoff_factor=0)
    with use_cassette(path), urllib3.PoolManager() as pool:
        assert pool.request("GET", "https://api.openai.com/v1/a", retries=retry).data == b"ok"


@pytest.mark.parametrize("status", [204, 304, 200])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_reply_without_a_body_has_none(path: Path, status: int, method: str) -> None:
    asked = Request(method=method, uri="https://api.openai.com/v1/a")
    save(path, [Interaction(request=asked, response=Response(status=status, headers={"X": ["y"]}))])
    with use_cassette(path):
        reply = requests.request(method, "https://api.openai.com/v1/a", timeout=5)
    assert (reply.status_code, reply.headers["X"], reply.content) == (status, "y", b"")


def test_cookies_of_a_recorded_reply_reach_the_session(path: Path) -> None:
    asked = Request(method="GET", uri="https://api.openai.com/v1/a")
    save(path, [Interaction(request=asked, response=Response(status=200, headers={"Set-Cookie": ["a=b; Path=/"]}))])
    with use_cassette(path), requests.Session() as session:
        session.get("https://api.openai.com/v1/a", timeout=5)
        assert session.cookies.get("a") == "b"


def test_lines_reach_the_application_while_they_are_recorded(path: Path, upstream: Upstream) -> None:
    upstream.script = [b"one\n", GATE, b"two\n", GATE]
    sent = urllib.request.Request(f"{upstream.url}/v1/x", data=b"{}", method="POST")
    lines = []
    with use_cassette(path, record="new_episodes"), urllib.request.urlopen(sent, timeout=20) as reply:
        for line in reply:
            lines.append(line)
            upstream.gate.release()
    assert lines == [b"one\n", b"two\n"]
    assert not upstream.gave_up


def test_what_broke_off_inside_a_length_tells_how_much_was_missing(path: Path, upstream: Upstream) -> None:
    upstream.script = [b"hello", ABORT]
    upstream.script_headers = {"Content-Length": "9"}

    def ask() -> bytes:
        sent = urllib.request.Request(f"{upstream.url}/v1/x", data=b"{}", method="POST")
        with urllib.request.urlopen(sent, timeout=5) as reply, pytest.raises(http.client.IncompleteRead) as cut:
            reply.read()
        return bytes(cut.value.partial)

    for mode in BOTH:
        with use_cassette(path, record=mode):
            assert ask() == b"hello"
    assert load(path)[0].response.ended.startswith("aborted: ")


@pytest.mark.parametrize("body", [array.array("H", [1, 2, 515]), bytearray(b"ab"), memoryview(b"ab")])
def test_a_body_with_a_buffer_is_recorded_as_it_is_sent(path: Path, upstream: Upstream, body: Any) -> None:
    for mode in BOTH:
        connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)
        with use_cassette(path, record=mode):
            connection.request("POST", "/v1/x", body)
            connection.getresponse().read()
        connection.close()
    assert load(path)[0].request.body == bytes(body) == upstream.raw[0]
