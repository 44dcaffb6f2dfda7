"""What each client gets with one read is, on replay, what it got live."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import itertools
import json
import socketserver
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3

from llmkit.pytest_plugin import NetworkAllowance
from llmkit.recording import use_cassette
from llmkit.recording.cassette import load
from tests.llmkit.recording.conftest import GATE, Upstream

WORDS = [b"one ", b"two, three ", b"four"]
Reader = Callable[[str, Callable[[], object]], list[bytes]]


def _noting(chunks: Iterator[bytes], note: Callable[[], object]) -> list[bytes]:
    found = []
    for chunk in chunks:
        found.append(chunk)
        note()
    return found


def _httpx(module: Any, how: str) -> Reader:
    def read(url: str, note: Callable[[], object]) -> list[bytes]:
        with module.stream("POST", f"{url}/v1/x", timeout=20) as reply:
            return _noting(getattr(reply, how)(), note)

    return read


def _requests(url: str, note: Callable[[], object]) -> list[bytes]:
    with requests.post(f"{url}/v1/x", stream=True, timeout=20) as reply:
        return _noting(reply.iter_content(None), note)


def _urllib3(url: str, note: Callable[[], object]) -> list[bytes]:
    with urllib3.PoolManager() as pool:
        reply = pool.request("POST", f"{url}/v1/x", preload_content=False, timeout=20)
        return _noting(reply.read_chunked(decode_content=True), note)


def _http_client(url: str, note: Callable[[], object]) -> list[bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    with closing(connection):
        connection.request("POST", "/v1/x")
        with connection.getresponse() as reply:
            return _noting(iter(reply.read1, b""), note)


def _aiohttp(how: Callable[[aiohttp.StreamReader], AsyncIterator[Any]]) -> Reader:
    def read(url: str, note: Callable[[], object]) -> list[bytes]:
        async def run() -> list[bytes]:
            found: list[bytes] = []
            async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/x") as reply:
                async for chunk in how(reply.content):
                    found.append(chunk[0] if isinstance(chunk, tuple) else chunk)
                    note()
                    for _ in range(5):  # a slow reader gets no more at once than a fast one
                        await asyncio.sleep(0)
            return [chunk for chunk in found if chunk]

        return asyncio.run(run())

    return read


READERS: dict[str, Reader] = {
    "httpx raw": _httpx(httpx, "iter_raw"),
    "httpx bytes": _httpx(httpx, "iter_bytes"),
    "httpx2 raw": _httpx(httpx2, "iter_raw"),
    "requests": _requests,
    "urllib3": _urllib3,
    "http.client": _http_client,
    "aiohttp chunks": _aiohttp(lambda content: content.iter_chunks()),
    "aiohttp any": _aiohttp(lambda content: content.iter_any()),
    "aiohttp chunked": _aiohttp(lambda content: content.iter_chunked(100)),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.yaml"


def _gated(words: list[bytes]) -> list[bytes | str]:
    return [step for word in words for step in (word, GATE)]


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_the_same_chunks_come_while_recording_and_on_replay(path: Path, upstream: Upstream, read: Reader) -> None:
    upstream.script = _gated(WORDS)
    with use_cassette(path, record="new_episodes"):
        assert read(upstream.url, upstream.gate.release) == WORDS
    with use_cassette(path):
        assert read(upstream.url, lambda: None) == WORDS


@pytest.mark.parametrize("name", ["httpx bytes", "requests", "urllib3", "aiohttp any"])
def test_compressed_chunks_keep_their_boundaries(path: Path, upstream: Upstream, name: str) -> None:
    coder = zlib.compressobj(wbits=31)
    words = [coder.compress(word) + coder.flush(zlib.Z_SYNC_FLUSH) for word in WORDS[:-1]]
    upstream.script = _gated([*words, coder.compress(WORDS[-1]) + coder.flush()])
    upstream.script_headers |= {"Content-Encoding": "gzip"}
    with use_cassette(path, record="new_episodes"):
        assert READERS[name](upstream.url, upstream.gate.release) == WORDS
    assert b"".join(WORDS) == load(path)[0].response.body
    with use_cassette(path):
        assert READERS[name](upstream.url, lambda: None) == WORDS


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_one_client_replays_the_chunks_of_another(path: Path, upstream: Upstream, read: Reader) -> None:
    upstream.script = _gated(WORDS)
    with use_cassette(path, record="new_episodes"):
        READERS["httpx raw"](upstream.url, upstream.gate.release)
    with use_cassette(path):
        assert read(upstream.url, lambda: None) == WORDS


@pytest.mark.parametrize("how", ["http.client", "requests", "aiohttp"])
def test_a_reply_with_a_length_still_has_one(path: Path, upstream: Upstream, how: str) -> None:
    payload = json.dumps({"text": "word " * 20_000}).encode()
    upstream.script = [gzip.compress(payload)]
    upstream.script_headers = {"Content-Encoding": "gzip", "Content-Length": str(len(gzip.compress(payload)))}

    async def ask_aiohttp() -> tuple[str | None, bytes]:
        async with aiohttp.ClientSession() as session, session.post(f"{upstream.url}/v1/x") as reply:
            return reply.headers.get("Content-Length"), await reply.read()

    def ask() -> tuple[str | None, bytes]:
        if how == "aiohttp":
            return asyncio.run(ask_aiohttp())
        if how == "requests":
            reply = requests.post(f"{upstream.url}/v1/x", timeout=20)
            return reply.headers.get("Content-Length"), reply.content
        connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=20)
        connection.request("POST", "/v1/x")
        found = connection.getresponse()
        length, body = found.getheader("Content-Length"), found.read()
        connection.close()
        return length, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body

    with use_cassette(path, record="new_episodes"):
        assert ask()[1] == payload
    with use_cassette(path):
        assert ask() == (str(len(payload)), payload)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
EVENTS = b"data: 1\n\ndata: 2\n\n"
FRAMINGS = {
    "with a length": HEAD + b"Content-Length: 18\r\n\r\n" + EVENTS,
    "until the connection closes": HEAD + b"Connection: close\r\n\r\n" + EVENTS,
    "cut off inside a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n20\r\n" + EVENTS,
}


@pytest.fixture
def verbatim(request: pytest.FixtureRequest, network_allowance: NetworkAllowance) -> Iterator[str]:
    """The URL of a server that answers with these very bytes, and hangs up."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Verbatim)
    server.daemon_threads = True
    server.reply = request.param  # type: ignore[attr-defined]  # for its handler
    network_allowance.allow("127.0.0.1", server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


class _Verbatim(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline() != b"\r\n":
            pass
        self.wfile.write(self.server.reply)  # type: ignore[attr-defined]  # set by the fixture


@pytest.mark.parametrize("name", ["requests", "http.client", "aiohttp any"])
@pytest.mark.parametrize("verbatim", FRAMINGS.values(), ids=FRAMINGS, indirect=True)
def test_a_stream_ends_as_its_framing_had_it_end(path: Path, verbatim: str, name: str) -> None:
    def read() -> tuple[list[bytes], int, str]:
        chunks = itertools.count()
        try:
            return READERS[name](verbatim, lambda: next(chunks)), next(chunks), ""
        except Exception as error:
            return [], next(chunks), f"{type(error).__name__}: {error}"

    alone = read()
    with use_cassette(path, record="new_episodes"):
        recording = read()
    with use_cassette(path):
        assert read() == recording == alone
