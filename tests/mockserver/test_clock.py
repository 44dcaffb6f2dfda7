"""The clock: real and virtual time, who sleeps on it, and clients that are put on it."""

import asyncio
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType
from typing import Any

import anyio
import openai
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from mockserver import MockServer, fault
from mockserver.clock import Alarm, Clock, ClockError, Pace
from tests.mockserver.asking import user
from tests.mockserver.conftest import KEY

NOON = 1_800_000_000.0


@pytest.fixture
def clock() -> Clock:
    """A virtual clock that stands at `NOON`."""
    made = Clock()
    made.stop(NOON)
    return made


async def start(clock: Clock, *seconds: float, woken: list[float], **options: Any) -> list[asyncio.Task[bool]]:
    """Sleepers that note how long they slept when they wake."""

    async def sleeper(each: float) -> bool:
        passed = await clock.sleep(each, **options)
        woken.append(each)
        return passed

    tasks = [asyncio.create_task(sleeper(each)) for each in seconds]
    await clock.settle(sleepers=len(seconds))
    return tasks


def test_real_time_is_that_of_the_function_given() -> None:
    assert Clock(lambda: 7.5).now() == 7.5
    assert abs(Clock().now() - time.time()) < 60


def test_it_stops_now_or_where_it_is_told_and_runs_again() -> None:
    clock = Clock(lambda: 7.5)
    clock.stop()
    assert (clock.now(), clock.is_virtual) == (7.5, True)
    clock.stop(100)
    assert clock.now() == 100
    clock.run()
    assert (clock.now(), clock.is_virtual) == (7.5, False)


def test_it_moves_only_by_advance(clock: Clock) -> None:
    assert clock.advance(61) == clock.now() == NOON + 61


def test_real_time_cannot_be_advanced() -> None:
    with pytest.raises(ClockError, match=r"by 61 seconds; `stop\(\)` the clock first"):
        Clock().advance(61)


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, math.inf])
def test_it_advances_by_finite_times_from_0_only(clock: Clock, seconds: float) -> None:
    with pytest.raises(ValueError, match=f"cannot advance by {seconds!r} seconds"):
        clock.advance(seconds)
    assert clock.now() == NOON


@pytest.mark.parametrize("at", [math.nan, math.inf])
def test_it_stands_at_finite_times_only(at: float) -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="cannot stand at"):
        clock.stop(at)
    assert not clock.is_virtual


async def test_nobody_sleeps_for_nan(clock: Clock) -> None:
    with pytest.raises(ValueError, match="for NaN seconds"):
        await clock.sleep(math.nan)


async def test_who_is_due_wakes_in_order_and_the_others_sleep_on(clock: Clock) -> None:
    woken: list[float] = []
    tasks = await start(clock, 61, 30, 62, 1, 60.5, woken=woken)
    assert clock.next_wake() == NOON + 1
    clock.advance(61)
    assert await clock.settle(sleepers=1) == NOON + 62
    assert woken == [1, 30, 60.5, 61]
    clock.advance(1)
    assert all(await asyncio.gather(*tasks))
    assert clock.next_wake() is None


@given(sleeps=st.lists(st.floats(0.001, 1e5), min_size=1, max_size=6), steps=st.lists(st.floats(0, 1e5), max_size=6))
def test_steps_wake_exactly_who_is_due(sleeps: list[float], steps: list[float]) -> None:
    async def play() -> None:
        clock, woken = Clock(), list[float]()
        clock.stop(NOON)
        tasks = await start(clock, *sleeps, woken=woken)
        for step in steps:
            clock.advance(step)
            await clock.settle()
            late, early = clock.now() - 1e-5, clock.now() + 1e-5
            assert woken == sorted(woken)
            assert {each for each in sleeps if NOON + each <= late} <= set(woken)
            assert set(woken) <= {each for each in sleeps if NOON + each <= early}
        for task in tasks:
            task.cancel()

    asyncio.run(play())


async def test_ten_tenths_are_a_whole(clock: Clock) -> None:
    tasks = await start(clock, 1, woken=[])
    for _ in range(10):
        clock.advance(0.1)
    await clock.settle()
    assert tasks[0].done()


async def test_no_time_and_less_is_a_turn(clock: Clock) -> None:
    assert await clock.sleep(0)
    assert await clock.sleep(-5)


@pytest.mark.parametrize("seconds", [10, math.inf])
async def test_cancelled_ends_a_sleep(clock: Clock, seconds: float) -> None:
    cancelled = Alarm()
    (task,) = await start(clock, seconds, woken=[], cancelled=cancelled)
    cancelled.set()
    assert await task is False
    assert await clock.sleep(seconds, cancelled=cancelled) is False
    assert await clock.sleep(0, cancelled=cancelled) is False


async def test_time_that_passes_before_cancelled_counts(clock: Clock) -> None:
    cancelled = Alarm()
    (task,) = await start(clock, 10, woken=[], cancelled=cancelled)
    clock.advance(10)
    cancelled.set()
    assert await task is True


async def test_at_a_pace_lateness_does_not_add_up(clock: Clock) -> None:
    pace, begun = Pace(), clock.now()

    async def play() -> list[float]:
        return [clock.now() - begun for _ in range(3) if await clock.sleep(10, pace=pace)]

    task = asyncio.create_task(play())
    await clock.settle(sleepers=1)
    for late in (14, 7):  # the second is due at 20, the third at 30
        clock.advance(late)
        await clock.settle(sleepers=1)
    assert clock.next_wake() == begun + 30
    clock.advance(9)
    assert await task == [14, 21, 30]


async def test_at_a_pace_whoever_is_late_catches_up_at_once(clock: Clock) -> None:
    pace = Pace()
    assert await clock.sleep(0, pace=pace)
    clock.advance(100)
    for _ in range(10):
        assert await asyncio.wait_for(clock.sleep(10, pace=pace), 1)


async def test_a_pace_begins_anew_in_another_kind_of_time(clock: Clock) -> None:
    pace = Pace()
    assert await clock.sleep(0, pace=pace)
    clock.advance(100)
    clock.run()
    clock.stop()
    task = asyncio.create_task(clock.sleep(10, pace=pace))
    await clock.settle(sleepers=1)
    assert not task.done()
    clock.advance(10)
    assert await task


async def test_who_sleeps_forever_is_not_waited_for(clock: Clock) -> None:
    tasks = await start(clock, math.inf, woken=[])
    clock.advance(1e9)
    assert await clock.settle(sleepers=1) is None
    tasks[0].cancel()
    await clock.settle()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]


async def test_a_cancelled_task_leaves_the_clock(clock: Clock) -> None:
    tasks = await start(clock, 10, woken=[])
    tasks[0].cancel()
    await asyncio.wait(tasks)
    assert clock.next_wake() is None


async def test_real_sleeps_take_real_time() -> None:
    before = time.monotonic()
    assert await Clock(lambda: NOON).sleep(0.02)
    assert time.monotonic() - before >= 0.019


async def test_what_is_left_of_a_sleep_is_carried_into_virtual_time() -> None:
    clock = Clock()
    (task,) = await start(clock, 3600, woken=[])
    clock.stop(NOON)
    wake = clock.next_wake()
    assert wake is not None
    assert NOON + 3500 < wake <= NOON + 3600
    clock.advance(3500)
    await clock.settle(sleepers=1)
    assert not task.done()
    clock.advance(100)
    assert await task


async def test_what_is_left_of_a_sleep_is_carried_into_real_time(clock: Clock) -> None:
    (task,) = await start(clock, 3600.02, woken=[])
    clock.advance(3600)
    await clock.settle(sleepers=1)
    clock.run()
    assert await asyncio.wait_for(task, 5)


async def test_a_timer_of_real_time_means_nothing_in_virtual_time() -> None:
    clock = Clock()
    (task,) = await start(clock, 0.03, woken=[])
    clock.stop()
    await asyncio.sleep(0.05)
    assert not task.done()
    clock.advance(0.03)
    assert await task


async def test_setting_a_virtual_clock_wakes_nobody(clock: Clock) -> None:
    (task,) = await start(clock, 10, woken=[])
    clock.stop(NOON + 1000)
    assert await clock.settle(sleepers=1) == NOON + 1010
    clock.advance(10)
    assert await task


def test_sleepers_of_another_thread_wake(clock: Clock) -> None:
    with ThreadPoolExecutor(2) as pool:
        sleeps = [pool.submit(lambda: asyncio.run(clock.sleep(86_400))) for _ in range(2)]
        assert clock.wait_for_sleepers(2) == NOON + 86_400
        clock.advance(86_400)
        assert [each.result(5) for each in sleeps] == [True, True]


def test_a_closed_loop_keeps_nobody_from_advancing(clock: Clock) -> None:
    loop = asyncio.new_event_loop()
    sleeping = clock.sleep(10)
    task = loop.create_task(sleeping)
    loop.run_until_complete(clock.settle(sleepers=1))
    task.cancel()
    loop.close()
    assert clock.advance(10) == NOON + 10
    assert clock.next_wake() is None
    sleeping.close()


def test_who_is_woken_and_does_not_go_on_is_waited_for(clock: Clock) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(clock.sleep(10))
    loop.run_until_complete(clock.settle(sleepers=1))
    clock.advance(10)
    with pytest.raises(TimeoutError, match="0 sleep on the clock, not 0, and 1 are woken"):
        clock.wait_for_sleepers(0, timeout_s=0.01)
    assert loop.run_until_complete(task)
    assert clock.wait_for_sleepers(0) is None
    loop.close()


def test_that_nobody_comes_to_sleep_is_said(clock: Clock) -> None:
    with pytest.raises(TimeoutError, match="0 sleep on the clock, not 1, and 0 are woken"):
        clock.wait_for_sleepers(timeout_s=0.01)
    with pytest.raises(TimeoutError, match="0 sleep on the clock, not 1, and 0 are woken"):
        asyncio.run(clock.settle(sleepers=1, timeout_s=0.01))


def test_client_waits_move_the_clock_and_are_listed(clock: Clock) -> None:
    with clock.drives() as waits:
        time.sleep(3600)
        asyncio.run(asyncio.sleep(0.5))
        anyio.run(anyio.sleep, 2)
        trio.run(trio.sleep, 4)
        time.sleep(0)
        asyncio.run(asyncio.sleep(0))
        asyncio.run(asyncio.sleep(delay=8))
    assert waits == clock.waits == [3600, 0.5, 2, 4, 8]
    assert clock.now() == NOON + sum(waits)


async def test_a_sleep_returns_its_result(clock: Clock) -> None:
    with clock.drives():
        assert await asyncio.sleep(5, "done") == "done"


async def test_waits_that_begin_together_end_together(clock: Clock) -> None:
    with clock.drives() as waits:
        await asyncio.gather(asyncio.sleep(10), asyncio.sleep(30), asyncio.sleep(20))
    assert sorted(waits) == [10, 20, 30]
    assert clock.now() == NOON + 30


def test_a_client_wait_wakes_the_server(clock: Clock) -> None:
    with ThreadPoolExecutor(1) as pool, clock.drives():
        sleep = pool.submit(lambda: asyncio.run(clock.sleep(60)))
        clock.wait_for_sleepers()
        time.sleep(60)
        assert sleep.result(5)


def test_all_is_as_before_after_the_block(clock: Clock) -> None:
    before = (time.sleep, asyncio.sleep, anyio.sleep, trio.sleep)
    with pytest.raises(KeyError), clock.drives():
        kept = time.sleep
        raise KeyError
    assert (time.sleep, asyncio.sleep, anyio.sleep, trio.sleep) == before
    kept(0.001)
    assert clock.waits == []
    assert clock.is_virtual


def test_real_time_is_virtual_for_the_block() -> None:
    clock = Clock(lambda: 5.0)
    with clock.drives():
        time.sleep(1000)
        assert clock.now() == 1005
    assert clock.now() == 5


def test_what_has_replaced_a_sleep_within_the_block_stays(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", time.sleep)  # put back after the test
    theirs = threading.Event().wait
    with clock.drives():
        vars(time)["sleep"] = theirs
    assert vars(time)["sleep"] is theirs


def test_infinite_sleeps_and_a_clock_set_running_are_left_alone(clock: Clock) -> None:
    async def forever() -> None:
        await asyncio.wait_for(asyncio.sleep(math.inf), 0.01)

    with clock.drives() as waits:
        with pytest.raises(TimeoutError):
            asyncio.run(forever())
        clock.run()
        time.sleep(0.001)
        assert waits == []


@pytest.mark.parametrize("module", ["mockserver.pipeline", "aiohttp.web"])
def test_what_the_server_waits_for_is_not_caught(clock: Clock, module: str) -> None:
    wait = FunctionType((lambda: time.sleep(0.001)).__code__, {"__name__": module, "time": time})
    with clock.drives() as waits:
        wait()
    assert (waits, clock.now()) == ([], NOON)


def test_the_official_client_waits_an_hour_in_no_time(mockserver: MockServer) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=100), fault.rate_limited(retry_after_s=20.5))
    with Clock().drives() as waits, openai.OpenAI(base_url=mockserver.openai_url, api_key=KEY) as client:
        client.chat.completions.create(model="gpt-4o", messages=user())
    assert waits == [100, 20.5]


async def test_the_official_async_client_is_driven_too(mockserver: MockServer) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=100))
    with Clock().drives() as waits:
        async with openai.AsyncOpenAI(base_url=mockserver.openai_url, api_key=KEY) as client:
            await client.chat.completions.create(model="gpt-4o", messages=user())
    assert waits == [100]


def test_threads_may_move_it_at_once(clock: Clock) -> None:
    threads = [threading.Thread(target=lambda: [clock.advance(1) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now() == NOON + 800
