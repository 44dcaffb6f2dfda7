"""JSON Schemas put together, and turned into their opposite."""

import math
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]

KINDS = ("string", "number", "object", "array", "boolean", "null")
_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
# what breaks a bound, and what kind of value can: how far from it the other bound lies
_BREAKS = {
    "minimum": ("number", "exclusiveMaximum", 0),
    "maximum": ("number", "exclusiveMinimum", 0),
    "exclusiveMinimum": ("number", "maximum", 0),
    "exclusiveMaximum": ("number", "minimum", 0),
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}
_BY_CHANCE = {"pattern": "string", "format": "string", "multipleOf": "number", "uniqueItems": "array"}


class Contradiction(Exception):
    """No value could be of both schemas."""


def merged(first: Any, second: Any) -> dict[str, Any]:
    """Both schemas at once; where they say different things of one keyword, what both allow."""
    if first is False or second is False:
        raise Contradiction("a part of the schema allows nothing")
    both = dict(first) if isinstance(first, Mapping) else {}
    for key, value in (second if isinstance(second, Mapping) else {}).items():
        both[key] = _both(key, both[key], value) if key in both else value
        if key in ("anyOf", "oneOf") and isinstance(first, Mapping) and key in first and first[key] != value:
            both[key] = first[key]
            both["allOf"] = [*both.get("allOf", []), {key: value}]
    return both


def _both(key: str, first: Any, second: Any) -> Any:
    if first == second:
        return first
    if key in _LEAST:
        return max(first, second)
    if key in _MOST:
        return min(first, second)
    return _JOINED[key](first, second) if key in _JOINED else second


def _common_type(first: Any, second: Any) -> Any:
    one, other = (kinds if isinstance(kinds, list) else [kinds] for kinds in (first, second))
    common = [kind for kind in one if kind in other]
    if "integer" in [*one, *other] and "number" in [*one, *other] and "integer" not in common:
        common.append("integer")
    if not common:
        raise Contradiction(f"nothing is of type {first} and {second} at once")
    return common if len(common) > 1 else common[0]


def _joined_parts(first: Schema, second: Schema) -> dict[str, Any]:
    shared = {name: {"allOf": [first[name], second[name]]} for name in first.keys() & second.keys()}
    return {**first, **second, **shared}


def _joined_schemas(first: Any, second: Any) -> Any:
    return False if first is False or second is False else {"allOf": [first, second]}


def _joined_lists(first: list[Any], second: list[Any]) -> list[Any]:
    return [*first, *(one for one in second if one not in first)]


def _joined_steps(first: float, second: float) -> float:
    return math.lcm(first, second) if isinstance(first, int) and isinstance(second, int) else second


_JOINED: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("properties", "patternProperties", "dependentSchemas"), _joined_parts),
    **dict.fromkeys(("items", "additionalProperties", "propertyNames", "contains"), _joined_schemas),
    **dict.fromkeys(("required", "allOf"), _joined_lists),
    "enum": lambda first, second: [option for option in first if option in second],
    "type": _common_type,
    "not": lambda first, second: {"anyOf": [first, second]},
    "multipleOf": _joined_steps,
    "pattern": lambda first, second: rf"^(?=[\s\S]*?(?:{first}))[\s\S]*?(?:{second})",
}


def opposites(schema: Any) -> list[dict[str, Any]]:
    """Schemas of values that `schema` refuses, each for one thing that it says; some leave the refusal to chance."""
    if not isinstance(schema, Mapping):
        return [] if schema is not False else [{}]
    ways: list[dict[str, Any]] = []
    for key, value in schema.items():
        ways += _ways(key, value)
    if "enum" in schema or "const" in schema:
        ways.append({"type": schema["type"]} if "type" in schema else {})
    return ways


def _ways(key: str, value: Any) -> list[dict[str, Any]]:
    """How a value may break one keyword."""
    if key in _BREAKS:
        kind, other, distance = _BREAKS[key]
        return [{"type": kind, other: value + distance}] if value + distance >= 0 or kind == "number" else []
    if key in _BY_CHANCE:
        return [{"type": _BY_CHANCE[key]}]
    return _BROKEN[key](value) if key in _BROKEN else []


def _other_types(value: Any) -> list[dict[str, Any]]:
    kinds = value if isinstance(value, list) else [value]
    taken = {*kinds, "number"} if "integer" in kinds else {*kinds}
    return [{"type": kind} for kind in KINDS if kind not in taken]


def _other_properties(value: Schema) -> list[dict[str, Any]]:
    return [
        {"type": "object", "properties": {name: {"not": part}}, "required": [name]}
        for name, part in value.items()
        if part is not True and part != {}
    ]


_BROKEN: dict[str, Callable[[Any], list[dict[str, Any]]]] = {
    "type": _other_types,
    "required": lambda names: [{"type": "object", "properties": {name: False}} for name in names],
    "properties": _other_properties,
    "additionalProperties": lambda part: [{"type": "object", "required": ["extra_0"]}] if part is False else [],
    "items": lambda part: [{"type": "array", "contains": {"not": part}}] if part is not True else [],
    "contains": lambda part: [{"type": "array", "items": {"not": part}}],
    "not": lambda part: [dict(part) if isinstance(part, Mapping) else {}],
    "anyOf": lambda parts: [{"allOf": [{"not": part} for part in parts]}],
    "allOf": lambda parts: [{"not": part} for part in parts],
    "$ref": lambda _: [{}],
    "oneOf": lambda _: [{}],
}
