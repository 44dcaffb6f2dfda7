"""Checks of request parameters, each refusing in the API's words; tables of them describe a surface."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mockserver import problems

Check = Callable[[str, Any], None]


def decimal(least: float, most: float) -> Check:
    """A number within bounds."""

    def check(param: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise problems.invalid_type(param, "a decimal", value)
        if not least <= value <= most:
            raise problems.out_of_range(param, value, least=least, most=most, kind="decimal")

    return check


def integer(least: int, most: int) -> Check:
    """A whole number within bounds."""

    def check(param: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise problems.invalid_type(param, "an integer", value)
        if not least <= value <= most:
            raise problems.out_of_range(param, value, least=least, most=most, kind="integer")

    return check


def boolean(param: str, value: Any) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise problems.invalid_type(param, "a boolean", value)


def string(param: str, value: Any) -> None:
    """Any text."""
    if not isinstance(value, str):
        raise problems.invalid_type(param, "a string", value)


def obj(param: str, value: Any) -> None:
    """A JSON object."""
    if not isinstance(value, dict):
        raise problems.invalid_type(param, "an object", value)


def array(most: int, check_item: Check | None = None, *, least: int = 1) -> Check:
    """A list of a length within bounds, each item passing `check_item`."""

    def check(param: str, value: Any) -> None:
        if not isinstance(value, list):
            raise problems.invalid_type(param, "an array", value)
        if len(value) < least:
            raise problems.empty_array(param)
        if len(value) > most:
            raise problems.array_too_long(param, limit=most, length=len(value))
        for index, item in enumerate(value):
            if check_item is not None:
                check_item(f"{param}[{index}]", item)

    return check


def one_of(*options: str) -> Check:
    """One of a few words."""

    def check(param: str, value: Any) -> None:
        string(param, value)
        if value not in options:
            raise problems.invalid_value(param, value, options)

    return check


def either(expected: str, checks: Mapping[type, Check | None]) -> Check:
    """One of several JSON types, each with its own check; `expected` says which, for the refusal."""

    def check(param: str, value: Any) -> None:
        if type(value) not in checks:
            raise problems.invalid_type(param, expected, value)
        further = checks[type(value)]
        if further is not None:
            further(param, value)

    return check


def check_known(body: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse arguments that the surface does not know."""
    unknown = body.keys() - known
    if unknown:
        raise problems.unknown_arguments(name for name in body if name in unknown)


def check_all(body: Mapping[str, Any], checks: Mapping[str, Check], *, nullable: bool = True) -> None:
    """Run the check of every parameter that is there; null is as good as absent where `nullable`."""
    given = checks.keys() & body.keys()
    for name in checks if len(given) > 1 else given:
        if name in given and not (nullable and body[name] is None):
            checks[name](name, body[name])


def require(body: Mapping[str, Any], names: Sequence[str], *, within: str = "") -> None:
    """Refuse an object that lacks one of `names`."""
    for name in names:
        if name not in body:
            raise problems.missing(f"{within}.{name}" if within else name)


def sound(body: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """What is left of a body without the parameters that would be refused, for a server that refuses none of them."""
    return {name: value for name, value in body.items() if name not in checks or _passes(checks[name], name, value)}


def sound_items(values: Any, check: Check) -> list[Any]:
    """The items of a list that would not be refused; none of what is no list."""
    return [value for value in values if _passes(check, "", value)] if isinstance(values, list) else []


def _passes(check: Check, name: str, value: Any) -> bool:
    try:
        check(name, value)
    except problems.Problem:
        return False
    return True
