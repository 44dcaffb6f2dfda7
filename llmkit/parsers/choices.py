"""Replies that are one of several words: choices, members of an Enum, yes or no.

A word may differ in capitals, and stand in one pair of quotes, `**` or backticks and before one full stop. Anything
else beside it is an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from llmkit.errors import ConfigError, excerpt
from llmkit.parsers.places import failure

_PAIRS = (("**", "**"), ('"', '"'), ("'", "'"), ("`", "`"), ("\u201c", "\u201d"))

YES = ("yes", "true")
NO = ("no", "false")


class Choice:
    """One of several words, as it is written here: `Choice("positive", "negative")(text)`, `Choice(Colour)(text)`.

    Of an Enum it takes values and names, and returns the member. Raises ParseFailed with the choices; ConfigError, when
    it is made, for choices that can't be told apart.
    """

    def __init__(self, *choices: Any) -> None:
        self._values = _table(choices)
        self._by_word = {word.casefold(): value for word, value in self._values.items()}

    def __call__(self, text: str) -> Any:
        """The choice, as it is written here, or the member of the Enum."""
        word = _undressed(text)
        if word.casefold() in self._by_word:
            return self._by_word[word.casefold()]
        position = len(text) - len(text.lstrip())
        wanted = ", ".join(map(repr, self._values))
        raise failure(f"the reply is {excerpt(text)}: it has to be one of {wanted}", text=text, position=position)

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self._values))})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boolean:
    """Yes or no, true or false, as True or False: `Boolean()(text)`, `Boolean(yes=["ja"], no=["nein"])(text)`.

    Raises ParseFailed for anything else.
    """

    yes: Sequence[str] = YES
    no: Sequence[str] = NO

    def __call__(self, text: str) -> bool:
        """True for a word of `yes`, False for one of `no`."""
        return Choice(*self.yes, *self.no)(text) in self.yes


def _table(choices: Sequence[object]) -> Mapping[str, object]:
    """What each word stands for."""
    found: dict[str, object] = {}
    folded: dict[str, object] = {}
    for word, value in _pairs(choices):
        if not (isinstance(word, str) and word and _undressed(word) == word):
            raise ConfigError(f"{excerpt(word)} is no choice: choices are texts without quotes or a full stop")
        if folded.setdefault(word.casefold(), value) != value:
            raise ConfigError(f"The choices have {word!r} twice, apart from capitals")
        if word.casefold() not in map(str.casefold, found):
            found[word] = value
    if not found:
        raise ConfigError("There are no choices: Choice('yes', 'no')")
    return found


def _pairs(choices: Sequence[object]) -> list[tuple[object, object]]:
    """Each word and what it stands for; the values of an Enum's members come before their names."""
    if not (len(choices) == 1 and isinstance(choices[0], type) and issubclass(choices[0], Enum)):
        return [(choice, choice) for choice in choices]
    members = choices[0].__members__
    return [*((str(member.value), member) for member in members.values()), *members.items()]


def _undressed(text: str) -> str:
    """The word, without one pair of quotes and one full stop."""
    word = text.strip().removesuffix(".")
    for opening, closing in _PAIRS:
        if word.startswith(opening) and word.endswith(closing) and len(word) > len(opening + closing):
            return word[len(opening) : -len(closing)].removesuffix(".").strip()
    return word
