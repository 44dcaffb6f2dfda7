"""The faults by name, and what turns a function into one."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec

from typing_extensions import override

from mockserver.calls import Call
from mockserver.options import check
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
    """Turn a function from options to an effect into a maker of steps, known by its name.

    The annotations of the options say what they take: see `mockserver.options`.
    """

    @functools.wraps(make)
    def step(*args: P.args, **kwargs: P.kwargs) -> Step:
        given = inspect.signature(make).bind(*args, **kwargs).arguments
        check(make, given)
        return Step(Fault(make.__name__, given, make(*args, **kwargs)))

    REGISTRY[make.__name__] = step
    return step
