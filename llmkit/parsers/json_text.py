"""JSON, as RFC 8259 has it and nothing else: what Python's own reader lets through is an error here, with its place.

That is: a key that stands twice, NaN and Infinity, numbers that overflow, half a surrogate pair.
"""

import json
import math
import re
from typing import Any, NoReturn

from llmkit.errors import ParseFailed, excerpt
from llmkit.parsers.places import Token, failure, path_of, tokens, unescaped

MOST_DIGITS = 4300
"""The digits of the longest whole number that Python reads."""

_HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
_CUT_OFF = re.compile(r"(?:t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|-|[.eE][+-]?|\\?u?[0-9a-fA-F]{0,4})?\s*")


class _Odd(ValueError):
    """What the reader's hooks refuse; they don't know its place."""


def value_of(text: str, *, whole: str | None = None, offset: int = 0) -> Any:
    """The value of a JSON text, which begins at `offset` of `whole`, or is it; raises ParseFailed with the place."""
    whole = text if whole is None else whole
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _broken(error, text, whole, offset) from None
    except _Odd:
        _refuse_odd(text, whole, offset)
    except RecursionError:
        raise failure("the JSON is nested too deeply", text=whole, position=offset) from None
    except ValueError:
        _refuse_long_number(text, whole, offset)
    if _HALF_ESCAPED.search(text):
        _refuse_half_characters(text, whole, offset)
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Odd
    return found


def _constant(_: str) -> NoReturn:
    raise _Odd


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise _Odd
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float)


def _broken(error: json.JSONDecodeError, text: str, whole: str, offset: int) -> ParseFailed:
    """What Python's reader says, and whether the text simply ends too soon."""
    if not text.strip():
        return failure("there is no JSON: the reply is empty", text=whole, position=offset)
    if _ends_early(error, text):
        return failure("the JSON ends before it is complete: the reply was cut off", text=whole, position=len(whole))
    here = excerpt(text[error.pos : error.pos + 30])
    if error.msg == "Extra data":
        return failure(f"the JSON has ended, and text follows: {here}", text=whole, position=error.pos + offset)
    said = error.msg[0].lower() + error.msg[1:].removesuffix(" at")
    return failure(f"this is no JSON ({said}): {here}", text=whole, position=error.pos + offset)


def _ends_early(error: json.JSONDecodeError, text: str) -> bool:
    if error.msg.startswith("Unterminated string"):
        return True
    return bool(text.lstrip()[:1] in '{["' and _CUT_OFF.fullmatch(text, error.pos))


def _refuse_odd(text: str, whole: str, offset: int) -> NoReturn:
    """Raises ParseFailed for the first key that stands twice, or number that is none."""
    seen: dict[tuple[Any, ...], int] = {}
    for token in tokens(text):
        if token.is_key and token.steps in seen:
            first = failure("", text=whole, position=seen[token.steps] + offset).message.removesuffix(": ")
            _refuse(token, f"the key {token.steps[-1]!r} stands here for the second time, after {first}", whole, offset)
        if token.is_key:
            seen[token.steps] = token.position
        elif token.written in ("NaN", "Infinity", "-Infinity"):
            _refuse(token, f"{token.written} is no JSON", whole, offset)
        elif _overflows(token.written):
            _refuse(token, f"{excerpt(token.written)} is too large for a number", whole, offset)
    raise failure("this is no JSON", text=whole, position=offset)


def _overflows(written: str) -> bool:
    try:
        return math.isinf(float(written))
    except ValueError:
        return False


def _refuse_long_number(text: str, whole: str, offset: int) -> NoReturn:
    found = re.search(rf"[0-9]{{{MOST_DIGITS},}}", text)
    position = found.start() if found else 0
    raise failure(f"a number has more than {MOST_DIGITS} digits", text=whole, position=position + offset)


def _refuse_half_characters(text: str, whole: str, offset: int) -> None:
    for token in tokens(text):
        if token.written.startswith('"'):
            try:
                unescaped(token.written).encode()
            except UnicodeEncodeError:
                _refuse(token, f"{excerpt(token.written)} has half a character (a lone surrogate)", whole, offset)


def _refuse(token: Token, message: str, whole: str, offset: int) -> NoReturn:
    raise failure(message, text=whole, position=token.position + offset, path=path_of(token.steps))
