"""Tokens of a request for the log: TinyTroupe's arithmetic, with the vocabulary of the wheel. Row T14."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

import llmkit
from llmkit import vocabulary
from llmkit.tinytroupe import OpenAIClient

count = OpenAIClient(cache_api_calls=False)._count_tokens

OFFLINE = """
import sys
def refuse(event, args):
    downloaded = event == "open" and "data-gym-cache" in str(args[0])
    if downloaded or event in ("socket.connect", "socket.getaddrinfo"):
        raise AssertionError(f"{event} {args}")
sys.addaudithook(refuse)
from llmkit.tinytroupe import client
print([client()._count_tokens([{"role": "user", "content": "Hello!"}], model) for model in sys.argv[1:]])
"""


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4", 6),
        ("gpt-4-32k-0314", 6),
        ("gpt-4o", 6),
        ("gpt-4.1-mini", 6),
        ("gpt-3.5-turbo", 6),
        ("gpt-3.5-turbo-0301", 7),
        ("gpt-5-mini", 6),
        ("o3", 6),
        ("a-deployment", 6),
    ],
)
def test_a_message_is_counted_as_the_cookbook_counts_it(model: str, tokens: int) -> None:
    """Three (in March 2023 four) for the message, one for the role, two for the text."""
    assert count([{"role": "user", "content": "Hello!"}], model) == tokens


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 8), ("gpt-3.5-turbo-0301", 7)])
def test_a_name_costs_its_text_and_one_more_or_one_less(model: str, tokens: int) -> None:
    assert count([{"role": "user", "name": "ada", "content": "Hello!"}], model) == tokens


@pytest.mark.parametrize("model", ["text-embedding-3-small", "text-davinci-003", "gpt2"])
def test_a_model_that_is_not_for_chats_is_an_error(model: str) -> None:
    with pytest.raises(NotImplementedError, match=f"is not implemented for model {model}"):
        count([{"role": "user", "content": "Hello!"}], model)


@pytest.mark.parametrize("content", [None, [{"type": "text", "text": "Hello!"}], 5])
def test_content_that_is_no_text_is_not_counted(content: Any) -> None:
    assert count([{"role": "user", "content": content}], "gpt-4") is None


def test_the_real_models_encoding_is_used() -> None:
    """TinyTroupe counts gpt-4o as gpt-4."""
    text = "Καλημέρα, κόσμε"
    sizes = {name: len(vocabulary.encoding(name).encode(text)) for name in ("cl100k_base", "o200k_base")}
    assert sizes["cl100k_base"] != sizes["o200k_base"]
    for model, encoding in (("gpt-4", "cl100k_base"), ("gpt-4o", "o200k_base"), ("gpt-4.1", "o200k_base")):
        assert count([{"role": "user", "content": text}], model) == 4 + sizes[encoding]


def test_counting_needs_no_network_and_no_downloaded_file() -> None:
    """Four of these models need three vocabularies; the fifth none knows."""
    models = ["gpt-4", "gpt-4o", "gpt-3.5-turbo-0301", "gpt-5", "a-deployment"]
    ran = subprocess.run([sys.executable, "-c", OFFLINE, *models], capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == ("[6, 6, 7, 6, 6]\n", "")


def test_the_text_of_a_special_token_is_plain_text() -> None:
    tokens = count([{"role": "user", "content": "<|endoftext|>"}], "gpt-4")
    assert tokens is not None
    assert tokens > 5


def test_a_run_of_blanks_that_tiktoken_fails_on_is_counted() -> None:
    tokens = count([{"role": "user", "content": " " * 1_000_000}], "gpt-4o")
    assert tokens is not None
    assert tokens > 4


def test_tiktoken_keeps_an_encoding_that_it_has() -> None:
    count([], "gpt-4")
    assert tiktoken.get_encoding("cl100k_base") is tiktoken.encoding_for_model("gpt-4")


_MESSAGES = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": st.text()}))


@given(messages=_MESSAGES, model=st.sampled_from(["gpt-4", "gpt-4o", "gpt-3.5-turbo", "gpt-3.5-turbo-0301"]))
def test_the_prompt_is_three_tokens_longer(messages: list[dict[str, str]], model: str) -> None:
    """`llmkit.count_tokens` is what the API bills; this leaves out how it opens its reply."""
    tokens = count(messages, model)
    assert tokens is not None
    assert llmkit.count_tokens(messages, model=model) == tokens + 3


@given(one=_MESSAGES, other=_MESSAGES)
def test_counts_add_up(one: list[dict[str, str]], other: list[dict[str, str]]) -> None:
    first, second = count(one, "gpt-4o"), count(other, "gpt-4o")
    assert first is not None
    assert second is not None
    assert count([*one, *other], "gpt-4o") == first + second
