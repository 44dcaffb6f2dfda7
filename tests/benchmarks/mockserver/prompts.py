"""The requests of the load, as bytes: one prompt again and again, or ordinary English that is new each time."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from functools import cache
from pydoc_data.topics import topics
from typing import Any

SENTENCES = 12  # about 200 to 400 tokens
FRAMES = 20
# the role, a frame for each of so many tokens, the finish reason and [DONE] make the frames
TOKENS = FRAMES - 3

_PLAIN = re.compile(r"[A-Z][A-Za-z ,;'()-]{50,160}\.")


@cache
def sentences() -> tuple[str, ...]:
    """English sentences that every CPython brings along."""
    found = re.split(r"(?<=\.)\s+", re.sub(r"\s+", " ", " ".join(topics.values())))
    return tuple(dict.fromkeys(one for one in found if _PLAIN.fullmatch(one)))


def repeated(count: int, **options: Any) -> list[bytes]:
    """So many requests with the same prompt; `options` go into the body."""
    return [_request(_prompt(random.Random(1)), options)] * count


def fresh(count: int, *, seed: int, **options: Any) -> list[bytes]:
    """So many requests with a prompt each that no other seed or number has."""
    return _asking(count, seed, _prompt, options)


def short(count: int, *, seed: int, **options: Any) -> list[bytes]:
    """The same with prompts of a sentence, as most tests send them."""
    return _asking(count, seed, lambda dice: dice.choice(sentences()), options)


def stream_options() -> dict[str, Any]:
    """What makes a reply a stream of `FRAMES` frames."""
    return {"stream": True, "max_tokens": TOKENS}


def _asking(count: int, seed: int, ask: Callable[[random.Random], str], options: dict[str, Any]) -> list[bytes]:
    dice = random.Random(seed)
    return [_request(f"Question {seed}.{number}: {ask(dice)}", options) for number in range(count)]


def _prompt(dice: random.Random) -> str:
    return " ".join(dice.sample(sentences(), SENTENCES))


def _request(prompt: str, options: dict[str, Any]) -> bytes:
    messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": prompt}]
    body = json.dumps({"model": "gpt-4o", "messages": messages, **options}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer benchmark-key\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
