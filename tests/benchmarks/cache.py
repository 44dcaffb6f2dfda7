"""What a cached answer costs, beside the least that it could: `python -m tests.benchmarks.cache [--check]`.

A hit is the whole way: may it be cached, canonical key, look, parse, Completion; by the client, also everything around
it. The least is a bare SELECT in the same file and a `json.dumps` of the request. All are CPU times of this process,
the best of many rounds in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llmkit import Client
from llmkit.policies.cache import CachePolicy, endpoint_identity, entry_of, key_of, loads, not_asked, not_kept
from llmkit.policies.circuit_breaker import CircuitBreaker, Outcome, Ticket
from llmkit.policies.rate_limit import Place, RateLimit
from llmkit.responses import completion
from llmkit.stores.memory import MemoryStates
from llmkit.stores.sqlite import SQLiteCache

MOST_US = 50.0
ROUNDS, CALLS = 15, 400
ENTRIES = 10_000
ENDPOINT = endpoint_identity(address="https://api.openai.com/v1")
POLICY = CachePolicy()
TEXT = "What is said here is as long as most of what people say to a model at once. "
REPLY: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_763_000_000,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": TEXT * 5, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 80,
        "completion_tokens": 85,
        "total_tokens": 165,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
    "system_fingerprint": "fp_1",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; with `--check` return 1 if a hit of a short conversation takes more than 50 µs."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cache", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 where the goal is missed")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        found = dict(_measured(Path(directory)))
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {ENTRIES:,} entries\n")
    for name, cost in found.items():
        print(f"{name:<44}{cost:>8.1f} µs")
    hit = found["hit by client.chat, 1 message"]
    least = found["bare SELECT"] + found["json.dumps, 1 message"]
    print(f"\nA hit takes {hit:.1f} µs, {hit / least:.1f} times the least; goal: at most {MOST_US:g} µs.")
    return 1 if chosen.check and hit > MOST_US else 0


def _measured(directory: Path) -> Iterator[tuple[str, float]]:
    cache = SQLiteCache(directory / "answers.db")
    conversations = {count: _body(count) for count in (1, 10, 100)}
    _fill(cache, conversations.values())
    work = {"bare SELECT": _bare_select(cache.path)}
    for count, body in conversations.items():
        plural = f"{count} message{'s' * (count > 1)}"
        work[f"hit, {plural}"] = partial(_hit, cache, body)
        work[f"json.dumps, {plural}"] = partial(json.dumps, body)
    client = Client(api_key="never-sent-anywhere", model="gpt-4o", cache=cache, base_url="http://127.0.0.1:1/v1")
    said = conversations[1]["messages"]
    _fill(cache, [conversations[1]], endpoint=client.services.identity, others=0)
    work["hit by client.chat, 1 message"] = lambda: client.chat(said, temperature=0, max_tokens=500)
    work["may it be kept, and its entry"] = lambda: (not_kept("chat", REPLY), entry_of(REPLY, now=1.0))
    yield from _best(work).items()
    yield "write of an entry", _best_write(cache)
    yield "breaker and limiter, a call", asyncio.run(_best_rules())
    client.close()
    cache.close()


def _body(messages: int) -> dict[str, Any]:
    said = [{"role": "user" if number % 2 == 0 else "assistant", "content": TEXT} for number in range(messages)]
    return {"model": "gpt-4o", "messages": said, "temperature": 0, "max_tokens": 500}


def _fill(cache: SQLiteCache, bodies: Any, *, endpoint: str = ENDPOINT, others: int = ENTRIES) -> None:
    entry = entry_of(REPLY, now=time.time())
    for number in range(others):
        cache.put_now(f"{number:064x}", entry, keep_s=3600)
    for body in bodies:
        cache.put_now(str(key_of("chat", body, endpoint=endpoint)), entry, keep_s=3600)


def _hit(cache: SQLiteCache, body: dict[str, Any]) -> object:
    if not_asked("chat", body) is not None or (key := key_of("chat", body, endpoint=ENDPOINT)) is None:
        raise AssertionError("it can be cached")
    entry = cache.get_now(key)
    payload = loads(entry) if entry is not None and POLICY.is_fresh(entry, time.time()) else None
    if payload is None:
        raise AssertionError("it is there")
    return completion(payload)


def _bare_select(path: Path) -> Callable[[], object]:
    connection = sqlite3.connect(path, isolation_level=None)
    key = f"{ENTRIES // 2:064x}"
    return lambda: connection.execute("SELECT payload FROM answer WHERE key = ?", (key,)).fetchone()


def _best(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The CPU time of one call of each, in µs."""
    best = dict.fromkeys(work, float("inf"))
    for _ in range(ROUNDS):
        for name, do in work.items():
            start = time.process_time()
            for _ in range(CALLS):
                do()
            best[name] = min(best[name], (time.process_time() - start) / CALLS * 1e6)
    return best


def _best_write(cache: SQLiteCache) -> float:
    entry, keys = entry_of(REPLY, now=time.time()), (f"w{number:063x}" for number in range(ROUNDS * CALLS))
    return _best({"write": lambda: cache.put_now(next(keys), entry, keep_s=3600)})["write"]


async def _best_rules() -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        states = MemoryStates()
        start = time.process_time()
        for _ in range(CALLS):
            await _rules(states)
        best = min(best, (time.process_time() - start) / CALLS * 1e6)
    return best


async def _rules(states: MemoryStates) -> None:
    """What a call asks of breaker and limiter."""
    breaker, limit = CircuitBreaker(), RateLimit(rpm=1000, tpm=10_000_000)
    update: Callable[..., Awaitable[Any]] = partial(states.update, ttl_s=60)
    ticket = await update("breaker", partial(breaker.admit, token="t", lease_s=30))
    place = await update("limit", partial(limit.reserve, tokens=500))
    assert isinstance(ticket, Ticket)
    assert isinstance(place, Place)
    await update("limit", partial(limit.settle, place=place, tokens=300))
    await update("breaker", partial(breaker.record, ticket=ticket, outcome=Outcome("success")))


if __name__ == "__main__":
    sys.exit(main())
