"""The life of one call, as a generator of decisions: ask leave, send, wait, succeed, fail.

`life` says what to do next and is told what came of it; it neither sleeps nor sends. `drive` does both.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, cast, get_args

from llmkit.errors import Attempt, DeadlineExceeded, LLMError
from llmkit.policies.retry import Limits, Retry, Stop, decide

T = TypeVar("T")

Kind = Literal[
    "leave",
    "sent",
    "first token",
    "answered",
    "billed",
    "failed",
    "waits",
    "stops",
    "cached",
    "falls back",
    "ended",
]
"""What an observer is told of: leave to send was given, a request left, its stream began, it was answered, with which
reply and bill, or failed; the call waits before the next or stops, a cached answer was found, a fallback is asked, the
call has ended: with a reply, an exception, or None for a stream that was left before its end."""


@dataclass(frozen=True, slots=True)
class Send:
    """Make the request, in at most `timeout_s` seconds."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Enter:
    """Ask leave to send, of all that bounds calls together; it is refused by an LLMError."""


@dataclass(frozen=True, slots=True)
class Spend:
    """Ask whether a retry after `failure` may be made; the answer is a bool."""

    failure: LLMError


Step = Enter | Send | Wait | Spend


class Event(NamedTuple):
    """Something that happened in a call: the attempt, the decision or whatever it is about is in `detail`."""

    kind: Kind
    call: "Call"
    detail: object = None


Observer = Callable[[Event], None]
Audience = Mapping[Kind, tuple[Observer, ...]]


def audience(observers: Iterable[Observer]) -> Audience:
    """Who is told of what: an observer that has `kinds` of those alone, any other of all."""
    listed = tuple(observers)
    kinds: tuple[Kind, ...] = get_args(Kind)
    return {kind: tuple(one for one in listed if kind in getattr(one, "kinds", kinds)) for kind in kinds}


class Gate(Protocol):
    """What bounds calls together: breaker, rate limit and retry budget."""

    async def enter(self, call: "Call") -> Any:
        """Leave to send, which the call keeps for `leave`; raises an LLMError where it is refused."""
        ...

    async def leave(self, call: "Call", error: BaseException | None) -> None:
        """The request has ended."""
        ...

    async def spend(self, call: "Call", failure: LLMError) -> bool:
        """Whether a retry may be made."""
        ...


@dataclass(slots=True)
class Call:
    """One call: its limits, its clock and the attempts made so far.

    `request` is what it asks just now, and `notes` are what observers keep with it.
    `round` numbers the models that it has asked, from 0; each has `max_attempts` of its own. `tokens` is what a request
    is estimated to cost, for the rate limit.
    """

    limits: Limits
    model: str = ""
    tokens: int = 0
    observers: Audience = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    dice: Callable[[], float] = random.random
    attempts: list[Attempt] = field(default_factory=list)
    leave: Any = None
    request: Any = None
    notes: dict[str, Any] = field(default_factory=dict)
    started: float = field(init=False)
    sent: float = field(init=False)
    _earlier: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The clock of the call begins now."""
        self.started = self.sent = self.clock()

    def tell(self, kind: Kind, detail: object = None) -> None:
        """Tells the observers; what one of them raises is its own business, and the caller's."""
        listening = self.observers.get(kind)
        if listening:
            event = Event(kind, self, detail)
            for observer in listening:
                observer(event)

    @property
    def attempt(self) -> int:
        """The number of the last request to this model; 1 is the first."""
        return len(self.attempts) - self._earlier

    def turn_to(self, model: str) -> None:
        """From here on it asks another model, with attempts of its own, under the same deadline."""
        self.model = model
        self._earlier = len(self.attempts)

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
        self.sent = self.clock()
        self.attempts.append(Attempt(model=self.model, wait_s=wait_s, sent_s=self.sent - self.started))
        self.tell("sent", self.attempts[-1])

    def succeeded(self, *, status_code: int, request_id: str | None) -> tuple[Attempt, ...]:
        """The request on the wire was answered; returns all attempts."""
        self._end("answered", status_code=status_code, request_id=request_id)
        return tuple(self.attempts)

    def failed(self, error: LLMError) -> LLMError:
        """The request on the wire failed; the error now carries every attempt."""
        self._end(
            "failed",
            status_code=error.status_code,
            error=type(error).__name__,
            code=error.code,
            request_id=error.request_id,
            retry_after_s=error.retry_after_s,
        )
        error.attempts = tuple(self.attempts)
        return error

    def out_of_time(self, doing: str) -> DeadlineExceeded:
        """The error for a deadline that passed while `doing`."""
        deadline_s = self.limits.deadline_s
        return DeadlineExceeded(f"The deadline of {deadline_s:g} s passed while {doing}", limit_s=deadline_s)

    def _end(self, kind: Kind, **outcome: Any) -> None:
        begun = self.attempts[-1]
        duration_s = self.clock() - self.sent
        self.attempts[-1] = Attempt(
            model=begun.model, wait_s=begun.wait_s, sent_s=begun.sent_s, duration_s=duration_s, **outcome
        )
        self.tell(kind, self.attempts[-1])


def life(call: Call) -> Generator[Step, Any, T]:
    """Sends until an answer comes, or an error that another attempt would not mend; that error is then raised.

    The driver sends the answer in, or throws the LLMError that came instead.
    """
    wait_s = 0.0
    failure: LLMError | None = None
    while True:
        try:
            yield Enter()
        except LLMError as refusal:
            raise _given_up(call, failure or refusal, refusal.message) from None
        call.sending(wait_s=wait_s)
        try:
            return cast("T", (yield Send(call.remaining_s)))
        except LLMError as error:
            failure = call.failed(error)
        decision = decide(
            failure, attempt=call.attempt, elapsed_s=call.elapsed_s, limits=call.limits, jitter=call.dice()
        )
        if isinstance(decision, Retry) and not (yield Spend(failure)):
            decision = Stop("the calls of this client have no retries left for now")
        if isinstance(decision, Stop):
            raise _given_up(call, failure, decision.reason)
        wait_s = decision.wait_s
        yield Wait(wait_s)


def _given_up(call: Call, failure: LLMError, reason: str) -> LLMError:
    """The failure, after which nothing is sent any more."""
    failure.attempts = tuple(call.attempts)
    if call.attempts:
        failure.add_note(f"llmkit gave up after request {len(call.attempts)}: {reason}")
    call.tell("stops", failure)
    return failure


async def drive(call: Call, gate: Gate, send: Callable[[float], Awaitable[T]]) -> T:
    """Does what `life` says, with `send(timeout_s)` to make a request, and returns the answer."""
    steps: Generator[Step, Any, T] = life(call)
    try:
        step = next(steps)
        while True:
            answer: object = None
            failure: LLMError | None = None
            try:
                answer = await _done(step, call, gate, send)
            except LLMError as error:
                failure = error
            step = steps.throw(failure) if failure else steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


async def _done(step: Step, call: Call, gate: Gate, send: Callable[[float], Awaitable[object]]) -> object:
    """What came of one step."""
    match step:
        case Enter():
            call.leave = await gate.enter(call)
            call.tell("leave")
        case Wait(seconds):
            call.tell("waits", seconds)
            await asyncio.sleep(seconds)
        case Spend(failure):
            return await gate.spend(call, failure)
        case Send(timeout_s):
            return await _sent(call, gate, send(timeout_s))
    return None


async def _sent(call: Call, gate: Gate, pending: Awaitable[T]) -> T:
    try:
        answer = await pending
    except BaseException as error:
        await gate.leave(call, error)
        raise
    await gate.leave(call, None)
    return answer
