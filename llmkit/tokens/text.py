"""The tokens of plain text: the model's tokenizer, offline, in linear time."""

from functools import lru_cache
from typing import TYPE_CHECKING

from llmkit import vocabulary
from llmkit.errors import InvalidRequest, excerpt
from llmkit.models import ModelSpec, spec_for
from llmkit.tokens.words import Words

if TYPE_CHECKING:
    import tiktoken

# tiktoken raises ValueError where a run of a million blanks overflows its regex stack; such text is counted in slices
_SLICE = 500_000
_SHORT, _MEDIUM = 80, 8_000  # letters of texts whose lengths are remembered: many of the short, some of the others


def count_text(text: str, *, model: str) -> int:
    """The tokens of `text` alone, as in an embedding input or a completion; raises InvalidRequest for what is none."""
    check_text(text)
    return length(encoding_name(model), text)


def check_text(text: object) -> None:
    """Raises InvalidRequest for what is no text."""
    if not isinstance(text, str):
        raise InvalidRequest(f"{excerpt(text)} has no tokens: it has to be a text")


def encoding_for(model: str) -> "tiktoken.Encoding":
    """The tokenizer of `model`, loaded from the wheel at first use; o200k_base for a model that nobody knows yet."""
    return vocabulary.encoding(encoding_name(model))


def encoding_name(model: str) -> str:
    """The name of the tokenizer of `model`; raises InvalidRequest for what is no model's name."""
    return encoding_and_spec(model)[0]


def encoding_and_spec(model: str) -> tuple[str, ModelSpec]:
    """The same, and what else is known of the model."""
    if not isinstance(model, str):
        raise InvalidRequest(f"model = {model!r}: it has to be a model's name, for example 'gpt-4o'")
    spec = spec_for(model)
    return (spec.encoding if spec.known else _guessed_name(model, spec.encoding)), spec


@lru_cache(maxsize=256)
def _guessed_name(model: str, otherwise: str) -> str:
    """Ask tiktoken, which still knows the models of before 2023."""
    from tiktoken.model import encoding_name_for_model

    try:
        return encoding_name_for_model(model)
    except KeyError:
        return otherwise


def length(encoding: str, text: str) -> int:
    """The number of tokens of `text` in the encoding of that name."""
    letters = len(text)
    if letters <= _MEDIUM:
        return (_short_length if letters <= _SHORT else _medium_length)(encoding, text)
    return len(numbers_of(encoding, text))


def numbers_of(encoding: str, text: str) -> list[int]:
    """The numbers of the tokens of `text`."""
    try:
        return vocabulary.encoding(encoding).encode(text, disallowed_special=())  # encode_ordinary would panic
    except ValueError:
        if len(text) <= _SLICE:
            raise
        slices = (text[start : start + _SLICE] for start in range(0, len(text), _SLICE))
        return [number for piece in slices for number in numbers_of(encoding, piece)]


@lru_cache(maxsize=4096)
def _short_length(encoding: str, text: str) -> int:
    """Roles, names and short instructions come again and again: to tokenize them takes longer than to remember."""
    return _words(encoding).length(text)


@lru_cache(maxsize=512)
def _medium_length(encoding: str, text: str) -> int:
    """Instructions and the messages before come again with every request of a conversation."""
    return _words(encoding).length(text)


@lru_cache(maxsize=16)
def _words(encoding: str) -> Words:
    return Words(vocabulary.encoding(encoding))
