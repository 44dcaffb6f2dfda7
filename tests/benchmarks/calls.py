"""What a call costs beside the official SDK's: `python -m tests.benchmarks.calls`.

The same requests to the same mock server, in turn; CPU time of this process with all its threads, the best of many
rounds. Ours also checks the request, keeps limits and breaker, and judges the answer; the SDK's makes models of it.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openai

from llmkit import Client
from tests.benchmarks.measurement import alternating
from tests.benchmarks.mockserver import servers

ROUNDS, CALLS, STREAMS = 7, 30, 4
WORDS = 1_000
MODEL = "gpt-4o-mini"
SCRIPT = f"""\
steps:
  - reply: "{"word " * WORDS}"
    match: {{stream: true}}
    times: forever
  - reply: "{"word " * 20}"
    times: forever
"""


def main() -> int:
    """Print the table."""
    print(f"Python {platform.python_version()}, openai {openai.__version__}, CPU time, best of {ROUNDS}\n")
    with tempfile.TemporaryDirectory() as directory:
        for name, ours_ms, theirs_ms in measured(Path(directory)):
            print(f"{name:28} {ours_ms * 1000:10.0f} µs {theirs_ms * 1000:10.0f} µs  {ours_ms / theirs_ms:5.2f} times")
    return 0


def measured(directory: Path) -> Iterator[tuple[str, float, float]]:
    """Yield what a call costs with ours and with the SDK, in ms."""
    script = directory / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    command = servers.ours("--script", str(script))
    with servers.started("mockserver", command, cores=os.sched_getaffinity(0)) as server:
        url = f"http://127.0.0.1:{server.port}/v1"
        with (
            Client(base_url=url, api_key="any", model=MODEL) as ours,
            openai.OpenAI(base_url=url, api_key="any") as theirs,
        ):
            for name, count, mine, other in _work(ours, theirs):
                runs = alternating({"ours": _times(count, mine), "theirs": _times(count, other)}, runs=ROUNDS)
                yield name, runs["ours"].best / count, runs["theirs"].best / count


def _work(ours: Client, theirs: openai.OpenAI) -> Iterator[tuple[str, int, Callable[[], object], Callable[[], object]]]:
    for count in (1, 10, 100):
        talk: list[Any] = [{"role": "user", "content": f"Message {number} of a talk"} for number in range(count)]
        create = partial(theirs.chat.completions.create, model=MODEL, messages=talk)
        yield f"chat, {count} message{'s' * (count > 1)}", CALLS, partial(ours.chat, talk), create
    yield f"stream of {WORDS:,} words", STREAMS, partial(_read_ours, ours), partial(_read_theirs, theirs)


def _times(count: int, call: Callable[[], object]) -> Callable[[], None]:
    def calls() -> None:
        for _ in range(count):
            call()

    return calls


def _read_ours(client: Client) -> str:
    with client.stream("Hi") as stream:
        return "".join(event.text for event in stream)


def _read_theirs(client: openai.OpenAI) -> str:
    messages: list[Any] = [{"role": "user", "content": "Hi"}]
    stream = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


if __name__ == "__main__":
    sys.exit(main())
