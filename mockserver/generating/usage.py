"""Tokens, counted by the real tokenizer: the one place where the server counts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from llmkit.tokens import count_response_tokens, count_text, count_tokens, encoding_for

_REMEMBERED = 4_096  # letters of a text whose tokens are remembered
_CACHE_LEAST, _CACHE_STEP = 1024, 128  # https://platform.openai.com/docs/guides/prompt-caching
_UNCACHED = ("gpt-3.5", "gpt-35", "gpt-4-", "gpt-4:", "o1-mini", "o1-preview")  # caching came with gpt-4o


class Piece(NamedTuple):
    """Some letters, and the bytes of each token that they are made of."""

    text: str
    tokens: tuple[bytes, ...]


def prompt_tokens(
    messages: Iterable[Mapping[str, Any]],
    *,
    model: str,
    tools: Sequence[Mapping[str, Any]] = (),
    tool_choice: Any = None,
    response_format: Any = None,
) -> int:
    """What these messages are billed as, with these tools and this format declared to the model."""
    return int(
        count_tokens(
            list(messages), model=model, tools=tools or None, tool_choice=tool_choice, response_format=response_format
        )
    )


def tools_tokens(tools: Sequence[Mapping[str, Any]], *, model: str) -> int:
    """What a chat of a user is billed more for declaring these tools."""
    bare = [{"role": "user", "content": ""}]
    return prompt_tokens(bare, model=model, tools=tools) - prompt_tokens(bare, model=model)


def response_tokens(items: Sequence[Mapping[str, Any]], *, model: str, **options: Any) -> int:
    """What these items of a response's input are billed as, with `instructions`, `tools`, `text` and so on."""
    return int(count_response_tokens(items, model=model, **options))


def cached_tokens(seen: int, *, model: str) -> int:
    """How many of the first `seen` tokens of a prompt, all sent before, come from the cache of a model that has one."""
    if seen < _CACHE_LEAST or model == "gpt-4" or model.removeprefix("ft:").startswith(_UNCACHED):
        return 0
    return seen // _CACHE_STEP * _CACHE_STEP


def text_tokens(text: str, *, model: str) -> int:
    """The tokens of a text alone."""
    return len(_encoded(text, model)) if len(text) <= _REMEMBERED else count_text(text, model=model)


@lru_cache(maxsize=1024)
def text_length(text: str, *, model: str) -> int:
    """How many tokens a text has, remembered: instructions come again with every request."""
    return count_text(text, model=model)


@lru_cache(maxsize=256)
def _encoded(text: str, model: str) -> list[int]:
    """The token ids of a text; a reply is counted, cut and taken apart, but tokenized once."""
    return encoding_for(model).encode_ordinary(text)


def first_tokens(text: str, limit: int, *, model: str) -> str:
    """`text` cut to its first `limit` tokens, less a letter that the cut would split."""
    if len(text.encode()) <= limit:
        return text  # no token is shorter than a byte
    tokens = _encoded(text, model)
    return (
        encoding_for(model).decode_bytes(tokens[:limit]).decode("utf-8", errors="ignore")
        if len(tokens) > limit
        else text
    )


def common_tokens(first: str, second: str, *, model: str) -> tuple[int, int]:
    """How many tokens the two begin with alike, and how many `second` has beyond those."""
    encoding = encoding_for(model)
    ours, theirs = encoding.encode_ordinary(first), encoding.encode_ordinary(second)
    alike = next((at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
    alike = min(len(ours), len(theirs)) if alike is None else alike
    return alike, len(theirs) - alike


def text_of(numbers: Iterable[int], *, model: str) -> str:
    """The text that token ids stand for, as far as the vocabulary knows them."""
    encoding = encoding_for(model)
    known = (token for token in numbers if 0 <= token < encoding.n_vocab)
    parts = []
    for token in known:
        try:
            parts.append(encoding.decode_single_token_bytes(token))
        except KeyError:
            continue
    return b"".join(parts).decode("utf-8", errors="replace")


def vocabulary_size(*, model: str) -> int:
    """How many token ids the model has."""
    return encoding_for(model).n_vocab


def tokens(text: str, *, model: str) -> Iterator[bytes]:
    """The bytes of each token of the text."""
    return iter(encoding_for(model).decode_tokens_bytes(_encoded(text, model)))


def texts(text: str, *, model: str) -> list[str]:
    """The pieces of `pieces`, without their tokens."""
    if text.isascii():
        return [token.decode() for token in tokens(text, model=model)]
    return [piece.text for piece in pieces(text, model=model)]


def pieces(text: str, *, model: str) -> Iterator[Piece]:
    """The text in the pieces in which a stream carries it: a token each, or several where one letter takes several."""
    pending: tuple[bytes, ...] = ()
    for token in tokens(text, model=model):
        if not pending and token.isascii():  # nearly always
            yield Piece(token.decode(), (token,))
            continue
        pending = (*pending, token)
        try:
            piece = b"".join(pending).decode()
        except UnicodeDecodeError:
            continue
        yield Piece(piece, pending)
        pending = ()
