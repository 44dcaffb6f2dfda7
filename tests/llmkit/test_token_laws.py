"""Laws of counting, over generated conversations, tools and spellings. Rows 2.T2 and 2.T5."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit import count_inputs, count_response_tokens, count_text, count_tokens, trim_text, vocabulary

# the cookbook's formula with the frames of each family: (tokenizer, once, each message, each assistant's message)
FRAMES = {
    "gpt-4o": ("o200k_base", 3, 3, 0),
    "gpt-4": ("cl100k_base", 3, 3, 0),
    "gpt-3.5-turbo-0301": ("cl100k_base", 3, 4, 0),
    "o3-mini": ("o200k_base", 2, 3, 0),
    "gpt-5": ("o200k_base", 2, 3, 2),
}
ROLES = st.sampled_from(["system", "developer", "user", "assistant"])
MESSAGES = st.lists(st.fixed_dictionaries({"role": ROLES, "content": st.text(max_size=60)}), max_size=6)
NAMES = st.from_regex(r"[a-z][a-z_]{0,12}", fullmatch=True)
TEXTS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    kinds = st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer", "number", "boolean"])},
        optional={"description": TEXTS, "title": NAMES, "default": st.integers(0, 9)},
    )
    return kinds | st.fixed_dictionaries({"type": st.just("string"), "enum": st.lists(NAMES, min_size=1, max_size=3)})


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(NAMES, inner, max_size=4)
    return properties.flatmap(
        lambda found: st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.just(found),
                "required": st.lists(st.sampled_from(sorted(found)), unique=True) if found else st.just([]),
            }
        )
    )


SCHEMAS = objects(leaves() | objects(leaves()) | leaves().map(lambda items: {"type": "array", "items": items}))
FUNCTIONS = st.fixed_dictionaries({"name": NAMES, "parameters": SCHEMAS}, optional={"description": TEXTS})
MODELS = st.sampled_from(["gpt-4o", "gpt-4", "gpt-5", "o3-mini"])
quick = settings(deadline=None, max_examples=40)  # the first example loads the vocabulary


def counted(functions: list[dict[str, Any]], model: str) -> tuple[int, int]:
    count = count_tokens("Hi", model=model, tools=[{"type": "function", "function": each} for each in functions])
    return count.tokens, count.margin


@pytest.mark.parametrize("model", FRAMES)
@given(messages=MESSAGES)
@quick
def test_text_counts_what_plain_tiktoken_and_the_formula_say(model: str, messages: list[dict[str, Any]]) -> None:
    encoding, once, each, assistant = FRAMES[model]
    encode = vocabulary.encoding(encoding).encode_ordinary
    expected = once + sum(
        each + len(encode(one["role"])) + len(encode(one["content"])) + assistant * (one["role"] == "assistant")
        for one in messages
    )
    count = count_tokens(messages, model=model)
    assert (count.tokens, count.margin) == (expected, 0)


@given(MESSAGES, MODELS)
@quick
def test_a_response_counts_text_like_a_chat(messages: list[dict[str, Any]], model: str) -> None:
    in_chat = count_tokens(messages, model=model) - (model == "gpt-4")  # which alone is billed one less
    assert count_response_tokens(messages, model=model) == in_chat


@given(MESSAGES, st.lists(FUNCTIONS, min_size=1, max_size=3), MODELS)
@quick
def test_messages_and_tools_add_up_but_for_where_they_meet(
    messages: list[dict[str, Any]], functions: list[dict[str, Any]], model: str
) -> None:
    nothing = count_tokens([], model=model)
    text, tools = count_tokens(messages, model=model), count_tokens([], model=model, tools=functions)
    assert abs(count_tokens(messages, model=model, tools=functions) - (text + tools - nothing)) <= 6


@given(FUNCTIONS, FUNCTIONS, MODELS)
@quick
def test_tools_add_up(one: dict[str, Any], other: dict[str, Any], model: str) -> None:
    nothing = counted([], model)[0]
    apart = counted([one], model)[0] + counted([other], model)[0] - nothing
    around = 110 if model == "gpt-5" else 30  # the namespace is written once
    assert apart - around <= counted([one, other], model)[0] <= apart + 2


@given(FUNCTIONS, MODELS, st.randoms(use_true_random=False))
@quick
def test_the_order_of_words_in_a_schema_is_irrelevant(
    function: dict[str, Any], model: str, chance: random.Random
) -> None:
    assert counted([shuffled(function, chance)], model) == counted([function], model)


@given(FUNCTIONS, MODELS)
@quick
def test_what_the_model_is_not_told_costs_nothing(function: dict[str, Any], model: str) -> None:
    more = {"additionalProperties": False, "$schema": "https://json-schema.org/draft/2020-12/schema"}
    same = {**function, "strict": True, "parameters": {**function["parameters"], **more}}
    assert counted([same], model) == counted([function], model)


@given(st.lists(FUNCTIONS, max_size=3), MODELS)
@quick
def test_functions_and_tools_are_two_spellings_of_one_thing(functions: list[dict[str, Any]], model: str) -> None:
    in_response = [{"type": "function", **each} for each in functions]
    assert count_tokens("Hi", model=model, tools=functions) == counted(functions, model)[0]
    assert count_tokens("Hi", model=model, tools=in_response) == counted(functions, model)[0]


@given(st.dictionaries(NAMES, st.integers() | TEXTS | st.lists(st.integers(), max_size=3), max_size=3), MODELS)
@quick
def test_blanks_in_the_json_of_arguments_cost_nothing(arguments: dict[str, Any], model: str) -> None:
    spellings = (json.dumps(arguments), json.dumps(arguments, indent=4), json.dumps(arguments, separators=(",", ":")))
    assert len({count_tokens(called("f", spelling), model=model) for spelling in spellings}) == 1


@given(st.text(max_size=80), st.lists(st.integers(0, 80), max_size=4), MODELS)
@quick
def test_a_text_counts_the_same_in_one_part_or_many(text: str, cuts: list[int], model: str) -> None:
    ends = sorted({0, *cuts, len(text)})
    parts = [{"type": "text", "text": text[start:end]} for start, end in pairwise(ends)]
    whole = count_tokens(text, model=model)
    assert count_tokens([{"role": "user", "content": parts}], model=model) == whole


@given(st.lists(st.text(max_size=40), max_size=5))
@quick
def test_inputs_add_up(texts: list[str]) -> None:
    model = "text-embedding-3-small"
    assert count_inputs(texts, model=model) == sum(count_text(text, model=model) for text in texts)


@given(st.text(max_size=200), st.integers(0, 50), st.sampled_from(["start", "end"]))
@quick
def test_a_trimmed_text_is_an_end_of_it_and_short_enough(text: str, tokens: int, keep: Any) -> None:
    trimmed = trim_text(text, model="gpt-4o", tokens=tokens, keep=keep)
    assert count_text(trimmed, model="gpt-4o") <= tokens
    assert text.startswith(trimmed) if keep == "start" else text.endswith(trimmed)
    if count_text(text, model="gpt-4o") <= tokens:
        assert trimmed == text


def called(name: str, arguments: str) -> list[dict[str, Any]]:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
    return [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": "done"}]


def shuffled(value: Any, chance: random.Random, *, ordered: bool = False) -> Any:
    """The same schema with its words in another order; names of properties are told in theirs."""
    if not isinstance(value, dict):
        return value
    names = list(value)
    if not ordered:
        chance.shuffle(names)
    found = {name: shuffled(value[name], chance, ordered=name == "properties" and not ordered) for name in names}
    if isinstance(found.get("required"), list):
        chance.shuffle(found["required"])
    return found
