"""Many calls at once: each gets its own answer, and memory does not grow with how many there were. Row H10."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmkit import AsyncClient, Client
from mockserver import MockServer, fault, reply

CALLS = 200
MODEL = "gpt-4o-mini"


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(seed=1) as server:
        yield server


def prompt(number: int) -> str:
    return f"Tell me of number {number}"


def said_to(server: MockServer) -> dict[str, str]:
    """What the server answered to each prompt."""
    return {
        exchange.request["messages"][0]["content"]: exchange.response["choices"][0]["message"]["content"]
        for exchange in server.journal
    }


def test_each_of_many_tasks_gets_its_own_answer(server: MockServer) -> None:
    async def ask_all() -> list[str]:
        async with AsyncClient(base_url=server.openai_url, api_key="any", model=MODEL) as client:
            replies = await asyncio.gather(*(client.chat(prompt(number)) for number in range(CALLS)))
            return [reply.text for reply in replies]

    answers = asyncio.run(ask_all())
    said = said_to(server)
    assert answers == [said[prompt(number)] for number in range(CALLS)]
    assert len(server.journal) == CALLS


def test_each_of_many_threads_gets_its_own_answer(server: MockServer) -> None:
    with Client(base_url=server.openai_url, api_key="any", model=MODEL) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: client.chat(prompt(number)).text, range(CALLS)))
    said = said_to(server)
    assert answers == [said[prompt(number)] for number in range(CALLS)]
    assert len(server.journal) == CALLS


def test_every_call_gets_an_answer_where_every_third_request_fails(server: MockServer) -> None:
    """Row 4.T6: no more requests than are needed."""
    third = [reply("Hello"), reply("Hello"), fault.rate_limited(retry_after_s=0)]
    server.script(*(step for _ in range(20) for step in third))

    async def ask_all() -> list[str]:
        async with AsyncClient(base_url=server.openai_url, api_key="any", model=MODEL, max_attempts=8) as client:
            return [reply.text for reply in await asyncio.gather(*(client.chat("Hi") for _ in range(40)))]

    assert asyncio.run(ask_all()) == ["Hello"] * 40
    assert len(server.journal) == 59  # the fortieth answer is the last but one step


def test_memory_is_flat_over_many_calls(server: MockServer) -> None:
    def ask(client: Client) -> None:
        for number in range(CALLS):
            client.chat(prompt(number))

    with Client(base_url=server.openai_url, api_key="any", model=MODEL) as client:
        ask(client)
        held = []
        for _ in range(2):
            gc.collect()
            tracemalloc.start(1)
            try:
                before = of_client()
                ask(client)
                gc.collect()
                held.append(of_client() - before)
            finally:
                tracemalloc.stop()
    assert min(held) < 100 * CALLS  # a hundred bytes a call would be something that is kept of each


def of_client() -> int:
    """The bytes that the client holds; the server is in this process too, and keeps its journal."""
    kept = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(inclusive=True, filename_pattern="*/llmkit/*")]
    )
    return sum(trace.size for trace in kept.traces)
