"""The faults by name, and what turns a function into one."""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec

from typing_extensions import override

from mockserver.calls import Call
from mockserver.steps import Action, Moment, Step
from mockserver.wire import Answer

P = ParamSpec("P")
Effect = Callable[[Moment], Answer]

REGISTRY: dict[str, Callable[..., Step]] = {}


@dataclass(frozen=True, slots=True)
class Fault(Action):
    """One misbehaviour with its options."""

    name: str
    options: Mapping[str, Any]
    effect: Effect

    @property
    @override
    def label(self) -> str:
        return self.name

    @override
    def misfit(self, call: Call) -> str:
        return ""

    @override
    def answer(self, moment: Moment) -> Answer:
        return self.effect(moment)

    @override
    def spec(self) -> dict[str, Any]:
        return {"fault": self.name, **self.options}


def register(make: Callable[P, Effect]) -> Callable[P, Step]:
    """Turn a function from options to an effect into a maker of steps, known by its name."""

    @functools.wraps(make)
    def step(*args: P.args, **kwargs: P.kwargs) -> Step:
        options = inspect.signature(make).bind(*args, **kwargs).arguments
        for name, value in options.items():
            _check(make, name, value)
        return Step(Fault(make.__name__, options, make(*args, **kwargs)))

    REGISTRY[make.__name__] = step
    return step


def _check(make: Callable[..., Any], name: str, value: Any) -> None:
    """Refuse a value that the annotation of `name` does not allow: scripts come from files and sockets."""
    hint = typing.get_type_hints(make)[name]
    options = [hint] if typing.get_origin(hint) is Literal else list(typing.get_args(hint)) or [hint]
    if not any(_allows(option, value) for option in options):
        raise ValueError(f"{name} is {value!r}; it takes {' or '.join(map(_in_words, options))}")


def _allows(option: Any, value: Any) -> bool:
    if typing.get_origin(option) is Literal:
        return value in typing.get_args(option)
    if isinstance(value, bool):
        return option is bool
    return isinstance(value, int | float if option is float else option)


def _in_words(option: Any) -> str:
    if typing.get_origin(option) is Literal:
        return " or ".join(map(repr, typing.get_args(option)))
    return {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}.get(option, "nothing")
