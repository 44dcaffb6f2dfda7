"""Texts counted by their words: what that saves is time, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit import vocabulary
from llmkit.tokens.words import Words

ENCODINGS = ["cl100k_base", "gpt2", "o200k_base", "p50k_edit"]
_WORDS = {name: Words(vocabulary.encoding(name)) for name in ENCODINGS}
_BITS = [
    " ",
    " ",
    "  ",
    "\n",
    "\t",
    "\u00a0",
    "\u2003",
    "\x1c",
    "\x85",
    "'s",
    "foo",
    "Bar",
    "123",
    "é",
    "\u0301",
    "中",
    ".",
]


def in_whole(name: str, text: str) -> int:
    """What tiktoken says."""
    return len(vocabulary.encoding(name).encode_ordinary(text))


@settings(max_examples=150, deadline=None)
@given(text=st.lists(st.one_of(st.sampled_from(_BITS), st.characters()), max_size=12).map("".join))
def test_any_text_has_as_many_tokens_by_its_words_as_in_whole(text: str) -> None:
    for name, words in _WORDS.items():
        assert words.length(text) == in_whole(name, text), name


@pytest.mark.parametrize(
    "text", ["a  b", "a\n b", "a \nb", "a ", " a", "  a", " ", "", "\n a", "a\x1c b", "a \ud800 b"]
)
def test_blanks_that_belong_together_are_not_parted(text: str) -> None:
    assert Words(vocabulary.encoding("o200k_base")).length(text) == in_whole("o200k_base", text)


def test_a_text_of_new_words_is_learnt_bit_by_bit() -> None:
    words = Words(vocabulary.encoding("o200k_base"))
    text = " ".join(f"word{number}" for number in range(20))
    sizes = [words.length(text) and len(words) for _ in range(3)]
    assert sizes == [8, 16, 19]


def test_texts_whose_words_never_come_again_are_soon_tokenized_as_a_whole() -> None:
    words = Words(vocabulary.encoding("o200k_base"))
    texts = [" ".join(f"word{number}" for number in range(start, start + 20)) for start in range(0, 4_000, 20)]
    assert [words.length(text) for text in texts] == [in_whole("o200k_base", text) for text in texts]
    assert len(words) < 300


def test_what_is_no_word_is_not_remembered() -> None:
    words = Words(vocabulary.encoding("o200k_base"))
    words.length(f"see {'x' * 41}")
    assert not words


def test_words_that_never_come_again_are_forgotten() -> None:
    words = Words(vocabulary.encoding("o200k_base"))
    words.update({str(number): 1 for number in range(20_000)})
    assert words.length("once more") == 2
    assert dict(words) == {"more": 1}
