"""Full disks, wrong files, raising callbacks and interrupts: nothing that came is lost."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from llmkit import AsyncClient, BulkFailed, Client, ConfigError
from llmkit.bulk.resuming import ResumeFile
from mockserver import MockServer, fault
from tests.llmkit.bulk.conftest import KEY, asked

PROMPTS = [f"What is number {number} about?" for number in range(12)]


@contextmanager
def most_bytes(size: int) -> Iterator[None]:
    """A disk that is full once a file has that many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("place", ["/dev/full", "/dev/zero", "/dev/null"])
def test_what_is_no_regular_file_is_refused(place: str) -> None:
    with pytest.raises(ConfigError, match=f"resume = '{place}' is no regular file"), ResumeFile(place):
        pass


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is no regular file"), ResumeFile(tmp_path / "pipe"):
        pass


@pytest.mark.parametrize("path", ["a\0b", True, 5, b"bytes\0"])
def test_what_is_no_path_is_refused(path: Any, client: Client) -> None:
    with pytest.raises(ConfigError, match="resume = "):
        client.map(["a"], resume=path)


def test_a_file_without_a_line_end_is_not_read_whole(tmp_path: Path) -> None:
    """A file of something else may be larger than the memory."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ConfigError, match="is no file of bulk answers"), ResumeFile(path):
        pass
    assert path.stat().st_size == 2**40


@pytest.mark.parametrize("size", [0, 1, 20])
def test_a_file_whose_first_line_was_cut_off_is_begun_anew(size: int, tmp_path: Path) -> None:
    path = tmp_path / "answers"
    with ResumeFile(path):
        pass
    path.write_bytes(path.read_bytes()[:size])
    with ResumeFile(path) as file:
        file.add("a", {"b": 1})
    with ResumeFile(path) as file:
        assert file.get("a") == {"b": 1}


@pytest.mark.parametrize("size", [0, 10, 200])
def test_a_full_disk_is_told_and_the_file_stays_whole(size: int, tmp_path: Path) -> None:
    path = tmp_path / "answers"
    with most_bytes(size), pytest.raises(ConfigError, match=r"resume = .*answers' cannot be written: "):
        with ResumeFile(path) as file:
            for number in range(100):
                file.add(f"key {number}", {"text": "x" * 20})
    with ResumeFile(path) as file:
        kept = len(file)
        file.add("after", {"text": "y"})
    with ResumeFile(path) as file:
        assert len(file) == kept + 1


def test_room_that_comes_back_is_used_and_the_lines_before_and_after_are_whole(tmp_path: Path) -> None:
    with ResumeFile(tmp_path / "answers") as file:
        file.add("before", {"text": "x"})
        with most_bytes(file.size + 30), pytest.raises(ConfigError):
            file.add("during", {"text": "y" * 100})
        file.add("after", {"text": "z"})
        assert (file.get("before"), file.get("during"), file.get("after")) == ({"text": "x"}, None, {"text": "z"})
    with ResumeFile(tmp_path / "answers") as file:
        assert (file.get("before"), file.get("during"), file.get("after")) == ({"text": "x"}, None, {"text": "z"})


def test_answers_that_could_not_be_kept_are_given_back_with_the_failure(
    server: MockServer, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "answers"
    with most_bytes(3000), pytest.raises(BulkFailed, match="cannot be written") as caught:
        client.map(PROMPTS, resume=path, concurrency=2)
    came = [reply for reply in caught.value.results if reply is not None]
    assert len(came) == len(asked(server))
    assert len(asked(server)) < len(PROMPTS)
    client.map(PROMPTS, resume=path, concurrency=2)
    assert max(Counter(asked(server)).values()) <= 2


@pytest.mark.parametrize("at", [0, 5])
def test_what_a_progress_function_raises_comes_out_as_it_is(
    at: int, server: MockServer, client: Client, tmp_path: Path
) -> None:
    def show(done: int, total: int) -> None:
        if done == at:
            raise ZeroDivisionError(f"at {done} of {total}")

    with pytest.raises(ZeroDivisionError, match=f"at {at} of 12"):
        client.map(PROMPTS, resume=tmp_path / "answers", progress=show)
    client.map(PROMPTS, resume=tmp_path / "answers")
    assert len(asked(server)) <= len(PROMPTS) + 8


def test_what_a_parser_raises_that_is_no_error_of_ours_comes_out_as_it_is(client: Client) -> None:
    def parse(text: str) -> str:
        raise KeyError(text[:1])

    with pytest.raises(KeyError):
        client.map(PROMPTS, parse=parse)


@pytest.mark.parametrize(
    "payload",
    [{}, {"choices": []}, {"choices": 5}, {"choices": [None]}, {"choices": [{"message": 5}]}, {"id": {"a": [1]}}],
)
def test_an_answer_of_the_file_that_is_none_is_asked_again(
    payload: dict[str, Any], server: MockServer, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "answers"
    client.map(["a"], resume=path)
    header, line = path.read_text().splitlines()
    path.write_text(f"{header}\n{json.dumps({**json.loads(line), 'payload': payload})}\n")
    (reply,) = client.map(["a"], resume=path)
    assert reply.text
    assert len(asked(server)) == 2


async def test_a_cancelled_run_keeps_what_had_come(server: MockServer, tmp_path: Path) -> None:
    path = tmp_path / "answers"
    begun = asyncio.Event()
    async with AsyncClient(base_url=f"{server.url}/v1", api_key=KEY, model="gpt-4o") as client:
        run = asyncio.create_task(
            client.map(PROMPTS, resume=path, concurrency=2, progress=lambda done, _: begun.set() if done > 3 else None)
        )
        await begun.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert len(await client.map(PROMPTS, resume=path)) == len(PROMPTS)
    assert len(asked(server)) <= len(PROMPTS) + 2


_PROGRAM = """
    import sys
    from llmkit import Client
    url, path = sys.argv[1:]
    with Client(base_url=url, api_key="sk-bulk-0123456789", model="gpt-4o") as client:
        client.map([f"What is number {number} about?" for number in range(12)], concurrency=3, resume=path)
"""


@pytest.fixture
def started(server: MockServer, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts the program above, again and again with the same file."""
    running: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(_PROGRAM), f"{server.url}/v1", str(tmp_path / "answers")]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def reached(server: MockServer, requests: int, process: subprocess.Popen[str]) -> None:
    """Waits until the server has been asked that often, or the process is at its end."""
    while len(server.journal) < requests and process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.005)


def test_an_interrupt_is_one_and_what_had_come_is_kept(
    server: MockServer, started: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    server.script(fault.latency(delay_s=0.1, times=1000))
    process = started()
    reached(server, 6, process)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGINT
    assert "ExceptionGroup" not in said
    with ResumeFile(tmp_path / "answers") as file:
        assert len(file) >= 3


def test_kill_after_kill_the_run_comes_to_its_end(
    server: MockServer, started: Callable[[], subprocess.Popen[str]], client: Client, tmp_path: Path
) -> None:
    dice = random.Random(7)
    server.script(fault.latency(delay_s=0.02, times=1000))
    kills = 0
    for _ in range(2):
        process = started()
        reached(server, len(server.journal) + dice.randint(1, 5), process)
        kills += process.poll() is None
        process.kill()
        process.communicate()
    assert all(reply.complete for reply in client.map(PROMPTS, resume=tmp_path / "answers"))
    times = Counter(asked(server))
    assert set(times) == set(PROMPTS)
    assert sum(times.values()) <= len(PROMPTS) + 3 * kills
