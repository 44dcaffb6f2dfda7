"""Random numbers that depend on the seed and the request alone: the same in every process.

A stream of hashes, not Python's Mersenne twister: seeding that costs more than all the numbers that a request needs.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LETTERS = bytes(_ALPHABET[number % len(_ALPHABET)] for number in range(256))
_PLAIN = frozenset({str, int})


class Dice:
    """Random numbers that depend on nothing but the seed and the JSON values given."""

    __slots__ = ("_at", "_count", "_key", "_pool")

    def __init__(self, seed: int, *parts: Any) -> None:
        are_plain = _PLAIN.issuperset(map(type, parts))
        material = repr((seed, parts)) if are_plain else json.dumps([seed, *parts], sort_keys=True)
        # the first block is the digest itself: most dice need no more
        self._pool = self._key = hashlib.blake2b(material.encode("utf-8", "surrogatepass")).digest()
        self._at = self._count = 0

    def bytes(self, count: int) -> bytes:
        """So many bytes."""
        while len(self._pool) - self._at < count:
            block = hashlib.blake2b(self._count.to_bytes(8, "big"), key=self._key).digest()
            self._pool, self._at, self._count = self._pool[self._at :] + block, 0, self._count + 1
        taken = self._pool[self._at : self._at + count]
        self._at += count
        return taken

    def getrandbits(self, bits: int) -> int:
        """A whole number of so many bits."""
        count = -(-bits // 8)
        return int.from_bytes(self.bytes(count), "big") >> (8 * count - bits)

    def random(self) -> float:
        """A number from 0 to 1, which itself it never is."""
        return (int.from_bytes(self.bytes(7), "big") >> 3) / (1 << 53)

    def uniform(self, least: float, most: float) -> float:
        """A number within bounds."""
        return least + (most - least) * self.random()

    def lognormvariate(self, mu: float, sigma: float) -> float:
        """A number whose logarithm is normally distributed with mean `mu` and deviation `sigma`."""
        normal = math.sqrt(-2 * math.log(1 - self.random())) * math.cos(2 * math.pi * self.random())
        return math.exp(mu + sigma * normal)

    def randrange(self, start: int, stop: int | None = None) -> int:
        """A whole number from `start`, or 0, up to but without the last argument; ValueError where there is none."""
        low, high = (0, start) if stop is None else (start, stop)
        if high <= low:
            raise ValueError(f"there is no whole number from {low} up to but without {high}")
        width = high - low
        return low + self.getrandbits(width.bit_length() + 32) % width

    def randint(self, least: int, most: int) -> int:
        """A whole number within bounds, both of which it may be."""
        return self.randrange(least, most + 1)

    def choice(self, options: Sequence[T]) -> T:
        """One of several."""
        return options[self.randrange(len(options))]

    def sample(self, options: Sequence[T], *, k: int) -> list[T]:
        """So many of several, each at most once, in any order."""
        left = list(options)
        return [left.pop(self.randrange(len(left))) for _ in range(k)]

    def token(self, length: int) -> str:
        """Letters and digits, as in the API's ids."""
        return self.bytes(length).translate(_LETTERS).decode()

    def hexadecimal(self, length: int) -> str:
        """So many hexadecimal digits."""
        return self.bytes(-(-length // 2)).hex()[:length]

    def uuid(self) -> str:
        """The digits of a UUID in their groups."""
        digits = self.hexadecimal(32)
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
