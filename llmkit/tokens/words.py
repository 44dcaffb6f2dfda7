"""How many tokens a text has, by its words: most of those have been counted before.

Every tokenizer here takes a lone blank together with what follows it. So a text falls into words with the blank before
each, and their tokens add up; to look them up takes half as long as to tokenize them. A text in which words are parted
by more than a lone blank, or many words are new, is tokenized as a whole.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

_MOST = 20_000  # words that are remembered, some 2 MB
_LONGEST = 40  # letters of one that is
_MOST_NEW = 8  # of one text: to count a word alone takes as long as ten in a text


class _Entangled(Exception):
    """A text that has to be tokenized as a whole."""


class Words(dict[str, int]):
    """The tokens of the words of one encoding, each with the blank before it; safe to share between threads."""

    __slots__ = ("_left", "_numbers_of")

    def __init__(self, encoding: "tiktoken.Encoding") -> None:
        super().__init__()
        self._numbers_of: Callable[[str], list[int]] = encoding.encode_ordinary
        self._left = 0

    def length(self, text: str) -> int:
        """The number of tokens of `text`."""
        first, *rest = text.split(" ")
        self._left = _MOST_NEW  # whichever thread it is that gets them
        if not first[-1:].isspace():
            with suppress(_Entangled):
                return sum(map(self.__getitem__, rest), len(self._numbers_of(first)))
        return len(self._numbers_of(text))

    def __missing__(self, word: str) -> int:
        self._left -= 1
        if self._left < 0 or not word or word[0].isspace() or word[-1].isspace():
            raise _Entangled
        tokens = len(self._numbers_of(f" {word}"))
        if len(self) >= _MOST:
            self.clear()
        if len(word) <= _LONGEST:
            self[word] = tokens
        return tokens
