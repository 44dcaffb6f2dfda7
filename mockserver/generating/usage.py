"""Tokens, counted by the real tokenizer: the one place where the server counts."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from llmkit.tokens import count_text, count_tokens, encoding_for


class Piece(NamedTuple):
    """Some letters, and the bytes of each token that they are made of."""

    text: str
    tokens: tuple[bytes, ...]


def prompt_tokens(messages: Iterable[Mapping[str, Any]], *, model: str) -> int:
    """What these messages are billed as."""
    return int(count_tokens(messages, model=model))


def text_tokens(text: str, *, model: str) -> int:
    """The tokens of a text alone."""
    return count_text(text, model=model)


def first_tokens(text: str, limit: int, *, model: str) -> str:
    """`text` cut to its first `limit` tokens, less a letter that the cut would split."""
    encoding = encoding_for(model)
    tokens = encoding.encode_ordinary(text)
    return encoding.decode_bytes(tokens[:limit]).decode("utf-8", errors="ignore") if len(tokens) > limit else text


def tokens(text: str, *, model: str) -> Iterator[bytes]:
    """The bytes of each token of the text."""
    encoding = encoding_for(model)
    for token in encoding.encode_ordinary(text):
        yield encoding.decode_single_token_bytes(token)


def pieces(text: str, *, model: str) -> Iterator[Piece]:
    """The text in the pieces in which a stream carries it: a token each, or several where one letter takes several."""
    pending: tuple[bytes, ...] = ()
    for token in tokens(text, model=model):
        pending = (*pending, token)
        try:
            piece = b"".join(pending).decode()
        except UnicodeDecodeError:
            continue
        yield Piece(piece, pending)
        pending = ()
