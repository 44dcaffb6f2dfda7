"""What answers in a call's stead when it has failed: another model or deployment, an old answer, a fixed text.

How a call uses it, after its own attempts have failed with `error` (the first of the call, for it decides):

    for step in steps_after(plan, error, in_time=call.remaining_s > 0):
        match step:
            case Ask(target):   the same request to that model, with what is left of the deadline; on an LLMError, go on
            case Recall():      the cached answer of this request, however old, if there is one; else go on
            case Say(text):     a Completion of that text
        reply.degraded = degraded(step, error)
    else: raise error

A reply that a fallback gave never goes into the cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llmkit.errors import (
    CircuitOpen,
    ConfigError,
    ConnectionFailed,
    ContextOverflow,
    LLMError,
    MalformedResponse,
    QuotaExceeded,
    RateLimited,
    ServerError,
    StreamTruncated,
    TimedOut,
)

UNAVAILABLE = (
    CircuitOpen,
    ConnectionFailed,
    MalformedResponse,
    QuotaExceeded,
    RateLimited,
    ServerError,
    StreamTruncated,
    TimedOut,
)
"""What a fallback is for: the service could not answer. What the caller got wrong stays an error, such as a refused
request, a key without rights or a deployment that does not exist: another answer would only hide it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model, or on Azure a deployment; `via` is the client that reaches it, None for the one that was called."""

    model: str
    via: Any = None

    def __str__(self) -> str:
        return self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What to try, in this order: `models`, an old cached answer if `stale`, and the text `default`.

    `larger` are models with more room, asked only where the request overflows the context window of the first.
    """

    models: tuple[Target, ...] = ()
    stale: bool = False
    default: str | None = None
    larger: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """Send the request to this model."""

    target: Target


@dataclass(frozen=True, slots=True)
class Recall:
    """Take the cached answer, also one that is no longer fresh."""


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with this text."""

    text: str


Step = Ask | Recall | Say


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """That a reply is not what was asked for: what stands in its place, and why.

    `target` is the model that answered, "" for a cached answer or the default text; `error` is the class of what had
    failed, `reason` its message.
    """

    kind: Literal["model", "cache", "default"]
    target: str
    error: str
    reason: str


def fallback_of(value: object) -> Fallback:
    """The plan in `fallback=`: a Fallback, one model, or models in order; None is no plan. Raises ConfigError."""
    if value is None:
        return Fallback()
    if isinstance(value, Fallback):
        return value
    if isinstance(value, str | Target):
        value = (value,)
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        raise ConfigError(
            f"fallback = {value!r} is not valid: it has to be a model, a list of models, or a Fallback(models=…, "
            "stale=True, default='…')"
        )
    return Fallback(models=tuple(map(_target, value)))


def steps_after(plan: Fallback, error: LLMError, *, in_time: bool) -> Iterator[Step]:
    """What to try after `error`, in order; nothing where a fallback would hide a mistake of the caller's.

    Without time left (`in_time` False) only what needs none.
    """
    if isinstance(error, ContextOverflow):
        yield from (Ask(target) for target in plan.larger if in_time)
        return
    if not isinstance(error, UNAVAILABLE):
        return
    if in_time:
        yield from map(Ask, plan.models)
    if plan.stale:
        yield Recall()
    if plan.default is not None:
        yield Say(plan.default)


def degraded(step: Step, error: LLMError) -> Degraded:
    """The mark of a reply that came by `step`, because of `error`."""
    kinds: dict[type[Step], Literal["model", "cache", "default"]] = {Ask: "model", Recall: "cache", Say: "default"}
    target = str(step.target) if isinstance(step, Ask) else ""
    return Degraded(kind=kinds[type(step)], target=target, error=type(error).__name__, reason=error.message)


def _target(value: object) -> Target:
    if isinstance(value, Target):
        return value
    if isinstance(value, str) and value.strip():
        return Target(value)
    raise ConfigError(f"fallback names {value!r}: it has to be the name of a model or deployment, for example 'gpt-4o'")
