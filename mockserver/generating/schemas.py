"""JSON that conforms to a JSON Schema, with values taken from the prompt where they fit.

Covers what Structured Outputs accepts: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas,
and most of what tools bring along beyond it. Left to chance, and so not always met: several patterns for one string,
`oneOf` of parts that all but contain each other, `unevaluatedProperties`, `maxContains`, and `not` around a reference.
Not covered: `$dynamicRef` into other schemas, references to other documents, patterns with flags.
"""

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from mockserver.generating import patterns, strings
from mockserver.generating.dice import Dice
from mockserver.generating.merging import Contradiction, merged, opposites
from mockserver.generating.prose import words_of
from mockserver.generating.references import Dangling, References

_DEPTH = 6  # from here on only what the schema requires
_DEEPEST = 100  # a schema that still demands more has no finite value, or none worth writing
_CIRCLES = 200  # references that lead on and on
_ATTEMPTS = 30
_LOCAL_ATTEMPTS = 12  # at a part whose keywords only chance can meet
_MANY_VALUES = 1_000  # from here on only what the schema requires, however flat it is
_MOST_VALUES = 20_000

_ENDING = r"(?:s|es|ed|ing)?\b"  # that a word of the prompt may have and still be the one meant
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PICKY = ("not", "oneOf", "if", "dependentSchemas", "contains", "propertyNames")
_TYPES = {"string": str, "object": Mapping, "array": list, "boolean": bool, "null": type(None)}


class Unsatisfiable(Exception):
    """No value could be made that conforms to the schema."""


_FAILURES = (
    *(Unsatisfiable, Contradiction, Dangling, strings.Unmade, patterns.Unsupported),
    *(ArithmeticError, RecursionError),  # bounds beyond what a float holds, parts nested beyond what Python follows
)


def conforming(schema: Any, *, prompt: str, dice: Dice) -> Any:
    """A value that validates against `schema`; Unsatisfiable if there is none, or none was found."""
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    maker = _Maker(schema, prompt, dice)
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt > 2 and maker.made > _MOST_VALUES:
            break  # too large a value, not an unlucky one
        try:
            maker.made = 0
            value = maker.value(schema, depth=0 if attempt < _ATTEMPTS // 2 else _DEPTH)
        except _FAILURES as exc:
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
    references: References = field(init=False)

    def __post_init__(self) -> None:
        self.words = list(dict.fromkeys(words_of(self.prompt)))[:60] or ["example"]
        self.lowered = self.prompt.lower()
        self.numbers = [float(text) for text in _NUMBER.findall(self.prompt)[:60]]
        self.references = References(self.root)

    def value(self, schema: Any, *, depth: int, name: str = "") -> Any:
        """A value for `schema`, found at `depth` as the property `name`."""
        self.made += 1
        if depth > _DEEPEST or self.made > _MOST_VALUES or schema is False:
            raise Unsatisfiable(f"no finite value for {name or 'the schema'!r}")
        if self.made > _MANY_VALUES:
            depth = max(depth, _DEPTH)
        if not isinstance(schema, Mapping) or not any(keyword in schema for keyword in _PICKY):
            return self._once(schema, depth, name)
        return self._picked(schema, depth, name)

    def _picked(self, schema: Mapping[str, Any], depth: int, name: str) -> Any:
        """A value that meets what only chance can meet, tried where it stands: not all around it anew."""
        check, failure = self._checking(schema), "nothing tried conforms"
        for _ in range(_LOCAL_ATTEMPTS if depth < _DEPTH else 3):
            try:
                value = self._once(schema, depth, name)
            except _FAILURES as exc:
                failure = str(exc)
                continue
            if check is None or check.is_valid(value):
                return value
        raise Unsatisfiable(failure)

    def _checking(self, schema: Mapping[str, Any]) -> Any:
        """What validates a part of the schema; None where that cannot be told from the part alone."""
        defined = {key: self.root[key] for key in ("$defs", "definitions", "$schema") if key in _mapping(self.root)}
        try:
            return jsonschema_rs.validator_for({**defined, **schema}, validate_formats=True)
        except (jsonschema_rs.ReferencingError, jsonschema_rs.ValidationError, ValueError):
            return None

    def _once(self, schema: Any, depth: int, name: str) -> Any:
        schema = self._resolved(schema if isinstance(schema, Mapping) else {}, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._likeliest(self._allowed(schema))
        make = getattr(self, f"_{self._type(schema, depth)}")
        return make(schema, depth, name)

    def _allowed(self, schema: Mapping[str, Any]) -> Sequence[Any]:
        """The options of an enum that the rest of the schema allows."""
        options: Sequence[Any] = schema["enum"]
        if not schema.keys() - {"enum", "type", "description", "title", "default"}:
            return [option for option in options if _is_of(option, schema.get("type"))]
        check = self._checking(schema)
        return options if check is None else [option for option in options if check.is_valid(option)]

    def _resolved(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """One plain schema: references followed, alternatives chosen, parts of `allOf` merged."""
        plain = dict(schema)
        for _ in range(_CIRCLES):
            if "$ref" in plain:
                plain = merged(self.references.target(plain.pop("$ref")), plain)
            elif "not" in plain:
                plain = merged(plain, self._opposite(plain.pop("not")))
            elif parts := plain.pop("allOf", None):
                plain = merged(plain, parts[0])
                plain = merged(plain, {"allOf": parts[1:]}) if parts[1:] else plain
            elif "oneOf" in plain:
                plain = merged(plain, self._only(plain.pop("oneOf"), depth))
            elif alternatives := plain.pop("anyOf", None):
                plain = merged(plain, self._alternative(alternatives, depth))
            elif "if" in plain:
                condition, then, other = (plain.pop(key, True) for key in ("if", "then", "else"))
                branches = ({"allOf": [condition, then]}, {"allOf": [{"not": condition}, other]})
                plain = merged(plain, self.dice.choice(branches))
            else:
                return plain
        raise Unsatisfiable("references that lead in a circle")

    def _only(self, alternatives: Sequence[Any], depth: int) -> Any:
        """One of them, and at times none of the others on purpose: mostly they exclude each other by themselves."""
        one = self._alternative(alternatives, depth)
        if len(alternatives) == 1 or self.dice.random() < 0.5:
            return one
        return {"allOf": [one, *({"not": other} for other in alternatives if other is not one)]}

    def _opposite(self, schema: Any) -> Any:
        if isinstance(schema, Mapping) and "$ref" in schema:
            schema = self.references.target(schema["$ref"])
        ways = opposites(schema)
        if not ways:
            raise Unsatisfiable(f"nothing breaks the schema {schema!r}")
        return self.dice.choice(ways)

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
        return strings.fitting(schema, words=self.words, name=name, dice=self.dice)

    def _array(self, schema: Mapping[str, Any], depth: int, name: str) -> list[Any]:
        fixed, rest = _places(schema)
        wanted = self._length(schema, depth, fixed, rest)
        parts = self._containing(schema, [*fixed[:wanted], *[rest] * (wanted - len(fixed))], len(fixed))
        items = [self.value(part, depth=depth + 1, name=name) for part in parts]
        return self._distinct(items, rest, depth, schema.get("minItems", 0)) if schema.get("uniqueItems") else items

    def _length(self, schema: Mapping[str, Any], depth: int, fixed: Sequence[Any], rest: Any) -> int:
        least = max(schema.get("minItems", 0), schema.get("minContains", 1) if "contains" in schema else 0)
        _check_size(least)
        most = schema.get("maxItems", max(least, len(fixed), 3))
        wanted = least if depth >= _DEPTH else self.dice.randint(min(max(least, 1), most), min(max(least, 3), most))
        return int(max(min(wanted, len(fixed)) if rest is False else wanted, 0))

    def _containing(self, schema: Mapping[str, Any], parts: list[Any], fixed: int) -> list[Any]:
        """The parts of a list, of which as many as `contains` asks for are what it says, and others not needlessly."""
        if "contains" not in schema:
            return parts
        wanted, sought = schema.get("minContains", 1), schema["contains"]
        chosen = range(fixed, fixed + wanted) if fixed + wanted <= len(parts) else range(wanted)
        others = {"not": sought} if "maxContains" in schema else True
        return [
            {"allOf": [part, sought if index in chosen else others]} if index in chosen or others is not True else part
            for index, part in enumerate(parts)
        ]

    def _distinct(self, items: list[Any], part: Any, depth: int, least: int) -> list[Any]:
        """The items without repetitions, and others up to `least`."""
        unique = {_spelt(item): item for item in items}
        more = itertools.chain(
            (self.value(part, depth=depth + 1) for _ in range(4 * least if len(unique) < least else 0)),
            self._enumerated(part, depth, least),
        )
        while len(unique) < least and (found := next(more, _NOTHING)) is not _NOTHING:
            unique.setdefault(_spelt(found), found)
        return list(unique.values())

    def _enumerated(self, part: Any, depth: int, count: int) -> Iterator[Any]:
        """Values that differ, one after the other: where chance is too slow to find them."""
        plain = self._resolved(_mapping(part), depth)
        kinds = plain.get("type") or _implied_type(plain)
        if "enum" in plain:
            yield from self._allowed(plain)
            return
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            if kind == "string":
                yield from strings.others(plain, self.dice, count=count)
            elif kind in ("integer", "number"):
                yield from _counted(plain, whole=kind == "integer", count=2 * count)
            elif kind in ("boolean", "null"):
                yield from (False, True) if kind == "boolean" else (None,)
            else:
                self.words = [*dict.fromkeys([*self.words, *_SPARE])]
                yield from (self.value(part, depth=min(depth, 1)) for _ in range(10 * count))

    def _object(self, schema: Mapping[str, Any], depth: int, _name: str) -> dict[str, Any]:
        schema, chosen = self._chosen(schema, depth)
        made = {name: self.value(self._property(schema, name), depth=depth + 1, name=name) for name in chosen}
        return self._filled(made, schema, depth)

    def _chosen(self, schema: Mapping[str, Any], depth: int) -> tuple[Mapping[str, Any], list[str]]:
        """The schema with what its properties bring along, and the properties that are to be there."""
        _check_size(schema.get("minProperties", 0), most=200)
        known = schema.get("properties", {})
        optional = [name for name, part in known.items() if part is not False and self._wants_optional(depth)]
        taken = [name for name in known if name in schema.get("required", []) or name in optional]
        taken += [name for name in schema.get("required", []) if name not in known]
        taken = _within(taken, schema)
        for name in taken:  # which grows on the way
            needs = schema.get("dependentRequired", {}).get(name) or schema.get("dependencies", {}).get(name) or ()
            brought = schema.get("dependentSchemas", {}).get(name) if isinstance(needs, Sequence) else needs
            if brought is not None:
                without = {key: value for key, value in schema.items() if key != "dependentSchemas"}
                schema = {**self._resolved(merged(without, brought), depth)}
                needs = schema.get("required", ())
            taken += [other for other in needs if other not in taken]
        return schema, taken

    def _wants_optional(self, depth: int) -> bool:
        return depth < _DEPTH and self.dice.random() < 0.5

    def _property(self, schema: Mapping[str, Any], name: str) -> Any:
        found = [schema["properties"][name]] if name in schema.get("properties", {}) else []
        for pattern, part in schema.get("patternProperties", {}).items():
            if patterns.is_found(pattern, name):
                found.append(part)
        if len(found) == 1:
            return found[0]
        return {"allOf": found} if found else schema.get("additionalProperties", True)

    def _filled(self, made: dict[str, Any], schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """Up to `minProperties`, first with known names."""
        candidates = self._names(schema, depth)
        while len(made) < schema.get("minProperties", 0) and (name := next(candidates, None)) is not None:
            part = self._property(schema, name)
            if name not in made and part is not False:
                made[name] = self.value(part, depth=depth + 1, name=name)
        return made

    def _names(self, schema: Mapping[str, Any], depth: int) -> Iterator[str]:
        """Names that properties may have."""
        yield from schema.get("properties", {})
        for pattern in schema.get("patternProperties", {}):
            texts = [patterns.matching(pattern, self.dice) for _ in range(20)]
            longer = (f"{text}{number}" for number, text in enumerate(texts))
            yield from (*texts, *(text for text in longer if patterns.is_found(pattern, text)))
        if "propertyNames" not in schema:
            yield from (f"extra_{number}" for number in range(200))
            return
        naming = {"allOf": [{"type": "string"}, schema["propertyNames"]]}
        yield from (self.value(naming, depth=depth + 1) for _ in range(20))
        yield from (name for name in self._enumerated(naming, depth, 200) if isinstance(name, str))


_NOTHING = object()
_SPARE = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "island", "juniper", "kelp", "lagoon")


def _mapping(schema: Any) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {}


def _is_of(value: Any, kinds: Any) -> bool:
    """Whether a value is of a type, or of one of several; of no type that is named, everything is."""
    if not isinstance(kinds, str):
        return kinds is None or any(_is_of(value, kind) for kind in kinds)
    if kinds in ("integer", "number"):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (kinds == "number" or float(value).is_integer())
    return isinstance(value, _TYPES[kinds])


def _places(schema: Mapping[str, Any]) -> tuple[Sequence[Any], Any]:
    """What the first items of a list are to be, and what all others: `items` is a list itself up to draft 2019-09."""
    items = schema.get("items", schema.get("unevaluatedItems", True))
    if isinstance(items, list):
        return items, schema.get("additionalItems", True)
    return schema.get("prefixItems", ()), items


def _within(names: list[str], schema: Mapping[str, Any]) -> list[str]:
    """As many as `maxProperties` allows, what is required before all else."""
    most = schema.get("maxProperties")
    if most is None or len(names) <= most:
        return names
    required = schema.get("required", [])
    return sorted(names, key=lambda name: name not in required)[: int(max(most, len(required)))]


def _counted(schema: Mapping[str, Any], *, whole: bool, count: int) -> Iterator[float]:
    """Numbers within bounds, one after the other."""
    low, high = _bounds({**schema, "type": "integer" if whole else "number"})
    step = schema.get("multipleOf") or (1 if whole or high - low >= count else (high - low) / count)
    if not math.isfinite(low):
        low = high - count * step if math.isfinite(high) else 0
    first = math.ceil(low / step)
    numbers = (_shortest((first + index) * step) for index in range(count))
    yield from (number for number in numbers if low <= number <= high)


def _spelt(value: Any) -> str:
    """What two values share if a list may not have both."""
    return json.dumps(value, sort_keys=True)


def _check_size(least: float, *, most: int = 10_000) -> None:
    if least > most:
        raise Unsatisfiable(f"at least {least} of something")


def _may_spell_a_number(schema: Any) -> bool:
    """Whether this is the text beside a number, as pydantic allows it for a Decimal: any word would fit the schema."""
    if not isinstance(schema, Mapping) or schema.get("type") != "string":
        return False
    if any(keyword in schema for keyword in ("const", "enum", "format")):
        return False
    try:
        return patterns.is_found(schema.get("pattern", ""), "1")
    except patterns.Unsupported:
        return False


def _implied_type(schema: Mapping[str, Any]) -> str:
    """The type that the keywords speak of, where the schema names none."""
    return next((_KEYWORDS[keyword] for keyword in schema if keyword in _KEYWORDS), "string")


_OBJECTS = ("properties", "required", "additionalProperties", "minProperties", "maxProperties", "patternProperties")
_KEYWORDS = {
    **dict.fromkeys((*_OBJECTS, "propertyNames", "dependentRequired", "dependentSchemas", "dependencies"), "object"),
    **dict.fromkeys(("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"), "array"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
}


def _weight(schema: Any) -> int:
    """How much a schema asks for: scalars before lists, lists before objects and references."""
    if not isinstance(schema, Mapping):
        return 0
    if "$ref" in schema or any(key in schema for key in ("anyOf", "oneOf", "allOf")):
        return 3
    kind = schema.get("type") or _implied_type(schema)
    return {"object": 2, "array": 1}.get(kind if isinstance(kind, str) else "", 0)


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float]:
    """Least and most, infinite where nothing is said; an exclusive bound moves in to the next number that there is."""
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    over, under = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    if schema.get("type") == "integer":
        least = max(least, math.floor(over) + 1 if math.isfinite(over) else over)
        most = min(most, math.ceil(under) - 1 if math.isfinite(under) else under)
    else:
        least = max(least, math.nextafter(over, math.inf) if math.isfinite(over) else over)
        most = min(most, math.nextafter(under, -math.inf) if math.isfinite(under) else under)
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
