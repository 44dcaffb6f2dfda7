"""What a call costs grows as its reply does, and no faster, however the reply is built. Rows 3.T5, 5.T7 and H10.

CPU time of this process, the best of several, ten times as much against as much: a bound on a ratio, far above what is
measured and far below what anything quadratic would need.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import Completion, count_text, parsers
from llmkit.responses import completion, embedding
from llmkit.streaming import ChatReader

ROUNDS = 3
MOST = 30.0
"""Ten times the work may cost so many times as much; twice or thrice comes from caches and the allocator."""


def cpu_s(work: Callable[[], object]) -> float:
    """The least CPU time that it takes."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return max(min(times), 1e-4)


def chat(content: str, **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "model": "gpt-4o", "choices": [choice]}


def read_text(size: int) -> object:
    return completion(json.loads(json.dumps(chat("words and words, " * size))))


def read_tool_calls(size: int) -> object:
    arguments = json.dumps({"ids": list(range(20))})
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": arguments}} for n in range(size)
    ]
    return completion(json.loads(json.dumps(chat("", tool_calls=calls))))


def read_vectors(size: int) -> object:
    rows = [{"index": n, "embedding": [0.25] * 64} for n in range(size)]
    return embedding({"model": "m", "data": rows}, texts=size)


def read_stream(size: int) -> Completion:
    """In pieces that end anywhere."""
    delta = {
        "id": "chatcmpl-1",
        "model": "gpt-4o",
        "choices": [{"index": 0, "delta": {"content": "wörter "}, "finish_reason": None}],
    }
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    frames = (
        f"data: {json.dumps(delta, ensure_ascii=False)}\n\n" * size + f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n"
    )
    data, reader = frames.encode(), ChatReader()
    for begin in range(0, len(data), 1_000):
        reader.feed(data[begin : begin + 1_000])
    reader.end()
    return reader.completion()


def parsed(text: str, *, lenient: bool = False) -> Any:
    return parsers.Json(lenient=lenient)(text)


def parse_wide_json(size: int) -> object:
    return parsed(json.dumps([{"id": n, "name": "Ada", "tags": ["a", "b"]} for n in range(size)]))


def parse_json_in_prose(size: int) -> object:
    prose = "much is said { before [ it comes.\n" * size
    return parsed(f'Here you are:\n{prose}```json\n{{"a": 1}}\n```\n', lenient=True)


def parse_long_list(size: int) -> object:
    return parsers.Items()("".join(f"- Item {number} of the list\n" for number in range(size)))


def count_words(size: int) -> object:
    return count_text("".join(f"word{n} " for n in range(size)), model="gpt-4o")


WORK: dict[str, tuple[Callable[[int], object], int]] = {
    "a long text": (read_text, 20_000),
    "many tool calls": (read_tool_calls, 300),
    "many vectors": (read_vectors, 200),
    "a long stream": (read_stream, 500),
    "wide JSON": (parse_wide_json, 1_000),
    "JSON after much prose": (parse_json_in_prose, 500),
    "a long list": (parse_long_list, 500),
    "a long text to count": (count_words, 5_000),
}


@pytest.mark.parametrize("name", WORK)
def test_ten_times_as_much_does_not_cost_a_hundred_times_as_much(name: str) -> None:
    work, size = WORK[name]
    small, large = cpu_s(lambda: work(size)), cpu_s(lambda: work(10 * size))
    assert large / small < MOST, (small, large)


@pytest.mark.parametrize("depth", [10, 100])
def test_nested_json_is_read_at_any_depth_that_a_schema_has(depth: int) -> None:
    nested: Any = 1
    for _ in range(depth):
        nested = {"a": [nested]}
    assert parsed(json.dumps(nested)) == nested


def test_a_reply_of_megabytes_is_read_whole() -> None:
    """Row 3.T5."""
    text = "0123456789 äöü " * 400_000
    assert completion(json.loads(json.dumps(chat(text)))).text == text


def test_a_stream_of_many_frames_is_read_whole() -> None:
    """Row 3.T5."""
    assert read_stream(5_000).text == "wörter " * 5_000
