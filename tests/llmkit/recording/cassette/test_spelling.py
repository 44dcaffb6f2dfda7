from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.cassette.spelling import indented, respelled, spelling_of

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
SPELLINGS = [
    {"separators": (",", ":")},
    {},
    {"indent": 2},
    {"indent": 4},
    {"separators": (",", ":"), "ensure_ascii": False},
]


@given(JSON_VALUES, st.sampled_from(SPELLINGS), st.sampled_from(["", "\n", "\n\n"]))
def test_the_original_bytes_come_back_from_the_indented_form(value: object, how: dict[str, object], tail: str) -> None:
    text = json.dumps(value, **how) + tail  # type: ignore[arg-type]  # a choice of json.dumps's options
    spelling = spelling_of(text)
    assert spelling is not None
    assert respelled(indented(text), spelling) == text


@given(JSON_VALUES)
def test_indenting_changes_white_space_only(value: object) -> None:
    assert json.loads(indented(json.dumps(value))) == value


def test_numbers_keep_their_spelling() -> None:
    assert indented('{"a":1.0,"b":1e5}') == '{\n  "a": 1.0,\n  "b": 1e5\n}'


def test_an_array_of_numbers_fills_its_lines_instead_of_taking_one_each() -> None:
    text = json.dumps([0.123456] * 100)
    assert len(indented(text).splitlines()) < 20
    assert respelled(indented(text), "spaced") == text


@pytest.mark.parametrize("text", ["{", "nope", '{"a":1}}', "[1,]"])
def test_what_is_no_json_has_no_spelling(text: str) -> None:
    assert spelling_of(text) is None


def test_an_irregular_spelling_has_no_name() -> None:
    assert spelling_of('{"a":  1}') is None


def test_an_unknown_spelling_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown spelling 'wide': expected one of compact, spaced"):
        respelled("{}", "wide")
