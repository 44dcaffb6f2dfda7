"""JSON that conforms to a JSON Schema, with values taken from the prompt where they fit.

Covers what Structured Outputs accepts: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas,
and most of what tools bring along beyond it.
"""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from mockserver.generating.dice import Dice
from mockserver.generating.patterns import Unsupported, matching
from mockserver.generating.prose import words_of

_DEPTH = 6  # from here on only what the schema requires
_DEEPEST = 40  # a schema that still demands more has no finite value, or none worth writing
_ATTEMPTS = 30
_MANY_VALUES = 1_000  # from here on only what the schema requires, however flat it is
_MOST_VALUES = 20_000

_ENDING = r"(?:s|es|ed|ing)?\b"  # that a word of the prompt may have and still be the one meant
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")

_FORMATS = {
    "date-time": "2025-06-01T12:00:00Z",
    "date": "2025-06-01",
    "time": "12:00:00Z",
    "duration": "P1DT2H",
    "email": "ada.lovelace@example.com",
    "idn-email": "ada.lovelace@example.com",
    "hostname": "www.example.com",
    "idn-hostname": "www.example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/example",
    "iri": "https://example.com/",
    "iri-reference": "/example",
    "uri-template": "https://example.com/{id}",
    "json-pointer": "/example",
    "relative-json-pointer": "0/example",
    "regex": "^a+$",
}


class Unsatisfiable(Exception):
    """No value could be made that conforms to the schema."""


def conforming(schema: Any, *, prompt: str, dice: Dice) -> Any:
    """A value that validates against `schema`; Unsatisfiable if there is none, or none was found."""
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    maker = _Maker(schema, prompt, dice)
    reason = ""
    for attempt in range(_ATTEMPTS):
        try:
            maker.made = 0
            value = maker.value(schema, depth=0 if attempt < _ATTEMPTS // 2 else _DEPTH)
        except (Unsatisfiable, ArithmeticError) as exc:  # ArithmeticError: bounds beyond what a float holds
            reason = f"{exc}, in "
            continue
        if validator.is_valid(value):
            return value
    raise Unsatisfiable(f"{reason or 'nothing tried conforms to '}the schema {schema!r}")


@dataclass
class _Maker:
    """Makes values for one schema; the same dice, prompt and schema make the same value."""

    root: Any
    prompt: str
    dice: Dice
    made: int = 0
    words: list[str] = field(init=False)
    lowered: str = field(init=False)
    numbers: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.words = list(dict.fromkeys(words_of(self.prompt)))[:60] or ["example"]
        self.lowered = self.prompt.lower()
        self.numbers = [float(text) for text in _NUMBER.findall(self.prompt)[:60]]

    def value(self, schema: Any, *, depth: int, name: str = "") -> Any:
        """A value for `schema`, found at `depth` as the property `name`."""
        self.made += 1
        if depth > _DEEPEST or self.made > _MOST_VALUES or schema is False:
            raise Unsatisfiable(f"no finite value for {name or 'the schema'!r}")
        if self.made > _MANY_VALUES:
            depth = max(depth, _DEPTH)
        schema = self._resolved(schema if isinstance(schema, Mapping) else {}, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._likeliest(schema["enum"])
        make = getattr(self, f"_{self._type(schema, depth)}")
        return make(schema, depth, name)

    def _resolved(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """One plain schema: references followed, alternatives chosen, parts of `allOf` merged."""
        merged = dict(schema)
        for _ in range(_DEEPEST):
            if "$ref" in merged:
                merged = _merge(self._target(merged.pop("$ref")), merged)
            elif "allOf" in merged:
                for part in merged.pop("allOf"):
                    merged = _merge(merged, part)
            elif alternatives := merged.pop("anyOf", None) or merged.pop("oneOf", None):
                merged = _merge(merged, self._alternative(alternatives, depth))
            else:
                return merged
        raise Unsatisfiable("references that lead in a circle")

    def _target(self, reference: str) -> Any:
        target = self.root
        for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            key = step.replace("~1", "/").replace("~0", "~")
            try:
                target = target[int(key)] if isinstance(target, list) else target[key]
            except (KeyError, IndexError, ValueError, TypeError) as exc:
                raise Unsatisfiable(f"{reference!r} refers to nothing in the schema") from exc
        return target

    def _alternative(self, alternatives: Sequence[Any], depth: int) -> Any:
        """One of them: deep down the plainest, so that recursion ends."""
        if depth >= _DEPTH:
            return min(alternatives, key=_weight)
        if any(isinstance(one, Mapping) and one.get("type") in ("number", "integer") for one in alternatives):
            alternatives = [one for one in alternatives if not _may_spell_a_number(one)]
        return self.dice.choice(alternatives)

    def _type(self, schema: Mapping[str, Any], depth: int) -> str:
        kinds = schema.get("type") or _implied_type(schema)
        if isinstance(kinds, str):
            return kinds
        if depth >= _DEPTH and "null" in kinds:
            return "null"
        numeric = "number" in kinds or "integer" in kinds
        wanted = [str(kind) for kind in kinds if kind != "null" and not (numeric and kind == "string")]
        return self.dice.choice(wanted or ["null"])

    def _likeliest(self, options: Sequence[Any]) -> Any:
        """The option whose words the prompt mentions, or any."""
        if not options:
            raise Unsatisfiable("an enum without values")
        mentioned = [option for option in options if self._mentions(option)]
        return self.dice.choice(mentioned or options)

    def _mentions(self, option: Any) -> bool:
        words = re.findall(r"[^\W_]+", str(option).lower())
        return bool(words) and all(re.search(rf"\b{word}{_ENDING}", self.lowered) for word in words)

    def _null(self, _schema: Mapping[str, Any], _depth: int, _name: str) -> None:
        return None

    def _boolean(self, _schema: Mapping[str, Any], _depth: int, _name: str) -> bool:
        return self.dice.random() < 0.5

    def _integer(self, schema: Mapping[str, Any], depth: int, name: str) -> int:
        step = schema.get("multipleOf", 1)
        whole = {**schema, "multipleOf": step if float(step).is_integer() else step * _denominator(step)}
        return int(self._number(whole, depth, name))

    def _number(self, schema: Mapping[str, Any], _depth: int, _name: str) -> float:
        least, most = _bounds(schema)
        step = schema.get("multipleOf")
        fitting = [number for number in self.numbers if least <= number <= most and _is_multiple(number, step)]
        if fitting:
            return _shortest(self.dice.choice(fitting))
        low = least if math.isfinite(least) else min(most - 100 * (step or 1), 0) if math.isfinite(most) else 0
        high = most if math.isfinite(most) else max(low, 0) + 100 * (step or 1)
        return self._between(low, high, step)

    def _between(self, low: float, high: float, step: float | None) -> float:
        if step:
            first, last = math.ceil(low / step), math.floor(high / step)
            if first > last:
                raise Unsatisfiable(f"no multiple of {step} from {low} to {high}")
            return _shortest(self.dice.randint(first, last) * step)
        number = round(self.dice.uniform(low, high), 2)
        return _shortest(number if low <= number <= high else low + (high - low) / 2)

    def _string(self, schema: Mapping[str, Any], _depth: int, name: str) -> str:
        if schema.get("format") == "uuid":
            return self.dice.uuid()
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        if "pattern" in schema:
            return self._matching(schema["pattern"])
        return self._sized(name, schema.get("minLength", 0), schema.get("maxLength", 80))

    def _matching(self, pattern: str) -> str:
        try:
            return matching(pattern, self.dice)
        except Unsupported as exc:
            raise Unsatisfiable(f"a pattern that is not covered: {exc}") from exc

    def _sized(self, name: str, least: int, most: int) -> str:
        _check_size(least)
        start = self.dice.randrange(len(self.words))
        text = " ".join((self.words[start:] + self.words[:start])[: self.dice.randint(1, 4)])
        if name and len(text) < least:
            text = f"{name} {text}"
        while len(text) < least:
            text += f" {self.dice.choice(self.words)}"
        return text[:most]

    def _array(self, schema: Mapping[str, Any], depth: int, name: str) -> list[Any]:
        fixed = schema.get("prefixItems", [])
        least = schema.get("minItems", 0)
        _check_size(least)
        most = schema.get("maxItems", max(least, len(fixed), 3))
        wanted = least if depth >= _DEPTH else self.dice.randint(min(max(least, 1), most), min(max(least, 3), most))
        rest = schema.get("items", True)
        if rest is False:
            wanted = min(wanted, len(fixed))
        parts = [*fixed[:wanted], *[rest] * (max(wanted, 0) - len(fixed))]
        items = [self.value(part, depth=depth + 1, name=name) for part in parts]
        return self._distinct(items, rest, depth, least) if schema.get("uniqueItems") else items

    def _distinct(self, items: list[Any], part: Any, depth: int, least: int) -> list[Any]:
        options = part.get("enum", []) if isinstance(part, Mapping) else []
        more = (self.value(part, depth=depth + 1) for _ in range(10 * least))
        unique: list[Any] = []
        for index, item in enumerate(itertools.chain(items, options, more)):
            if index >= len(items) and len(unique) >= least:
                break
            unique += [item] if item not in unique else []
        return unique

    def _object(self, schema: Mapping[str, Any], depth: int, _name: str) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        _check_size(schema.get("minProperties", 0), most=100)
        chosen = [name for name in properties if name in required or self._wants_optional(depth)]
        chosen += [name for name in required if name not in properties]
        made = {name: self.value(self._property(schema, name), depth=depth + 1, name=name) for name in chosen}
        return self._filled(made, schema, depth)

    def _wants_optional(self, depth: int) -> bool:
        return depth < _DEPTH and self.dice.random() < 0.5

    def _property(self, schema: Mapping[str, Any], name: str) -> Any:
        if name in schema.get("properties", {}):
            return schema["properties"][name]
        for pattern, part in schema.get("patternProperties", {}).items():
            if _is_found(pattern, name):
                return part
        return schema.get("additionalProperties", True)

    def _filled(self, made: dict[str, Any], schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """Up to `minProperties`, first with known names."""
        candidates = [*schema.get("properties", {}), *(f"extra_{number}" for number in range(100))]
        for name in candidates:
            if len(made) >= schema.get("minProperties", 0):
                break
            if name not in made:
                made[name] = self.value(self._property(schema, name), depth=depth + 1, name=name)
        return made


def _check_size(least: float, *, most: int = 10_000) -> None:
    if least > most:
        raise Unsatisfiable(f"at least {least} of something")


def _is_found(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error as exc:  # JSON Schema speaks the regular expressions of JavaScript
        raise Unsatisfiable(f"the pattern {pattern!r}: {exc}") from exc


def _may_spell_a_number(schema: Any) -> bool:
    """Whether this is the text beside a number, as pydantic allows it for a Decimal: any word would fit the schema."""
    if not isinstance(schema, Mapping) or schema.get("type") != "string":
        return False
    if any(keyword in schema for keyword in ("const", "enum", "format")):
        return False
    try:
        return _is_found(schema.get("pattern", ""), "1")
    except Unsatisfiable:
        return False


def _merge(first: Any, second: Any) -> dict[str, Any]:
    """Both schemas at once; where they say different things of one keyword, what both allow."""
    if first is False or second is False:
        raise Unsatisfiable("a part of the schema allows nothing")
    merged = dict(first) if isinstance(first, Mapping) else {}
    for key, value in (second if isinstance(second, Mapping) else {}).items():
        merged[key] = _both(key, merged[key], value) if key in merged else value
    return merged


def _both(key: str, first: Any, second: Any) -> Any:
    match key:
        case "properties":
            shared = {name: {"allOf": [first[name], second[name]]} for name in first.keys() & second.keys()}
            return {**first, **second, **shared}
        case "required":
            return list(dict.fromkeys([*first, *second]))
        case "enum":
            return [option for option in first if option in second]
        case "type":
            return _common_type(first, second)
        case "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties":
            return max(first, second)
        case "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties":
            return min(first, second)
        case "allOf" | "anyOf" | "oneOf":
            return [*first, *second] if key == "allOf" else second
        case _:
            return second


def _common_type(first: Any, second: Any) -> Any:
    one, other = (kinds if isinstance(kinds, list) else [kinds] for kinds in (first, second))
    common = [kind for kind in one if kind in other]
    if not common and "integer" in [*one, *other] and "number" in [*one, *other]:
        return "integer"
    if not common:
        raise Unsatisfiable(f"nothing is of type {first} and {second} at once")
    return common if len(common) > 1 else common[0]


def _implied_type(schema: Mapping[str, Any]) -> str:
    """The type that the keywords speak of, where the schema names none."""
    for kind, keywords in (
        ("object", ("properties", "required", "additionalProperties", "minProperties", "patternProperties")),
        ("array", ("items", "prefixItems", "minItems", "uniqueItems")),
        ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
    ):
        if any(keyword in schema for keyword in keywords):
            return kind
    return "string"


def _weight(schema: Any) -> int:
    """How much a schema asks for: scalars before lists, lists before objects and references."""
    if not isinstance(schema, Mapping):
        return 0
    if "$ref" in schema or any(key in schema for key in ("anyOf", "oneOf", "allOf")):
        return 3
    kind = schema.get("type") or _implied_type(schema)
    return {"object": 2, "array": 1}.get(kind if isinstance(kind, str) else "", 0)


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float]:
    """Least and most, infinite where nothing is said; an exclusive bound moves in by one step or a hair."""
    hair = schema.get("multipleOf") or (1 if schema.get("type") == "integer" else 1e-6)
    least = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + hair)
    most = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - hair)
    if least > most:
        raise Unsatisfiable(f"no number from {least} to {most}")
    return least, most


def _is_multiple(number: float, step: float | None) -> bool:
    return step is None or math.isclose(number / step, round(number / step), abs_tol=1e-9)


def _denominator(step: float) -> int:
    return next((factor for factor in (10, 100, 1000, 10_000) if float(step * factor).is_integer()), 100_000)


def _shortest(number: float) -> float:
    """Without a fraction where there is none: 3, not 3.0."""
    return int(number) if float(number).is_integer() else number
