"""A span for each call, one below it for each request, and the two metrics, in OpenTelemetry's words for generative AI.

The names are those of https://github.com/open-telemetry/semantic-conventions-genai, which are in development. Only the
API is needed (`pip install llmkit[otel]`), and it is imported only where the application has done so, or asks for it.
"""

import sys
import time
from typing import Any

from llmkit._flow import Call, Event
from llmkit.errors import Attempt, ConfigError
from llmkit.responses import Usage
from llmkit.telemetry.conventions import Conventions
from llmkit.telemetry.options import Telemetry
from llmkit.telemetry.prices import Settings
from llmkit.telemetry.redaction import described
from llmkit.telemetry.totals import is_open

_CONTEXT, _FIRST = "context", "first token"
_TOKENS = [4.0**power for power in range(14)]
_SECONDS = [0.01 * 2**power for power in range(14)]


class OpenTelemetry:
    """Makes the spans and metrics of calls, when they have ended; an observer.

    A span begins when its call began; it is never the current one, so spans of an HTTP client stand beside it.
    """

    kinds = frozenset({"first token", "ended"})

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._words = Conventions(settings)
        self._api: _Instruments | None = None
        if telemetry.opentelemetry:
            self._api = _instruments(telemetry)

    def __call__(self, event: Event) -> None:
        """Writes what is to be told of an event; nothing as long as the application does without OpenTelemetry."""
        if self._api is None:
            if "opentelemetry.trace" not in sys.modules:
                return
            self._api = _instruments(self._telemetry)
        if event.kind == "first token":
            self._first_token(self._api, event.call)
        else:
            self._ended(self._api, event.call, event.detail)

    def _first_token(self, api: "_Instruments", call: Call) -> None:
        """What a stream's end does not tell: when it began, and below which span."""
        seconds = call.clock() - call.sent
        call.notes |= {_FIRST: seconds, _CONTEXT: api.context.get_current()}
        api.first_token.record(seconds, self._words.of_metric(call))

    def _ended(self, api: "_Instruments", call: Call, outcome: Any) -> None:
        self._record(api, call, outcome)
        now = time.time_ns()
        began = now - int(call.elapsed_s * 1e9)
        span = api.tracer.start_span(
            self._words.name(call),
            context=call.notes.get(_CONTEXT),
            kind=api.trace.SpanKind.CLIENT,
            attributes=self._words.of_request(call),
            start_time=began,
        )
        if span.is_recording():
            for number, attempt in enumerate(call.attempts, start=1):
                self._tell_request(api, span, number, attempt, began, now)
            self._finish(api, span, call, outcome)
        span.end(now)

    def _record(self, api: "_Instruments", call: Call, outcome: Any) -> None:
        """The metrics; a cached answer is no operation of the API's."""
        failed = isinstance(outcome, BaseException)
        attributes = self._words.of_metric(call, None if failed else outcome)
        for usage in _usages(call):
            api.tokens.record(usage.prompt_tokens, attributes | {"gen_ai.token.type": "input"})
            if usage.completion_tokens:
                api.tokens.record(usage.completion_tokens, attributes | {"gen_ai.token.type": "output"})
        if failed:
            attributes["error.type"] = type(outcome).__name__
        if failed or outcome is None or not outcome.cached:
            api.duration.record(call.elapsed_s, attributes)

    def _tell_request(
        self, api: "_Instruments", span: Any, number: int, attempt: Attempt, began: int, now: int
    ) -> None:
        start = began + int(attempt.sent_s * 1e9)
        facts = {
            "llmkit.model": attempt.model,
            "llmkit.wait_s": attempt.wait_s,
            "http.request.resend_count": number - 1 or None,
            "http.response.status_code": attempt.status_code,
            "llmkit.request_id": attempt.request_id,
        }
        child = api.tracer.start_span(
            f"request {number}",
            context=api.trace.set_span_in_context(span),
            attributes={name: value for name, value in facts.items() if value is not None},
            start_time=start,
        )
        if is_open(attempt) or attempt.error:
            _fail(api, child, attempt.error or "cancelled")
        child.end(now if is_open(attempt) else min(now, start + int(attempt.duration_s * 1e9)))

    def _finish(self, api: "_Instruments", span: Any, call: Call, outcome: Any) -> None:
        """What is known when a call has ended."""
        span.set_attributes(self._words.of_usage(_usages(call)))
        if _FIRST in call.notes:
            span.set_attribute("gen_ai.response.time_to_first_chunk", call.notes[_FIRST])
        if self._telemetry.content:
            span.set_attributes(self._words.of_content(call, outcome))
        if isinstance(outcome, BaseException):
            _fail(api, span, type(outcome).__name__, described(outcome))
        elif outcome is not None:
            span.set_attributes(self._words.of_reply(outcome))


class _Instruments:
    """What spans and metrics are written with."""

    def __init__(self, trace: Any, metrics: Any, context: Any, telemetry: Telemetry) -> None:
        self.trace, self.context = trace, context
        self.tracer = trace.get_tracer("llmkit", tracer_provider=telemetry.tracer_provider)
        meter = metrics.get_meter("llmkit", meter_provider=telemetry.meter_provider)
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.first_token = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time to receive the first chunk of a stream.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )


def _instruments(telemetry: Telemetry) -> _Instruments:
    try:
        from opentelemetry import context, metrics, trace
    except ImportError as error:
        raise ConfigError(
            f"telemetry asks for OpenTelemetry, which is not installed ({error}): pip install 'llmkit[otel]'"
        ) from None
    return _Instruments(trace, metrics, context, telemetry)


def _fail(api: _Instruments, span: Any, kind: str, description: str | None = None) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(api.trace.StatusCode.ERROR, description)


def _usages(call: Call) -> list[Usage]:
    """The bills of all answers: a call that asked again has several."""
    return [bill.usage for bill in call.notes.get("bills", ()) if bill.usage is not None]
