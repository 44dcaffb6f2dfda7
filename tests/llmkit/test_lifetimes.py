"""Threads, event loops, forks, interrupts and exits: where calls live, and what they leave behind."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from llmkit import AsyncClient, Client, LLMError
from mockserver import MockServer, fault, reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.llmkit.conftest import RawServer

LONG = "word " * 5000


def until(met: Callable[[], object]) -> None:
    """Waits until something has come about that another thread does."""
    deadline = time.monotonic() + 10
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def client_of(server: MockServer, **settings: Any) -> Client:
    return Client(base_url=server.openai_url, api_key="key", model="gpt-4o", **settings)


def test_twenty_threads_call_and_stream_over_one_client(mockserver: MockServer) -> None:
    with client_of(mockserver) as client, ThreadPoolExecutor(20) as threads:

        def talk(number: int) -> bool:
            with client.stream(f"Stream {number}") as stream:
                text = "".join(event.text for event in stream)
            return text == stream.reply.text == client.chat(f"Stream {number}").text

        assert all(threads.map(talk, range(60)))
    assert len(mockserver.journal) == 120


def test_a_stream_may_be_read_by_another_thread(mockserver: MockServer) -> None:
    with client_of(mockserver) as client, client.stream("Hi") as stream, ThreadPoolExecutor(1) as threads:
        first = next(stream)
        rest = threads.submit(lambda: [event.text for event in stream]).result()
        assert first.text + "".join(rest) == stream.reply.text


async def test_the_blocking_client_works_inside_a_running_loop(mockserver: MockServer) -> None:
    """As in a notebook, where every cell is run by one."""
    with client_of(mockserver) as client:
        with client.stream("Hi") as stream:
            text = "".join(event.text for event in stream)
        assert text == stream.reply.text == client.chat("Hi").text
        with pytest.raises(LLMError):
            client.chat("Hi", model="no-such-model")
        assert len(client.map(["a", "b"])) == 2


async def test_context_variables_reach_observers_inside_a_running_loop(mockserver: MockServer) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    name.set("outer")
    seen: list[str] = []
    with client_of(mockserver, observers=[lambda _: seen.append(name.get("none"))]) as client:
        client.chat("Hi")
    assert set(seen) == {"outer"}


@pytest.mark.parametrize("blocking", [True, False])
def test_leaving_a_stream_early_closes_its_connection(mockserver: MockServer, blocking: bool) -> None:
    mockserver.script(reply(LONG, chunk_delay_s=0.01))
    if blocking:
        with client_of(mockserver) as client:  # whose own end would close it too
            with client.stream("Hi") as stream:
                next(stream)
            until(lambda: mockserver.journal[0].ended_at)
    else:
        asyncio.run(first_event_of(mockserver))
    assert mockserver.journal[0].client_left
    assert not mockserver.journal[0].delivered


async def first_event_of(server: MockServer) -> None:
    client = AsyncClient(base_url=server.openai_url, api_key="key", model="gpt-4o")
    async with client:
        async with client.stream("Hi") as stream:
            await stream.next()
        await asyncio.to_thread(until, lambda: server.journal[0].ended_at)


def test_an_error_in_the_callers_block_closes_the_connection_too(mockserver: MockServer) -> None:
    mockserver.script(reply(LONG, chunk_delay_s=0.01))
    with client_of(mockserver) as client:
        with pytest.raises(ZeroDivisionError), client.stream("Hi") as stream:
            print(1 / len(next(stream).text[:0]))
        until(lambda: mockserver.journal[0].ended_at)
    assert mockserver.journal[0].client_left


async def test_a_cancelled_stream_closes_its_connection(mockserver: MockServer) -> None:
    mockserver.script(reply(LONG, chunk_delay_s=0.01), fault.hang())
    for number, frames in enumerate((3, 0)):  # amid its events, and before the first
        task = asyncio.create_task(all_of(mockserver))
        await asyncio.to_thread(until, partial(has_sent, mockserver, number, frames))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.to_thread(until, lambda: all(one.ended_at for one in mockserver.journal))
    assert [one.client_left for one in mockserver.journal] == [True, True]


def has_sent(server: MockServer, number: int, frames: int) -> bool:
    return len(server.journal) > number and server.journal[number].frames >= frames


async def all_of(server: MockServer) -> None:
    client = AsyncClient(base_url=server.openai_url, api_key="key", model="gpt-4o")
    async with client, client.stream("Hi") as stream:
        async for _ in stream:
            pass


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_frees_the_connection(mockserver: MockServer) -> None:
    mockserver.script(fault.hang(), reply("Hello"))
    with client_of(mockserver) as client:
        interrupted(lambda: client.chat("Hi"), when=lambda: len(mockserver.journal) == 1)
        until(lambda: mockserver.journal[0].ended_at)
        assert mockserver.journal[0].client_left
        assert client.chat("Hi").text == "Hello"


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_inside_a_running_loop_frees_the_connection(mockserver: MockServer) -> None:
    """A cell of a notebook that is stopped."""
    mockserver.script(fault.hang(), reply("Hello"))
    loop = asyncio.new_event_loop()
    with client_of(mockserver) as client:

        async def cell() -> str:
            return client.chat("Hi").text

        interrupted(lambda: loop.run_until_complete(cell()), when=lambda: len(mockserver.journal) == 1)
        until(lambda: mockserver.journal[0].ended_at)
        assert mockserver.journal[0].client_left
        assert loop.run_until_complete(cell()) == "Hello"
    loop.close()


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_of_the_probe_frees_the_door(raw: RawServer) -> None:
    """Otherwise everybody would wait for a probe that nobody makes."""
    for _ in range(20):
        raw.say(raw.http("{}", status="500 Oops", retry_after="0"))
    raw.say(hang=True)
    raw.say(raw.http(raw.completion()))
    with Client(base_url=raw.url, api_key="key", model="gpt-4o", max_attempts=1) as client:
        for _ in range(20):
            with pytest.raises(LLMError):
                client.chat("Hi")
        interrupted(lambda: client.chat("Hi"), when=lambda: len(raw.requests) == 21)
        assert client.chat("Hi").text == "Hello"


def interrupted(call: Callable[[], object], *, when: Callable[[], bool]) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        until(when)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call()
    thread.join()


def ran(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program of its own, which shows every warning."""
    command = [sys.executable, "-W", "always", "-c", textwrap.dedent(code)]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


PROGRAMS = {
    "it never closes": "client.chat('Hi')",
    "a stream is left open": "stream = client.stream('Hi').__enter__(); next(stream)",
    "threads and loops were used, and a call failed": """
        threads = [threading.Thread(target=client.chat, args=('Hi',)) for _ in range(4)]
        [thread.start() for thread in threads]; [thread.join() for thread in threads]
        async def ask():
            asked = llmkit.AsyncClient(base_url=url, api_key='key', model='gpt-4o')
            async with asked.stream('Hi') as stream:
                await stream.next()
            client.chat('Hi')
        asyncio.run(ask()); asyncio.run(ask())
        try: client.chat('Hi', model='no-such-model')
        except llmkit.LLMError: pass
    """,
    "a child was forked": """
        client.chat('Hi')
        child = os.fork()
        if child == 0:
            client.chat('Hi')
            with client.stream('Hi') as stream: assert list(stream)
        elif os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]): sys.exit(3)
    """,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_interpreter_ends_without_a_word(mockserver: MockServer, program: str) -> None:
    head = "import asyncio, os, sys, threading, llmkit\nurl = os.environ['URL']\n"
    head += "client = llmkit.Client(base_url=url, api_key='key', model='gpt-4o')\n"
    ended = ran(head + textwrap.dedent(PROGRAMS[program]), URL=mockserver.openai_url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
