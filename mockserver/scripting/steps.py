"""Steps: what a script does to one request, for which requests and how often."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Protocol

from mockserver.answers import Answer
from mockserver.calls import Call
from mockserver.dialects import Dialect
from mockserver.generating.dice import Dice
from mockserver.problems import Problem
from mockserver.scripting.matching import Condition, Situation, condition_of
from mockserver.scripting.options import Repeats, check, demand, within
from mockserver.surfaces import Scripted

Probability = Annotated[float, within(0, 1, "a number")]

# the keys of a step that are neither its reply's nor its fault's
OF_EVERY_STEP = ("times", "match", "probability", "then")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a step acts on.

    `say` makes what the request would get without the step, `refuse` the dialect's answer to a problem, and `inner`
    what it gets from the rest of the step: a fault bends that, or puts something in its place. `dice` are thrown anew
    for each fault, by the script's seed, by what is asked and by how often that was asked before.
    """

    call: Call
    dialect: Dialect
    say: Callable[[Scripted], Answer]
    refuse: Callable[[Problem], Answer]
    inner: Callable[[], Answer]
    dice: Dice = field(default_factory=lambda: Dice(0))


class Action(Protocol):
    """A reply, or a fault: one part of what a step does."""

    @property
    def label(self) -> str:
        """The action in a word, for the journal."""

    @property
    def replaces(self) -> bool:
        """Whether it answers by itself, whatever the rest of the step says."""

    def misfit(self, call: Call) -> str:
        """Why the action makes no sense for `call`; empty if it does."""

    def answer(self, moment: Moment) -> Answer:
        """What the request gets."""

    def spec(self) -> dict[str, Any]:
        """The action as scripts write it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A reply and faults that act on it, how often they are to be taken (None: forever), and for which requests.

    Without a reply, faults act on what is generated. A step with a `probability` stands for ever and is drawn for every
    request. `state` is what the script is in from then on, for steps that ask for it. `occasion` is what one taking of
    the step draws from.
    """

    reply: Action | None = None
    faults: tuple[Action, ...] = ()
    repeats: int | None = 1
    condition: Condition = field(default_factory=Condition)
    chance: float | None = None
    state: str | None = None
    occasion: tuple[Any, ...] = field(default=(0,), compare=False, repr=False)

    @property
    def label(self) -> str:
        """What the step does, in a word or a few."""
        return "+".join(part.label for part in self._parts())

    @property
    def fault(self) -> str | None:
        """The names of its faults, None without any."""
        return "+".join(fault.label for fault in self.faults) or None

    @property
    def stands(self) -> bool:
        """Whether it is never used up."""
        return self.chance is not None or self.repeats is None

    def times(self, count: int | str) -> "Step":
        """The same step, taken `count` times or "forever"."""
        demand("times", Repeats, count)
        return self.given(times=count)

    def match(self, **conditions: Any) -> "Step":
        """The same step, left for a later request by all that are not like this; see `matching.Condition`."""
        return self.given(match=conditions)

    def probability(self, chance: float) -> "Step":
        """The same step, standing: drawn for every request, by the script's seed and what is asked."""
        return self.given(probability=chance)

    def then(self, state: str) -> "Step":
        """The same step, after which the script is in `state`."""
        return self.given(then=state)

    def given(
        self,
        *,
        times: int | str | None = None,
        match: Mapping[str, Any] | None = None,
        probability: float | None = None,
        then: str | None = None,
    ) -> "Step":
        """The same step with what scripts write beside every reply and fault; ValueError for what it cannot take."""
        step = self
        if times is not None:
            demand("times", Repeats, times)
            step = replace(step, repeats=None if isinstance(times, str) else times)
        if match is not None:
            step = replace(step, condition=condition_of(match))
        wanted = {"probability": probability, "then": then}
        check(_annotated, {name: value for name, value in wanted.items() if value is not None})
        chance = step.chance if probability is None else float(probability)
        return replace(step, chance=chance, state=step.state if then is None else then)

    def __and__(self, other: "Step") -> "Step":
        """Both in one: the reply of either, the faults of this and then of the other; conditions of this one."""
        if not isinstance(other, Step):
            return NotImplemented
        if self.reply is not None and other.reply is not None:
            raise ValueError("two replies cannot be one step; combine a reply with faults: reply(…) & fault.cut(…)")
        return replace(self, reply=self.reply or other.reply, faults=self.faults + other.faults)

    def mismatch(self, call: Call, situation: Situation) -> str:
        """Why the step leaves `call` alone; empty if it takes it."""
        own = (part.misfit(call) for part in self._parts())
        return self.condition.mismatch(call, situation) or next((reason for reason in own if reason), "")

    def answer(self, moment: Moment) -> Answer:
        """What the request gets: the reply, as each fault leaves it to the next.

        Faults that answer in place of the reply come first wherever they stand, so that the others act on their answer.
        """
        inner = moment.inner if self.reply is None else _bound(self.reply, moment)
        seed, *parts = self.occasion
        for index, fault in sorted(enumerate(self.faults), key=lambda numbered: not numbered[1].replaces):
            inner = _bound(fault, replace(moment, inner=inner, dice=Dice(seed, "fault", *parts, index)))
        return inner()

    def on(self, *occasion: Any) -> "Step":
        """The same step as one request takes it: its faults draw from a seed and these JSON values."""
        return replace(self, occasion=occasion)

    def spec(self) -> dict[str, Any]:
        """The step as scripts write it."""
        spec = {} if self.reply is None else self.reply.spec()
        faults = [fault.spec() for fault in self.faults]
        if len(faults) == 1 and not spec.keys() & faults[0].keys():
            spec |= faults[0]
        elif faults:
            spec["faults"] = faults
        if self.repeats != 1:
            spec["times"] = self.repeats or "forever"
        rest = {"match": self.condition.spec() or None, "probability": self.chance, "then": self.state}
        return spec | {name: value for name, value in rest.items() if value is not None}

    def _parts(self) -> tuple[Action, ...]:
        return self.faults if self.reply is None else (self.reply, *self.faults)


def _bound(action: Action, moment: Moment) -> Callable[[], Answer]:
    return lambda: action.answer(moment)


def _annotated(*, probability: Probability, then: str) -> None:
    """Only its annotations are used: what two of the keys of every step may be."""
