"""Deterministic content: the same seed and request give the same text, arguments and vectors in every process.

Text is drawn from the prompt's own words, so that a reply looks as if it had been read.
"""

import array
import hashlib
import json
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_WORD = re.compile(r"\w+", re.UNICODE)
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

# words that say little about what a text is about
_COMMON = frozenset(
    _WORD.findall(
        "a about an and are as at be by can do does for from have how i if in is it its me my not of on or please so"
        " tell that the their them then there they this to use was we what when where which who why will with would you"
        " your"
    )
)

_OPENINGS = (
    "Here is what matters about {topic}.",
    "Let me answer about {topic}.",
    "In short, {topic} comes down to a few points.",
    "Thanks for asking about {topic}.",
    "A brief look at {topic}.",
)
_SENTENCES = (
    "The first thing to note is {one}, which shapes {two}.",
    "Most people start with {one} and then turn to {two}.",
    "When {one} changes, {two} usually follows.",
    "There is a close link between {one} and {two}.",
    "It helps to keep {one} apart from {two}.",
    "In practice {one} matters more than {two}.",
)
_CLOSINGS = (
    "Let me know if you would like more detail on {one}.",
    "That is the essence of {topic}.",
    "I can go deeper into {one} if that helps.",
)


class Dice(random.Random):
    """Random numbers that depend on nothing but the seed and the JSON values given."""

    def __init__(self, seed: int, *parts: Any) -> None:
        material = json.dumps([seed, *parts], sort_keys=True, ensure_ascii=True).encode()
        super().__init__(int.from_bytes(hashlib.sha256(material).digest(), "big"))

    def token(self, length: int) -> str:
        """Letters and digits, as in the API's ids."""
        return "".join(self.choices(_ALPHABET, k=length))

    def hexadecimal(self, length: int) -> str:
        """So many hexadecimal digits."""
        return f"{self.getrandbits(4 * length):0{length}x}"

    def uuid(self) -> str:
        """The digits of a UUID in their groups."""
        digits = self.hexadecimal(32)
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def words_of(text: str) -> list[str]:
    """The words of a text in their order, without those that say little; all of them where nothing else is left."""
    words = _WORD.findall(text)
    return [word for word in words if word.lower() not in _COMMON and not word.isdigit()] or words


def text_about(prompt: str, dice: Dice) -> str:
    """A few plausible sentences about `prompt`."""
    words = list(dict.fromkeys(words_of(prompt)))[:40] or ["this"]
    topic = " ".join(words[: min(3, len(words))])
    sentences = [dice.choice(_OPENINGS), *dice.sample(_SENTENCES, k=dice.randint(1, 3)), dice.choice(_CLOSINGS)]
    return " ".join(
        sentence.format(topic=topic, one=dice.choice(words), two=dice.choice(words)) for sentence in sentences
    )


def text_from_results(results: Sequence[tuple[str, str]], dice: Dice) -> str:
    """A sentence a tool result, given as (tool, result) pairs: the answer that follows tool calls."""
    openings = (
        "According to {tool}, the result is {result}.",
        "{tool} says {result}.",
        "The answer from {tool}: {result}.",
    )
    return " ".join(dice.choice(openings).format(tool=tool, result=_readable(result)) for tool, result in results)


def _readable(result: str) -> str:
    """A JSON object as `name value` pairs, anything else as it is; shortened."""
    try:
        value = json.loads(result)
    except ValueError:
        value = result
    if isinstance(value, Mapping):
        value = ", ".join(f"{name} {_scalar(item)}" for name, item in value.items())
    return str(_scalar(value)).strip()[:400] or "empty"


def _scalar(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


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
        weight = 0.15 if word in _COMMON else min(1.0, 0.4 + 0.1 * len(word))
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
