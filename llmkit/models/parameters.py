"""Whether a model takes the parameters of a request, told before it is sent.

Ranges are those of the API reference (https://platform.openai.com/docs/api-reference), what single models refuse is in
`models.toml`. Of a model that is not known, ranges alone are checked. What the API would take is never refused here:
parameters without a rule pass.
"""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from llmkit.models.contents import wrong_contents
from llmkit.models.problem import Problem
from llmkit.models.spec import ModelSpec, Surface

if TYPE_CHECKING:
    from typing_extensions import TypeIs

DEFAULTS: dict[str, object] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "top_logprobs": 0,
}
"""What the API takes for parameters that are `fixed`, and what it does where they are not given."""

RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
COUNTS: dict[str, tuple[int, int | None]] = {
    "n": (1, 128),
    "best_of": (1, 20),
    "top_logprobs": (0, 20),
    "max_tokens": (1, None),
    "max_completion_tokens": (1, None),
    "max_output_tokens": (16, None),
    "dimensions": (1, None),
}
"""Whole numbers, the least and the most."""

SHAPES: dict[str, tuple[tuple[type, ...], str]] = {
    "tools": ((list, tuple), "a list of tools"),
    "logit_bias": ((Mapping,), "a mapping of token ids to numbers from -100 to 100"),
    "stop": ((str, list, tuple), "a text, or a list of 4 at most"),
    "response_format": ((Mapping,), "a mapping, for example {'type': 'json_object'}"),
}
"""What a parameter has to be, by its type and in words."""

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_STOPS = 4
_INSTEAD = {
    "max_tokens": "give max_completion_tokens",
    "stop": "leave it out, and cut the answer yourself",
    "tools": "leave it out, or take another model",
    "reasoning_effort": "leave it out: the model does not reason",
    "web_search_options": "take a search model, or the tool web_search of the Responses API",
    "dimensions": "leave it out, or take text-embedding-3-small",
}
_ANY = ModelSpec(name="any model", known=False)
_NEEDED = {"tools": "tools", "functions": "tools", "logprobs": "logprobs", "audio": "audio", "stream": "streaming"}
"""Parameters and the capability that a model needs for them."""


def problems(spec: ModelSpec, parameters: Mapping[str, Any], *, surface: Surface = "chat") -> tuple[Problem, ...]:
    """What the API would refuse in a request to this model, in the order of the parameters; () if nothing.

    `parameters` is the body of the request, as far as it is known. A parameter that is None counts as not given.
    Pure: it looks at its arguments alone. A request of usual size takes a few microseconds.
    """
    found = list(_wrong_surface(spec, surface))
    given = {name: value for name, value in parameters.items() if value is not None}
    for name, value in given.items():
        problem = _out_of_range(spec, name, value) or (_refused(spec, name, value, given) if spec.known else None)
        if problem is not None:
            found.append(problem)
    if spec.chat_tools and surface == "chat" and given.get("tools"):
        found.extend(_tools_while_reasoning(spec, given))
    if spec.known:
        found.extend(wrong_contents(spec, given, surface))
    return tuple(found)


def fitting(spec: ModelSpec, defaults: Mapping[str, Any], *, surface: Surface = "chat") -> dict[str, Any]:
    """Those of the default parameters that this model takes, with its own name and bound for the length of an answer.

    Defaults are for every model that a client may ask: one that this model refuses is left out, and is no error. What
    no model takes stays, for that is a mistake, which `problems` then tells.
    """
    wanted = {name: value for name, value in defaults.items() if value is not None and name not in _LIMITS}
    limit = next((defaults[name] for name in _LIMITS if defaults.get(name) is not None), None)
    if limit is not None and surface != "embeddings":
        bounded = type(limit) is int and spec.max_output is not None
        wanted[_limit_name(spec, surface)] = min(limit, spec.max_output) if bounded else limit
    return {name: value for name, value in wanted.items() if _fits(spec, name, value, wanted)}


def _fits(spec: ModelSpec, name: str, value: object, given: Mapping[str, Any]) -> bool:
    if spec.known and _refused(spec, name, value, given) is not None:
        return False
    return _out_of_range(spec, name, value) is None or _out_of_range(_ANY, name, value) is not None


def reasons(spec: ModelSpec, parameters: Mapping[str, Any]) -> bool:
    """Whether the model reasons before it answers this request."""
    if spec.family != "reasoning":
        return False
    effort = parameters.get("reasoning_effort")
    nested = parameters.get("reasoning")
    if effort is None and isinstance(nested, Mapping):
        effort = nested.get("effort")
    return (effort or spec.default_effort) != "none"


def _limit_name(spec: ModelSpec, surface: Surface) -> str:
    if surface == "responses":
        return "max_output_tokens"
    return "max_completion_tokens" if "max_tokens" in spec.refused else "max_tokens"


def _wrong_surface(spec: ModelSpec, surface: Surface) -> Iterator[Problem]:
    if spec.family == "chat" and surface == "completions":
        return  # recorded both ways: refused, and served without a word
    if spec.surfaces and surface not in spec.surfaces:
        yield Problem(
            parameter="model",
            value=spec.name,
            reason=f"it does not serve {surface}",
            advice=f"it serves {' and '.join(spec.surfaces)}",
        )


def _out_of_range(spec: ModelSpec, name: str, value: object) -> Problem | None:
    if name in SHAPES and (problem := _misshapen(name, value)):
        return problem
    if name in RANGES:
        low, high = RANGES[name]
        if not _is_number(value) or not low <= value <= high:
            return _problem(name, value, f"the API takes numbers from {low:g} to {high:g}", "give one of these")
    elif name in COUNTS:
        return _wrong_count(spec, name, value)
    elif name == "stop":
        if isinstance(value, list | tuple) and len(value) > _STOPS:
            return _problem(name, value, f"these are {len(value)} sequences", f"give {_STOPS} at most")
    elif name == "logit_bias" and isinstance(value, Mapping):
        wrong = [bias for bias in value.values() if not (_is_number(bias) and -100 <= bias <= 100)]
        if wrong:
            return _problem(name, wrong[0], "a bias is out of range", "give numbers from -100 to 100")
    return None


def _misshapen(name: str, value: object) -> Problem | None:
    types, words = SHAPES[name]
    if not isinstance(value, types):
        return _problem(name, value, f"it is a {type(value).__name__}", f"give {words}")
    if name == "response_format" and isinstance(value, Mapping) and not isinstance(value.get("type"), str):
        return _problem(name, value, "it names no type", f"give {words}")
    return None


def _wrong_count(spec: ModelSpec, name: str, value: object) -> Problem | None:
    least, most = COUNTS[name]
    if name in _LIMITS:
        most = spec.max_output
    if name == "dimensions":
        most = spec.dimensions
    if type(value) is int and value >= least and (most is None or value <= most):
        return None
    bounds = f"from {least} to {most}" if most is not None else f"of {least} at least"
    owner = f"{spec.name} takes" if name in (*_LIMITS, "dimensions") and most is not None else "the API takes"
    return _problem(name, value, f"{owner} whole numbers {bounds}", "give one of these, or leave it out")


def _refused(spec: ModelSpec, name: str, value: object, given: Mapping[str, Any]) -> Problem | None:
    if name in spec.refused and value not in ([], False):
        return _problem(name, value, f"{spec.name} refuses it", _INSTEAD.get(name, "leave it out"))
    if name in spec.fixed and value != DEFAULTS.get(name) and reasons(spec, given):
        return _fixed(spec, name, value)
    if name in _NEEDED and value and _NEEDED[name] not in spec.capabilities and name not in spec.fixed:
        return _problem(name, value, f"{spec.name} cannot do that", _INSTEAD.get(name, "leave it out"))
    if name == "response_format":
        return _wrong_format(spec, value)
    effort = value.get("effort") if name == "reasoning" and isinstance(value, Mapping) else value
    is_effort = name in ("reasoning_effort", "reasoning") and isinstance(effort, str)
    if is_effort and spec.efforts and effort not in spec.efforts:
        return _problem(name, effort, f"{spec.name} does not know it", f"give one of {', '.join(spec.efforts)}")
    return None


def _fixed(spec: ModelSpec, name: str, value: object) -> Problem:
    while_reasoning = "while it reasons, " if "none" in spec.efforts else ""
    way_out = ", or give reasoning_effort='none'" if "none" in spec.efforts else ""
    reason = f"{while_reasoning}{spec.name} takes {DEFAULTS.get(name)!r} alone"
    return _problem(name, value, reason, f"leave it out{way_out}")


def _wrong_format(spec: ModelSpec, value: object) -> Problem | None:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind not in ("json_object", "json_schema") or kind in spec.capabilities:
        return None
    other = "json_object" if "json_object" in spec.capabilities else None
    advice = f"give {{'type': '{other}'}} and say the schema in the prompt" if other else "ask for JSON in the prompt"
    return _problem("response_format", kind, f"{spec.name} does not know it", advice)


def _tools_while_reasoning(spec: ModelSpec, given: Mapping[str, Any]) -> Iterator[Problem]:
    if spec.chat_tools == "none":
        yield _problem("tools", given["tools"], f"{spec.name} takes tools in the Responses API only", "use that")
    elif reasons(spec, given):
        advice = "give reasoning_effort='none', or use the Responses API"
        yield _problem("tools", given["tools"], f"while it reasons, {spec.name} takes no tools here", advice)


def _problem(name: str, value: object, reason: str, advice: str) -> Problem:
    return Problem(parameter=name, value=value, reason=reason, advice=advice)


def _is_number(value: object) -> "TypeIs[int | float]":
    return math.isfinite(value) if isinstance(value, float) else isinstance(value, int) and not isinstance(value, bool)
