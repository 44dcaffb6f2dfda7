"""Fifty requests at once, whose replies come in any order: each gets the recording that is its own."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import openai
import pytest

from llmkit.recording.recorder import use_cassette

GATHERED, THREADS = 50, 20
Transport = Literal["own", "aiohttp"]


class Scrambling(ThreadingHTTPServer):
    """Answers with what was asked and the number of the request, after a pause that differs from one to the next."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.count = 0
        self.lock = threading.Lock()
        self.random = random.Random(11)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scrambling

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        with self.server.lock:
            self.server.count += 1
            number, pause_s = self.server.count, self.server.random.uniform(0, 0.2)
        time.sleep(pause_s)  # the answers come in another order than the requests
        message = {"role": "assistant", "content": f"{asked} is {number}"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [choice]}
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Scrambling]:
    with Scrambling() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def question(text: str) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}


def client_of(url: str, transport: Transport) -> openai.AsyncOpenAI:
    http = openai.DefaultAioHttpClient() if transport == "aiohttp" else None
    return openai.AsyncOpenAI(base_url=url, api_key="sk-canary", http_client=http, max_retries=0)


async def gathered(url: str, transport: Transport, texts: list[str]) -> list[str]:
    """Ask all of ``texts`` at once, and return the answers in the order of the questions."""
    async with client_of(url, transport) as client:

        async def ask(text: str) -> str:
            reply = await client.chat.completions.create(**question(text))
            return str(reply.choices[0].message.content)

        # the SDK looks up its platform in a thread, before its first requests, which go out as that ends
        await ask("first")
        return await asyncio.gather(*map(ask, texts))


def threaded(url: str, texts: list[str]) -> list[str]:
    """Ask all of ``texts`` at once, each in a thread, and return the answers in the order of the questions."""
    start = threading.Barrier(len(texts))
    with openai.OpenAI(base_url=url, api_key="sk-canary", max_retries=0) as client:

        def ask(text: str) -> str:
            start.wait(60)
            return str(client.chat.completions.create(**question(text)).choices[0].message.content)

        with ThreadPoolExecutor(len(texts)) as pool:
            return list(pool.map(ask, texts))


@pytest.mark.parametrize("transport", ["own", "aiohttp"])
async def test_a_gather_of_50_identical_calls_swaps_none(
    server: Scrambling, tmp_path: Path, transport: Transport
) -> None:
    texts = ["same"] * GATHERED
    with use_cassette(tmp_path / "c.yaml", record="all"):
        recorded = await gathered(server.url, transport, texts)
    assert sorted(recorded) == sorted(f"same is {number}" for number in range(2, GATHERED + 2))
    with use_cassette(tmp_path / "c.yaml"):
        assert await gathered(server.url, transport, texts) == recorded
    assert server.count == GATHERED + 1


@pytest.mark.parametrize("transport", ["own", "aiohttp"])
async def test_a_gather_of_50_different_calls_answers_none_wrongly(
    server: Scrambling, tmp_path: Path, transport: Transport
) -> None:
    texts = [f"question {number}" for number in range(GATHERED)]
    with use_cassette(tmp_path / "c.yaml", record="all"):
        recorded = await gathered(server.url, transport, texts)
    shuffled = random.Random(3).sample(texts, GATHERED)
    with use_cassette(tmp_path / "c.yaml"):
        replayed = dict(zip(shuffled, await gathered(server.url, transport, shuffled), strict=True))
    assert replayed == dict(zip(texts, recorded, strict=True))
    assert all(answer.startswith(f"{text} is ") for text, answer in replayed.items())


def test_20_threads_that_ask_the_same_get_each_answer_once(server: Scrambling, tmp_path: Path) -> None:
    texts = ["same"] * THREADS
    with use_cassette(tmp_path / "c.yaml", record="all"):
        recorded = threaded(server.url, texts)
    with use_cassette(tmp_path / "c.yaml"):
        replayed = threaded(server.url, texts)
    assert sorted(recorded) == sorted(replayed) == sorted(f"same is {number}" for number in range(1, THREADS + 1))


def test_20_threads_that_ask_different_things_get_no_wrong_answer(server: Scrambling, tmp_path: Path) -> None:
    texts = [f"question {number}" for number in range(THREADS)]
    with use_cassette(tmp_path / "c.yaml", record="all"):
        recorded = threaded(server.url, texts)
    with use_cassette(tmp_path / "c.yaml"):
        assert threaded(server.url, texts) == recorded
    assert all(answer.startswith(f"{text} is ") for text, answer in zip(texts, recorded, strict=True))
