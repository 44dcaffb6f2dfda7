"""Embeddings: unit vectors that are nearer for texts that share words, the same in every process."""

import array
import hashlib
import math
import re
from collections.abc import Iterator, Sequence

from mockserver.generating.prose import COMMON

_WORD = re.compile(r"\w+", re.UNICODE)


def vector_for(text: str, *, dimensions: int, full: int, seed: int) -> list[float]:
    """A unit vector near those of texts with the same words; `dimensions` of the `full` ones, normalised again."""
    vector = _noise(f"{seed}:{text}", full)
    for feature, weight in _features(text):
        for position, sign in _positions(f"{seed}:{feature}", full):
            vector[position] += sign * weight
    return _normalised(vector[:dimensions])


def _features(text: str) -> Iterator[tuple[str, float]]:
    """Words, and their first letters as a stand-in for the stem; rarer words count more."""
    for word in _WORD.findall(text.lower()):
        weight = 0.15 if word in COMMON else min(1.0, 0.4 + 0.1 * len(word))
        yield word, weight
        if len(word) > 4:
            yield word[:4] + "-", weight / 2


def _positions(feature: str, full: int) -> Iterator[tuple[int, float]]:
    digest = hashlib.shake_256(feature.encode()).digest(48)
    for start in range(0, 48, 3):
        number = int.from_bytes(digest[start : start + 3], "big")
        yield (number >> 1) % full, 1.0 if number & 1 else -1.0


def _noise(text: str, length: int) -> list[float]:
    """A little of something everywhere: real vectors are dense, and no two texts have the same."""
    numbers = array.array("h", hashlib.shake_256(text.encode()).digest(2 * length))
    return [(number + 0.5) / 1_000_000 for number in numbers]


def _normalised(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    return [value / length for value in vector]
