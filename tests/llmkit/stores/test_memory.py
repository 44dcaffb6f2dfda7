"""States in memory: rules are applied one at a time, from whatever thread or loop."""

import asyncio
import threading

from llmkit.policies import State
from llmkit.policies.cache import Entry
from llmkit.stores.memory import MemoryCache, MemoryStates


def count(state: State, now: float) -> tuple[State, int]:
    number = int(str(state[0])) + 1 if state else 1
    return (number,), number


def forget(state: State, now: float) -> tuple[State, None]:
    return None, None


async def test_a_rule_gets_the_last_state_and_the_time() -> None:
    store = MemoryStates(clock=lambda: 7.0)
    seen: list[tuple[State, float]] = []

    def rule(state: State, now: float) -> tuple[State, str]:
        seen.append((state, now))
        return (len(seen),), "done"

    assert await store.update("a", rule, ttl_s=1) == "done"
    await store.update("a", rule, ttl_s=1)
    await store.update("b", rule, ttl_s=1)
    assert seen == [(None, 7.0), ((1,), 7.0), (None, 7.0)]


async def test_a_state_that_begins_anew_is_forgotten() -> None:
    store = MemoryStates()
    await store.update("a", count, ttl_s=1)
    await store.update("a", forget, ttl_s=1)
    assert await store.update("a", count, ttl_s=1) == 1


def test_threads_with_loops_of_their_own_lose_no_update() -> None:
    store = MemoryStates()

    def work() -> None:
        async def many() -> None:
            for _ in range(500):
                await store.update("a", count, ttl_s=1)

        asyncio.run(many())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.update_now("a", count) == 2001


ENTRY = Entry("x" * 100, 1000.0)


async def test_answers_are_kept_for_their_time() -> None:
    now = 1000.0
    cache = MemoryCache(clock=lambda: now)
    await cache.put("k", ENTRY, keep_s=60)
    assert await cache.get("k") == cache.get_now("k") == ENTRY
    now = 1060.0
    assert cache.get_now("k") is None


async def test_the_answer_that_was_not_used_for_longest_goes() -> None:
    cache = MemoryCache(most_bytes=250, clock=lambda: 1000.0)
    await cache.put("a", ENTRY, keep_s=60)
    await cache.put("b", ENTRY, keep_s=60)
    cache.get_now("a")
    await cache.put("c", ENTRY, keep_s=60)
    await cache.put("c", ENTRY, keep_s=60)
    await cache.put("large", Entry("x" * 251, 1000.0), keep_s=60)
    assert [key for key in ("a", "b", "c", "large") if cache.get_now(key)] == ["a", "c"]
    await cache.delete("a")
    await cache.delete("a")
    assert cache.get_now("a") is None
