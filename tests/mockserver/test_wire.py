"""What happens on the socket, whatever the client sends."""

import json
import logging
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver import MockServer, fault, reply
from mockserver.scripting.steps import Step
from mockserver.truth.journal import Exchange
from mockserver.wire import parse_json
from tests.mockserver.asking import AZURE_CHAT, CHAT, chat
from tests.mockserver.conftest import KEY, Serve


def talk(server: MockServer, raw: bytes) -> bytes:
    """Everything that the server says to these bytes, until it closes."""
    received = b""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(raw)
        while piece := connection.recv(65536):
            received += piece
    return received


def request(path: str, body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: x", f"Authorization: Bearer {KEY}", "Connection: close", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def test_an_old_client_gets_a_stream_without_chunks(mockserver: MockServer) -> None:
    body = json.dumps(chat(stream=True)).encode()
    received = talk(mockserver, request(CHAT, body, version="1.0"))
    assert received.startswith(b"HTTP/1.0 200")
    assert received.endswith(b"data: [DONE]\n\n")


def test_a_line_break_in_a_name_forges_no_header(mockserver: MockServer) -> None:
    path = "/openai/deployments/a%0d%0ax-forged:1/chat/completions?api-version=2024-10-21"
    head, _, _ = talk(mockserver, request(path, json.dumps(chat()).encode())).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"\r\nx-forged" not in head


@pytest.mark.parametrize("path", ["/v1/models/%ff", "/%ff%00", "/openai/models/%ff?api-version=2024-10-21&%ff=%ff"])
def test_paths_that_are_no_text_are_not_found(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def test_compressed_bodies_are_not_unpacked(http: httpx.Client) -> None:
    response = http.post(CHAT, content=b"\x1f\x8b\x08junk", headers={"content-encoding": "gzip"})
    assert response.status_code == 400
    assert "could not parse" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "signed"), [(CHAT, "cloudflare"), ("/v1/nowhere", "cloudflare"), (AZURE_CHAT, None), ("/openai/x", None)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_answers_are_signed_as_the_real_ones(http: httpx.Client, path: str, signed: str | None, stream: bool) -> None:
    response = http.post(path, json=chat(stream=stream))
    assert response.headers.get("server") == signed


def test_a_failure_of_the_edge_is_signed_by_it(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.server_error(status=502))
    headers = http.post(CHAT, json=chat()).headers
    assert headers["server"] == "cloudflare"
    assert "x-request-id" not in headers


@pytest.mark.parametrize("raw", [b"garbage\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nbad\r\n\r\n"])
def test_what_is_no_http_is_refused_without_a_traceback(
    mockserver: MockServer, caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    with caplog.at_level(logging.WARNING):
        assert b" 400 " in talk(mockserver, raw).split(b"\r\n")[0]
    assert not caplog.records


def test_a_body_that_breaks_off_ends_without_an_answer(mockserver: MockServer, http: httpx.Client) -> None:
    with socket.create_connection((mockserver.host, mockserver.port), timeout=10) as connection:
        connection.sendall(request(CHAT, b'{"model": "gpt-4o"')[:-5])
    assert http.post(CHAT, json=chat()).status_code == 200


def test_a_stopping_server_drops_a_slow_stream(network_allowance: Any) -> None:
    with MockServer(script=[reply("one two three", chunk_delay_s=60)]) as server, httpx.Client(timeout=10) as http:
        network_allowance.allow(server.host, server.port)
        headers = {"authorization": f"Bearer {KEY}"}
        with http.stream("POST", server.url + CHAT, headers=headers, json=chat(stream=True)) as response:
            pieces = response.iter_raw()
            assert next(pieces).startswith(b"data: ")
            server.__exit__(None, None, None)
            with pytest.raises(httpx.RemoteProtocolError):
                next(pieces)
        assert not server.journal[0].client_left


def hang_up(connection: socket.socket) -> None:
    """Close with a RST, as a process does that dies with unread data."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def exchange_once(server: MockServer, holds: Callable[[Exchange], bool]) -> Exchange:
    """The only exchange, as soon as `holds` is true of it."""
    deadline = time.monotonic() + 10
    while not (len(server.journal) and holds(server.journal[0])):
        assert time.monotonic() < deadline, server.journal
    return server.journal[0]


def test_a_client_that_is_gone_when_the_stream_begins_leaves_no_traceback(
    network_allowance: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = threading.Event()

    def clock() -> float:
        return float(gone.wait(10))  # holds the request until the client has hung up

    with caplog.at_level(logging.WARNING), MockServer(now=clock) as server:
        network_allowance.allow(server.host, server.port)
        connection = socket.create_connection((server.host, server.port), timeout=10)
        connection.sendall(request(CHAT, json.dumps(chat(stream=True)).encode()))
        hang_up(connection)
        gone.set()
        exchange = exchange_once(server, lambda one: one.client_left)
    assert exchange.status == 200
    assert exchange.frames < 4
    assert not caplog.records
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("step", [reply("one two three", chunk_delay_s=60), fault.hang()])
def test_the_journal_says_that_the_client_left(serve: Serve, step: Step) -> None:
    server = serve(script=[step])
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(request(CHAT, json.dumps(chat(stream=True)).encode()))
        waits_at = 1 if step.label == "reply" else 0
        exchange_once(server, lambda one: one.outcome == step.label and one.frames == waits_at)
    exchange = exchange_once(server, lambda one: one.client_left)
    assert exchange.frames == waits_at


def test_a_client_that_stays_is_not_said_to_have_left(mockserver: MockServer, http: httpx.Client) -> None:
    assert http.post(CHAT, json=chat(stream=True)).text.endswith("[DONE]\n\n")
    assert not mockserver.journal[0].client_left


def test_a_large_script_is_refused_by_its_size(serve: Serve) -> None:
    server = serve()
    response = httpx.post(f"{server.url}/__admin/script", content=b" " * (32 * 1024 * 1024 + 1), timeout=30)
    assert response.status_code == 413
    assert "at most 33554432 are read" in response.json()["error"]["message"]


depth_free = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
)


@given(value=depth_free, ascii_only=st.booleans())
def test_json_is_read_as_it_was_written(value: Any, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(depth=st.integers(1, 600), filler=st.text(max_size=20))
def test_depth_is_bounded_whatever_the_texts_hold(depth: int, filler: str) -> None:
    raw = json.dumps([filler * 30]).encode()
    nested = b"[" * depth + raw + b"]" * depth
    if depth < 256:
        parse_json(nested)
    else:
        with pytest.raises(ValueError, match="nested too deep"):
            parse_json(nested)


@pytest.mark.parametrize("name", ["authorization", "api-key", "host", "user-agent", "x-stainless-lang"])
@pytest.mark.parametrize("path", [CHAT, "/v1/images/generations", "/v1/nowhere"])
def test_headers_that_are_no_utf8_are_no_failure(mockserver: MockServer, name: str, path: str) -> None:
    headers = {"Authorization": b"Bearer k", "Host": b"x", name.title(): b"Bearer \xff\xfe"}
    content = json.dumps(chat()).encode()
    lines = [b"%s: %s" % (key.encode(), value) for key, value in headers.items()]
    head = [b"POST " + path.encode() + b" HTTP/1.1", *lines, b"Content-Length: %d" % len(content), b"Connection: close"]
    answer = talk(mockserver, b"\r\n".join([*head, b"", content]))
    assert re.match(rb"HTTP/1\.[01] [24]", answer), answer[:200]


@pytest.mark.parametrize("path", ["/v1/files", "/v1/nowhere", "/v1/audio/transcriptions"])
def test_a_forms_names_that_are_no_utf8_are_no_failure(mockserver: MockServer, path: str) -> None:
    part = (
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="\xff.txt"\r\nContent-Type: x/\xff\r\n\r\nx\r\n'
    )
    body = part + b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--B--\r\n'
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nConnection: close\r\n".encode()
    kind = b"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = talk(mockserver, head + kind + body)
    assert re.match(rb"HTTP/1\.[01] [24]", answer), answer[:200]
