"""Every client can be asked to verify: its request is sent, too, and the replies are compared."""

from __future__ import annotations

import asyncio
import http.client
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests

from llmkit.recording.cassette import save
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.manner import Manner, Scope
from llmkit.recording.recorder import playing
from llmkit.recording.tape import Tape
from tests.llmkit.recording.conftest import ABORT, Upstream


def _httpx(url: str) -> bytes:
    return httpx.post(url, timeout=5).content


def _httpx2(url: str) -> bytes:
    return httpx2.post(url, timeout=5).content


def _httpx_async(url: str, module: Any = httpx) -> bytes:
    async def ask() -> bytes:
        async with module.AsyncClient() as client:
            return bytes((await client.post(url)).content)

    return asyncio.run(ask())


def _aiohttp(url: str) -> bytes:
    async def ask() -> bytes:
        async with aiohttp.ClientSession() as session, session.post(url) as reply:
            return await reply.read()

    return asyncio.run(ask())


def _requests(url: str) -> bytes:
    return requests.post(url, timeout=5).content


def _urllib(url: str) -> bytes:
    with urllib.request.urlopen(url, data=b"", timeout=5) as reply:
        return bytes(reply.read())


def _by_hand(url: str) -> bytes:
    connection = http.client.HTTPConnection(httpx.URL(url).netloc.decode(), timeout=5)
    connection.putrequest("POST", httpx.URL(url).path)
    connection.endheaders()
    body = connection.getresponse().read()
    connection.close()
    return body


every_client = pytest.mark.parametrize(
    "ask",
    [_httpx, _httpx2, _httpx_async, lambda url: _httpx_async(url, httpx2), _aiohttp, _requests, _urllib, _by_hand],
    ids=["httpx", "httpx2", "httpx async", "httpx2 async", "aiohttp", "requests", "urllib", "by hand"],
)


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    path = tmp_path / "case.yaml"
    asked = Request(method="POST", uri="https://api.openai.com/v1/x")
    recorded = Response(status=200, headers={"content-type": ["application/json"]}, body=b'{"path": 7}')
    save(path, [Interaction(request=asked, response=recorded)])
    return Tape(path, mode="verify", manner=Manner(scope=Scope(with_loopback=True)))


@every_client
def test_the_application_gets_the_recording_and_the_tape_the_live_reply(
    tape: Tape, upstream: Upstream, ask: Callable[[str], bytes]
) -> None:
    upstream.script = [b'{"pa', b'th": "/v1/x"}']
    upstream.script_headers = {"Content-Type": "application/json"}
    with playing(tape):
        assert ask(f"{upstream.url}/v1/x") == b'{"path": 7}'
    assert [drifted.drift.where for drifted in tape.drifts] == ["path"]
    assert len(upstream.raw) == 1


@every_client
def test_a_live_reply_that_breaks_off_is_drift_and_no_error(
    tape: Tape, upstream: Upstream, ask: Callable[[str], bytes]
) -> None:
    upstream.script = [b'{"path": 7', ABORT]
    upstream.script_headers = {"Content-Type": "application/json"}
    with playing(tape):
        assert ask(f"{upstream.url}/v1/x") == b'{"path": 7}'
    assert tape.drifts
