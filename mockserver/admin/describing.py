"""Faults and their parameters, in words and as JSON Schema, read off the annotations that scripts are checked by."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_type_hints

from mockserver import faults
from mockserver.faults.registry import Kind
from mockserver.scripting import matching, steps
from mockserver.scripting.options import Repeats, in_words
from mockserver.scripting.replies import reply

_RANGE = re.compile(r"(?:number|seconds) from (-?\d+) to (\d+)$")
_TYPES = {float: "number", int: "integer", str: "string", bool: "boolean"}


def described(kind: Kind) -> dict[str, Any]:
    """A fault as the admin API shows it."""
    hints = get_type_hints(kind.make, include_extras=True)
    parameters = inspect.signature(kind.make).parameters.values()
    return {
        "name": kind.name,
        "acts_on": kind.acts_on,
        "description": kind.description,
        "parameters": {each.name: _parameter(each, hints[each.name]) for each in parameters},
    }


def _parameter(parameter: inspect.Parameter, hint: Any) -> dict[str, Any]:
    takes = {"takes": " or ".join(in_words(hint)), "required": parameter.default is parameter.empty}
    takes["schema"] = schema_of(hint)
    return takes if takes["required"] else {**takes, "default": parameter.default}


def schema_of(hint: Any) -> dict[str, Any]:
    """What an annotation allows, as JSON Schema; rules that it cannot express are its description."""
    kind = typing.get_origin(hint)
    if kind is Annotated:
        base, *rules = typing.get_args(hint)
        schema = schema_of(base) | {"description": " and ".join(rule.takes for rule in rules)}
        found = _RANGE.search(rules[0].takes)
        return schema | ({"minimum": int(found[1]), "maximum": int(found[2])} if found else {})
    if kind in (typing.Union, types.UnionType):
        return {"anyOf": [schema_of(each) for each in typing.get_args(hint)]}
    if kind is Literal:
        return {"enum": list(typing.get_args(hint))}
    if hint is types.NoneType:
        return {"type": "null"}
    if kind in (Mapping, dict):
        return {"type": "object"}
    if kind in (Sequence, list, tuple):
        return {"type": "array", "items": schema_of(typing.get_args(hint)[0])}
    return {"type": _TYPES[hint]} if hint in _TYPES else {}


def step_schema() -> dict[str, Any]:
    """A step of a script: any reply with any fault of the registry, and the keys of every step."""
    options = {name: schema_of(hint) for name, hint in _reply_hints().items()}
    every = _every_step()
    parameters = {name for kind in faults.kinds().values() for name in inspect.signature(kind.make).parameters}
    properties = {
        "reply": {
            "description": "a text, or an object of the options of a reply",
            "anyOf": [_scalar(), {"type": "object", "properties": options, "additionalProperties": False}],
        },
        "fault": {"enum": faults.names()},
        "faults": {"type": "array", "items": {"$ref": "#/components/schemas/FaultOfStep"}},
        **{name: {} for name in sorted(parameters | options.keys())},
        **every,
    }
    needs = [{"required": [name]} for name in ("fault", "faults", "reply")]
    cases = [_if_fault(kind) for _, kind in sorted(faults.kinds().items())]
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "anyOf": needs,
        "allOf": cases,
    }


def fault_schema() -> dict[str, Any]:
    """One of several faults of a step: its name and its parameters."""
    every = _every_step()
    return {"oneOf": [_alone(kind, every) for _, kind in sorted(faults.kinds().items())]}


def _alone(kind: Kind, every: Mapping[str, Any]) -> dict[str, Any]:
    schema = _parameters(kind)
    properties = {"fault": {"const": kind.name}, **schema["properties"], **every}
    return {
        "type": "object",
        "title": kind.name,
        "description": kind.description,
        "properties": properties,
        "required": ["fault", *schema["required"]],
        "additionalProperties": False,
    }


def _if_fault(kind: Kind) -> dict[str, Any]:
    is_it = {"properties": {"fault": {"const": kind.name}}, "required": ["fault"]}
    return {"if": is_it, "then": _parameters(kind)}


def _parameters(kind: Kind) -> dict[str, Any]:
    parameters = inspect.signature(kind.make).parameters.values()
    hints = get_type_hints(kind.make, include_extras=True)
    required = [each.name for each in parameters if each.default is each.empty]
    return {"properties": {each.name: schema_of(hints[each.name]) for each in parameters}, "required": required}


def _reply_hints() -> dict[str, Any]:
    own = ("fault", "return", "parameters", *steps.OF_EVERY_STEP)
    return {name: hint for name, hint in _hints(reply).items() if name not in own}


def _every_step() -> dict[str, Any]:
    conditions = _hints(matching._annotated)  # noqa: SLF001 - what conditions are checked by
    match = {
        name: {"anyOf": [schema_of(hint), {"type": "null"}]} for name, hint in conditions.items() if name != "return"
    }
    return {
        "times": schema_of(Repeats),
        "match": {"type": "object", "properties": match, "additionalProperties": False},
        "probability": schema_of(steps.Probability),
        "then": {"type": "string"},
    }


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function, include_extras=True)


def _scalar() -> dict[str, Any]:
    return {"type": ["string", "null"]}
