"""How long an application waits for the first chunk while its streams are recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import openai
import requests
import vcr
from openai import DefaultAioHttpClient

from llmkit.recording import use_cassette
from tests.benchmarks.measurement import Goal, Measurement, Runs

ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
RUNS = 3


def _openai_sync(url: str) -> Iterator[object]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="sk-1") as client:
        yield from client.chat.completions.create(**ASKED)


async def _openai_async(url: str, http_client: Any = None) -> AsyncGenerator[object, None]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-1", http_client=http_client) as client:
        async for chunk in await client.chat.completions.create(**ASKED):
            yield chunk


def _openai_aiohttp(url: str) -> AsyncGenerator[object, None]:
    return _openai_async(url, DefaultAioHttpClient())


def _httpx(module: Any) -> Callable[[str], Iterator[object]]:
    def read(url: str) -> Iterator[object]:
        # certificates take longer to load than the first chunk to come
        with module.stream("POST", f"{url}/v1/chat/completions", json=ASKED, verify=False) as reply:
            yield from reply.iter_raw()

    return read


def _httpx_async(module: Any) -> Callable[[str], AsyncGenerator[object, None]]:
    async def read(url: str) -> AsyncGenerator[object, None]:
        async with module.AsyncClient(verify=False) as client:
            async with client.stream("POST", f"{url}/v1/chat/completions", json=ASKED) as reply:
                async for chunk in reply.aiter_raw():
                    yield chunk

    return read


def _requests(url: str) -> Iterator[object]:
    with requests.post(f"{url}/v1/chat/completions", json=ASKED, stream=True, timeout=30) as reply:
        yield from reply.iter_content(chunk_size=None)


async def _aiohttp(url: str) -> AsyncGenerator[object, None]:
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/v1/chat/completions", json=ASKED) as reply:
            async for chunk in reply.content.iter_any():
                yield chunk


SYNC: dict[str, Callable[[str], Iterator[object]]] = {
    "SDK": _openai_sync,
    "httpx": _httpx(httpx),
    "httpx2": _httpx(httpx2),
    "requests": _requests,
}
ASYNC: dict[str, Callable[[str], AsyncGenerator[object, None]]] = {
    "async SDK": _openai_async,
    "SDK on aiohttp": _openai_aiohttp,
    "async httpx": _httpx_async(httpx),
    "async httpx2": _httpx_async(httpx2),
    "aiohttp": _aiohttp,
}


def measurements(directory: Path, server: str) -> Iterator[Measurement]:
    """Measure each client live, recorded by us, and recorded by vcrpy, in turn."""
    clients = {**{name: _of_sync(read) for name, read in SYNC.items()}, **{n: _of_async(r) for n, r in ASYNC.items()}}
    for name, first_chunk in clients.items():
        first_chunk(server)  # what a client imports at its first call is nobody's
        live, ours, theirs = _by_recorder(directory, name, partial(first_chunk, server))
        yield Measurement(
            name=f"first chunk while recording, {name}",
            live=live.median,
            ours=ours.median,
            theirs=theirs.median,
            goal=Goal(of="ours/live", at_most=1.2),
            spread=ours.spread,
        )


def _by_recorder(directory: Path, name: str, first_chunk: Callable[[], float]) -> list[Runs]:
    durations: tuple[list[float], ...] = ([], [], [])
    for run in range(RUNS):
        blocks: tuple[AbstractContextManager[Any], ...] = (
            nullcontext(),
            use_cassette(directory / f"{name}-{run}.yaml", "all"),
            vcr.use_cassette(str(directory / f"v-{name}-{run}.yaml"), record_mode="all"),
        )
        for found, block in zip(durations, blocks, strict=True):
            with block:
                found.append(first_chunk() * 1000)
    return [Runs(tuple(found)) for found in durations]


def _of_sync(read: Callable[[str], Iterator[object]]) -> Callable[[str], float]:
    """Return what reads a whole stream, and tells after how many seconds its first chunk came."""

    def first_chunk(url: str) -> float:
        start = time.monotonic()
        chunks = read(url)
        next(chunks)
        first = time.monotonic()
        for _ in chunks:
            pass
        return first - start

    return first_chunk


def _of_async(read: Callable[[str], AsyncGenerator[object, None]]) -> Callable[[str], float]:
    async def first_chunk(url: str) -> float:
        start = time.monotonic()
        async with aclosing(read(url)) as chunks:
            await anext(chunks)
            first = time.monotonic()
            async for _ in chunks:
                pass
        return first - start

    return lambda url: asyncio.run(first_chunk(url))
