"""The faults by name, and what turns a function into one."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from typing_extensions import override

from mockserver.answers import Answer
from mockserver.calls import Call
from mockserver.faults.landmarks import never_there
from mockserver.scripting.options import check, copied, suggestion
from mockserver.scripting.steps import OF_EVERY_STEP, Action, Moment, Step

Effect = Callable[[Moment], Answer]
ActsOn = Literal["response", "stream", "connection"]
Unfit = Callable[[Call], str]


class NothingToActOn(Exception):
    """A fault that cannot do what it should to an answer; `args[0]` says why. It leaves the answer as it is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One named misbehaviour: where it acts, the function that makes its effect from options, and what makes steps.

    One that `replaces` answers in place of the reply, whatever that would have been. `place` is the landmark that one
    without `at` acts on; `unfit` tells why it can do nothing for a call.
    """

    name: str
    acts_on: ActsOn
    make: Callable[..., Effect]
    step: Callable[..., Step]
    replaces: bool = False
    place: str | None = None
    unfit: Unfit | None = None

    def place_of(self, options: Mapping[str, Any]) -> Any:
        """Where in a stream it acts with these options, None if it has no place."""
        at = inspect.signature(self.make).parameters.get("at")
        return self.place if at is None else options.get("at", at.default)

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

    @property
    @override
    def replaces(self) -> bool:
        return self._kind.replaces

    @property
    def _kind(self) -> Kind:
        from mockserver import faults

        return faults.kinds()[self.name]  # another process may not have loaded it yet

    @override
    def misfit(self, call: Call) -> str:
        kind = self._kind
        if kind.acts_on != "stream":
            return kind.unfit(call) if kind.unfit else ""
        if not call.stream:
            return f"{self.name} acts on streams, and the request asks for none"
        return never_there(kind.place_of(self.options), call) or (kind.unfit(call) if kind.unfit else "")

    @override
    def answer(self, moment: Moment) -> Answer:
        try:
            return self._kind.make(**self.options)(moment)
        except NothingToActOn as exc:
            answer = moment.inner()
            return replace(answer, misses=(*answer.misses, f"{self.name} did nothing: {exc.args[0]}"))

    @override
    def spec(self) -> dict[str, Any]:
        return {"fault": self.name, **self.options}


def register(
    acts_on: ActsOn, *, replaces: bool = False, place: str | None = None, unfit: Unfit | None = None
) -> Callable[[Callable[..., Effect]], Callable[..., Step]]:
    """Turn a function from options to an effect into a maker of steps, known by its name.

    The annotations of the options say what they take: see `mockserver.scripting.options`. The maker takes the keys of
    every step besides. One that `replaces` answers by itself and never looks at `moment.inner`. One of streams that
    takes no `at` may name the `place` that it acts on. Calls for which `unfit` gives a reason are left alone.
    """

    def decorate(make: Callable[..., Effect]) -> Callable[..., Step]:
        name = make.__name__

        @functools.wraps(make)
        def step(*args: Any, **kwargs: Any) -> Step:
            every = {key: kwargs.pop(key) for key in OF_EVERY_STEP if key in kwargs}
            given = _bound(make, args, kwargs)
            check(make, given)
            make(**given)
            return Step(faults=(Fault(name, copied(given)),)).given(**every)

        REGISTRY[name] = Kind(name, acts_on, make, step, replaces, place, unfit)
        return step

    return decorate


def _bound(make: Callable[..., Effect], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The options of a fault by their names; TypeError, with its name and what it takes, for others."""
    signature = inspect.signature(make)
    wrong = next((name for name in kwargs if name not in signature.parameters), None)
    if wrong is not None:
        known = [*signature.parameters, *OF_EVERY_STEP]
        raise TypeError(f"{make.__name__} takes no {wrong!r}; {suggestion(wrong, known)}")
    try:
        return dict(signature.bind(*args, **kwargs).arguments)
    except TypeError as exc:
        takes = ", ".join(f"{name}=…" for name in signature.parameters) or "nothing"
        raise TypeError(f"{make.__name__}: {exc}; it takes {takes}") from exc
