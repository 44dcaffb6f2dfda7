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


def _nested(depth: int) -> dict[str, Any]:
    """Objects in each other, and a number in the innermost."""
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return schema


UNIQUE = {"type": "array", "uniqueItems": True}
ONE_OF_OBJECTS = [{"type": "object", "properties": {name: {"type": "string"}}} for name in ("a", "b")]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 81},
        {"type": "string", "minLength": 500, "maxLength": 500},
        {"type": "string", "pattern": "^[a-z]+$", "minLength": 12},
        {"type": "string", "pattern": r"^\d+$", "minLength": 12},
        {"type": "string", "pattern": r"^[\w.-]+$", "minLength": 50, "maxLength": 50},
        {"type": "string", "pattern": "^[a-z]+(-[a-z]+)*$", "maxLength": 2},
        {"type": "string", "pattern": "a", "minLength": 30},
        {"type": "string", "format": "email", "minLength": 40},
        {"type": "string", "format": "email", "pattern": "@corp\\.com$"},
        {"type": "string", "format": "date", "pattern": "^2031"},
        {"type": "string", "format": "hostname", "maxLength": 5},
        {"type": "string", "format": "uri", "pattern": "^https://"},
        {"type": "string", "pattern": r"\bcat\b"},
        {"type": "string", "pattern": r"^(a|b)-\1$"},
        {"type": "string", "pattern": r"^\p{Lu}\p{L}*$"},
        {"type": "string", "pattern": r"^\u0041+$"},
        {"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "z$"}]},
        {**UNIQUE, "items": {"type": "string"}, "minItems": 8},
        {**UNIQUE, "items": {"type": "string", "maxLength": 1}, "minItems": 20},
        {**UNIQUE, "items": {"type": "string", "format": "date"}, "minItems": 5},
        {**UNIQUE, "items": {"type": "integer", "minimum": 0, "maximum": 19}, "minItems": 20},
        {**UNIQUE, "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 20},
        {**UNIQUE, "items": {"type": ["boolean", "null"]}, "minItems": 3},
        {**UNIQUE, "items": {"enum": [1, True, "1"]}, "minItems": 3},
        {**UNIQUE, "items": {"type": "object", "properties": {"a": {"type": "string"}}}, "minItems": 4},
        {"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 500}, "minContains": 2},
        {"type": "array", "contains": {"const": 3}, "items": {"type": "integer"}, "maxContains": 1, "minItems": 3},
        {"type": "array", "items": [{"type": "integer"}, {"type": "string"}], "minItems": 2,
         "$schema": "http://json-schema.org/draft-07/schema#"},
        {"type": "number", "not": {"minimum": 0}},
        {"type": "integer", "not": {"enum": [0, 1, 2]}, "minimum": 0, "maximum": 3},
        {"type": "string", "not": {"pattern": "^[A-Z]"}, "minLength": 1},
        {"not": {"type": ["object", "string"]}},
        {"type": "object", "properties": {"a": {}, "b": {}}, "not": {"required": ["a"]}, "required": ["b"]},
        {"allOf": [{"not": {"required": ["a"]}}, {"not": {"required": ["b"]}}], "properties": {"a": {}, "b": {}}},
        {"type": "object", "propertyNames": {"pattern": "^[a-z]{3}$"}, "minProperties": 3},
        {"type": "object", "propertyNames": {"enum": ["x", "y"]}, "minProperties": 2},
        {"type": "object", "patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": False,
         "minProperties": 2},
        {"type": "object", "patternProperties": {"^\\p{L}+$": {}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
         "dependentSchemas": {"a": {"properties": {"b": {"type": "integer"}}, "required": ["b"]}}},
        {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"], "dependentRequired": {"a": ["b"]}},
        {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "maxProperties": 1},
        {"oneOf": ONE_OF_OBJECTS},
        {"oneOf": [{"type": "integer", "multipleOf": 3}, {"type": "integer", "multipleOf": 5}]},
        {"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}, "else": {"required": ["c"]},
         "type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e-9},
        {"type": "integer", "exclusiveMinimum": 1.5, "exclusiveMaximum": 2.5},
        {"type": "string", "enum": [1, "b"]},
        {"enum": ["a", "bcd"], "minLength": 2},
        _nested(40),
        {"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "integer"}}},
        {"$ref": "#here", "$defs": {"a": {"$anchor": "here", "type": "integer"}}},
        {"$id": "https://example.com/root", "$ref": "part", "$defs": {"a": {"$id": "part", "type": "integer"}}},
    ],
    ids=lambda schema: str(schema)[:80],
)  # fmt: skip
@pytest.mark.parametrize("prompt", ["x", PROMPT])
def test_whatever_has_a_value_gets_one(schema: Any, prompt: str) -> None:
    for seed in range(6):
        value = conforming(schema, prompt=prompt, dice=Dice(seed))
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(value)


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
        {"type": "string", "pattern": "^[a-z]{3}$", "minLength": 4},
        {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "boolean"}},
    ],
)
def test_a_schema_without_any_value_is_named_so(schema: Any) -> None:
    with pytest.raises(Unsatisfiable):
        conforming(schema, prompt=PROMPT, dice=Dice(0))


def test_why_there_is_none_is_said() -> None:
    with pytest.raises(Unsatisfiable, match=r"a pattern that is not covered: '\\p'"):
        conforming({"type": "string", "pattern": "^\\p{Emoji}+$"}, prompt=PROMPT, dice=Dice(0))


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
@settings(deadline=None, max_examples=60)
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
