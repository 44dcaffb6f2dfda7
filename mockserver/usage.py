"""Tokens, counted by the real tokenizer: the one place where the server counts."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmkit.tokens import count_text, count_tokens, encoding_for


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


def pieces(text: str, *, model: str) -> Iterator[str]:
    """The text in the pieces in which a stream carries it: a token each, or several where one letter takes several."""
    encoding = encoding_for(model)
    pending = b""
    for token in encoding.encode_ordinary(text):
        pending += encoding.decode_single_token_bytes(token)
        try:
            piece = pending.decode()
        except UnicodeDecodeError:
            continue
        yield piece
        pending = b""
