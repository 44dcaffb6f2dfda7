"""The faults by name, and what turns a function into one."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from typing_extensions import override

from mockserver.answers import Answer
from mockserver.calls import Call
from mockserver.scripting.options import check
from mockserver.scripting.steps import OF_EVERY_STEP, Action, Moment, Step

Effect = Callable[[Moment], Answer]
ActsOn = Literal["response", "stream", "connection"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One named misbehaviour: where it acts, and the function that makes its effect from options."""

    name: str
    acts_on: ActsOn
    make: Callable[..., Effect]

    @property
    def description(self) -> str:
        """Its documentation: the docstring of its function, on one line."""
        return " ".join((self.make.__doc__ or "").split())


REGISTRY: dict[str, Kind] = {}


@dataclass(frozen=True, slots=True)
class Fault(Action):
    """One misbehaviour with its options; it travels as its name and options, and finds its effect anew."""

    name: str
    options: Mapping[str, Any]

    @property
    @override
    def label(self) -> str:
        return self.name

    @override
    def misfit(self, call: Call) -> str:
        needs_stream = REGISTRY[self.name].acts_on == "stream" and not call.stream
        return f"{self.name} acts on streams, and the request asks for none" if needs_stream else ""

    @override
    def answer(self, moment: Moment) -> Answer:
        return REGISTRY[self.name].make(**self.options)(moment)

    @override
    def spec(self) -> dict[str, Any]:
        return {"fault": self.name, **self.options}


def register(acts_on: ActsOn) -> Callable[[Callable[..., Effect]], Callable[..., Step]]:
    """Turn a function from options to an effect into a maker of steps, known by its name.

    The annotations of the options say what they take: see `mockserver.scripting.options`. The maker takes the keys of
    every step besides.
    """

    def decorate(make: Callable[..., Effect]) -> Callable[..., Step]:
        name = make.__name__

        @functools.wraps(make)
        def step(*args: Any, **kwargs: Any) -> Step:
            every = {key: kwargs.pop(key) for key in OF_EVERY_STEP if key in kwargs}
            given = dict(inspect.signature(make).bind(*args, **kwargs).arguments)
            check(make, given)
            make(**given)
            return Step(faults=(Fault(name, given),)).given(**every)

        REGISTRY[name] = Kind(name, acts_on, make)
        return step

    return decorate
