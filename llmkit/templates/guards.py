"""What an expression of a template may make: nothing that takes all memory or a lifetime."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.filters import do_replace

MOST_ITEMS = 1_000_000
"""How long a text or list may become by `*`, and the largest number that a filter or a method of a text takes."""
_MOST_BITS = 10_000


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that refuses numbers that would make its result huge."""

    @functools.wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        refuse_huge((*args[1:], *kwargs.values()))
        return function(*args, **kwargs)

    return filtered


def replace(context: Any, value: object, old: str, new: str, count: int | None = None) -> str:
    """The filter `replace`, unless what it makes would be huge."""
    refuse_long_replacement(str(value), old, new)
    return do_replace(context, str(value), old, new, count)


replace.jinja_pass_arg = do_replace.jinja_pass_arg  # type: ignore[attr-defined] # as its decorator sets it


def refuse_long_replacement(text: str, old: object = "", new: object = "", *_: object) -> None:
    """Raises SecurityError where `text.replace(old, new)` would be huge."""
    if len(text) + text.count(str(old)) * len(str(new)) > MOST_ITEMS * 10:
        raise SecurityError("the text would be too long")


def refuse_huge(arguments: Iterable[object]) -> None:
    """Raises SecurityError where a number among them is."""
    for argument in arguments:
        if isinstance(argument, int) and abs(argument) > MOST_ITEMS:
            raise SecurityError(f"{argument} is too large a number here")


def refuse_long(left: object, right: object) -> None:
    """Raises SecurityError where `left * right` would be a huge text or list."""
    for items, times in ((left, right), (right, left)):
        if isinstance(items, str | list | tuple) and isinstance(times, int) and len(items) * times > MOST_ITEMS:
            raise SecurityError(f"{len(items):,} items times {times:,} is too many")


def is_small_power(left: object, right: object) -> bool:
    """Whether `left ** right` has no more than some thousand digits."""
    if not (isinstance(left, int) and isinstance(right, int)):
        return True
    return abs(left).bit_length() * abs(right) <= _MOST_BITS
