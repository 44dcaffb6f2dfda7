"""A replayed refusal costs no wall time, and nobody else's sleep is shortened."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import openai
import pytest
import urllib3

from llmkit import AsyncClient, Client
from llmkit.recording import waits

LONG_S = 3.0  # what a refusal asks for
SOON_S = 1.5  # what a call takes that doesn't wait for it, on a busy machine
SHORT_S = 0.05  # what must not be skipped, since it is nobody's backoff


@pytest.fixture(autouse=True)
def skipping() -> Iterator[None]:
    with waits.skipping():
        yield


@pytest.fixture(autouse=True)
def is_soon(skipping: None) -> Iterator[None]:
    started = time.perf_counter()
    yield
    assert time.perf_counter() - started < SOON_S


def lasts(sleep: Callable[[], object]) -> bool:
    started = time.perf_counter()
    sleep()
    return time.perf_counter() - started >= SHORT_S * 0.9


async def lasts_async(sleep: Callable[[], Awaitable[object]]) -> bool:
    started = time.perf_counter()
    await sleep()
    return time.perf_counter() - started >= SHORT_S * 0.9


def short() -> None:
    time.sleep(SHORT_S)


async def short_async() -> None:
    await asyncio.sleep(SHORT_S)


async def refused() -> None:
    """Ask something and be refused, as in a child task."""
    waits.cancel()
    await asyncio.sleep(0)
    waits.owe()


async def answered() -> None:
    waits.cancel()


REPLY = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
}  # fmt: skip


class Provider:
    """Refuses twice, as the recorder replays a refusal, and then answers."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _: httpx2.Request) -> httpx2.Response:
        waits.cancel()
        self.asked += 1
        if self.asked > 2:
            return httpx2.Response(200, json=REPLY)
        waits.owe()
        return httpx2.Response(429, headers={"retry-after": "3"}, json={"error": {"message": "slower"}})


def of_sdk(**options: Any) -> dict[str, Any]:
    transport = httpx2.MockTransport(Provider())
    client = (
        httpx2.AsyncClient(transport=transport)
        if options.pop("is_async", False)
        else httpx2.Client(transport=transport)
    )
    return {"api_key": "sk-x", "max_retries": 2, "http_client": client} | options


def test_the_backoff_of_the_sdk() -> None:
    with openai.OpenAI(**of_sdk()) as client:
        reply = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    assert reply.choices[0].message.content == "Hi"


async def ask_sdk(client: openai.AsyncOpenAI) -> None:
    async with client:
        reply = await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    assert reply.choices[0].message.content == "Hi"


async def test_the_backoff_of_the_async_sdk() -> None:
    await ask_sdk(openai.AsyncOpenAI(**of_sdk(is_async=True)))


def test_the_backoff_of_the_async_sdk_in_loops_of_the_tests_own() -> None:
    asyncio.run(ask_sdk(openai.AsyncOpenAI(**of_sdk(is_async=True))))


def test_the_backoff_of_the_async_sdk_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    uvloop.run(ask_sdk(openai.AsyncOpenAI(**of_sdk(is_async=True))))


def test_the_backoff_of_the_async_sdk_on_trio() -> None:
    pytest.importorskip("trio", reason="trio is not installed")
    anyio.run(ask_sdk, openai.AsyncOpenAI(**of_sdk(is_async=True)), backend="trio")


async def test_the_backoff_of_the_sdk_in_a_thread() -> None:
    def ask() -> None:
        with openai.OpenAI(**of_sdk()) as client:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])

    await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(3)))


async def test_the_backoff_of_calls_side_by_side() -> None:
    await asyncio.gather(*(ask_sdk(openai.AsyncOpenAI(**of_sdk(is_async=True))) for _ in range(10)))


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Answers what clients send, as the recorder's stubs do."""
    provider = Provider()

    async def handle(_: object, request: httpx2.Request) -> httpx2.Response:
        return provider(request)

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", handle)
    return provider


def test_the_backoff_of_our_client(provider: Provider) -> None:
    with Client(api_key="sk-x", model="gpt-4o", deadline_s=60) as client:
        assert client.chat("Hi").text == "Hi"
    assert provider.asked == 3


async def test_the_backoff_of_our_async_client(provider: Provider) -> None:
    async with AsyncClient(api_key="sk-x", model="gpt-4o", deadline_s=60) as client:
        assert (await client.chat("Hi")).text == "Hi"
    assert provider.asked == 3


def test_the_backoff_of_urllib3() -> None:
    response = urllib3.HTTPResponse(status=429, headers={"retry-after": "3"})
    waits.owe()
    urllib3.Retry(3).sleep(response)


@pytest.mark.parametrize("is_async", [False, True])
def test_the_backoff_of_tenacity(is_async: bool) -> None:
    tenacity = pytest.importorskip("tenacity", reason="tenacity is not installed")
    provider, policy = Provider(), {"wait": tenacity.wait_fixed(LONG_S), "stop": tenacity.stop_after_attempt(3)}

    def ask() -> None:
        with httpx2.Client(transport=httpx2.MockTransport(provider)) as client:
            client.get("http://provider.example").raise_for_status()

    async def ask_async() -> None:
        ask()

    asyncio.run(tenacity.retry(**policy)(ask_async)()) if is_async else tenacity.retry(**policy)(ask)()


def test_a_debt_spares_one_sleep_only() -> None:
    waits.owe()
    time.sleep(LONG_S)
    assert lasts(short)


async def test_a_spared_sleep_lets_others_have_a_turn_and_returns_its_result() -> None:
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "other")
    waits.owe()
    assert await asyncio.sleep(LONG_S, result="mine") == "mine"
    assert turns == ["other"]
    waits.owe()
    assert await asyncio.sleep(delay=LONG_S, result=LONG_S) == LONG_S


async def test_yielding_is_no_sleep() -> None:
    waits.owe()
    await asyncio.sleep(0)
    await anyio.lowlevel.checkpoint()
    await asyncio.sleep(LONG_S)


async def test_who_sleeps_forever_goes_on_sleeping() -> None:
    waits.owe()
    with anyio.move_on_after(SHORT_S) as scope:
        await anyio.sleep(float("inf"))
    assert scope.cancelled_caught


def test_a_new_request_cancels_the_debt() -> None:
    waits.owe()
    waits.cancel()
    assert lasts(short)


def test_no_thread_is_spared_what_another_owes() -> None:
    waits.owe()
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(lasts(short)))
    thread.start()
    thread.join()
    assert seen == [True]
    time.sleep(LONG_S)


async def test_no_task_is_spared_what_another_owes() -> None:
    owes = asyncio.Event()

    async def other() -> bool:
        await owes.wait()
        return await lasts_async(short_async)

    task = asyncio.create_task(other())
    waits.owe()
    owes.set()
    assert await task
    await asyncio.sleep(LONG_S)


async def test_a_task_is_spared_what_its_child_owed_when_it_was_done() -> None:
    await asyncio.wait_for(refused(), 1)
    await asyncio.sleep(LONG_S)
    await asyncio.create_task(asyncio.wait_for(refused(), 1))
    await asyncio.sleep(LONG_S)
    async with asyncio.TaskGroup() as group:
        group.create_task(refused())
    await asyncio.sleep(LONG_S)
    assert await lasts_async(short_async)


def test_a_task_of_uvloop_is_spared_what_its_child_owed() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    async def main() -> None:
        await asyncio.wait_for(refused(), 1)
        await asyncio.sleep(LONG_S)

    uvloop.run(main())


async def test_a_task_is_not_spared_what_anothers_child_owed() -> None:
    other = asyncio.Event()

    async def with_child() -> None:
        await asyncio.create_task(refused())
        other.set()
        await asyncio.sleep(LONG_S)

    task = asyncio.create_task(with_child())

    async def without() -> bool:
        await other.wait()
        return await lasts_async(short_async)

    assert await asyncio.create_task(without())
    await task


async def test_what_a_child_was_refused_is_forgotten_when_the_next_is_answered() -> None:
    await asyncio.create_task(refused())
    await asyncio.create_task(answered())
    assert await lasts_async(short_async)


async def test_what_one_of_many_children_was_refused_is_not_forgotten_when_another_is_answered() -> None:
    first = asyncio.create_task(refused())
    second = asyncio.Event()

    async def later() -> None:
        await second.wait()
        await answered()

    other = asyncio.create_task(later())
    await first
    second.set()
    await other
    await asyncio.sleep(LONG_S)


async def test_a_task_is_spared_what_its_thread_owed() -> None:
    await asyncio.to_thread(waits.owe)
    await asyncio.sleep(LONG_S)


def test_a_thread_is_spared_what_the_loop_that_it_ran_owed() -> None:
    asyncio.run(refused())
    time.sleep(LONG_S)


async def test_tasks_of_a_factory_are_spared_too() -> None:
    loop = asyncio.get_running_loop()

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coroutine, loop=loop)

    loop.set_task_factory(factory)  # of the kind that takes no context
    try:
        await asyncio.create_task(refused())
        await asyncio.sleep(LONG_S)
    finally:
        loop.set_task_factory(None)


def test_a_sleep_of_trio() -> None:
    trio = pytest.importorskip("trio", reason="trio is not installed")

    async def main() -> None:
        with waits.skipping():
            waits.owe()
            await trio.sleep(LONG_S)
            assert await lasts_async(lambda: trio.sleep(SHORT_S))

    trio.run(main)


def test_a_debt_ends_with_its_block() -> None:
    def run() -> None:
        with waits.skipping():
            waits.owe()
            time.sleep(LONG_S)

    run()
    assert lasts(short)


def test_outside_of_a_block_nothing_is_replaced_nor_owed() -> None:
    code = """
import asyncio, time, anyio
from llmkit.recording import waits
def attributes(): return time.sleep, asyncio.sleep, anyio.sleep, asyncio.BaseEventLoop.create_task
before = attributes()
waits.owe()
with waits.skipping():
    with waits.skipping():
        pass
    assert not set(before) & set(attributes())
    waits.owe()
    sleep = time.sleep  # which others may have imported by name meanwhile
assert before == attributes()
waits.cancel()
with waits.skipping():
    started = time.perf_counter()
    sleep(0.05)
    assert time.perf_counter() - started >= 0.045
    waits.owe()
    sleep(9)
assert time.perf_counter() - started < 5
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_what_is_imported_within_a_block_is_spared_too() -> None:
    pytest.importorskip("trio", reason="trio is not installed")
    code = """
import time
from llmkit.recording import waits
with waits.skipping():
    import trio
    async def main():
        waits.owe()
        await trio.sleep(9)
    started = time.perf_counter()
    trio.run(main)
assert time.perf_counter() - started < 5
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("status", "headers", "is_broken_off", "expected"),
    [
        (200, {}, False, False),
        (400, {"x": "y"}, False, False),
        (404, {}, False, False),
        (408, {}, False, True),
        (409, {}, False, True),
        (425, {}, False, True),
        (429, {}, False, True),
        (500, {}, False, True),
        (599, {}, False, True),
        (200, {"Retry-After": ["3"]}, False, True),
        (403, {"retry-after-ms": ["30"]}, False, True),
        (200, {}, True, True),
    ],
)
def test_which_replies_make_a_client_wait(
    status: int, headers: dict[str, object], is_broken_off: bool, expected: bool
) -> None:
    assert waits.makes_wait(status, headers, is_broken_off=is_broken_off) is expected
