"""Several processes behind one port: what they share, and that nobody can tell."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.mockserver.asking import CHAT, chat

HEADERS = {"authorization": "Bearer any", "connection": "close"}  # each request finds another worker
LISTENING = re.compile(r"mockserver listening on http://127\.0\.0\.1:(\d+)\n")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server with three workers, for all tests of this module."""
    command = [sys.executable, "-m", "mockserver", "--port", "0", "--workers", "3", "--seed", "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        first = LISTENING.fullmatch(started.stdout.readline())
        assert first, started.stderr and started.stderr.read()
        yield started, f"http://127.0.0.1:{first[1]}"
        started.terminate()
        assert started.wait(20) == 0
        assert started.stderr is not None
        assert started.stderr.read() == ""


@pytest.fixture
def url(running: tuple[subprocess.Popen[str], str], network_allowance: Any) -> str:
    """Its address, with everything forgotten."""
    address = running[1]
    network_allowance.allow("127.0.0.1", int(address.rpartition(":")[2]))
    httpx.post(f"{address}/__admin/reset").raise_for_status()
    httpx.post(f"{address}/__admin/clock", json={"virtual": False}).raise_for_status()
    return address


def ask_many(url: str, count: int, **parameters: Any) -> list[httpx.Response]:
    """So many requests for the same at once, each over a connection of its own."""
    with httpx.Client(base_url=url, headers=HEADERS, timeout=60) as http, ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: http.post(CHAT, json=chat(**parameters)), range(count)))


def test_every_worker_gives_the_same_bytes(url: str) -> None:
    answers = ask_many(url, 24)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


def test_no_two_requests_have_the_same_id(url: str) -> None:
    answers = ask_many(url, 24)
    assert len({answer.headers["x-request-id"] for answer in answers}) == 24


def test_each_step_of_a_script_is_taken_once(url: str) -> None:
    steps = [{"reply": str(number)} for number in range(20)]
    httpx.post(f"{url}/__admin/script", json={"steps": steps}).raise_for_status()
    answers = ask_many(url, 20)
    texts = [answer.json()["choices"][0]["message"]["content"] for answer in answers]
    assert sorted(texts, key=int) == [str(number) for number in range(20)]
    assert httpx.get(f"{url}/__admin/script").json()["steps"] == []


def test_quotas_are_those_of_all_workers_together(url: str) -> None:
    httpx.post(f"{url}/__admin/clock", json={"virtual": True}).raise_for_status()
    httpx.put(f"{url}/__admin/quotas", json={"rpm": 7}).raise_for_status()
    answers = ask_many(url, 20)
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [429] * 13
    httpx.post(f"{url}/__admin/clock", json={"advance_s": 60}).raise_for_status()
    answers = ask_many(url, 7)
    assert {answer.status_code for answer in answers} == {200}


def test_the_journal_has_what_all_workers_saw_in_order_of_arrival(url: str) -> None:
    for _ in range(3):
        ask_many(url, 6)
    exchanges = httpx.get(f"{url}/__admin/journal").json()["exchanges"]
    assert [exchange["status"] for exchange in exchanges] == [200] * 18
    arrivals = [exchange["started_at"] for exchange in exchanges]
    assert arrivals == sorted(arrivals)
    assert len({exchange["number"] for exchange in exchanges}) == 18


def test_a_reset_forgets_what_all_workers_saw(url: str) -> None:
    ask_many(url, 9)
    httpx.post(f"{url}/__admin/reset").raise_for_status()
    assert httpx.get(f"{url}/__admin/journal").json()["exchanges"] == []


def test_the_virtual_clock_wakes_answers_in_every_worker(url: str) -> None:
    httpx.post(f"{url}/__admin/clock", json={"virtual": True}).raise_for_status()
    step = {"fault": "latency", "delay_s": 3600, "times": "forever"}
    httpx.post(f"{url}/__admin/script", json={"steps": [step]}).raise_for_status()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_many, url, 9)
        while len(httpx.get(f"{url}/__admin/journal").json()["exchanges"]) < 9:
            pass
        httpx.post(f"{url}/__admin/clock", json={"advance_s": 3600}).raise_for_status()
        answers = asking.result(30)
    assert {answer.status_code for answer in answers} == {200}


def test_an_error_of_the_admin_api_comes_through(url: str) -> None:
    response = httpx.post(f"{url}/__admin/script", json={"steps": [{"fault": "rate_limitd"}]})
    assert response.status_code == 400
    assert "did you mean 'rate_limited'" in response.json()["error"]["message"]


def test_a_worker_that_dies_ends_the_server(network_allowance: Any) -> None:
    command = [sys.executable, "-m", "mockserver", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert LISTENING.fullmatch(started.stdout.readline())
        os.kill(children_of(started.pid)[-1], signal.SIGKILL)
        assert started.wait(20) == 2
        assert started.stderr is not None
        assert "a worker has ended by itself" in started.stderr.read()


def children_of(pid: int) -> list[int]:
    """The worker processes: those children that run Python's multiprocessing, newest last."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:  # noqa: PTH123 - no regular file
        return [child for child in map(int, children.read().split()) if b"spawn_main" in _command_of(child)]


def _command_of(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as command:  # noqa: PTH123
        return command.read()
