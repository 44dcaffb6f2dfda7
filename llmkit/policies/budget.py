"""How many retries all calls together may make: a share of the calls that succeed, and a few a minute beyond it.

Each call bounds its own attempts; only a budget that they share keeps a thousand of them from tripling the load on a
server that is down. It is a bucket of retries. Successes fill it, and time does, slowly, so that a program that only
meets failures still tries now and then.

How a call uses it, with one key a client (`f"budget:{endpoint}"`) and a `StateStore`, after `policies.retry.decide`
has said Retry:

    if not await store.update(key, partial(budget.spend, cost=retry_cost(error)), ttl_s=TTL_S): Stop("… retry budget …")
    …
    await store.update(key, budget.succeeded, ttl_s=TTL_S)                  # once for each call that is answered

A full bucket is the state None, so calls that succeed at once write nothing.
"""

import math
from dataclasses import dataclass

from llmkit.errors import ConfigError, LLMError, RateLimited
from llmkit.policies import State

TTL_S = 3_600.0
PACED_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """Room for `capacity` retries at first; each success adds `per_success`, each second `per_s`, up to `capacity`."""

    capacity: float = 100.0
    per_success: float = 0.5
    per_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("capacity", "per_success", "per_s"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name} = {value!r} is not valid: it has to be a number of retries from 0")

    def spend(self, state: State, now: float, *, cost: float = 1.0) -> tuple[State, bool]:
        """Whether a retry may be made; it is paid for if so."""
        balance = self._balance(state, now)
        if cost > balance:
            return state, False
        return self._state(balance - cost, now), True

    def succeeded(self, state: State, now: float) -> tuple[State, None]:
        """The state after a call was answered."""
        if state is None:
            return None, None
        return self._state(self._balance(state, now) + self.per_success, now), None

    def _balance(self, state: State, now: float) -> float:
        match state:
            case [float() | int() as balance, float() | int() as at]:
                return min(self.capacity, balance + self.per_s * max(now - at, 0.0))
        return self.capacity

    def _state(self, balance: float, now: float) -> State:
        return None if balance >= self.capacity else (balance, now)


def retry_cost(error: LLMError) -> float:
    """What another attempt after `error` costs: nothing where the server has told when to come back.

    A 429 with a wait of a second or more is the server's own way to spread the load; to give up then would lose calls
    and spare it nothing.
    """
    told = isinstance(error, RateLimited) and (error.retry_after_s or 0.0) >= PACED_S
    return 0.0 if told else 1.0
