"""What an expression of a template may make: nothing that takes all memory or a lifetime."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.filters import do_replace, make_attrgetter
from jinja2.utils import pass_environment

from llmkit.errors import excerpt

MOST_ITEMS = 1_000_000
"""How long a text or list may become by `*`, and the largest number that a filter or a method of a text takes."""
MOST_CHARACTERS = 10 * MOST_ITEMS
"""How long a text or list may become by anything else that puts it together."""
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
    _refuse_length(len(text) + text.count(str(old)) * len(str(new)))


@pass_environment
def join(environment: Any, value: Iterable[object], d: object = "", attribute: str | int | None = None) -> str:
    """The filter `join`, unless what it makes would be huge."""
    items = value if attribute is None else map(make_attrgetter(environment, attribute), value)
    return joined_text(str(d), items)


def joined_text(between: str, items: Iterable[object]) -> str:
    """The texts of the items with this between them; raises SecurityError where that would be huge."""
    texts = [str(item) for item in items]
    _refuse_length(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def multiplying(function: Callable[..., Any], *, at: int) -> Callable[..., Any]:
    """A filter that puts one text into another again and again, which is its argument number `at`."""

    @functools.wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        texts = [each for each in (*args[at:], *kwargs.values()) if isinstance(each, str)]
        if len(texts) > 1:
            _refuse_length(len(texts[0]) * max(map(len, texts[1:])))
        return function(*args, **kwargs)

    return filtered


def refuse_long_sum(left: object, right: object) -> None:
    """Raises SecurityError where `left + right` would be a huge text or list."""
    if isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
        _refuse_length(len(left) + len(right))


def _refuse_length(length: int) -> None:
    if length > MOST_CHARACTERS:
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
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _MOST_BITS:
        raise SecurityError(f"{excerpt(left, limit=20)} * {excerpt(right, limit=20)} is too large")


def is_small_power(left: object, right: object) -> bool:
    """Whether `left ** right` has no more than some thousand digits."""
    if not (isinstance(left, int) and isinstance(right, int)):
        return True
    return abs(left).bit_length() * abs(right) <= _MOST_BITS
