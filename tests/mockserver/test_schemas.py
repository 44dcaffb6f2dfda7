"""Values that conform to schemas, whatever the schema."""

from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.generating.dice import Dice
from mockserver.generating.schemas import Unsatisfiable, conforming

PROMPT = "Ada Lovelace, 36, wrote to shipping about parcel 42 on the red dragon"

names = st.text("abcxyz", min_size=1, max_size=4)
formats = st.sampled_from(["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"])
scalars = st.one_of(
    st.just({"type": "null"}),
    st.just({"type": "boolean"}),
    st.just({}),
    st.builds(lambda kind: {"type": kind}, st.sampled_from(["string", "integer", "number"])),
    st.builds(lambda value: {"const": value}, st.one_of(st.integers(), st.text(max_size=5), st.none())),
    st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=8), min_size=1, max_size=4, unique=True)),
    st.builds(lambda name: {"type": "string", "format": name}, formats),
    st.builds(
        lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
        st.integers(0, 40),
        st.integers(0, 20),
    ),
    st.builds(
        lambda kind, least, more: {"type": kind, "minimum": least, "maximum": least + more},
        st.sampled_from(["integer", "number"]),
        st.integers(-1000, 1000),
        st.integers(0, 50),
    ),
    st.builds(
        lambda least, more: {"type": "number", "exclusiveMinimum": least, "exclusiveMaximum": least + more},
        st.floats(-100, 100),
        st.floats(0.5, 50),
    ),
    st.builds(lambda step: {"type": "integer", "multipleOf": step}, st.integers(1, 60)),
)


def lists_of(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda items, least, more: {"type": "array", "items": items, "minItems": least, "maxItems": least + more},
        part,
        st.integers(0, 3),
        st.integers(0, 3),
    )


def objects_of(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda properties, optional: {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name not in optional],
            "additionalProperties": False,
        },
        st.dictionaries(names, part, max_size=4),
        st.sets(names),
    )


schemas = st.recursive(
    scalars,
    lambda part: st.one_of(
        lists_of(part),
        objects_of(part),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(part, min_size=1, max_size=3)),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(schema=schemas, seed=st.integers(0, 1000))
def test_what_is_made_validates(schema: Any, seed: int) -> None:
    value = conforming(schema, prompt=PROMPT, dice=Dice(seed))
    jsonschema_rs.validate(schema, value, validate_formats=True)


@settings(max_examples=50, deadline=None)
@given(part=schemas, seed=st.integers(0, 1000))
def test_definitions_and_recursion_end(part: Any, seed: int) -> None:
    schema = {
        "$defs": {
            "part": part,
            "node": {
                "type": "object",
                "properties": {
                    "value": {"$ref": "#/$defs/part"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                    "parent": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["value", "children", "parent"],
            },
        },
        "$ref": "#/$defs/node",
    }
    jsonschema_rs.validate(schema, conforming(schema, prompt=PROMPT, dice=Dice(seed)))


@pytest.mark.parametrize(
    "schema",
    [
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"required": ["b"]},
            ]
        },
        {"allOf": [{"type": "number", "minimum": 3}, {"type": "integer", "maximum": 4}]},
        {"allOf": [{"enum": ["x", "y"]}, {"enum": ["y", "z"]}]},
        {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}]},
        {"type": ["string", "null"]},
        {"type": ["null"]},
        {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"enum": [1, 2, 3, 4]}},
        {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False, "minItems": 2},
        {"type": "object", "minProperties": 3, "properties": {"a": {}}},
        {"type": "object", "patternProperties": {"^n_": {"type": "integer"}}, "required": ["n_one"]},
        {"minimum": 5},
        {"items": {"type": "integer"}},
        {"type": "integer", "multipleOf": 2.5, "minimum": 1},
        {"type": "number", "multipleOf": 0.25, "minimum": 0.1, "maximum": 0.9},
        {"type": "number", "maximum": -5},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/b"}, "b": {"const": 7}}, "required": ["a"]},
        {"type": "object", "properties": {"self": {"$ref": "#"}}},
        {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        True,
    ],
)
def test_what_tools_bring_beyond_strict_schemas_works_too(schema: Any) -> None:
    for seed in range(20):
        assert jsonschema_rs.is_valid(schema, conforming(schema, prompt=PROMPT, dice=Dice(seed)))


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 2, "maximum": 1},
        {"type": "integer", "multipleOf": 10, "minimum": 1, "maximum": 9},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"allOf": [{"type": "string"}, False]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"enum": []},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"type": "object", "minProperties": 10**9},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "integer", "minimum": 1e308, "multipleOf": 1e-300},
        {"type": "object", "patternProperties": {"^\\p{L}+$": {}}, "required": ["a"]},
    ],
)
def test_a_schema_without_any_value_is_named_so(schema: Any) -> None:
    with pytest.raises(Unsatisfiable):
        conforming(schema, prompt=PROMPT, dice=Dice(0))


def test_why_there_is_none_is_said() -> None:
    with pytest.raises(Unsatisfiable, match=r"a pattern that is not covered: '\\p'"):
        conforming({"type": "string", "pattern": "^\\p{L}+$"}, prompt=PROMPT, dice=Dice(0))


def test_numbers_of_the_prompt_are_preferred() -> None:
    value = conforming({"type": "integer", "minimum": 30, "maximum": 40}, prompt=PROMPT, dice=Dice(1))
    assert value == 36


DECIMAL_TEXT = {"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "number"}, {"type": "string"}]},
        {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}, {"type": "null"}]},
        {"oneOf": [DECIMAL_TEXT, {"type": "integer"}]},
        {"type": ["string", "number"]},
        DECIMAL_TEXT,
    ],
)
def test_what_may_be_a_number_or_its_text_is_never_a_word(schema: Any) -> None:
    for seed in range(30):
        value = conforming(schema, prompt="The red dragon", dice=Dice(seed))
        assert value is None or Decimal(value).is_finite()


@pytest.mark.parametrize(
    "other", [{"enum": ["auto"], "type": "string"}, {"type": "string", "format": "date"}, {"pattern": "^auto$"}]
)
def test_a_text_beside_a_number_that_means_something_else_is_made_too(other: Any) -> None:
    schema = {"anyOf": [{"type": "number"}, {"type": "string", **other}]}
    made = {type(conforming(schema, prompt="", dice=Dice(seed))) for seed in range(30)}
    assert str in made
    assert made & {int, float}


def test_strings_are_words_of_the_prompt() -> None:
    value = conforming({"type": "string"}, prompt=PROMPT, dice=Dice(1))
    assert set(value.split()) <= set(PROMPT.replace(",", "").split())


def test_the_same_dice_make_the_same_value() -> None:
    schema = {"type": "array", "items": {"type": "number"}, "minItems": 5}
    assert conforming(schema, prompt="", dice=Dice(3)) == conforming(schema, prompt="", dice=Dice(3))


combiner = st.sampled_from(["anyOf", "oneOf", "allOf"])
small = st.integers(-3, 12)
keywords = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", "number", "object", "array", "null", ["string", "null"]]),
        "minimum": small,
        "exclusiveMaximum": small,
        "multipleOf": st.sampled_from([0.5, 3, 0.01]),
        "minLength": st.integers(0, 9),
        "maxLength": st.integers(0, 9),
        "pattern": st.sampled_from(["^a+$", r"^\d{3}-[a-f]$", "x|y", r"\p{L}", "(a)\\1"]),
        "format": st.sampled_from(["date", "uuid", "email", "nonsense"]),
        "minItems": st.integers(0, 4),
        "uniqueItems": st.booleans(),
        "minProperties": st.integers(0, 4),
        "additionalProperties": st.booleans(),
        "enum": st.lists(st.one_of(st.none(), st.text(max_size=3), small), min_size=1, max_size=3),
        "$ref": st.sampled_from(["#", "#/$defs/a", "#/nowhere"]),
    },
)
mixed = st.recursive(
    keywords,
    lambda part: st.one_of(
        st.builds(
            lambda base, key, parts: {**base, key: parts}, keywords, combiner, st.lists(part, min_size=1, max_size=3)
        ),
        st.builds(lambda base, other: {**base, "not": other}, keywords, part),
        st.builds(lambda base, other: {**base, "items": other}, keywords, part),
        st.builds(
            lambda base, parts: {**base, "properties": parts, "required": list(parts)},
            keywords,
            st.dictionaries(names, part, max_size=3),
        ),
    ),
    max_leaves=6,
)


@given(schema=mixed, seed=st.integers(0, 100))
@settings(deadline=None, max_examples=150)
def test_whatever_the_schema_what_is_made_validates_or_nothing_is(schema: Any, seed: int) -> None:
    schema = {**schema, "$defs": {"a": {"type": "integer"}}}
    try:
        jsonschema_rs.validator_for(schema, validate_formats=True)
    except (jsonschema_rs.ReferencingError, jsonschema_rs.ValidationError, ValueError):
        return  # refused before anything is made
    try:
        value = conforming(schema, prompt=PROMPT, dice=Dice(seed))
    except Unsatisfiable:
        return
    jsonschema_rs.validate(schema, value)
