"""What clients attach to objects: up to 16 texts with names.

Limits as in https://platform.openai.com/docs/api-reference/batch/create; the refusal of another type as quoted in the
batch tests of llama-stack, the others worded like those of other parameters (unverified).
"""

from typing import Any

from mockserver import problems
from mockserver.parameters import obj, string

_MOST = 16
_LONGEST_NAME = 64
_LONGEST_VALUE = 512


def check_metadata(param: str, value: Any) -> None:
    """Refuse what is no object of at most 16 short texts."""
    obj(param, value)
    if len(value) > _MOST:
        raise problems.error(
            400,
            f"Invalid '{param}': too many properties. Expected an object with at most {_MOST} properties, but got an"
            f" object with {len(value)} properties instead.",
            param=param,
            code="object_above_max_properties",
        )
    for name, text in value.items():
        where = f"{param}.{name}"
        string(where, text)
        _check_length(where, name, _LONGEST_NAME)
        _check_length(where, text, _LONGEST_VALUE)


def _check_length(param: str, text: str, most: int) -> None:
    if len(text) > most:
        message = (
            f"Invalid '{param}': string too long. Expected a string with maximum length {most}, but got a string with"
            f" length {len(text)} instead."
        )
        raise problems.error(400, message, param=param, code="string_above_max_length")
