"""What bounds calls together, asked before each request: circuit breaker, rate limit and retry budget.

The rules are in `llmkit.policies`, their states in a store that calls, and processes, share.
"""

import asyncio
import math
import random
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from llmkit._flow import Call
from llmkit.errors import CircuitOpen, LLMError, RateLimited
from llmkit.policies import budget, circuit_breaker, rate_limit
from llmkit.policies.budget import RetryBudget, retry_cost
from llmkit.policies.circuit_breaker import CircuitBreaker, Shut, Ticket, outcome_of
from llmkit.policies.rate_limit import Full, Place, RateLimit
from llmkit.responses import Usage
from llmkit.stores import Rule, StateStore

T = TypeVar("T")

TOLD_S: Final = 0.1  # how long a store may take to hear of a call whose deadline has passed
_TTL_S: Final = {"breaker": circuit_breaker.TTL_S, "limit": rate_limit.TTL_S, "budget": budget.TTL_S}


@dataclass(slots=True)
class Leave:
    """Leave to send one request: the breaker's ticket and the place in the line of the rate limit."""

    model: str
    ticket: Ticket | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The gate of one client; `endpoint` tells its deployments from those of others in the same store."""

    states: StateStore
    endpoint: str
    breaker: CircuitBreaker | None = None
    limit: RateLimit | None = None
    budget: RetryBudget | None = None
    _keys: dict[tuple[str, str], str] = field(default_factory=dict)

    async def enter(self, call: Call) -> Leave:
        """Leave to send, after the wait that the rate limit asks for.

        Raises CircuitOpen while the breaker of the model is open, RateLimited where the wait would exceed the deadline.
        """
        leave = Leave(call.model)
        if self.limit is not None:
            leave.place = await self._placed(self.limit, call)
        if self.breaker is not None:  # last, for it may have opened during the wait
            try:
                leave.ticket = await self._admitted(self.breaker, call)
            except BaseException:
                await self._released(call, leave)
                raise
        return leave

    async def leave(self, call: Call, error: BaseException | None) -> None:
        """The request has ended, with this error or an answer."""
        leave: Leave = call.leave
        if self.breaker is not None and leave.ticket is not None:
            rule = partial(self.breaker.record, ticket=leave.ticket, outcome=outcome_of(error))
            await self._told(call, "breaker", leave.model, rule)
        if self.budget is not None and error is None:
            await self._told(call, "budget", "", self.budget.succeeded)

    async def _released(self, call: Call, leave: Leave) -> None:
        """The place in the line is for others: nothing was sent."""
        if leave.place is not None and self.limit is not None:
            await self._told(call, "limit", leave.model, partial(self.limit.release, place=leave.place))

    async def billed(self, call: Call, bill: Usage | None) -> None:
        """The bill has come: the rate limit gives back what was estimated too high, or takes what was too low."""
        leave: Leave | None = call.leave
        if self.limit is not None and leave is not None and leave.place is not None and bill is not None:
            rule = partial(self.limit.settle, place=leave.place, tokens=bill.total_tokens)
            await self._told(call, "limit", leave.model, rule)

    async def spend(self, call: Call, failure: LLMError) -> bool:
        """Whether a retry may be made; the budget of all calls pays for it."""
        if self.budget is None:
            return True
        rule = partial(self.budget.spend, cost=retry_cost(failure))
        return await self._update("budget", "", rule, within_s=call.remaining_s / 2)  # the rest is for the request

    async def _admitted(self, breaker: CircuitBreaker, call: Call) -> Ticket:
        rule = partial(breaker.admit, token=f"{random.getrandbits(64):x}", lease_s=call.remaining_s)
        found = await self._update("breaker", call.model, rule, within_s=call.remaining_s / 2)
        if isinstance(found, Shut):
            why = "it is tried by one call just now" if found.probing else "it has failed too often"
            raise CircuitOpen(
                f"Nothing was sent to {call.model!r}, for {why}; it is asked again in {found.retry_in_s:.3g} s",
                retry_after_s=found.retry_in_s,
            )
        return found

    async def _placed(self, limit: RateLimit, call: Call) -> Place:
        rule = partial(limit.reserve, tokens=call.tokens, longest_wait_s=call.remaining_s)
        found = await self._update("limit", call.model, rule, within_s=call.remaining_s / 2)
        if isinstance(found, Full):
            budget_of = f"{found.by} = {getattr(limit, found.by)}"
            if found.wait_s == math.inf:
                raise RateLimited(
                    f"Nothing was sent, for the request may take {call.tokens} tokens with its answer, and {budget_of} "
                    "never leaves room for so many: shorten it, lower max_tokens, or raise tpm"
                )
            raise RateLimited(
                f"Nothing was sent, for {budget_of} leaves no room: the next is in {found.wait_s:.3g} s, and "
                f"{call.remaining_s:.3g} s are left of the deadline",
                retry_after_s=found.wait_s,
            )
        try:
            if found.wait_s > 0:
                call.tell("waits", found.wait_s)
                await asyncio.sleep(found.wait_s)
        except BaseException:
            await self._released(call, Leave(call.model, place=found))
            raise
        return found

    async def _told(self, call: Call, kind: str, model: str, rule: Rule[None]) -> None:
        """The state hears what came of a request, soon enough for the deadline."""
        await self._update(kind, model, rule, within_s=max(call.remaining_s, TOLD_S))

    async def _update(self, kind: str, model: str, rule: Rule[T], *, within_s: float) -> T:
        return await self.states.update(self._key(kind, model), rule, ttl_s=_TTL_S[kind], within_s=within_s)

    def _key(self, kind: str, model: str) -> str:
        known = self._keys.get((kind, model))
        if known is None:
            known = self._keys[kind, model] = f"{kind}:{self.endpoint}|{model}"
        return known
