"""Several processes behind one port: what they share, and that nobody can tell."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
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


def test_a_reset_forgets_what_a_worker_is_still_answering(url: str) -> None:
    httpx.post(f"{url}/__admin/clock", json={"virtual": True}).raise_for_status()
    steps = [{"fault": "latency", "delay_s": 60}]
    httpx.post(f"{url}/__admin/script", json={"steps": steps}).raise_for_status()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_many, url, 1)
        while httpx.get(f"{url}/__admin/clock").json()["next_wake"] is None:
            pass
        httpx.post(f"{url}/__admin/reset").raise_for_status()
        httpx.post(f"{url}/__admin/clock", json={"advance_s": 60}).raise_for_status()
        assert asking.result(30)[0].status_code == 200
    assert httpx.get(f"{url}/__admin/journal").json()["exchanges"] == []
    assert httpx.get(f"{url}/__admin/ledger").json()["total"]["requests"] == 0


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


def test_a_refusal_shuts_the_port_of_all_workers(url: str) -> None:
    httpx.post(f"{url}/__admin/clock", json={"virtual": True}).raise_for_status()
    steps = [{"fault": "refuse", "seconds": 3600}]
    with httpx.Client(base_url=url) as admin:  # over a connection that is open before the port is shut
        admin.post("/__admin/script", json={"steps": steps}).raise_for_status()
        with pytest.raises(httpx.TransportError):
            ask_many(url, 1)
        for _ in range(6):
            with pytest.raises(httpx.ConnectError):
                ask_many(url, 1)
        admin.post("/__admin/clock", json={"advance_s": 3600}).raise_for_status()
        until_open(url)
    assert {answer.status_code for answer in ask_many(url, 12)} == {200}


def until_open(url: str) -> None:
    """Return as soon as somebody listens again: the worker that shut the port is woken in its own time."""
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{url}/__admin/health")
        except httpx.ConnectError:
            assert time.monotonic() < deadline
        else:
            return


def test_an_error_of_the_admin_api_comes_through(url: str) -> None:
    response = httpx.post(f"{url}/__admin/script", json={"steps": [{"fault": "rate_limitd"}]})
    assert response.status_code == 400
    assert "did you mean 'rate_limited'" in response.json()["error"]["message"]


def test_the_page_is_found_behind_a_slash_too(url: str) -> None:
    redirected = httpx.get(f"{url}/__admin/ui/")
    assert redirected.is_redirect
    assert httpx.get(f"{url}/__admin/ui/", follow_redirects=True).text.startswith("<!doctype html>")


def test_an_admin_request_may_come_in_chunks(url: str) -> None:
    response = httpx.post(f"{url}/__admin/script", content=iter([b'{"steps": ', b"[]}"]))
    assert response.status_code == 200


def test_the_clock_says_when_the_first_answer_in_any_worker_goes_on(url: str) -> None:
    now = httpx.post(f"{url}/__admin/clock", json={"virtual": True}).json()["now"]
    steps = [{"fault": "latency", "delay_s": wait_s} for wait_s in (300, 200, 400)]
    httpx.post(f"{url}/__admin/script", json={"steps": steps}).raise_for_status()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_many, url, 3)
        while len(httpx.get(f"{url}/__admin/journal").json()["exchanges"]) < 3:
            pass
        assert httpx.get(f"{url}/__admin/clock").json()["next_wake"] == pytest.approx(now + 200, abs=1e-3)
        httpx.post(f"{url}/__admin/clock", json={"advance_s": 400}).raise_for_status()
        asking.result(30)


def test_streams_under_way_at_the_end_are_judged_once(network_allowance: Any, tmp_path: Path) -> None:
    script = tmp_path / "slow.yaml"
    script.write_text("steps: [{reply: one two three four, chunk_delay_s: 0.1, times: forever}]")
    with served("--workers", "3", "--verdict", "--script", str(script)) as (started, address):
        network_allowance.allow("127.0.0.1", int(address.rpartition(":")[2]))
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask_many, address, 6, stream=True)
            while len(httpx.get(f"{address}/__admin/journal").json()["exchanges"]) < 6:
                pass
            started.terminate()
            asking.result(30)
        said, _ = started.communicate(timeout=20)
        assert " 6 requests" in said


def test_workers_do_not_outlive_their_hub(network_allowance: Any) -> None:
    with served("--workers", "2") as (started, address):
        network_allowance.allow("127.0.0.1", int(address.rpartition(":")[2]))
        workers = children_of(started.pid)
        started.kill()
        started.wait(20)
        deadline = time.monotonic() + 20
        while any(_lives(worker) for worker in workers):
            assert time.monotonic() < deadline
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/v1/models")


def _lives(pid: int) -> bool:
    try:
        return b"spawn_main" in _command_of(pid)
    except FileNotFoundError:
        return False


@contextmanager
def served(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of the test's own, and its address."""
    command = [sys.executable, "-m", "mockserver", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        first = LISTENING.fullmatch(started.stdout.readline())
        assert first, started.stderr and started.stderr.read()
        try:
            yield started, f"http://127.0.0.1:{first[1]}"
        finally:
            started.kill()


def test_a_worker_that_dies_ends_the_server() -> None:
    with served("--workers", "2") as (started, _):
        os.kill(children_of(started.pid)[-1], signal.SIGKILL)
        assert started.wait(20) == 2
        assert started.stderr is not None
        said = started.stderr.read()
    assert "a worker has ended by itself" in said
    assert "-9" in said


def children_of(pid: int) -> list[int]:
    """The worker processes: those children that run Python's multiprocessing, newest last."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:  # noqa: PTH123 - no regular file
        return [child for child in map(int, children.read().split()) if b"spawn_main" in _command_of(child)]


def _command_of(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as command:  # noqa: PTH123
        return command.read()
