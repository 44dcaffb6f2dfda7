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
    """A step of a script: a reply, a fault of the registry, several, or both, and the keys of every step.

    Which parameters go with which fault stands in the schema of one of several faults.
    """
    options: dict[str, list[dict[str, Any]]] = {name: [schema_of(hint)] for name, hint in _reply_hints().items()}
    for _, kind in sorted(faults.kinds().items()):
        for name, schema in _parameters(kind)["properties"].items():
            known = options.setdefault(name, [])
            known += [] if schema in known else [schema]
    properties = {name: known[0] if len(known) == 1 else {"anyOf": known} for name, known in sorted(options.items())}
    properties |= {"reply": _reply_schema(), "fault": {"enum": faults.names()}, **_every_step()}
    properties["faults"] = {"type": "array", "items": {"$ref": "#/components/schemas/FaultOfStep"}}
    needs = [{"required": [name]} for name in ("fault", "faults", "reply")]
    return {**_object("step", properties, []), "anyOf": needs}


def fault_schema() -> dict[str, Any]:
    """One of several faults of a step: its name and its parameters."""
    every = _every_step()
    return {"oneOf": [_with_fault(kind, every) for _, kind in sorted(faults.kinds().items())]}


def _with_fault(kind: Kind, common: Mapping[str, Any]) -> dict[str, Any]:
    schema = _parameters(kind)
    properties = {**common, "fault": {"const": kind.name}, **schema["properties"]}
    return {**_object(kind.name, properties, ["fault", *schema["required"]]), "description": kind.description}


def _object(title: str, properties: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    given = {"title": title, "properties": dict(properties), "required": list(required)}
    return {"type": "object", **given, "additionalProperties": False}


def _reply_schema() -> dict[str, Any]:
    options = {name: schema_of(hint) for name, hint in _reply_hints().items()}
    says = "a text, or an object of the options of a reply"
    return {"description": says, "anyOf": [{"type": ["string", "null"]}, _object("reply", options, [])]}


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
