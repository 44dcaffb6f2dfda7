"""Log lines of calls, below the logger `llmkit`: one as a call ends, others as its requests do.

`llmkit.calls` has an INFO line for each call that is answered, and for one that fails a line of the level of its class.
`llmkit.requests` has each request (DEBUG), and what is done about its failure (WARNING). Nothing is written until the
application sets logging up, or LLMKIT_LOG names a level.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from llmkit._flow import Call, Event
from llmkit.errors import (
    AuthenticationFailed,
    CircuitOpen,
    ConfigError,
    ConnectionFailed,
    ContentFiltered,
    ContextOverflow,
    InvalidRequest,
    LLMError,
    MalformedResponse,
    NotFound,
    ParseFailed,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
    StreamTruncated,
    TimedOut,
)
from llmkit.telemetry.redaction import Redaction, cleaned, described
from llmkit.telemetry.totals import Bill

LEVELS: Mapping[type[BaseException], int] = {
    # somebody has to do something, or it will fail for ever
    ConfigError: logging.ERROR,
    AuthenticationFailed: logging.ERROR,
    PermissionDenied: logging.ERROR,
    QuotaExceeded: logging.ERROR,
    NotFound: logging.ERROR,
    InvalidRequest: logging.ERROR,
    # the matter of one conversation
    ContextOverflow: logging.WARNING,
    ContentFiltered: logging.WARNING,
    ParseFailed: logging.WARNING,
    # it may well go away by itself
    RateLimited: logging.WARNING,
    ServerError: logging.WARNING,
    ConnectionFailed: logging.WARNING,
    TimedOut: logging.WARNING,
    CircuitOpen: logging.WARNING,
    MalformedResponse: logging.WARNING,
    StreamTruncated: logging.WARNING,
    # the caller wanted it so
    asyncio.CancelledError: logging.INFO,
    KeyboardInterrupt: logging.INFO,
    GeneratorExit: logging.INFO,
}
"""The level of the line for a call that fails with an error of this class, or of one below it."""
VARIABLE = "LLMKIT_LOG"
_NAMES = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_root = logging.getLogger("llmkit")
_calls = logging.getLogger("llmkit.calls")
_requests = logging.getLogger("llmkit.requests")
_root.addHandler(logging.NullHandler())
_secrets_out = Redaction(content=True)  # what a record of ours has of content, its client was told to log
for _logger in (_calls, _requests):
    _logger.addFilter(_secrets_out)


def level_of(error: BaseException) -> int:
    """The level of the line for a call that fails with this error; ERROR for what is in no table."""
    return next((LEVELS[kind] for kind in type(error).__mro__ if kind in LEVELS), logging.ERROR)


class Logs:
    """Writes the log lines of calls; an observer. With `content` they have prompts, replies and errors' messages."""

    def __init__(self, *, content: bool = False) -> None:
        self._content = content
        self._writers: dict[str, Callable[[Call, Any], None]] = {
            "sent": self._sent,
            "billed": self._answered,
            "failed": self._failed,
            "waits": self._waits,
            "stops": self._stops,
            "falls back": self._falls_back,
            "ended": self._ended,
        }
        self.kinds = frozenset(self._writers)

    def __call__(self, event: Event) -> None:
        """Writes what is to be told of an event."""
        kind, call, detail = event
        self._writers[kind](call, detail)

    def _sent(self, call: Call, _: object) -> None:
        if _requests.isEnabledFor(logging.DEBUG):
            number = len(call.attempts)
            _requests.debug("request %d to %s leaves", number, call.model, extra=_of_attempt(call))

    def _answered(self, call: Call, _: object) -> None:
        if _requests.isEnabledFor(logging.DEBUG):
            number, last = len(call.attempts), call.attempts[-1]
            _requests.debug(
                "request %d to %s: %s after %.3f s", number, call.model, last.status_code, last.duration_s,
                extra=_of_attempt(call),
            )  # fmt: skip

    def _failed(self, call: Call, _: object) -> None:
        if _requests.isEnabledFor(logging.DEBUG):
            number, last = len(call.attempts), call.attempts[-1]
            _requests.debug(
                "request %d to %s failed after %.3f s: %s", number, call.model, last.duration_s, _outcome(call),
                extra=_of_attempt(call),
            )  # fmt: skip

    def _waits(self, call: Call, seconds: object) -> None:
        more = {"wait_s": seconds}
        if call.attempts and call.attempts[-1].error:
            _requests.warning(
                "request %d to %s failed (%s); the next is in %.3g s", len(call.attempts), call.model, _outcome(call),
                seconds, extra=_of_attempt(call) | more,
            )  # fmt: skip
        else:
            _requests.info("a request to %s waits %.3g s for its limit", call.model, seconds, extra=_of(call) | more)

    def _stops(self, call: Call, error: object) -> None:
        if isinstance(error, CircuitOpen):
            _requests.warning("the circuit of %s is open: %s", call.model, described(error), extra=_of(call, error))

    def _falls_back(self, call: Call, step: object) -> None:
        target = getattr(step, "target", None)
        instead = str(target) if target is not None else type(step).__name__.lower()
        _requests.warning("%s could not answer; instead: %s", call.model, instead, extra=_of(call))

    def _ended(self, call: Call, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            self._given_up(call, outcome)
        elif outcome is None:
            _calls.info("%s %s: the stream was left before its end", _surface(call), call.model, extra=_of(call))
        elif _calls.isEnabledFor(logging.INFO):
            self._replied(call, outcome)

    def _given_up(self, call: Call, error: BaseException) -> None:
        level = level_of(error)
        if not _calls.isEnabledFor(level):
            return
        extra = _of(call, error) | (self._said(call) if self._content else {})
        text = cleaned(str(error)) if self._content and isinstance(error, LLMError) else described(error)
        _calls.log(
            level, "%s %s failed after %.3f s, request %d: %s", _surface(call), call.model, call.elapsed_s,
            len(call.attempts), text, extra=extra,
        )  # fmt: skip

    def _replied(self, call: Call, reply: Any) -> None:
        extra = _of(call) | _of_reply(call, reply)
        if self._content:
            extra |= self._said(call) | {"reply": getattr(reply, "text", None)}
        how = "from the cache" if reply.cached else f"{extra['finish_reason'] or 'answered'}"
        _calls.info(
            "%s %s: %s after %.3f s, request %d, %s tokens, %s", _surface(call), call.model, how, call.elapsed_s,
            len(call.attempts), extra["tokens"], _dollars(extra["cost"]), extra=extra,
        )  # fmt: skip
        if self._content:
            _calls.debug("%s %s: %r to %r", _surface(call), call.model, extra["reply"], extra["prompt"], extra=extra)

    def _said(self, call: Call) -> dict[str, Any]:
        body = {} if call.request is None else call.request.body
        return {"prompt": body.get("messages", body.get("input", body.get("prompt")))}


def _of(call: Call, error: object = None) -> dict[str, Any]:
    """The fields of every line of a call."""
    last = call.attempts[-1] if call.attempts else None
    fields: dict[str, Any] = {
        "operation": _surface(call),
        "model": call.model,
        "attempt": len(call.attempts),
        "status": last and last.status_code,
        "request_id": last and last.request_id,
        "wait_s": sum(attempt.wait_s for attempt in call.attempts),
        "duration_s": call.elapsed_s,
    }
    if isinstance(error, BaseException):
        fields |= {"error": type(error).__name__, "code": getattr(error, "code", None)}
    return fields


def _of_attempt(call: Call) -> dict[str, Any]:
    """The same, where it is about the last request: its wait, its duration, its error."""
    last = call.attempts[-1]
    return _of(call) | {"wait_s": last.wait_s, "duration_s": last.duration_s, "error": last.error, "code": last.code}


def _of_reply(call: Call, reply: Any) -> dict[str, Any]:
    bills: list[Bill] = call.notes.get("bills", [])
    costs = [bill.cost_usd for bill in bills]
    return {
        "request_id": reply.request_id,
        "tokens": sum(bill.usage.total_tokens for bill in bills if bill.usage is not None),
        "prompt_tokens": sum(bill.usage.prompt_tokens for bill in bills if bill.usage is not None),
        "completion_tokens": sum(bill.usage.completion_tokens for bill in bills if bill.usage is not None),
        "cost": None if None in costs else sum(cost for cost in costs if cost is not None),
        "finish_reason": getattr(reply, "finish_reason", None),
        "cached": reply.cached,
        "degraded": reply.degraded and reply.degraded.kind,
    }


def _surface(call: Call) -> str:
    return "call" if call.request is None else str(call.request.surface)


def _outcome(call: Call) -> str:
    last = call.attempts[-1]
    return f"{last.error}, status {last.status_code}" if last.status_code else str(last.error)


def _dollars(cost: float | None) -> str:
    if cost is None:
        return "cost unknown"
    return f"${cost:.6f}" if cost >= 1e-6 or not cost else f"${cost:.2g}"


def from_environment() -> None:
    """Where LLMKIT_LOG names a level, writes lines of that level and above to stderr, without secrets or content.

    An application that has set up logging by itself keeps its handlers, and only the level is set. Raises ConfigError
    for what is no level.
    """
    name = os.environ.get(VARIABLE, "").strip().lower()
    if not name:
        return
    if name not in _NAMES:
        raise ConfigError(
            f"{VARIABLE} = {name!r}, from the environment, is no level: it has to be one of {', '.join(_NAMES)}"
        )
    _root.setLevel(_NAMES[name])
    if not any(type(handler) is not logging.NullHandler for handler in (*_root.handlers, *logging.root.handlers)):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handler.addFilter(Redaction())
        _root.addHandler(handler)
