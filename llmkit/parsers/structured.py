"""Replies that are JSON: any, one that fits a JSON Schema, or one that makes an object of a class.

All three take the reply if it is JSON and nothing else, or one code block that holds JSON and nothing else. `read` says
which, and what was put right; a call returns the value alone, and logs the repairs.
"""

import functools
import json
import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from llmkit.errors import ConfigError, ParseFailed, excerpt
from llmkit.parsers.code import blocks
from llmkit.parsers.json_repair import Repair, repaired
from llmkit.parsers.json_text import value_of
from llmkit.parsers.places import Step, failure, path_of, place, positions

if TYPE_CHECKING:
    import jsonschema_rs
    import pydantic

T = TypeVar("T")

MOST_PROBLEMS = 20
"""How many of a reply's problems a message lists."""

_logger = logging.getLogger("llmkit.parsers")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """A value, and all that was done to the reply to get at it: nothing, if `repairs` is empty."""

    value: T
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a value: the steps to it, what is wrong, and what would be right."""

    steps: tuple[Step, ...]
    message: str


@dataclass(frozen=True, slots=True)
class _Written:
    """A value and the JSON that says it; `offset` is where that stands in the reply, None if it was repaired."""

    value: Any
    json: str
    offset: int | None
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Json:
    """JSON → dicts, lists, texts, numbers: `Json()(text)`.

    `lenient` also takes JSON with text around it, comments, wrong quotes and the like; see `json_repair`. Raises
    ParseFailed with the place of what is no JSON: text after it, a key that stands twice, NaN.
    """

    lenient: bool = False

    def __call__(self, text: str) -> Any:
        """The value."""
        return _told(self.read(text), text)

    def read(self, text: str) -> Reading[Any]:
        """The value, and the repairs."""
        written = _written(text, lenient=self.lenient)
        return Reading(written.value, written.repairs)


@dataclass(frozen=True, slots=True)
class Schema:
    """JSON that fits a JSON Schema: `Schema({"type": "object", …})(text)`.

    Raises ParseFailed with every problem's path, place and value; ConfigError, when it is made, for what is no schema.
    `$ref` leads to definitions in the schema itself and never to the network. Formats such as `date` are checked.
    """

    schema: Mapping[str, Any] = field(hash=False)
    lenient: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        _validator(_canonical(self.schema))

    def __call__(self, text: str) -> Any:
        """The value."""
        return _told(self.read(text), text)

    def read(self, text: str) -> Reading[Any]:
        """The value, and the repairs."""
        written = _written(text, lenient=self.lenient)
        _refuse(problems_of(self.schema, written.value), written, text)
        return Reading(written.value, written.repairs)


@dataclass(frozen=True, slots=True)
class Model(Generic[T]):
    """JSON that makes an object: `Model(Invoice)(text)` is an Invoice.

    `kind` is a pydantic model, a dataclass, a TypedDict, or a type such as `list[Invoice]`; pydantic reads it, in its
    JSON mode. Raises ParseFailed with every problem's path, place and value.
    """

    kind: type[T]
    lenient: bool = field(default=False, kw_only=True)

    def __call__(self, text: str) -> T:
        """The object."""
        return _told(self.read(text), text)

    def read(self, text: str) -> Reading[T]:
        """The object, and the repairs."""
        from pydantic import ValidationError

        written = _written(text, lenient=self.lenient)
        try:
            return Reading(_adapter(self.kind).validate_json(written.json), written.repairs)
        except ValidationError as error:
            problems = [_of_pydantic(each) for each in error.errors(include_url=False)]
        _refuse(problems, written, text)
        raise AssertionError  # pragma: no cover - there is a problem

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the kind, for `response_format`."""
        return _adapter(self.kind).json_schema()


def problems_of(schema: Mapping[str, Any], value: object) -> list[Problem]:
    """All that a JSON Schema finds wrong with a value."""
    errors = _validator(_canonical(schema)).iter_errors(value)
    return [Problem(tuple(error.instance_path), _explained(error)) for error in errors]


def misfit(
    problems: Sequence[Problem], *, json_text: str, offset: int | None, text: str, said: str = ""
) -> ParseFailed:
    """The error that tells what does not fit, each with path and place, in the order of the text.

    `offset` is where the JSON stands in the text, None where it was repaired and stands nowhere.
    """
    where = {} if offset is None else positions(json_text)
    found = [(_nearest(problem.steps, where), problem) for problem in problems]
    found.sort(key=lambda each: -1 if each[0] is None else each[0])
    at = [None if position is None or offset is None else position + offset for position, _ in found[:MOST_PROBLEMS]]
    lines = [_line(problem, position, text) for (_, problem), position in zip(found, at, strict=False)]
    lines += [f"and {len(found) - len(lines)} more"] if len(found) > len(lines) else []
    head = said or (f"{len(found)} things are wrong" if len(found) > 1 else "")
    message = "\n  ".join([*([head] if head else []), *lines])
    return ParseFailed(message, text=text, position=at[0], path=path_of(found[0][1].steps))


def _line(problem: Problem, position: int | None, text: str) -> str:
    """A problem in one line: `$.items[2].price (line 4, column 12): …`."""
    at = "" if position is None else f" ({place(text, position)})"
    return f"{path_of(problem.steps)}{at}: {problem.message}"


def _nearest(steps: tuple[Step, ...], where: Mapping[tuple[Step, ...], int]) -> int | None:
    """Where the value stands; or, where it is missing, that which lacks it."""
    if not where:
        return None
    while steps not in where and steps:
        steps = steps[:-1]
    return where.get(steps)


def _written(text: str, *, lenient: bool) -> _Written:
    """The JSON of a reply; raises ParseFailed."""
    if lenient:
        return _repaired(text)
    if text.lstrip().startswith(("```", "~~~")):
        return _fenced(text)
    return _Written(value_of(text), text, 0)


def _fenced(text: str) -> _Written:
    found = blocks(text)
    first = found[0] if found else None
    if first is None or len(found) > 1 or text[: first.start].strip() or text[first.end :].strip():
        raise failure("one code block with JSON is wanted, and nothing around it", text=text, position=0)
    if first.language.lower() not in ("", "json"):
        raise failure(f"the code block is {first.language!r}: one of json is wanted", text=text, position=first.start)
    value = value_of(first.code, whole=text, offset=first.position)
    return _Written(value, first.code, first.position, (Repair("took the JSON out of its code block", first.start),))


def _repaired(text: str) -> _Written:
    """Strictly if that will do, so that nothing is put right that is right."""
    try:
        return _written(text, lenient=False)
    except ParseFailed:
        value, written, repairs = repaired(text)
        return _Written(value, written, None, repairs)


def _told(reading: Reading[T], text: str) -> T:
    if reading.repairs and _logger.isEnabledFor(logging.INFO):
        for repair in reading.repairs[:MOST_PROBLEMS]:  # to say where it stands takes as long as the text is
            _logger.info("Reply repaired: %s", repair.shown(text))
        if len(reading.repairs) > MOST_PROBLEMS:
            _logger.info("Reply repaired in %s more places", f"{len(reading.repairs) - MOST_PROBLEMS:,}")
    return reading.value


def _refuse(problems: list[Problem], written: _Written, text: str) -> None:
    """Raises ParseFailed where there are problems."""
    if problems:
        raise misfit(problems, json_text=written.json, offset=written.offset, text=text)


def _explained(error: "jsonschema_rs.ValidationError") -> str:
    """What is wrong and what is expected, without the whole value where that is long."""
    instance, kind = error.instance, error.kind.as_dict()
    if error.kind.name == "required":
        return f"{error.message}; it has {_names(instance if isinstance(instance, dict) else ())}"
    if error.kind.name == "additionalProperties":
        return f"it has {_names(kind['unexpected'])}, which the schema does not allow"
    branches = kind.get("context")
    if isinstance(branches, list):
        wanted = "; or ".join(" and ".join(each.message for each in branch) for branch in branches[:5])
        return f"{excerpt(instance)} fits none of {len(branches)} alternatives: {wanted}"
    return (
        str(error.message)
        if len(error.message) <= 300
        else f"{excerpt(instance)} fails {error.kind.name} {excerpt(kind)}"
    )


def _names(names: Iterable[object]) -> str:
    """The names in a message, the first of them where they are many."""
    shown = [excerpt(name, limit=60) for name in names]
    more = [f"and {len(shown) - 10} more"] if len(shown) > 10 else []
    return ", ".join([*shown[:10], *more]) or "nothing"


def _canonical(schema: object) -> str:
    try:
        return json.dumps(schema, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The schema {excerpt(schema)} cannot be written as JSON: {error}") from None


def _never(address: str) -> NoReturn:
    raise ValueError(f"{address} is not in the schema, and nothing is fetched: put it under $defs")


@functools.lru_cache(maxsize=256)
def _validator(canonical: str) -> "jsonschema_rs.Validator":
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(json.loads(canonical), validate_formats=True, retriever=_never)
    except jsonschema_rs.ValidationError as error:
        at = path_of(error.instance_path)
        raise ConfigError(f"This is no JSON Schema that can be used, at {at}: {error.message}") from None
    except ValueError as error:
        raise ConfigError(f"This is no JSON Schema: {error}; it has to be a mapping") from None


def _adapter(kind: Any) -> "pydantic.TypeAdapter[Any]":
    """What reads the kind; made once for each, which takes milliseconds. Raises ConfigError for what is no type."""
    from pydantic.errors import PydanticUserError

    try:
        return _made_adapter(kind) if isinstance(kind, Hashable) else _made_adapter.__wrapped__(kind)
    except PydanticUserError as error:
        raise ConfigError(f"Model({excerpt(kind)}) is no type that pydantic can read: {error.message}") from None


@functools.lru_cache(maxsize=256)
def _made_adapter(kind: Any) -> "pydantic.TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _of_pydantic(error: Any) -> Problem:
    given = "" if error["type"] == "missing" else f", not {excerpt(error['input'])}"
    return Problem(tuple(error["loc"]), f"{error['msg']}{given}")
