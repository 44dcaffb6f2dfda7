"""The life of one call, as a generator of decisions: send, wait, succeed, fail.

`life` says what to do next and is told what came of it; it neither sleeps nor sends. `drive` does both.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from llmkit.errors import Attempt, DeadlineExceeded, LLMError
from llmkit.policies.retry import Limits, Stop, decide

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Make the request, in at most `timeout_s` seconds."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for `seconds`."""

    seconds: float


Step = Send | Wait


@dataclass(slots=True)
class Call:
    """One call: its limits, its clock and the attempts made so far."""

    limits: Limits
    clock: Callable[[], float] = time.monotonic
    dice: Callable[[], float] = random.random
    attempts: list[Attempt] = field(default_factory=list)
    started: float = field(init=False)
    _sent: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self._sent = self.clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the call began."""
        return self.clock() - self.started

    @property
    def remaining_s(self) -> float:
        """Seconds left of the deadline, never below 0."""
        return max(0.0, self.limits.deadline_s - self.elapsed_s)

    def sending(self, *, wait_s: float) -> None:
        """A request leaves now, after a pause of `wait_s`."""
        self._sent = self.clock()
        self.attempts.append(Attempt(wait_s=wait_s))

    def succeeded(self, *, status_code: int, request_id: str | None) -> tuple[Attempt, ...]:
        """The request on the wire was answered; returns all attempts."""
        self._end(Attempt(status_code=status_code, request_id=request_id))
        return tuple(self.attempts)

    def failed(self, error: LLMError) -> LLMError:
        """The request on the wire failed; the error now carries every attempt."""
        self._end(
            Attempt(
                status_code=error.status_code,
                error=type(error).__name__,
                code=error.code,
                request_id=error.request_id,
                retry_after_s=error.retry_after_s,
            )
        )
        error.attempts = tuple(self.attempts)
        return error

    def out_of_time(self, doing: str) -> DeadlineExceeded:
        """The error for a deadline that passed while `doing`."""
        deadline_s = self.limits.deadline_s
        return DeadlineExceeded(f"The deadline of {deadline_s:g} s passed while {doing}", limit_s=deadline_s)

    def _end(self, outcome: Attempt) -> None:
        wait_s = self.attempts[-1].wait_s
        self.attempts[-1] = replace(outcome, wait_s=wait_s, duration_s=self.clock() - self._sent)


def life(call: Call) -> Generator[Step, T | None, T]:
    """Sends until an answer comes, or an error that another attempt would not mend; that error is then raised.

    The driver sends the answer in, or throws the LLMError that came instead.
    """
    wait_s = 0.0
    while True:
        call.sending(wait_s=wait_s)
        try:
            return cast("T", (yield Send(call.remaining_s)))
        except LLMError as error:
            failure = call.failed(error)
        decision = decide(
            failure,
            attempt=len(call.attempts),
            elapsed_s=call.elapsed_s,
            limits=call.limits,
            jitter=call.dice(),
        )
        if isinstance(decision, Stop):
            failure.add_note(f"llmkit gave up after request {len(call.attempts)}: {decision.reason}")
            raise failure
        wait_s = decision.wait_s
        yield Wait(wait_s)


async def drive(call: Call, send: Callable[[float], Awaitable[T]]) -> T:
    """Does what `life` says, with `send(timeout_s)` to make a request, and returns the answer."""
    steps: Generator[Step, T | None, T] = life(call)
    try:
        step = next(steps)
        while True:
            answer: T | None = None
            failure: LLMError | None = None
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            else:
                try:
                    answer = await send(step.timeout_s)
                except LLMError as error:
                    failure = error
            step = steps.throw(failure) if failure else steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()
