"""Streams are live while they are recorded, and replay with the same chunks, times and ends, in every client."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import openai
import pytest
import requests
import trio
from openai import DefaultAioHttpClient

from llmkit.recording import CassetteMiss, use_cassette
from llmkit.recording.cassette import load
from llmkit.recording.manner import Manner, Scope
from llmkit.recording.recorder import playing
from llmkit.recording.tape import Tape
from tests.llmkit.recording.conftest import ABORT, GATE, RESET, STALL, Upstream

SyncClient = Callable[[str, float], Iterator[str]]
AsyncClient = Callable[[str, float], AsyncIterator[str]]
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
DONE = b"data: [DONE]\n\n"


def event(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _content(line: str | bytes) -> str | None:
    data = (line.decode() if isinstance(line, bytes) else line).strip().removeprefix("data: ")
    return None if not data or data == "[DONE]" else str(json.loads(data)["choices"][0]["delta"]["content"])


def _contents(lines: Any) -> Iterator[str]:
    yield from (content for line in lines if (content := _content(line)) is not None)


def openai_sync(url: str, timeout: float) -> Iterator[str]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="sk-1", max_retries=0, timeout=timeout) as client:
        with client.chat.completions.create(**ASKED) as stream:  # type: ignore[call-overload]  # by its values
            yield from (chunk.choices[0].delta.content or "" for chunk in stream)


async def _openai_async(url: str, limit: float, http_client: Any = None) -> AsyncIterator[str]:
    options: dict[str, Any] = {"max_retries": 0, "timeout": limit, "http_client": http_client}
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-1", **options) as client:
        async with await client.chat.completions.create(**ASKED) as stream:  # type: ignore[call-overload]  # by its values
            async for chunk in stream:
                yield chunk.choices[0].delta.content or ""


def openai_async(url: str, timeout: float) -> AsyncIterator[str]:
    return _openai_async(url, timeout)


def openai_aiohttp(url: str, timeout: float) -> AsyncIterator[str]:
    return _openai_async(url, timeout, DefaultAioHttpClient(timeout=timeout))


def _httpx_sync(module: Any, url: str, timeout: float) -> Iterator[str]:
    with module.stream("POST", f"{url}/v1/chat/completions", json=ASKED, timeout=timeout) as reply:
        yield from _contents(reply.iter_lines())


async def _httpx_async(module: Any, url: str, limit: float) -> AsyncIterator[str]:
    async with module.AsyncClient(timeout=limit) as client:
        async with client.stream("POST", f"{url}/v1/chat/completions", json=ASKED) as reply:
            async for line in reply.aiter_lines():
                if (content := _content(line)) is not None:
                    yield content


def httpx_sync(url: str, timeout: float) -> Iterator[str]:
    return _httpx_sync(httpx, url, timeout)


def httpx2_sync(url: str, timeout: float) -> Iterator[str]:
    return _httpx_sync(httpx2, url, timeout)


def httpx_async(url: str, timeout: float) -> AsyncIterator[str]:
    return _httpx_async(httpx, url, timeout)


def httpx2_async(url: str, timeout: float) -> AsyncIterator[str]:
    return _httpx_async(httpx2, url, timeout)


def requests_(url: str, timeout: float) -> Iterator[str]:
    with requests.post(f"{url}/v1/chat/completions", json=ASKED, stream=True, timeout=timeout) as reply:
        yield from _contents(reply.iter_lines())


def urllib_(url: str, timeout: float) -> Iterator[str]:
    sent = urllib.request.Request(f"{url}/v1/chat/completions", data=json.dumps(ASKED).encode(), method="POST")
    with urllib.request.urlopen(sent, timeout=timeout) as reply:
        pieces = iter(reply.read1, b"")  # line by line, http.client says nothing of a body that broke off
        yield from _contents(line for piece in pieces for line in piece.splitlines())


async def aiohttp_(url: str, limit: float) -> AsyncIterator[str]:
    limits = aiohttp.ClientTimeout(sock_read=limit)
    async with aiohttp.ClientSession(timeout=limits) as session:
        async with session.post(f"{url}/v1/chat/completions", json=ASKED) as reply:
            async for line in reply.content:
                if (content := _content(line)) is not None:
                    yield content


SYNC: dict[str, SyncClient] = {
    "openai": openai_sync,
    "httpx": httpx_sync,
    "httpx2": httpx2_sync,
    "requests": requests_,
    "urllib": urllib_,
}
ASYNC: dict[str, AsyncClient] = {
    "openai async": openai_async,
    "openai aiohttp": openai_aiohttp,
    "httpx async": httpx_async,
    "httpx2 async": httpx2_async,
    "aiohttp": aiohttp_,
}
every_client = pytest.mark.parametrize("name", [*SYNC, *ASYNC])
every_async_client = pytest.mark.parametrize("name", [*ASYNC])


@dataclass
class Seen:
    events: list[str]
    errors: tuple[str, ...] = ()  # the types of the one that came out, and of what caused it


def watch(
    name: str,
    url: str,
    *,
    until: int | None = None,
    timeout: float = 20,
    patience: float | None = None,
    on_event: Callable[[], object] = lambda: None,
) -> Seen:
    """Read ``until`` so many events or to the end, maybe an error; async clients have ``patience`` (seconds)."""
    seen = Seen([])

    def note(content: str) -> bool:
        seen.events.append(content)
        on_event()
        return len(seen.events) == until

    async def watch_async() -> None:
        async with asyncio.timeout(patience), aclosing(ASYNC[name](url, timeout)) as events:  # type: ignore[type-var]
            async for content in events:
                if note(content):
                    return

    try:
        if name in ASYNC:
            asyncio.run(watch_async())
            return seen
        with closing(SYNC[name](url, timeout)) as events:  # type: ignore[type-var]  # they are generators
            for content in events:
                if note(content):
                    return seen
    except Exception as error:
        seen.errors = (type(error).__name__, type(error.__cause__).__name__)
    return seen


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.yaml"


@every_client
def test_the_application_sees_each_chunk_before_the_next_is_sent(path: Path, upstream: Upstream, name: str) -> None:
    upstream.script = [event("a"), GATE, event("b"), GATE, event("c"), GATE, DONE]
    with use_cassette(path, record="new_episodes"):
        live = watch(name, upstream.url, on_event=upstream.gate.release)
    assert live == Seen(["a", "b", "c"])
    assert not upstream.gave_up
    assert [length for _, length in load(path)[0].response.chunks] == [len(event("a"))] * 3 + [len(DONE)]


@every_client
def test_a_replay_is_the_same(path: Path, upstream: Upstream, name: str) -> None:
    upstream.script = [event("a"), GATE, event("b"), DONE]
    with use_cassette(path, record="new_episodes"):
        watch(name, upstream.url, on_event=upstream.gate.release)
    upstream.shutdown()
    upstream.server_close()
    with use_cassette(path):
        assert watch(name, upstream.url) == Seen(["a", "b"])


@every_client
def test_an_infinite_stream_can_be_recorded_as_far_as_it_is_read(path: Path, upstream: Upstream, name: str) -> None:
    upstream.script = repeat(event("more"))
    with use_cassette(path, record="new_episodes") as tape:
        assert watch(name, upstream.url, until=5) == Seen(["more"] * 5)
        assert tape.ledger.recorded == 1  # as soon as it was closed
    assert load(path)[0].response.ended == "closed"
    with use_cassette(path):
        assert watch(name, upstream.url, until=5) == Seen(["more"] * 5)


@every_client
@pytest.mark.parametrize("end", [ABORT, RESET])
def test_a_stream_that_breaks_off_does_so_with_the_same_error(
    path: Path, upstream: Upstream, name: str, end: str
) -> None:
    upstream.script = [event("a"), event("b"), GATE, GATE, end]
    alone = watch(name, upstream.url, on_event=upstream.gate.release)
    with use_cassette(path, record="new_episodes"):
        recording = watch(name, upstream.url, on_event=upstream.gate.release)
    assert alone == recording
    assert load(path)[0].response.ended.split(":")[0] == {ABORT: "aborted", RESET: "reset"}[end]
    with use_cassette(path):
        assert watch(name, upstream.url) == recording
    assert recording.events == ["a", "b"]
    assert recording.errors


@every_client
def test_a_stream_that_the_client_lost_patience_with_times_out_again_at_once(
    path: Path, upstream: Upstream, name: str
) -> None:
    upstream.script = [event("a"), STALL]
    alone = watch(name, upstream.url, timeout=0.2)
    with use_cassette(path, record="new_episodes"):
        recording = watch(name, upstream.url, timeout=0.2)
    assert load(path)[0].response.ended.startswith("timeout: ")
    with use_cassette(path):
        assert watch(name, upstream.url) == recording == alone
    assert recording.events == ["a"]
    assert recording.errors


@every_client
def test_a_stream_that_the_client_left_misses_when_it_is_read_on(path: Path, upstream: Upstream, name: str) -> None:
    upstream.script = [event("a"), STALL]
    with use_cassette(path, record="new_episodes"):
        watch(name, upstream.url, until=1)
    assert load(path)[0].response.ended == "closed"
    seen: list[str] = []
    with use_cassette(path), pytest.raises(CassetteMiss, match="the recording ends here"):
        watch(name, upstream.url, on_event=lambda: seen.append("one"))
    assert seen == ["one"]


@every_async_client
def test_a_timeout_around_a_stream_runs_out_again(path: Path, upstream: Upstream, name: str) -> None:
    upstream.script = [event("a"), STALL]
    with use_cassette(path, record="new_episodes"):
        recording = watch(name, upstream.url, patience=0.5)
    assert load(path)[0].response.ended == "cancelled"
    with use_cassette(path):
        assert watch(name, upstream.url, patience=0.5) == recording
    assert (recording.events, recording.errors[0]) == (["a"], "TimeoutError")


@every_async_client
def test_a_stream_that_was_cancelled_misses_for_whoever_has_more_patience(
    path: Path, upstream: Upstream, name: str
) -> None:
    upstream.script = [event("a"), STALL]
    with use_cassette(path, record="new_episodes"):
        watch(name, upstream.url, patience=0.8)
    with use_cassette(path), pytest.raises(CassetteMiss, match="the recording ends here"):
        watch(name, upstream.url)


def test_a_stream_cancelled_under_trio_is_cancelled_again(path: Path, upstream: Upstream) -> None:
    upstream.script = [event("a"), STALL]

    async def run() -> tuple[list[str], bool]:
        events: list[str] = []
        with trio.move_on_after(0.5) as scope:
            async with aclosing(httpx_async(upstream.url, 20)) as stream:  # type: ignore[type-var]
                async for content in stream:
                    events.append(content)
        return events, scope.cancelled_caught

    with use_cassette(path, record="new_episodes"):
        recording = trio.run(run)
    assert load(path)[0].response.ended == "cancelled"
    with use_cassette(path):
        assert trio.run(run) == recording == (["a"], True)


@every_client
def test_a_replay_takes_its_time_when_it_is_told_to(path: Path, upstream: Upstream, name: str) -> None:
    upstream.script = [event("a"), GATE, event("b"), DONE]

    def wait_a_little() -> None:
        time.sleep(0.3)
        upstream.gate.release()

    with use_cassette(path, record="new_episodes"):
        watch(name, upstream.url, on_event=wait_a_little)
    assert [_spread(name, path, speed) > 0.15 for speed in (0.0, 1.0)] == [False, True]


def _spread(name: str, path: Path, speed: float) -> float:
    times: list[float] = []
    with playing(Tape(path, manner=Manner(scope=Scope(with_loopback=True), speed=speed))):
        watch(name, "http://localhost:1", on_event=lambda: times.append(time.monotonic()))
    return times[1] - times[0]
