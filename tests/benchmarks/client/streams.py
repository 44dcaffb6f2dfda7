"""What a chunk of a stream costs, beside iterating over the SDK's `create(stream=True)`.

Both take the text of each chunk. The 2,000 chunks come in one body, read in pieces of 64 KiB, or one by one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.cache import TEXT
from tests.benchmarks.client.calls import server
from tests.benchmarks.client.results import Line, best_us
from tests.benchmarks.client.sides import MODEL, Reply, Sides, conversation, sides, transport

CHUNKS = 2_000
MOST_TIMES = 0.2
PIECE_BYTES = 1 << 16
SAID = conversation(1, TEXT)


def lines(directory: Path, *, runs: int) -> Iterator[Line]:
    """Streams in one body and chunk by chunk, within this process and over a socket."""
    chunks = list(frames(CHUNKS))
    whole = b"".join(chunks)
    pieces = [whole[start : start + PIECE_BYTES] for start in range(0, len(whole), PIECE_BYTES)]
    for name, parts in (("one body", pieces), ("chunk by chunk", chunks)):
        with sides(inside=transport(Reply(lambda parts=parts: iter(parts)), "text/event-stream")) as those:  # type: ignore[misc] # mypy does not infer a lambda with a default
            yield from _lines(f"in process, {name}", those, runs)
    for name, kind, option in (("one body", "raw", "--body"), ("chunk by chunk", "aiohttp", "--stream")):
        with server(directory, whole, kind=kind, option=option) as one:
            with sides(url=f"http://127.0.0.1:{one.port}/v1") as those:
                yield from _lines(f"socket, {name}", those, runs)


def frames(count: int) -> Iterator[bytes]:
    """The server-sent events of a chat of so many chunks, as the API sends them."""
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_763_000_000,
        "model": "gpt-4o-2024-08-06",
    }
    head |= {"service_tier": "default", "system_fingerprint": "fp_1"}

    def frame(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + json.dumps({**head, "choices": [choice], "usage": None}).encode() + b"\n\n"

    yield frame({"role": "assistant", "content": "", "refusal": None})
    word = frame({"content": " word"})
    for _ in range(count - 3):
        yield word
    yield frame({}, "stop")
    usage = {"prompt_tokens": 17, "completion_tokens": count, "total_tokens": count + 17}
    yield b"data: " + json.dumps({**head, "choices": [], "usage": usage}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _lines(name: str, those: Sides, runs: int) -> Iterator[Line]:
    plain = {"ours": lambda: _ours(those), "theirs": lambda: _theirs(those)}
    yield _beside(f"sync, {name}", plain, runs)
    awaited = {"ours": those.run(1, lambda: _ours_async(those)), "theirs": those.run(1, lambda: _theirs_async(those))}
    yield _beside(f"async, {name}", awaited, runs)


def _beside(name: str, work: dict[str, Callable[[], Any]], runs: int) -> Line:
    found = best_us(work, each=CHUNKS, runs=runs)
    return Line(name=f"{name}, a chunk", ours=found["ours"], theirs=found["theirs"], judged="times", at_most=MOST_TIMES)


def _ours(those: Sides) -> int:
    with those.ours.stream(SAID) as stream:
        return sum(len(event.text) for event in stream)


def _theirs(those: Sides) -> int:
    create: Any = those.sdk.chat.completions.create
    with create(messages=SAID, model=MODEL, stream=True) as stream:
        return sum(len(chunk.choices[0].delta.content or "") for chunk in stream if chunk.choices)


async def _ours_async(those: Sides) -> int:
    length = 0
    async with those.ours_async.stream(SAID) as stream:
        async for event in stream:
            length += len(event.text)
    return length


async def _theirs_async(those: Sides) -> int:
    create: Any = those.sdk_async.chat.completions.create
    length = 0
    async with await create(messages=SAID, model=MODEL, stream=True) as stream:
        async for chunk in stream:
            length += len(chunk.choices[0].delta.content or "") if chunk.choices else 0
    return length
