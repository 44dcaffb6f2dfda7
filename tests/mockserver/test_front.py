"""The first reader of a connection: what it answers by itself is what aiohttp would have answered."""

import asyncio
import json
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver import MockServer, fault, reply
from mockserver.app import pipeline_of, routes
from mockserver.front import Front, Hall
from mockserver.moulds.press import Press
from mockserver.pipeline import Pipeline
from mockserver.scripting.steps import Step
from mockserver.site import Site
from mockserver.state import Settings, State
from mockserver.truth.exchange import Exchange
from tests.mockserver.asking import AZURE_CHAT, CHAT, chat
from tests.mockserver.conftest import KEY, Serve

Answered = tuple[bytes, frozenset[bytes], bytes]

# unusual for the front, and nothing to aiohttp: a server that never sees anything else is aiohttp alone
_ASIDE = b"GET /v1/models/none HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n\r\n"


def request(path: str = CHAT, body: Any = None, *headers: str, line: str = "POST {} HTTP/1.1") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body or chat()).encode()
    lines = [line.format(path), "Host: x", f"Authorization: Bearer {KEY}", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + data


LAST = request(CHAT, chat(messages=[{"role": "user", "content": "the last"}]), "Connection: close")


class Talk:
    """One connection to a server, read until the server closes it."""

    def __init__(self, server: MockServer) -> None:
        self._socket = socket.create_connection((server.host, server.port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._socket.sendall(piece)

    def read_until(self, end: bytes) -> bytes:
        while end not in self.received:
            piece = self._socket.recv(65536)
            if not piece:
                break
            self.received += piece
        said, found, self.received = self.received.partition(end)
        return said + found

    def read_all(self) -> bytes:
        try:
            while piece := self._socket.recv(65536):
                self.received += piece
        except ConnectionResetError:  # bytes that nobody has read any more
            pass
        return self.received

    def vanish(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._socket.close()


def talk(server: MockServer, pieces: Sequence[bytes], *, by_aiohttp: bool = False) -> list[Answered]:
    """What a server answers to these pieces, until it closes."""
    with closing(Talk(server)) as connection:
        try:
            if by_aiohttp:
                connection.send(_ASIDE)
                connection.read_until(b"\n}\n")
            connection.send(*pieces)
        except (BrokenPipeError, ConnectionResetError):  # it has heard enough
            pass
        return list(answers(connection.read_all()))


def answers(raw: bytes) -> Iterator[Answered]:
    """Status lines, names of headers and bodies; what is told by the clock or the number of a request is left out."""
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if headers.get(b"transfer-encoding") == b"chunked":
            body, raw = _unchunked(raw)
        else:
            length = 0 if status.startswith(b"HTTP/1.1 1") else int(headers.get(b"content-length", len(raw)))
            body, raw = raw[:length], raw[length:]
        if headers.get(b"server", b"").startswith(b"Python"):
            body = b""  # aiohttp's own page about what is no HTTP quotes as much of it as has arrived by then
        yield status, frozenset(headers) - {b"connection"}, body


def _unchunked(raw: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size, 16)
        body, raw = body + raw[:length], raw[length + 2 :]
        if not length:
            return body, raw


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(seed=1) as made:
        yield made


_TEXTS = st.text(max_size=40)
_BODIES = st.one_of(
    st.builds(
        lambda text, stream: chat(messages=[{"role": "user", "content": text}], stream=stream), _TEXTS, st.booleans()
    ),
    st.sampled_from([{}, {"model": "gpt-4o"}, {"model": 7, "messages": []}, {"messages": "x", "model": "nobody"}]),
    st.sampled_from([b"", b"{", b"null", b"[1]", b'{"a":NaN}', b"\xff", b'"\\ud800"', b"[" * 300]),
)
_PATHS = st.sampled_from(
    [
        CHAT,
        AZURE_CHAT,
        f"{CHAT}?a=1&b=2",
        f"{CHAT}?a=%20",
        f"{CHAT}?a=1&a=2",
        f"{CHAT}?",
        f"{CHAT}/",
        "/v1/chat/completions%2f",
        "//v1/chat/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/files",
        "/v1/unknown",
        "http://x/v1/chat/completions",
    ]
)
_HEADERS = st.lists(
    st.sampled_from(
        [
            "Content-Type: application/json",
            "Content-Type: multipart/form-data; boundary=x",
            "Connection: keep-alive",
            "Expect: 100-continue",
            "Accept-Encoding: gzip",
            "X-Odd:",
            "X-Odd: \t a  b \t",
            "X-Odd: ü",
            "x-stainless-retry-count: 1",
            "Authorization: Bearer another",
            "api-key: another",
            "Upgrade: h2c",
        ]
    ),
    max_size=3,
    unique_by=lambda header: header.partition(":")[0],
)
_LINES = st.sampled_from(["POST {} HTTP/1.1"] * 8 + ["GET {} HTTP/1.1", "PUT {} HTTP/1.1"])
_REQUESTS = st.builds(
    lambda path, body, headers, line: request(path, body, *headers, line=line), _PATHS, _BODIES, _HEADERS, _LINES
)


@st.composite
def _cut(draw: st.DrawFn, parts: st.SearchStrategy[bytes]) -> list[bytes]:
    """A few of these and a plain request that ends the connection, cut anywhere into pieces."""
    raw = b"".join(draw(st.lists(parts, min_size=1, max_size=3))) + LAST
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=4)))
    return [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


@settings(max_examples=120, deadline=None)
@given(pieces=_cut(_REQUESTS))
def test_it_answers_as_aiohttp_alone_does(server: MockServer, pieces: list[bytes]) -> None:
    assert talk(server, pieces) == talk(server, pieces, by_aiohttp=True)


@pytest.mark.parametrize(
    "last", [LAST, request(line="POST {} HTTP/1.0"), request(CHAT, chat(stream=True), "Connection: CLOSE")]
)
def test_a_last_request_ends_the_connection(server: MockServer, last: bytes) -> None:
    pieces = [request(), last]
    assert talk(server, pieces) == talk(server, pieces, by_aiohttp=True)


# with what is no HTTP aiohttp loses requests that it has read together with it: each is tried alone
@pytest.mark.parametrize(
    "malformed",
    [
        b"\0\0\r\n\r\n",
        request(line="POST  {} HTTP/1.1"),
        request(line="post {} x"),
        request(CHAT, None, "No colon"),
        request(CHAT, None, "Spaced : name"),
        request(CHAT, None, " folded"),
        request(CHAT, None, "Content-Length: 1"),
        request(CHAT, None, "Content-Type: application/json", "Content-Type: application/json"),
        request(CHAT, None, "Transfer-Encoding: identity"),
        request(CHAT, None, "Transfer-Encoding: chunked"),
        request().replace(b"Content-Length: 107", b"Content-Length: +107"),
        request().replace(b"Content-Length: 107", b"Content-Length: x"),
        request().replace(b"Host: x\r\n", b""),
        request().replace(b"Host: x\r\n", b"Host: x\n"),
        request().replace(b"Host: x", b"Host: \x01"),
    ],
)
def test_it_refuses_what_aiohttp_alone_refuses(server: MockServer, malformed: bytes) -> None:
    ours, theirs = (talk(server, [malformed, LAST], by_aiohttp=by_aiohttp) for by_aiohttp in (False, True))
    assert ours[0] == theirs[0]


class Wire(asyncio.Transport):
    """A transport and the aiohttp behind it, which keep what they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.written = self.handed_over = b""
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: Any) -> None:
        self.written += re.sub(rb"date: .*", b"", bytes(data))

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert transport is self

    def data_received(self, data: bytes) -> None:
        self.handed_over += data


def _fed(pieces: Sequence[bytes]) -> tuple[bytes, bytes]:
    """What a front of a new server writes, and what it hands over."""
    plain = {route.path: route for route in routes() if route.is_plain}
    wire: Any = Wire()
    state = State(Settings(seed=1))
    front: asyncio.Protocol = Front(Hall(Pipeline(state), plain, lambda: wire, Press(state)))
    front.connection_made(wire)
    for piece in pieces:
        (wire.protocol or front).data_received(piece)
    return wire.written, wire.handed_over


@settings(max_examples=200, deadline=None)
@given(pieces=_cut(st.one_of(_REQUESTS, _REQUESTS, st.binary(max_size=20))))
def test_it_matters_not_where_bytes_are_cut(pieces: list[bytes]) -> None:
    assert _fed(pieces) == _fed([b"".join(pieces)])


@pytest.mark.parametrize("size", [1, 70_000, 1_100_000])
def test_it_answers_requests_of_any_size(server: MockServer, size: int) -> None:
    body = chat(messages=[{"role": "user", "content": "word " * (size // 5)}])
    pieces = [request(CHAT, body), LAST]
    assert [status[9:12] for status, _, _ in talk(server, pieces)] == [b"200" if size < 500_000 else b"400", b"200"]
    assert talk(server, pieces) == talk(server, pieces, by_aiohttp=True)


def test_a_head_without_end_is_refused(server: MockServer) -> None:
    pieces = [b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Long: ", b"x" * 40_000]
    ((status, _, _),) = talk(server, pieces)
    assert status.split()[1] == b"400"


@pytest.mark.parametrize("problem", [b"{", b"[]", b'{"model": "nobody", "messages": []}', b"\xff"])
def test_a_connection_outlives_a_refusal(server: MockServer, problem: bytes) -> None:
    refused, answered = talk(server, [request(CHAT, problem), LAST])
    assert refused[0].split()[1] in (b"400", b"404")
    assert answered[0] == b"HTTP/1.1 200 OK"


STEPS = {
    "said": reply("as scripted"),
    "late": reply("as scripted", delay_s=0.01, chunk_delay_s=0.001),
    "refused": fault.rate_limited(),
    "reset": fault.reset(),
    "cut": fault.drop(),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_script_is_played_as_aiohttp_alone_plays_it(serve: Serve, name: str, *, stream: bool) -> None:
    server = serve(seed=1)
    asked = request(CHAT, chat(stream=stream))
    found = []
    for by_aiohttp in (False, True):
        server.reset()
        server.script(STEPS[name])
        told = talk(server, [asked, LAST], by_aiohttp=by_aiohttp)
        exchange = next(each for each in server.journal if each.method == "POST")
        found.append((told, server.script_left, exchange.status, exchange.outcome, exchange.delivered))
    assert found[0] == found[1]


def test_what_is_asked_while_an_answer_waits_is_answered_after_it(serve: Serve) -> None:
    server = serve()
    server.clock.stop()
    server.script(reply("one two", chunk_delay_s=5))
    with closing(Talk(server)) as connection:
        connection.send(request(CHAT, chat(stream=True)), LAST)
        assert b"data:" in connection.read_until(b"\n\n")
        for _ in range(4):
            server.clock.wait_for_sleepers()
            server.clock.advance(5)
        received = connection.read_all()
    assert received.index(b"data: [DONE]") < received.index(b"HTTP/1.1 200 OK")
    assert [each.delivered for each in server.journal] == [True, True]


@pytest.mark.parametrize("step", [reply("one two", chunk_delay_s=50), fault.hang(), reply("x", delay_s=50)])
def test_a_client_that_vanishes_is_noted(serve: Serve, step: Step) -> None:
    server = serve()
    server.clock.stop()
    server.script(step)
    connection = Talk(server)
    connection.send(request(CHAT, chat(stream=True)))
    server.clock.wait_for_sleepers()
    connection.vanish()
    assert _soon(lambda: server.journal[0].ended_at is not None)
    assert server.journal[0].client_left
    assert not server.journal[0].delivered


def _soon(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5
    while not holds() and time.monotonic() < until:
        time.sleep(0.002)
    return holds()


async def _stopped_amid(step: Step, *, grace_s: float) -> tuple[bytes, Exchange]:
    """What a client gets of a stream when the server is stopped after its first event."""
    state = State(Settings())
    state.script.extend([step])
    site = Site(pipeline_of(state), grace_s=grace_s)
    reader, writer = await asyncio.open_connection("127.0.0.1", await site.listen("127.0.0.1", 0))
    writer.write(request(CHAT, chat(stream=True)))
    await reader.readuntil(b"\n\n")
    await site.stop()
    received = await asyncio.wait_for(_rest(reader), 5)
    writer.close()
    return received, state.journal[0]


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_a_server_that_stops_lets_a_slow_answer_end() -> None:
    received, exchange = await _stopped_amid(reply("one two three", chunk_delay_s=0.01), grace_s=10)
    assert received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert exchange.delivered


async def test_a_server_that_stops_breaks_off_what_takes_too_long() -> None:
    received, exchange = await _stopped_amid(reply("one two three", chunk_delay_s=60), grace_s=0.01)
    assert b"[DONE]" not in received
    assert exchange.ended_at is not None
    assert not exchange.delivered
