"""How many tokens a text has, by its words: most of those have been counted before.

Every tokenizer here takes a lone blank together with what follows it. So a text falls into words with the blank before
each, and their tokens add up; to look them up takes half as long as to tokenize them. A text in which words are parted
by more than a lone blank, or many words are new, is tokenized as a whole.

To count a word alone takes as long as ten in a text. So there is an allowance for it: a text that was looked up adds a
part of what that saved, one that was not a part of what it took. Words that never come again cost a few percent.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

_MOST = 20_000  # words that are remembered, some 2 MB
_LONGEST = 40  # letters of one that is
_MOST_NEW = 8  # of one text
_ALLOWANCE = 256.0  # new words, at first and at most
_SAVED, _TAKEN = 1 / 100, 1 / 2_000  # of a new word, that each letter adds to it


class _Entangled(Exception):
    """A text that has to be tokenized as a whole."""


class Words(dict[str, int]):
    """The tokens of the words of one encoding, each with the blank before it; safe to share between threads."""

    __slots__ = ("_allowance", "_left", "_numbers_of")

    def __init__(self, encoding: "tiktoken.Encoding") -> None:
        super().__init__()
        self._numbers_of: Callable[[str], list[int]] = encoding.encode_ordinary
        self._allowance = _ALLOWANCE
        self._left = 0

    def length(self, text: str) -> int:
        """The number of tokens of `text`."""
        if self._allowance > 0:
            with suppress(_Entangled):
                return self._looked_up(text)
        self._allowance += len(text) * _TAKEN
        return len(self._numbers_of(text))

    def _looked_up(self, text: str) -> int:
        first, *rest = text.split(" ")
        if first[-1:].isspace():
            raise _Entangled
        self._left = _MOST_NEW  # whichever thread it is that gets them
        tokens = sum(map(self.__getitem__, rest), len(self._numbers_of(first)))
        self._allowance = min(self._allowance + len(text) * _SAVED, _ALLOWANCE)
        return tokens

    def __missing__(self, word: str) -> int:
        self._left -= 1
        self._allowance -= 1
        if self._left < 0 or not word or word[0].isspace() or word[-1].isspace():
            raise _Entangled
        tokens = len(self._numbers_of(f" {word}"))
        if len(self) >= _MOST:
            self.clear()
        if len(word) <= _LONGEST:
            self[word] = tokens
        return tokens
