"""What got no reply at all is recorded with its error, and each client raises its own for it on replay."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import openai
import pytest
import requests
from vcr.persisters.filesystem import FilesystemPersister
from vcr.serializers import yamlserializer

from llmkit.pytest_plugin import NetworkAllowance
from llmkit.recording import CassetteMiss, use_cassette
from llmkit.recording.cassette import load, save
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.manner import Mode
from llmkit.recording.take import NO_REPLY
from llmkit.recording.tape import Tape

ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
LIMIT_S = 0.3
BOTH: tuple[Mode, ...] = ("new_episodes", "none")
Ask = Callable[[str], object]


class Mute:
    """A server that takes a request and says nothing: it hangs up, resets the connection, waits, or isn't there."""

    def __init__(self, how: str) -> None:
        self._how = how
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.port: int = self._socket.getsockname()[1]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        if how == "refused":
            self._done.set()
            self._socket.close()
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _serve(self) -> None:
        while not self._done.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(5 if self._how == "timeout" else 0.1)
        try:
            while connection.recv(65536):  # whole: what is unread makes a reset of any end
                pass
        except TimeoutError:
            pass
        if self._how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self._socket.close()


def _httpx(module: Any) -> Ask:
    return lambda url: module.post(f"{url}/chat/completions", json=ASKED, timeout=LIMIT_S)


def _httpx_async(module: Any) -> Ask:
    async def ask(url: str) -> None:
        async with module.AsyncClient(timeout=LIMIT_S) as client:
            await client.post(f"{url}/chat/completions", json=ASKED)

    return lambda url: asyncio.run(ask(url))


def _openai(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="sk-1", max_retries=0, timeout=LIMIT_S) as client:
        client.chat.completions.create(**ASKED, stream=True)  # type: ignore[call-overload]  # by its values


def _requests(url: str) -> None:
    requests.post(f"{url}/chat/completions", json=ASKED, timeout=LIMIT_S)


def _urllib(url: str) -> None:
    sent = urllib.request.Request(f"{url}/chat/completions", data=json.dumps(ASKED).encode(), method="POST")
    urllib.request.urlopen(sent, timeout=LIMIT_S).close()


def _aiohttp(url: str) -> None:
    async def ask() -> None:
        limits = aiohttp.ClientTimeout(sock_read=LIMIT_S)
        async with aiohttp.ClientSession(timeout=limits) as session:
            async with session.post(f"{url}/chat/completions", json=ASKED):
                pass

    asyncio.run(ask())


CLIENTS: dict[str, Ask] = {
    "requests": _requests,
    "urllib": _urllib,
    "aiohttp": _aiohttp,
    "httpx": _httpx(httpx),
    "httpx2": _httpx(httpx2),
    "httpx async": _httpx_async(httpx),
    "httpx2 async": _httpx_async(httpx2),
    "openai": _openai,
}
KINDS = {"timeout": "timeout", "reset": "reset", "hung up": "aborted", "refused": "connect"}


def seen(ask: Ask, url: str) -> list[str]:
    """Return the types of the error that ``ask`` raises and of what caused it."""
    try:
        ask(url)
    except Exception as error:
        cause = error.__cause__ or getattr(error, "reason", None)
        return [type(error).__name__, type(cause).__name__]
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.yaml"


@pytest.fixture
def mute(request: pytest.FixtureRequest, network_allowance: NetworkAllowance) -> Iterator[Mute]:
    server = Mute(request.param)
    network_allowance.allow("127.0.0.1", server.port)
    yield server
    server.close()


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("mute", KINDS, indirect=True)
def test_what_got_no_reply_fails_again_with_the_same_error(
    request: pytest.FixtureRequest, path: Path, mute: Mute, name: str
) -> None:
    ask = CLIENTS[name]
    alone = seen(ask, mute.url)
    with use_cassette(path, record="new_episodes") as tape:
        recording = seen(ask, mute.url)
        assert not tape.unanswered
    with use_cassette(path):
        replay = seen(ask, mute.url)
    assert alone == recording == replay != []
    kind = KINDS[request.node.callspec.params["mute"]]
    assert {one.response.ended.partition(":")[0] for one in load(path)} == {kind}


def test_what_got_no_reply_is_kept_only_if_the_test_passes_and_is_no_refusal(path: Path) -> None:
    tape = Tape(path, mode="new_episodes")
    asked = tape.ask(Request(method="POST", uri="https://api.openai.com/v1/chat/completions", body=b"{}"))
    tape.take(asked).finish("reset: ReadError: ")
    assert not tape.save(is_complete=False)
    assert tape.save(is_complete=True)
    assert tape.refused == []


def test_vcrpy_loads_what_got_no_reply(path: Path) -> None:
    request = Request(method="GET", uri="https://a.test/x")
    save(path, [Interaction(request=request, response=Response(status=NO_REPLY, ended="timeout: ReadTimeout: "))])
    [requests, replies] = FilesystemPersister.load_cassette(path, yamlserializer)
    assert (len(requests), replies[0]["status"]["code"]) == (1, NO_REPLY)


def test_a_call_cancelled_before_its_headers_is_cancelled_again(
    path: Path, network_allowance: NetworkAllowance
) -> None:
    server = Mute("timeout")
    network_allowance.allow("127.0.0.1", server.port)

    async def ask() -> None:
        async with httpx.AsyncClient(timeout=20) as client, asyncio.timeout(0.3):
            await client.get(f"{server.url}/models")

    for mode in BOTH:
        with use_cassette(path, record=mode), pytest.raises(TimeoutError):
            asyncio.run(ask())
    server.close()
    assert load(path)[0].response.ended == "cancelled"
    with use_cassette(path), pytest.raises(CassetteMiss, match="the recording ends here"):
        httpx.get(f"{server.url}/models")
