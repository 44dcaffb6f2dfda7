"""A span for each call, one below it for each request, and the two metrics, in OpenTelemetry's words for generative AI.

The names are those of https://github.com/open-telemetry/semantic-conventions-genai, which are in development. Only the
API is needed (`pip install llmkit[otel]`), and it is imported only where the application has done so, or asks for it.
"""

import sys
import time
from typing import Any

from llmkit._flow import Call, Event
from llmkit.errors import ConfigError
from llmkit.telemetry.conventions import Conventions
from llmkit.telemetry.options import Telemetry
from llmkit.telemetry.prices import Settings
from llmkit.telemetry.redaction import described
from llmkit.telemetry.totals import is_open

_SPAN, _REQUEST, _FIRST = "span", "request span", "first token"
_TOKENS = [4.0**power for power in range(14)]
_SECONDS = [0.01 * 2**power for power in range(14)]


class OpenTelemetry:
    """Makes the spans and metrics of calls; an observer."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._words = Conventions(settings)
        self._api: _Instruments | None = None
        if telemetry.opentelemetry:
            self._api = _instruments(telemetry)
        self._writers = {
            "leave": self._begun,
            "sent": self._sent,
            "first token": self._first_token,
            "answered": self._request_ended,
            "failed": self._request_ended,
            "billed": self._billed,
            "cached": self._begun,
            "ended": self._ended,
        }

    def __call__(self, event: Event) -> None:
        """Writes what is to be told of an event; nothing as long as the application does without OpenTelemetry."""
        if self._api is None:
            if "opentelemetry.trace" not in sys.modules:
                return
            self._api = _instruments(self._telemetry)
        writer = self._writers.get(event.kind)
        if writer is not None:
            writer(self._api, event.call, event.detail)

    def _begun(self, api: "_Instruments", call: Call, _: object = None) -> Any:
        """The span of the call, which begins with its first event, but says when the call began."""
        span = call.notes.get(_SPAN)
        if span is None:
            attributes = self._words.of_request(call)
            span = call.notes[_SPAN] = api.tracer.start_span(
                self._words.name(call),
                kind=api.trace.SpanKind.CLIENT,
                attributes=attributes,
                start_time=time.time_ns() - int(call.elapsed_s * 1e9),
            )
        return span

    def _sent(self, api: "_Instruments", call: Call, _: object) -> None:
        span = self._begun(api, call)
        if span.is_recording():
            attributes = {"llmkit.attempt": len(call.attempts), "llmkit.wait_s": call.attempts[-1].wait_s}
            context = api.trace.set_span_in_context(span)
            name = f"request {len(call.attempts)}"
            call.notes[_REQUEST] = api.tracer.start_span(name, context=context, attributes=attributes)

    def _request_ended(self, api: "_Instruments", call: Call, _: object) -> None:
        span = call.notes.pop(_REQUEST, None)
        if span is None:
            return
        last = call.attempts[-1]
        facts = {"http.response.status_code": last.status_code, "llmkit.request_id": last.request_id}
        span.set_attributes({name: value for name, value in facts.items() if value is not None})
        if is_open(last) or last.error:
            _fail(api, span, last.error or "cancelled")
        span.end()

    def _first_token(self, api: "_Instruments", call: Call, _: object) -> None:
        seconds = call.notes[_FIRST] = call.clock() - call.sent
        api.first_token.record(seconds, self._words.of_metric(call))

    def _billed(self, api: "_Instruments", call: Call, reply: Any) -> None:
        if reply.usage is not None:
            attributes = self._words.of_metric(call, reply)
            api.tokens.record(reply.usage.prompt_tokens, attributes | {"gen_ai.token.type": "input"})
            if reply.usage.completion_tokens:
                api.tokens.record(reply.usage.completion_tokens, attributes | {"gen_ai.token.type": "output"})

    def _ended(self, api: "_Instruments", call: Call, outcome: Any) -> None:
        span = self._begun(api, call)
        self._request_ended(api, call, None)
        failed = isinstance(outcome, BaseException)
        metric = self._words.of_metric(call, None if failed else outcome)
        if span.is_recording():
            self._finish(api, span, call, outcome)
        span.end()
        if failed:
            metric["error.type"] = type(outcome).__name__
        if failed or outcome is None or not outcome.cached:
            api.duration.record(call.elapsed_s, metric)
        del call.notes[_SPAN]

    def _finish(self, api: "_Instruments", span: Any, call: Call, outcome: Any) -> None:
        """What is known when a call has ended."""
        bills = [bill.usage for bill in call.notes.get("bills", []) if bill.usage is not None]
        span.set_attributes(self._words.of_usage(bills))
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

    def __init__(self, trace: Any, metrics: Any, telemetry: Telemetry) -> None:
        self.trace = trace
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
        from opentelemetry import metrics, trace
    except ImportError as error:
        raise ConfigError(
            f"telemetry asks for OpenTelemetry, which is not installed ({error}): pip install 'llmkit[otel]'"
        ) from None
    return _Instruments(trace, metrics, telemetry)


def _fail(api: _Instruments, span: Any, kind: str, description: str | None = None) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(api.trace.StatusCode.ERROR, description)
