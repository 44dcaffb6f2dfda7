"""Two cassettes that are open at once keep apart: in tasks of one loop, in threads, and one inside of the other."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from llmkit.recording.recorder import use_cassette
from tests.llmkit.recording.conftest import Upstream

TURNS = 5


def body(text: str) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}


def asked(path: Path) -> list[str]:
    """Return what the cassette at ``path`` was asked."""
    stored = yaml.safe_load(path.read_text())["interactions"]
    return [json.loads(one["request"]["body"])["messages"][0]["content"] for one in stored]


async def ask(url: str, text: str) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.post(f"{url}/v1/chat/completions", json=body(text))).text


def ask_now(url: str, text: str) -> str:
    content = json.dumps(body(text)).encode()
    one = urllib.request.Request(f"{url}/v1/chat/completions", content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(one) as reply:
        return str(reply.read().decode())


@pytest.mark.parametrize("mode", ["one loop", "loops of their own"])
async def test_cassettes_of_two_tasks_keep_apart(upstream: Upstream, tmp_path: Path, mode: str) -> None:
    async def converse(name: str, record: Any, both: asyncio.Barrier) -> list[str]:
        with use_cassette(tmp_path / f"{name}.yaml", record=record):
            said = []
            for turn in range(TURNS):
                await both.wait()  # so that each turn of one is between two of the other
                text = "the same" if turn == 0 else f"{name} {turn}"
                said.append(await (ask(upstream.url, text) if mode == "one loop" else in_child_task(text)))
            return said

    async def in_child_task(text: str) -> str:
        return await asyncio.wait_for(asyncio.create_task(ask(upstream.url, text)), 30)

    async def both(record: Any) -> list[list[str]]:
        barrier = asyncio.Barrier(2)
        return await asyncio.gather(*(converse(name, record, barrier) for name in ("left", "right")))

    recorded = await both("new_episodes")
    for name in ("left", "right"):
        assert asked(tmp_path / f"{name}.yaml") == ["the same", *(f"{name} {turn}" for turn in range(1, TURNS))]
    count = len(upstream.seen)
    assert await both("none") == recorded
    assert len(upstream.seen) == count


def test_cassettes_of_two_threads_keep_apart(upstream: Upstream, tmp_path: Path) -> None:
    def converse(name: str, record: Any, both: threading.Barrier) -> list[str]:
        with use_cassette(tmp_path / f"{name}.yaml", record=record):
            said = []
            for turn in range(TURNS):
                both.wait(30)
                said.append(ask_now(upstream.url, "the same" if turn == 0 else f"{name} {turn}"))
            both.wait(30)
            return said

    def both(record: Any) -> list[list[str]]:
        barrier = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda name: converse(name, record, barrier), ("left", "right")))

    recorded = both("new_episodes")
    for name in ("left", "right"):
        assert asked(tmp_path / f"{name}.yaml") == ["the same", *(f"{name} {turn}" for turn in range(1, TURNS))]
    assert both("none") == recorded


def test_the_innermost_of_nested_cassettes_plays_and_then_the_outer_one_again(
    upstream: Upstream, tmp_path: Path
) -> None:
    outer, inner = tmp_path / "outer.yaml", tmp_path / "inner.yaml"
    with use_cassette(outer, record="new_episodes"):
        ask_now(upstream.url, "before")
        with use_cassette(inner, record="new_episodes"):
            ask_now(upstream.url, "within")
        ask_now(upstream.url, "after")
    assert (asked(outer), asked(inner)) == (["before", "after"], ["within"])


def test_a_thread_without_a_cassette_of_its_own_gets_the_last_that_was_opened(
    upstream: Upstream, tmp_path: Path
) -> None:
    with use_cassette(tmp_path / "one.yaml", record="new_episodes"):
        thread = threading.Thread(target=ask_now, args=(upstream.url, "from a thread"))
        thread.start()
        thread.join()
    assert asked(tmp_path / "one.yaml") == ["from a thread"]


async def test_cassettes_close_in_any_order(upstream: Upstream, tmp_path: Path) -> None:
    one, other = (use_cassette(tmp_path / f"{name}.yaml", record="new_episodes") for name in ("one", "other"))
    one.__enter__()
    other.__enter__()
    await ask(upstream.url, "both are open")
    one.__exit__(None, None, None)
    await ask(upstream.url, "one is closed")
    other.__exit__(None, None, None)
    await ask(upstream.url, "both are closed")
    assert not (tmp_path / "one.yaml").exists()
    assert asked(tmp_path / "other.yaml") == ["both are open", "one is closed"]
