"""What counting costs beside tiktoken alone: `python -m tests.benchmarks.tokens [--check]`.

Ours is count_tokens of one message, or of a conversation, as nobody has counted it before; theirs is tiktoken's
`encode_ordinary` of the same contents, and for short chats, which are prose of our own pages, `encode`, as most people
call it. Both are CPU times of this process, the best of many rounds in turn. Row 2.T5.
"""

from __future__ import annotations

import argparse
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmkit import count_text, count_tokens, vocabulary

LEAST_RATIO = 0.9  # of tiktoken's speed, on plain text
MOST_S = 1.0  # for a million letters that are hard to tokenize
ROUNDS = 9
MODEL = "gpt-4o"
PAGES = Path(__file__).parents[2] / "docs"
SENTENCE = "the quick brown fox jumps over lazy dogs while counting every token twice in a row of forty"
TOOL = {
    "name": "get_weather",
    "description": "Return weather information for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; `ours` and `theirs` in seconds, the goal of a ratio or of seconds."""

    name: str
    ours: float
    theirs: float | None = None
    most_s: float | None = None
    least_ratio: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the goals are met."""
        fast = self.most_s is None or self.ours <= self.most_s
        return fast and (self.least_ratio is None or (self.theirs or 0.0) / self.ours >= self.least_ratio)

    def __str__(self) -> str:
        ratio = f"{self.theirs / self.ours:.2f} of tiktoken's speed" if self.theirs else ""
        goal = f"≥ {self.least_ratio}" if self.least_ratio else f"≤ {self.most_s} s" if self.most_s else ""
        return f"{self.name:40} {self.ours * 1e6:12,.1f} us  {ratio:30} {goal:8} {'' if self.is_met else 'MISSED'}"


def main() -> int:
    """Measure and print; with --check, 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description="Counting beside tiktoken alone.")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    asked = parser.parse_args()
    print(f"Python {platform.python_version()}, CPU time, best of {ROUNDS}")
    missed = 0
    for line in lines():
        print(line)
        missed += not line.is_met
    return int(asked.check and missed > 0)


def lines() -> Iterator[Line]:
    """Plain text of several lengths, a conversation, tools, and hostile text."""
    tokenizer = vocabulary.encoding("o200k_base")
    for words in (150, 1_500, 15_000, 150_000):
        texts = [text(words, seed) for seed in range(max(2, 6_000 // words) * (ROUNDS + 1))]
        ours, theirs = in_turn(texts, lambda one: count_tokens(one, model=MODEL), tokenizer.encode_ordinary)
        yield Line(f"{words:,} words", ours, theirs, least_ratio=LEAST_RATIO)
    talks = [[{"role": "user", "content": text(150, 10_000 + 99 * seed + n)} for n in range(20)] for seed in range(50)]
    ours, theirs = in_turn(
        talks,
        lambda talk: count_tokens(talk, model=MODEL),
        lambda talk: [tokenizer.encode_ordinary(message["content"]) for message in talk],
    )
    yield Line("20 messages of 150 words, all new", ours, theirs)
    for messages, words in ((1, 150), (1, 50), (1, 20), (3, 20)):
        ours, theirs = in_turn(
            prose(messages, words),
            lambda talk: count_tokens(talk, model=MODEL),
            lambda talk: [tokenizer.encode(message["content"]) for message in talk],
        )
        least = LEAST_RATIO if words > 20 else None
        yield Line(f"prose, {messages} of {words} words, all new", ours, theirs, least_ratio=least)
    yield Line("the same again", timed(lambda: count_tokens(talks[-1], model=MODEL), 200))
    told = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": text(150, 1)}]
    yield Line("2 messages again", timed(lambda: count_tokens(told, model=MODEL), 500))
    yield Line("2 messages and a tool again", timed(lambda: count_tokens(told, model=MODEL, tools=[TOOL]), 200))
    for letter in ("a", " ", "^", "\n", "\u3000"):
        taken = timed(lambda letter=letter: count_text(letter * 1_000_000, model=MODEL), 1, rounds=2)  # type: ignore[misc]
        yield Line(f"a million times {letter!r}", taken, most_s=MOST_S)


def text(words: int, seed: int) -> str:
    """Words in an order that nobody has seen before."""
    return " ".join(random.Random(seed).choices(SENTENCE.split(), k=words))


def prose(messages: int, words: int) -> list[list[dict[str, str]]]:
    """Conversations cut out of the documentation, none of them twice."""
    said = [word for page in sorted(PAGES.rglob("*.md")) for word in page.read_text().split() if "<|" not in word]
    size = messages * words
    starts = range(words, len(said) - size, size)  # what is cut otherwise, no other line has counted
    return [
        [{"role": "user", "content": " ".join(said[at : at + words])} for at in range(start, start + size, words)]
        for start in starts
    ]


def in_turn(given: list[Any], ours: Callable[[Any], object], theirs: Callable[[Any], object]) -> tuple[float, float]:
    """The best times for one of those given; each is counted once by both, who take turns in going first."""
    size = len(given) // (ROUNDS + 1)
    times: dict[Callable[[Any], object], list[float]] = {ours: [], theirs: []}
    for number in range(ROUNDS + 1):
        part = given[number * size : (number + 1) * size]
        for count in (ours, theirs) if number % 2 else (theirs, ours):
            start = time.process_time()
            for one in part:
                count(one)
            times[count].append((time.process_time() - start) / size)
    return min(times[ours]), min(times[theirs])


def timed(count: Callable[[], object], times: int, *, rounds: int = ROUNDS) -> float:
    """The best time for one call."""
    count()
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            count()
        best = min(best, (time.process_time() - start) / times)
    return best


if __name__ == "__main__":
    sys.exit(main())
