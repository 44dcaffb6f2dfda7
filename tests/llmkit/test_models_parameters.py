"""What a model takes, told before a request is sent; each rule as the API was recorded to apply it.

Rows 2.I1, 2.T3, 3.I6 (the rules; `requests` applies them).
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import models
from llmkit.models import Surface, fitting, problems, spec_for

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
WORDS = (
    "temperature top_p n stop max_tokens max_completion_tokens max_output_tokens logprobs top_logprobs tools "
    "logit_bias response_format reasoning_effort reasoning dimensions stream seed whatever"
)
NAMES = st.sampled_from(WORDS.split())
MODELS = st.sampled_from([*models.registry(), "unknown"])
SURFACES: st.SearchStrategy[Surface] = st.sampled_from(["chat", "responses", "completions", "embeddings"])


def complaints(model: str, *, surface: Surface = "chat", **parameters: Any) -> list[str]:
    return [problem.parameter for problem in problems(spec_for(model), parameters, surface=surface)]


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("gpt-5-mini", {"max_tokens": 5}),
        ("gpt-5-mini", {"stop": "x"}),
        ("gpt-5-mini", {"temperature": 0.5}),
        ("gpt-5.6-luna", {"logprobs": True}),
        ("gpt-5.6-luna", {"web_search_options": {}}),
        ("gpt-5.6-sol", {"tools": [{}]}),
        ("gpt-5.6-sol", {"tools": [{}], "reasoning_effort": "low"}),
        ("gpt-6.2-sol", {"tools": [{}]}),
        ("gpt-6.2-sol", {"reasoning_effort": "none"}),
        ("gpt-5.4", {"temperature": 0.5, "reasoning_effort": "high"}),
        ("gpt-4o", {"web_search_options": {}}),
        ("gpt-4o", {"reasoning_effort": "low"}),
        ("gpt-4", {"response_format": {"type": "json_schema"}}),
        ("gpt-4-turbo", {"response_format": {"type": "json_schema"}}),
        ("gpt-audio", {"response_format": {"type": "json_object"}}),
        ("gpt-audio", {"logprobs": True}),
        ("o4-mini", {"reasoning_effort": "minimal"}),
        ("o3-mini", {"reasoning_effort": "none"}),
        ("o1-mini", {"tools": [{}]}),
        ("gpt-4o", {"max_tokens": 16_385}),
    ],
)
def test_what_a_model_was_recorded_to_refuse_is_refused(model: str, parameters: dict[str, Any]) -> None:
    assert complaints(model, **parameters) == [next(iter(parameters))]


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("gpt-4o", {"temperature": 0, "top_p": 1, "max_tokens": 16_384, "tools": [{}], "logprobs": True, "n": 2}),
        ("gpt-5-mini", {"max_completion_tokens": 5, "temperature": 1, "reasoning_effort": "minimal"}),
        ("o3-mini", {"stop": ["a"], "n": 4, "reasoning_effort": "high"}),
        ("gpt-5.4", {"logprobs": True, "temperature": 0.5, "tools": [{}]}),
        ("gpt-5.6-sol", {"tools": [{}], "reasoning_effort": "none", "parallel_tool_calls": False, "temperature": 0.5}),
        ("gpt-4o", {"temperature": None, "reasoning_effort": None}),
        ("unknown", {"reasoning_effort": "galactic", "max_tokens": 10**9, "tools": [{}]}),
    ],
)
def test_what_a_model_was_recorded_to_take_passes(model: str, parameters: dict[str, Any]) -> None:
    assert complaints(model, **parameters) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 2.1),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", "0.5"),
        ("temperature", True),
        ("top_p", 1.01),
        ("presence_penalty", -2.5),
        ("frequency_penalty", 3),
        ("n", 0),
        ("n", 1.5),
        ("top_logprobs", 21),
        ("max_completion_tokens", 0),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("logit_bias", {"50256": 101}),
        pytest.param("temperature", 10**400, id="temperature-of-hundreds-of-digits"),
        pytest.param("n", 10**5000, id="n-of-thousands-of-digits"),
        ("logit_bias", [1]),
        ("response_format", "json"),
        ("response_format", {"type": ["json_object"]}),
        ("tools", {"type": "function"}),
        ("tools", "search"),
        ("stop", 5),
    ],
)
@pytest.mark.parametrize("model", ["gpt-4o", "unknown"])
def test_a_value_out_of_range_is_refused_for_any_model(model: str, name: str, value: object) -> None:
    assert [problem.parameter for problem in problems(spec_for(model), {name: value})] == [name]


def test_a_model_is_refused_where_it_is_not_served() -> None:
    assert complaints("gpt-3.5-turbo-instruct") == ["model"]
    assert complaints("gpt-5", surface="completions") == ["model"]
    assert complaints("gpt-5-pro") == ["model"]
    assert complaints("gpt-5-pro", surface="responses") == []


def test_vectors_have_as_many_dimensions_as_the_model_can() -> None:
    assert complaints("text-embedding-3-small", surface="embeddings", dimensions=256) == []
    assert complaints("text-embedding-3-small", surface="embeddings", dimensions=1537) == ["dimensions"]
    assert complaints("text-embedding-ada-002", surface="embeddings", dimensions=256) == ["dimensions"]


def test_a_problem_says_what_why_and_what_to_do() -> None:
    (problem,) = problems(spec_for("gpt-5-mini"), {"max_tokens": 500})
    assert str(problem) == "max_tokens = 500: gpt-5-mini refuses it; give max_completion_tokens"
    (problem,) = problems(spec_for("gpt-5.6-sol"), {"temperature": 0.2})
    assert "reasoning_effort='none'" in problem.advice
    (problem,) = problems(spec_for("gpt-4o"), {"max_tokens": 20_000})
    assert "gpt-4o takes whole numbers from 1 to 16384" in str(problem)


def test_defaults_are_fitted_to_each_model() -> None:
    defaults = {"max_tokens": 500, "temperature": 0.2, "seed": 1}
    assert fitting(spec_for("gpt-4o"), defaults) == defaults
    assert fitting(spec_for("gpt-5-mini"), defaults) == {"seed": 1, "max_completion_tokens": 500}
    assert fitting(spec_for("gpt-5.4"), defaults, surface="responses") == {
        "temperature": 0.2,
        "seed": 1,
        "max_output_tokens": 500,
    }
    assert fitting(spec_for("unknown"), defaults) == defaults


@given(MODELS, st.dictionaries(NAMES | st.sampled_from(["messages", "input"]), ANYTHING, max_size=6), SURFACES)
def test_no_parameters_break_the_check(model: str, parameters: dict[str, Any], surface: Surface) -> None:
    """A law: whatever is given, the check answers, and blames only what was given."""
    found = problems(spec_for(model), parameters, surface=surface)
    assert {problem.parameter.partition("[")[0] for problem in found} <= {*parameters, "model"}
    assert all(str(problem) and problem.advice for problem in found)


def test_a_default_that_no_model_takes_stays_a_mistake() -> None:
    kept = fitting(spec_for("gpt-4o"), {"temperature": 3, "max_tokens": 100_000})
    assert kept == {"temperature": 3, "max_tokens": 16_384}
    assert [problem.parameter for problem in problems(spec_for("gpt-4o"), kept)] == ["temperature"]


@given(MODELS, st.dictionaries(NAMES, ANYTHING, max_size=6), SURFACES)
def test_what_was_fitted_is_what_some_model_would_refuse_too(
    model: str, parameters: dict[str, Any], surface: Surface
) -> None:
    """A law: a fitted default is a problem only if it is one for every model; and fitting again changes nothing."""
    spec = spec_for(model)
    kept = fitting(spec, parameters, surface=surface)
    blamed = {problem.parameter for problem in problems(spec, kept, surface=surface)} - {"model", "tools"}
    assert blamed <= {problem.parameter for problem in problems(spec_for("unknown"), kept, surface=surface)}
    assert repr(fitting(spec, kept, surface=surface)) == repr(kept)


PICTURE = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "robot", "content": "Hi"}, "role"),
        ({"role": "User", "content": "Hi"}, "role"),
        ({"role": "user"}, "content"),
        ({"role": "system", "content": None}, "content"),
        ({"role": "user", "content": 5}, "content"),
        ({"role": "assistant", "content": {"text": "Hi"}}, "content"),
        ({"role": "tool", "content": "18 degrees"}, "tool_call_id"),
        ({"role": "user", "content": PICTURE}, "content"),
    ],
)
def test_a_message_that_is_not_in_form_is_told_with_its_place(message: dict[str, Any], field: str) -> None:
    """Row 3.I3."""
    messages = [{"role": "user", "content": "Hi"}, message]
    assert complaints("gpt-4", messages=messages) == [f"messages[1].{field}"]
    assert complaints("a model of yours", messages=messages) == []


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": ""},
        {"role": "user", "content": PICTURE},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "tool_calls": []},
        {"role": "function", "name": "f", "content": None},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "18 degrees"}]},
    ],
)
def test_a_message_in_form_passes(message: dict[str, Any]) -> None:
    assert complaints("gpt-4o", messages=[message]) == []


@pytest.mark.parametrize(
    ("texts", "found"),
    [(["a", ""], ["input[1]"]), (["a"] * 2_049, ["input"]), (["a"] * 2_048, []), ([7] * 2_049, []), ([[1], [2]], [])],
)
def test_texts_that_the_api_does_not_embed_are_told(texts: list[Any], found: list[str]) -> None:
    assert complaints("text-embedding-3-small", surface="embeddings", input=texts) == found
