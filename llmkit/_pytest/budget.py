"""``--record-budget``: the next call is not sent if it could cost more than is left.

What was spent, what is set aside for calls on their way, and what was learnt for the next estimate are kept in a file,
so that the processes of a distributed run share one budget. A call that is sent and gets no reply may have been billed:
what was set aside for it stays so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from llmkit._pytest.estimate import Experience, is_billed, model_of
from llmkit._pytest.failures import BudgetReached
from llmkit.recording.cassette import locked
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.replies.ledger import Usage, usage_of
from llmkit.recording.replies.money import dollars
from llmkit.recording.take import Asked

_FIRST_REFUSAL = 400

Price = Callable[[Usage], Decimal | None]


@dataclass(slots=True)
class Sums:
    """What was ``spent`` and what is set ``aside`` for calls on their way, in USD."""

    spent: Decimal = Decimal(0)
    aside: Decimal = Decimal(0)
    experience: Experience = field(default_factory=Experience)

    @classmethod
    def read(cls, text: str) -> Sums:
        """Read what `text` has written."""
        stored = json.loads(text)
        return cls(Decimal(stored["spent"]), Decimal(stored["aside"]), Experience(**stored["experience"]))

    def text(self) -> str:
        """Return the sums as JSON."""
        return json.dumps(asdict(self), default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """The sums of a run, in a file that its processes share."""

    path: Path

    @contextmanager
    def open(self) -> Iterator[Sums]:
        """Read and write the sums, while no other process or thread does."""
        with locked(self.path):
            sums = Sums.read(self.path.read_text(encoding="utf-8")) if self.path.exists() else Sums()
            yield sums
            self.path.write_text(sums.text(), encoding="utf-8")


@dataclass(slots=True, kw_only=True)
class Budget:
    """A sum in USD that a run may spend; ``price`` tells what a reply costs."""

    limit: Decimal
    price: Price
    till: Till
    _set_aside: dict[int, tuple[Asked, Decimal]] = field(default_factory=dict)

    def reserve(self, asked: Asked) -> None:
        """Set aside what ``asked`` could cost; raises `BudgetReached` if that is more than is left."""
        if not is_billed(asked.written):
            return
        with self.till.open() as sums:
            cost = self._estimated_cost(asked.written, sums.experience)
            if sums.spent + sums.aside + cost <= self.limit:
                sums.aside += cost
                self._set_aside[id(asked)] = (asked, cost)
                return
        self._refuse(
            f"{self._account(sums)}, and the next call could cost {dollars(cost)}",
            "what was recorded so far is kept: go on with a larger --record-budget",
        )

    def enter(self, asked: Asked, interaction: Interaction) -> None:
        """Put what the reply to ``asked`` cost in the place of what was set aside for it."""
        if not is_billed(asked.written):
            return
        _, aside = self._set_aside.pop(id(asked), (asked, Decimal(0)))
        with self.till.open() as sums:
            sums.aside -= aside
            sums.spent += self._cost(asked.written, interaction.response, sums.experience, aside)

    def _estimated_cost(self, request: Request, experience: Experience) -> Decimal:
        usage = experience.estimate(request)
        cost = self.price(usage)
        if cost is None:
            self._refuse_unpriced(request, usage.model)
        return cost

    def _refuse_unpriced(self, request: Request, model: str) -> NoReturn:
        if not model:
            self._refuse(f"{request.method} {request.uri} names no model, so nobody knows what it costs")
        self._refuse(
            f"the model {model!r} has no known price",
            "name it, in USD a million tokens in and out, or the model that the deployment is of:",
            f"llmkit_prices = {model} = 2.50 / 10.00, or llmkit_prices = {model} = gpt-4o",
        )

    def _cost(self, request: Request, response: Response, experience: Experience, aside: Decimal) -> Decimal:
        """Return what was billed, by the model that served or else the one that was asked for.

        A reply that does not tell, such as a stream without its usage, costs what was set ``aside`` for it at least.
        """
        if response.status >= _FIRST_REFUSAL:
            return Decimal(0)
        usage = usage_of(response)
        is_told = usage != Usage()
        if not is_told:
            usage = experience.estimate(request, response)
        experience.learn(request, usage)
        cost = self.price(usage)
        if cost is None:
            cost = self.price(replace(usage, model=model_of(request)))
        if cost is None:
            return aside
        return cost if is_told else max(cost, aside)

    def _account(self, sums: Sums) -> str:
        aside = f" and {dollars(sums.aside)} set aside for calls on their way" if sums.aside else ""
        return f"{dollars(sums.spent)} of {dollars(self.limit)} are spent{aside}"

    def _refuse(self, why: str, *next_steps: str) -> NoReturn:
        steps = [f"  {'next' if n == 0 else '    '}  {step}" for n, step in enumerate(filter(None, next_steps))]
        raise BudgetReached("\n".join(("the budget of this recording stops here", f"  why   {why}", *steps)))
