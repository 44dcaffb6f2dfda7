"""What a mould says: a text within JSON, as one or in the pieces of a stream, and what it costs."""

from functools import lru_cache
from typing import NamedTuple

from mockserver.generating import usage
from mockserver.surfaces.choices import cut_text
from mockserver.wire import compact

_MOST_BYTES = 4  # of a letter; no token is shorter than a byte


class Said(NamedTuple):
    """The first `tokens` of a text, in its `pieces`; it `is_cut` where there were more."""

    pieces: list[bytes]
    tokens: int
    is_cut: bool


def as_one(text: str, *, limit: int, model: str) -> Said:
    """A text in one piece."""
    if _MOST_BYTES * len(text) <= limit:  # nothing to cut
        return Said([_spelt(text.encode())], usage.text_length(text, model=model), is_cut=False)
    kept, tokens, is_cut = cut_text(text, limit, model)
    return Said([_spelt(kept.encode())], tokens, is_cut)


def in_pieces(text: str, *, limit: int, model: str) -> Said:
    """A text of words with lone blanks between them, in the pieces in which a stream carries it.

    Words have the same tokens in any such text, each with the blank before it.
    """
    if not text.isascii():  # a letter may take several tokens
        cut, tokens, is_cut = cut_text(text, limit, model)
        return Said([_spelt_again(piece.encode()) for piece in usage.texts(cut, model=model)], tokens, is_cut)
    pieces: list[bytes] = []
    first, *rest = text.split(" ")
    for word in (first, *[f" {word}" for word in rest]):
        fresh, room = _pieces_of(word, model), limit - len(pieces)
        if len(fresh) > room:
            last = usage.first_tokens(word, room, model=model)
            return Said([*pieces, *_pieces_of(last, model)], limit, is_cut=True)
        pieces += fresh
    return Said(pieces, len(pieces), is_cut=False)


@lru_cache(maxsize=8192)
def _pieces_of(word: str, model: str) -> tuple[bytes, ...]:
    return tuple(map(_spelt, usage.tokens(word, model=model)))


def _spelt(text: bytes) -> bytes:
    """A text within JSON, without its quotes."""
    return compact(text.decode())[1:-1]


_spelt_again = lru_cache(maxsize=8192)(_spelt)  # tokens come again and again
