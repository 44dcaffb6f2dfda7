"""Shared state on a real server: one state for all processes, and calls that go on without it."""

import asyncio
import logging
import subprocess
import sys
import threading
import traceback
from functools import partial
from typing import Any

import pytest

from llmkit.errors import ConfigError
from llmkit.policies import State
from llmkit.policies.cache import Entry
from llmkit.policies.circuit_breaker import TTL_S, CircuitBreaker, Outcome, Shut, Ticket
from llmkit.policies.rate_limit import Place, RateLimit
from llmkit.stores.redis import RedisCache, RedisStates
from llmkit.stores.redis_server import RedisServer
from tests.llmkit.stores.redis_process import RedisProcess

ENTRY = Entry('{"id": "chatcmpl-1", "text": "ü\\n\\ud83d"}', 1000.125)


class Clock:
    """Time that passes only as it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def count(state: State, now: float) -> tuple[State, int]:
    number = int(str(state[0])) + 1 if state else 1
    return (number,), number


def look(state: State, now: float) -> tuple[State, State]:
    return state, state


def forget(state: State, now: float) -> tuple[State, None]:
    return None, None


async def test_two_clients_share_one_state(redis: RedisProcess) -> None:
    one, other = RedisStates(RedisServer(redis.url)), RedisStates(RedisServer(redis.url))
    assert [await store.update("k", count, ttl_s=60) for store in (one, other, one)] == [1, 2, 3]
    assert await other.update("k", look, ttl_s=60) == (3,)


async def test_a_rule_gets_the_servers_time(redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(redis.url))
    seconds, microseconds = redis.command(b"TIME").split(b"\r\n")[2:5:2]
    now = await store.update("k", lambda state, now: (state, now), ttl_s=60)
    assert 0 <= now - int(seconds) - int(microseconds) / 1e6 < 60


async def test_a_state_lives_for_its_time_and_one_that_begins_anew_is_deleted(redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(redis.url))
    await store.update("k", count, ttl_s=60)
    assert redis.command(b"KEYS", b"*") == b"*1\r\n$10\r\nllmkit:1:k\r\n"
    assert 50_000 < int(redis.command(b"PTTL", b"llmkit:1:k")[1:]) <= 60_000
    await store.update("k", forget, ttl_s=60)
    assert redis.command(b"KEYS", b"*") == b"*0\r\n"


async def test_a_state_that_stays_as_it_is_is_not_written(redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(redis.url))
    await store.update("k", count, ttl_s=60)
    redis.command(b"PERSIST", b"llmkit:1:k")
    await store.update("k", look, ttl_s=60)
    assert redis.command(b"PTTL", b"llmkit:1:k") == b":-1\r\n"


@pytest.mark.parametrize("value", [b"\xff\x00", b"{", b'{"a": 1}', b"[" * 100_000])
async def test_a_value_that_is_no_state_is_taken_for_the_beginning(redis: RedisProcess, value: bytes) -> None:
    redis.command(b"SET", b"llmkit:1:k", value)
    store = RedisStates(RedisServer(redis.url))
    assert [await store.update("k", count, ttl_s=60) for _ in range(2)] == [1, 2]


async def test_tasks_of_one_loop_lose_no_update_and_go_together(redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(redis.url))
    redis.command(b"CONFIG", b"RESETSTAT")
    numbers = await asyncio.gather(*(store.update("k", count, ttl_s=60) for _ in range(200)))
    assert numbers == list(range(1, 201)), "each gets what follows from its own, in their order"
    assert redis.command(b"INFO", b"commandstats").count(b"cmdstat_eval:calls=2,") == 1


async def test_a_rule_that_fails_is_the_matter_of_who_asked(redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(redis.url))

    def broken(state: State, now: float) -> tuple[State, int]:
        raise ZeroDivisionError

    updates = (store.update("k", rule, ttl_s=60) for rule in (count, count, broken, count, count))
    results = await asyncio.gather(*updates, return_exceptions=True)
    assert sorted(result for result in results if isinstance(result, int)) == [1, 2, 3, 4]
    assert isinstance(results[2], ZeroDivisionError)


async def test_who_is_cancelled_while_waiting_spoils_nothing(redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(redis.url))
    tasks = [asyncio.create_task(store.update("k", count, ttl_s=60)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[5:15]:
        task.cancel()
    await asyncio.wait(tasks)
    assert not any(task.cancelled() for task in tasks[:5] + tasks[15:])
    numbers = [task.result() for task in tasks if not task.cancelled()]
    assert len(set(numbers)) == len(numbers)


def test_loops_of_several_threads_share_one_store_and_lose_no_update(redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(redis.url))

    async def work() -> None:
        await asyncio.gather(*(store.update("k", count, ttl_s=60) for _ in range(50)))

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asyncio.run(store.update("k", look, ttl_s=60)) == (200,)


PROCESS = """
import asyncio, sys
from llmkit.stores.redis import RedisStates
from llmkit.stores.redis_server import RedisServer

async def main():
    store = RedisStates(RedisServer(sys.argv[1]))
    def count(state, now):
        return ((state[0] if state else 0) + 1,), None
    for _ in range(100):
        await store.update("k", count, ttl_s=60)

asyncio.run(main())
"""


def test_processes_lose_no_update(redis: RedisProcess) -> None:
    program = [sys.executable, "-W", "error", "-c", PROCESS, redis.url]
    processes = [subprocess.Popen(program, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 3
    assert asyncio.run(RedisStates(RedisServer(redis.url)).update("k", look, ttl_s=60)) == (300,)


async def test_one_breaker_opens_for_all_and_admits_one_probe_of_all(redis: RedisProcess) -> None:
    """Row 4.I4, shared."""
    breaker = CircuitBreaker(failures=2)
    stores = [RedisStates(RedisServer(redis.url)) for _ in range(4)]

    async def ask(store: RedisStates, number: int) -> Ticket | Shut:
        rule = partial(breaker.admit, token=f"t{number}", lease_s=30)
        return await store.update("breaker:x", rule, ttl_s=TTL_S)

    for store in stores[:2]:
        ticket = await ask(store, 0)
        assert isinstance(ticket, Ticket)
        rule = partial(breaker.record, ticket=ticket, outcome=Outcome("failure", 0.0))
        await store.update("breaker:x", rule, ttl_s=TTL_S)
    answers = await asyncio.gather(*(ask(store, 10 * n + i) for i in range(10) for n, store in enumerate(stores)))
    assert [type(answer) for answer in answers].count(Ticket) == 1


async def test_one_budget_of_requests_is_shared(redis: RedisProcess) -> None:
    limit = RateLimit(rpm=10)
    stores = [RedisStates(RedisServer(redis.url)) for _ in range(3)]

    async def ask(store: RedisStates) -> Any:
        return await store.update("limit:x", partial(limit.reserve, longest_wait_s=30), ttl_s=60)

    places = await asyncio.gather(*(ask(store) for store in stores for _ in range(10)))
    assert [isinstance(place, Place) for place in places].count(True) == 10


async def test_an_answer_is_shared_for_its_time(redis: RedisProcess) -> None:
    one, other = RedisCache(RedisServer(redis.url)), RedisCache(RedisServer(redis.url))
    await one.put("k", ENTRY, keep_s=60)
    assert await other.get("k") == ENTRY
    assert other.get_now("k") is None
    assert 50_000 < int(redis.command(b"PTTL", b"llmkit:1:cache:k")[1:]) <= 60_000
    await other.delete("k")
    assert await one.get("k") is None


@pytest.mark.parametrize("value", [b"", b"x", b"noon\n{}", b"1.0\n\xff"])
async def test_a_value_that_is_no_answer_is_a_miss(redis: RedisProcess, value: bytes) -> None:
    redis.command(b"SET", b"llmkit:1:cache:k", value)
    assert await RedisCache(RedisServer(redis.url)).get("k") is None


async def test_an_answer_of_many_megabytes_is_not_shared(redis: RedisProcess) -> None:
    cache = RedisCache(RedisServer(redis.url))
    await cache.put("k", Entry("x" * ((8 << 20) + 1), 1000.0), keep_s=60)
    assert await cache.get("k") is None


async def test_without_the_server_states_are_kept_here_until_it_is_back(
    mortal_redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="llmkit.stores")
    clock = Clock()
    server = RedisServer(mortal_redis.url, clock=clock)
    store, cache = RedisStates(server), RedisCache(server)
    assert await store.update("k", count, ttl_s=60) == 1
    mortal_redis.stop()
    assert [await store.update("k", count, ttl_s=60) for _ in range(3)] == [1, 2, 3]
    await cache.put("k", ENTRY, keep_s=60)
    assert await cache.get("k") is None
    mortal_redis.start()
    assert await store.update("k", count, ttl_s=60) == 4, "the pause is not over"
    clock.now += 1.0
    assert await store.update("k", count, ttl_s=60) == 1, "back, and empty"
    await cache.put("k", ENTRY, keep_s=60)
    assert await cache.get("k") == ENTRY
    said = [record.getMessage() for record in caplog.records]
    assert [("gone" in one, "back" in one) for one in said] == [(True, False), (False, True)]
    assert "hunter2" not in "".join(said)


async def test_the_pauses_between_trials_grow_up_to_five_seconds(mortal_redis: RedisProcess) -> None:
    mortal_redis.stop()
    clock = Clock()
    server = RedisServer(mortal_redis.url, clock=clock)
    trials: list[float] = []

    async def question(line: object) -> None:
        trials.append(clock.now)
        raise ConnectionError

    for _ in range(100):
        await server.ask(question, otherwise=lambda: None)
        clock.now += 0.25
    assert trials == [0, 1, 3, 7, 12, 17, 22]


async def test_calls_that_fail_together_are_one_failure(redis: RedisProcess) -> None:
    clock = Clock()
    server = RedisServer(redis.url, clock=clock)
    together = asyncio.Barrier(4)

    async def fails(line: object) -> str:
        await together.wait()
        raise ConnectionError

    async def answers(line: object) -> str:
        return "server"

    await asyncio.gather(*(server.ask(fails, otherwise=lambda: "local") for _ in range(4)))
    clock.now += 1.0
    assert await server.ask(answers, otherwise=lambda: "local") == "server"


async def test_a_server_that_says_nothing_holds_nobody_up(mortal_redis: RedisProcess) -> None:
    clock = Clock()
    server = RedisServer(mortal_redis.url, answer_s=0.2, clock=clock)
    store = RedisStates(server)
    await store.update("k", count, ttl_s=60)
    mortal_redis.freeze()
    async with asyncio.timeout(5):
        numbers = await asyncio.gather(*(store.update("k", count, ttl_s=60) for _ in range(50)))
    assert sorted(numbers) == list(range(1, 51))
    mortal_redis.thaw()
    clock.now += 1.0
    assert isinstance(await store.update("k", look, ttl_s=60), tuple)


async def test_who_has_no_time_does_not_wait_for_an_answer(mortal_redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(mortal_redis.url, answer_s=20))
    mortal_redis.freeze()
    async with asyncio.timeout(10):
        assert await store.update("k", count, ttl_s=60, within_s=0.01) == 1
    mortal_redis.thaw()
    assert await store.update("k", look, ttl_s=60) == (1,)  # the server has counted it in the end


async def test_while_one_call_tries_the_others_do_not_wait_for_it(mortal_redis: RedisProcess) -> None:
    clock = Clock()
    server = RedisServer(mortal_redis.url, answer_s=5, clock=clock)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def fails(line: object) -> str:
        raise ConnectionError

    async def hangs(line: object) -> str:
        begun.set()
        await go_on.wait()
        return "server"

    assert await server.ask(fails, otherwise=lambda: "local") == "local"
    clock.now += 1.0
    trial = asyncio.create_task(server.ask(hangs, otherwise=lambda: "local"))
    await begun.wait()
    assert await server.ask(hangs, otherwise=lambda: "local") == "local"
    go_on.set()
    assert await trial == "server"
    assert await server.ask(hangs, otherwise=lambda: "local") == "server"


async def test_a_cancelled_update_leaves_the_store_usable(mortal_redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(mortal_redis.url, answer_s=5))
    await store.update("k", count, ttl_s=60)
    mortal_redis.freeze()
    for turns in range(12):  # of the event loop, until it is cancelled: at each of the places where it waits
        task = asyncio.create_task(store.update(f"k{turns}", count, ttl_s=60))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=1)
        assert task.cancelled(), "it waits for no answer"
    mortal_redis.thaw()
    assert await store.update("k", count, ttl_s=60) == 2


async def test_a_wrong_password_is_told_by_the_check_and_costs_no_call(
    mortal_redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(f"redis://:wrong-secret@127.0.0.1:{mortal_redis.port}")
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1.*does not answer.*LLMKIT_STATE_URL") as failure:
        await server.check()
    assert await RedisStates(server).update("k", count, ttl_s=60) == 1
    shown = "".join(traceback.format_exception(failure.value)) + caplog.text
    assert "wrong-secret" not in shown
    assert failure.value.__context__ is None


async def test_the_check_of_a_server_that_is_there_says_nothing(mortal_redis: RedisProcess) -> None:
    await RedisServer(mortal_redis.url).check()


async def test_closing_and_going_on(redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(redis.url))
    await store.aclose()
    await store.update("k", count, ttl_s=60)
    await store.aclose()
    assert await store.update("k", count, ttl_s=60) == 2


def test_one_store_serves_successive_event_loops(redis: RedisProcess) -> None:
    store = RedisStates(RedisServer(redis.url))
    assert [asyncio.run(store.update("k", count, ttl_s=60)) for _ in range(3)] == [1, 2, 3]


def test_a_connection_that_was_closed_while_idle_is_opened_again(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStates(RedisServer(redis.url))
    with asyncio.Runner() as runner:
        assert runner.run(store.update("k", count, ttl_s=60)) == 1
        redis.command(b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes")
        assert runner.run(store.update("k", count, ttl_s=60)) == 2
    assert not caplog.records


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("rediss://me:hunter2@host.example:6380/3", "rediss://host.example:6380/3"),
        ("valkey://:hunter2@[::1]:7000/", "valkey://[::1]:7000/0"),
        ("valkeys://:hunter2@host?ssl_cert_reqs=none", "valkeys://host:6379/0"),
        ("unix:///run/redis.sock?password=hunter2", "unix:///run/redis.sock"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, address: str) -> None:
    server = RedisServer(url)
    shown = f"{server!r} {RedisStates(server)!r} {RedisCache(server)!r}"
    assert shown.count(address) == 3
    assert "hunter2" not in shown + repr(vars(server)) + repr(vars(RedisStates(server)))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://hunter2@localhost",
        "redis://",
        "redis://:hunter2/x@host",
        "redis://:hunter2#x@host",
        "redis://:hunter2@host:port",
        "redis://:hunter2@host/name",
        "redis://:hunter2@host?colour=blue",
        "redis://:hunter2@host?db=hunter2",
        "redis://:hunter2@[::1",
        "redis://:hunter2@" + "x" * 100 + ".example",
        "unix://",
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="shared state") as failure:
        RedisServer(url)
    assert "hunter2" not in "".join(traceback.format_exception(failure.value))
    assert failure.value.__context__ is None
