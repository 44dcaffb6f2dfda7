"""Steps: what a script does to one request, under which condition and how often."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from mockserver.calls import Call
from mockserver.dialects import Dialect
from mockserver.matching import Condition
from mockserver.options import Repeats, Texts, Values, check, demand
from mockserver.problems import Problem
from mockserver.surfaces import Scripted
from mockserver.wire import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a step acts on.

    `normal` makes what the request would get without the step, `refuse` the dialect's answer to a problem.
    """

    call: Call
    dialect: Dialect
    normal: Callable[[Scripted], Answer]
    refuse: Callable[[Problem], Answer]


class Action(Protocol):
    """What a step does."""

    @property
    def label(self) -> str:
        """The action in a word or two, for the journal."""

    def misfit(self, call: Call) -> str:
        """Why the action makes no sense for `call`; empty if it does."""

    def answer(self, moment: Moment) -> Answer:
        """What the request gets."""

    def spec(self) -> dict[str, Any]:
        """The action as scripts write it."""


@dataclass(frozen=True, slots=True)
class Step:
    """An action, how often it is to be taken (None: forever), and for which requests."""

    action: Action
    repeats: int | None = 1
    condition: Condition = field(default_factory=Condition)

    def times(self, count: int | str) -> "Step":
        """The same step, taken `count` times or "forever"."""
        demand("times", Repeats, count)
        return replace(self, repeats=None if isinstance(count, str) else count)

    def when(
        self,
        *,
        surface: str | None = None,
        path: str | None = None,
        model: str | None = None,
        deployment: str | None = None,
        stream: bool | None = None,
        header: Texts | None = None,
        body: Values | None = None,
    ) -> "Step":
        """The same step, left for a later request by all that are not like this; see `matching.Condition`."""
        texts = {"surface": surface, "path": path, "model": model, "deployment": deployment}
        given = {**texts, "stream": stream, "header": header, "body": body}
        check(Step.when, {name: value for name, value in given.items() if value is not None})
        condition = Condition(
            surface=surface,
            path=path,
            model=model,
            deployment=deployment,
            stream=stream,
            header=dict(header or {}),
            body=dict(body or {}),
        )
        return replace(self, condition=condition)

    def mismatch(self, call: Call) -> str:
        """Why the step leaves `call` alone; empty if it takes it."""
        return self.condition.mismatch(call) or self.action.misfit(call)

    def spec(self) -> dict[str, Any]:
        """The step as scripts write it."""
        spec = self.action.spec()
        if self.repeats != 1:
            spec["times"] = self.repeats or "forever"
        when = self.condition.spec()
        return {**spec, "when": when} if when else spec
