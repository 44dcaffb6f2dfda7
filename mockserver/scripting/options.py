"""What the options of a step may be, checked alike whether they come from Python, YAML or /__admin.

An annotation says it: its type, and for `Annotated` types the rules beyond. Limits are finite throughout, so that
nothing gets into a script that could not be waited for or sent.
"""

import difflib
import functools
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

_FLOAT32 = 3.4e38  # embeddings travel as 32-bit floats


class BadOption(ValueError):
    """A value that an option cannot take; `option` is its name."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(option, message)
        self.option = option

    def __str__(self) -> str:
        return str(self.args[1])


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be beyond its type: in words, and as a test."""

    takes: str
    allows: Callable[[Any], bool]


def within(least: int, most: int, noun: str) -> Rule:
    """From `least` to `most`, which NaN and infinity never are."""
    return Rule(f"{noun} from {least} to {most}", lambda value: least <= value <= most)


def is_json(value: Any) -> bool:
    """Whether JSON can express `value`: no NaN, no half of a surrogate pair, nothing that holds itself."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _are_floats(values: Sequence[Any]) -> bool:
    numbers = (isinstance(each, int | float) and not isinstance(each, bool) for each in values)
    return len(values) > 0 and all(numbers) and all(-_FLOAT32 <= each <= _FLOAT32 for each in values)


def _maps_to(fits: Callable[[Any], bool]) -> Callable[[Mapping[Any, Any]], bool]:
    return lambda value: all(_is_text(name) and fits(item) for name, item in value.items())


def _is_text(value: Any) -> bool:
    """Whether `value` is a text that UTF-8 can carry."""
    return isinstance(value, str) and is_json(value)


Seconds = Annotated[float, within(0, 86_400, "seconds")]
Json = Annotated[Any, Rule("what JSON can express", is_json)]
Vector = Annotated[Sequence[float], Rule("a list of numbers from -3.4e38 to 3.4e38", _are_floats)]
Texts = Annotated[Mapping[str, str], Rule("a mapping of names to texts", _maps_to(_is_text))]
Values = Annotated[Mapping[str, Any], Rule("a mapping of paths to values", _maps_to(is_json))]
Repeats = Annotated[int, within(1, 1_000_000, "a whole number")] | Literal["forever"]


def check(make: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse values that the annotations of `make` do not allow, with BadOption."""
    for name, value in given.items():
        demand(name, _hints(make)[name], value)


def demand(name: str, hint: Any, value: Any, *, option: str = "") -> None:
    """Refuse a value that `hint` does not allow; `name` is what the message calls it, `option` where it belongs."""
    if not _fits(hint, value):
        takes = " or ".join(in_words(hint))
        raise BadOption(option or name, f"{name} is {shown(value)}; it takes {takes}{_advice(hint, value)}")


@functools.cache
def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(make, include_extras=True)


def copied(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were checked, out of reach of whoever made them, as JSON has them."""
    parsed: dict[str, Any] = json.loads(json.dumps(dict(options), default=_as_json))
    return parsed


def _as_json(value: Any) -> Any:
    """Mappings and sequences of other kinds than dict and list."""
    return dict(value) if isinstance(value, Mapping) else list(value)


def _fits(hint: Any, value: Any) -> bool:
    kind = typing.get_origin(hint)
    if kind is Annotated:
        base, *rules = typing.get_args(hint)
        return _fits(base, value) and all(rule.allows(value) for rule in rules)
    if kind in (Union, types.UnionType):
        return any(_fits(each, value) for each in typing.get_args(hint))
    if kind is Literal:
        return value in typing.get_args(hint)
    if hint is str:
        return _is_text(value)
    if isinstance(value, bool) or hint is Any:
        return hint in (bool, Any)
    return isinstance(value, int | float if hint is float else kind or hint)


def in_words(hint: Any) -> list[str]:
    """What `hint` allows, one by one; that an option may be left out goes without saying."""
    kind = typing.get_origin(hint)
    if kind is Annotated:
        return [" and ".join(rule.takes for rule in typing.get_args(hint)[1:])]
    if kind in (Union, types.UnionType):
        return [words for each in typing.get_args(hint) for words in in_words(each)]
    if kind is Literal:
        return [repr(each) for each in typing.get_args(hint)]
    words = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
    return [words[hint]] if hint in words else []


def _advice(hint: Any, value: Any) -> str:
    if "a text" not in in_words(hint) or value is None or isinstance(value, list | dict):
        return ""
    if isinstance(value, str):
        return " that UTF-8 can carry, and this one holds half of a surrogate pair"
    return ": put it in quotes"


def shown(value: Any) -> str:
    """`repr`, shortened, and for numbers too that Python does not print."""
    try:
        text = repr(value)
    except ValueError:  # see sys.set_int_max_str_digits
        return "a number of thousands of digits"
    return text if len(text) <= 200 else f"{text[:150]}… ({len(text)} letters)"


def suggestion(wrong: Any, valid: Iterable[str]) -> str:
    """What was perhaps meant, and what is valid."""
    options = sorted(valid)
    close = difflib.get_close_matches(str(wrong), options, n=1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"valid: {', '.join(options) or 'none'}"
