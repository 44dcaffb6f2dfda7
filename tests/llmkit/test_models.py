"""The model registry: names are found in all their spellings, and unknown ones never break anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.models import registry, spec_for


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-4-turbo-2024-04-09", "gpt-4-turbo"),
        ("gpt-3.5-turbo-0301", "gpt-3.5-turbo-0301"),
        ("gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct"),
        ("gpt-35-turbo", "gpt-3.5-turbo"),
        ("gpt-35-turbo-0613", "gpt-3.5-turbo-0613"),
        ("gpt-35-turbo-0125", "gpt-3.5-turbo"),
        ("ft:gpt-4o-mini-2024-07-18:acme::7p4lURel", "gpt-4o-mini"),
        ("gpt-3.5-turbo-instruct:20230824-v2", "gpt-3.5-turbo-instruct"),
        ("text-embedding-ada-002-v2", "text-embedding-ada-002"),
        ("o1-preview", "o1-preview"),
        ("gpt-5-chat-latest", "gpt-5-chat"),
        ("gpt-4-1106-preview", "gpt-4-1106"),
        ("gpt-6.1-terra", "gpt-6.1-terra"),
    ],
)
def test_a_known_model_is_found_by_every_spelling(name: str, entry: str) -> None:
    spec = spec_for(name)
    assert (spec.name, spec.known) == (entry, True)
    assert spec.context_window is not None


@pytest.mark.parametrize(
    ("name", "family", "framing", "encoding"),
    [
        ("gpt-4o-realtime-preview-2024-12-17", "chat", "chat", "o200k_base"),
        ("gpt-4-vision", "chat", "chat", "cl100k_base"),
        ("gpt-5.7", "reasoning", "gpt-5", "o200k_base"),
        ("gpt-12-nano", "reasoning", "gpt-5", "o200k_base"),
        ("o5", "reasoning", "o", "o200k_base"),
        ("my-deployment", "chat", "chat", "o200k_base"),
        ("", "chat", "chat", "o200k_base"),
    ],
)
def test_an_unknown_model_is_guessed_and_says_so(name: str, family: str, framing: str, encoding: str) -> None:
    spec = spec_for(name)
    assert (spec.known, spec.family, spec.framing, spec.encoding) == (False, family, framing, encoding)
    assert (spec.context_window, spec.max_output, spec.source) == (None, None, None)


@given(st.text())
def test_no_name_breaks_the_lookup(name: str) -> None:
    assert spec_for(name).encoding


def test_every_entry_has_its_limits_and_their_source() -> None:
    for name, spec in registry().items():
        assert spec.source is not None, name
        assert spec.read_on is not None, name
        assert spec.context_window, name
        assert spec.max_output is None or spec.max_output <= spec.context_window, name
        assert spec.image_tokens is None or spec.image_tokens[0] < spec.image_tokens[1], name
