"""How many tokens the messages of a request are, for the log: TinyTroupe's arithmetic, offline.

Without the three tokens that the API bills for opening its reply; `llmkit.count_tokens` has them, and is right in far
more cases.
"""

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import tiktoken as the_real_tiktoken
from tiktoken.model import encoding_name_for_model
from tiktoken.registry import ENCODINGS

from llmkit import vocabulary
from llmkit.models import spec_for

_UNKNOWN = "cl100k_base"  # what a model is counted with that tiktoken doesn't know
_CHATS = ("gpt-3.5-turbo", "gpt-4", "ppo")  # parts of names that TinyTroupe takes for chat models
_SLICE = 500_000  # tiktoken fails on a run of a million blanks


def count(messages: Iterable[Mapping[str, Any]], model: str, *, tiktoken: ModuleType) -> int:
    """The tokens of these messages; asks `tiktoken` for the encoding of `model` once.

    NotImplementedError for a model that tiktoken knows and that is not for chats.
    """
    if tiktoken is the_real_tiktoken:
        _bring_vocabulary(model)
    try:
        encoding = tiktoken.encoding_for_model(model)
    except KeyError:
        encoding = tiktoken.get_encoding(_UNKNOWN)
    else:
        _demand_chat(model)
    per_message, per_name = (4, -1) if model == "gpt-3.5-turbo-0301" else (3, 1)
    return sum(
        per_message + per_name * ("name" in message) + sum(_length(encoding, value) for value in message.values())
        for message in messages
    )


def _bring_vocabulary(model: str) -> None:
    """Put the vocabulary of the wheel where tiktoken looks first, for it downloads one else, without a timeout."""
    try:
        name = encoding_name_for_model(model)
    except KeyError:
        name = _UNKNOWN
    if name not in ENCODINGS:
        ENCODINGS[name] = vocabulary.encoding(name)


def _demand_chat(model: str) -> None:
    if not any(part in model for part in _CHATS) and not _known_chat(model):
        raise NotImplementedError(
            f"num_tokens_from_messages() is not implemented for model {model}. How it frames messages is not known; "
            "llmkit.count_tokens() estimates it."
        )


def _known_chat(model: str) -> bool:
    spec = spec_for(model)
    return spec.known and spec.family in ("chat", "reasoning")


def _length(encoding: Any, text: str) -> int:
    starts = range(0, len(text) or 1, _SLICE)
    return sum(len(encoding.encode(text[start : start + _SLICE], disallowed_special=())) for start in starts)
