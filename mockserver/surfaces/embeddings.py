"""Embeddings.

See https://platform.openai.com/docs/api-reference/embeddings/create and what opentelemetry-python-contrib recorded.
"""

import array
import base64
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mockserver import problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating import usage
from mockserver.generating.vectors import vector_for
from mockserver.parameters import check_all, check_known, integer, one_of, require, sound, string
from mockserver.surfaces import Operation, Result, Setting, Spent

_PARAMETERS = {
    "encoding_format": one_of("float", "base64"),
    "dimensions": integer(1, 2**63 - 1),
    "user": string,
}
_KNOWN = frozenset({"model", "input", *_PARAMETERS})

_MOST_INPUTS = 2048
_USUAL_DIMENSIONS = 1536


def check(call: Call, model: Model) -> None:
    """Refuse what the API refuses."""
    require(call.body, ["input"])
    check_known(call.body, _KNOWN)
    _check_input(call.body["input"])
    check_all(call.body, _PARAMETERS)
    _check_dimensions(call.body.get("dimensions"), model)


def estimate(call: Call, model: Model) -> int:
    """The tokens of all inputs."""
    return sum(_tokens(one, model.name) for one in _inputs(call.body.get("input"), lenient=True))


def answer(call: Call, setting: Setting) -> Result:
    """One vector an input, in its order."""
    if setting.lenient:
        call = replace(call, body=sound(call.body, _PARAMETERS))
    inputs = _inputs(call.body.get("input"), lenient=setting.lenient)
    counts = [_tokens(one, setting.model.name) for one in inputs]
    _check_length(max(counts), setting.model)
    # the SDK's strict types refuse the text that its own request asks for: leniency sends them numbers
    wants_text = call.body.get("encoding_format") == "base64" and not setting.lenient
    encode = _base64 if wants_text else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(_vector(one, call, setting))}
        for index, one in enumerate(inputs)
    ]
    cost = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    body = {"object": "list", "data": data, "model": setting.model.snapshot, "usage": cost}
    return Result(body=body, spent=Spent(prompt=sum(counts)))


def _check_input(value: Any) -> None:
    """A text, a list of texts, a list of token ids, or a list of such lists; none of them empty."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise _invalid_input()
    of_text = all(isinstance(one, str) and one for one in value)
    of_lists = all(isinstance(one, list) and one and _are_tokens(one) for one in value)
    if not (_are_tokens(value) or (len(value) <= _MOST_INPUTS and (of_text or of_lists))):
        raise _invalid_input()


def _are_tokens(value: list[Any]) -> bool:
    return all(type(one) is int and one >= 0 for one in value)


def _invalid_input() -> problems.Problem:
    # as quoted in public bug reports
    message = "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
    return problems.error(400, message)


def _check_dimensions(dimensions: int | None, model: Model) -> None:
    if dimensions is None:
        return
    if model.fixed:
        raise problems.error(400, "This model does not support specifying dimensions.")
    if dimensions > model.dimensions:
        # as quoted in public bug reports
        message = f"Invalid value for 'dimensions' = {dimensions}. Must be less than or equal to {model.dimensions}."
        raise problems.error(400, message)


def _check_length(tokens: int, model: Model) -> None:
    if model.window and tokens > model.window:
        raise problems.prompt_too_long(model.window, prompt=tokens)


def _inputs(value: Any, *, lenient: bool) -> list[str | list[int]]:
    """Texts and lists of tokens; a lenient server takes what is neither for its JSON."""
    if isinstance(value, str) or (isinstance(value, list) and value and _are_tokens(value)):
        return [value]
    several = value if isinstance(value, list) and value else [value]
    if not lenient:
        return list(several)
    return [one if isinstance(one, str) or _is_token_list(one) else json.dumps(one) for one in several]


def _is_token_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and _are_tokens(value)


def _tokens(one: str | list[int], model: str) -> int:
    return usage.text_tokens(one, model=model) if isinstance(one, str) else len(one)


def _vector(one: str | list[int], call: Call, setting: Setting) -> Sequence[float]:
    if setting.scripted.embedding is not None:
        return setting.scripted.embedding
    text = one if isinstance(one, str) else usage.text_of(one, model=setting.model.name)
    full = setting.model.dimensions or _USUAL_DIMENSIONS
    return vector_for(text, dimensions=call.body.get("dimensions") or full, full=full, seed=setting.seed)


def _base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats."""
    numbers = array.array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


OPERATIONS = (
    Operation(
        method="POST",
        path="/embeddings",
        surface="embeddings",
        name="create",
        answer=answer,
        check=check,
        estimate=estimate,
        kinds=("embeddings",),
    ),
)
