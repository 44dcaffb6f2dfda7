"""Text, drawn from the prompt's own words, so that a reply looks as if the prompt had been read."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from mockserver.generating.dice import Dice

_WORD = re.compile(r"\w+", re.UNICODE)

# words that say little about what a text is about
COMMON = frozenset(
    _WORD.findall(
        "a about an and are as at be by can do does for from have how i if in is it its me my not of on or please so"
        " tell that the their them then there they this to use was we what when where which who why will with would you"
        " your"
    )
)

_MOST_DRAWN = 16  # bytes that a text is drawn with
_MOST_REMEMBERED = 50_000  # words
_READ = 200  # letters of a prompt that its answer is made from

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


class _Telling(dict[str, bool]):
    """Whether a word says something, worked out once for each."""

    def __missing__(self, word: str) -> bool:
        tells = word.lower() not in COMMON and not word.isdigit()
        if len(self) < _MOST_REMEMBERED:
            self[word] = tells
        return tells


_TELLING = _Telling()


def words_of(text: str) -> list[str]:
    """The words of a text in their order, without those that say little; all of them where nothing else is left."""
    words = _WORD.findall(text)
    return list(filter(_TELLING.__getitem__, words)) or words


@lru_cache(maxsize=256)
def _subjects(text: str) -> tuple[str, ...]:
    """What a text may be about."""
    return tuple(dict.fromkeys(words_of(text)))[:40] or ("this",)


def text_about(prompt: str, dice: Dice) -> str:
    """A few plausible sentences about `prompt`."""
    words = _subjects(prompt[:_READ])
    topic, count = " ".join(words[:3]), len(words)
    drawn = dice.bytes(_MOST_DRAWN)  # one draw for all: a text takes a dozen
    begin, length, opening, closing = drawn[0], 1 + drawn[1] % 3, drawn[2], drawn[3]
    middle = [_SENTENCES[(begin + index) % len(_SENTENCES)] for index in range(length)]
    sentences = [_OPENINGS[opening % len(_OPENINGS)], *middle, _CLOSINGS[closing % len(_CLOSINGS)]]
    pairs = zip(sentences, drawn[4::2], drawn[5::2], strict=False)
    return " ".join([s.format(topic=topic, one=words[one % count], two=words[two % count]) for s, one, two in pairs])


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
