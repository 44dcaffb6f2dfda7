"""Spans and metrics of calls, as OpenTelemetry's own SDK exports them. Row 4.I5: errors are told, and no secret."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmkit import AsyncClient, Client, LLMError
from llmkit.parsers import Json
from llmkit.telemetry import Telemetry
from mockserver import MockServer, fault, reply
from tests.llmkit.telemetry.conftest import KEY, Open

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.trace import SpanKind, StatusCode

PROMPT, ANSWER = "the secret recipe of the whale", "seven kilos of plankton"


class Exported:
    """What the SDK was given."""

    def __init__(self) -> None:
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider(metric_readers=[self._metrics])

    def telemetry(self, **options: Any) -> Telemetry:
        return Telemetry(opentelemetry=True, tracer_provider=self.tracers, meter_provider=self.meters, **options)

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order in which they began."""
        return sorted(
            self._spans.get_finished_spans(), key=lambda span: (span.start_time or 0, span.parent is not None)
        )

    @property
    def call(self) -> ReadableSpan:
        """The span of the one call that was made."""
        [span] = [span for span in self.spans if span.kind is SpanKind.CLIENT]
        return span

    @property
    def requests(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith("request ")]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """The attributes and the data of each series of a metric."""
        data = self._metrics.get_metrics_data()
        if data is None:
            return []
        return [
            (dict(point.attributes or {}), point)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def exported() -> Iterator[Exported]:
    made = Exported()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_chat_is_a_span_of_the_conventions(server: MockServer, connect: Open, exported: Exported) -> None:
    server.script(reply(ANSWER))
    told = connect(telemetry=exported.telemetry()).chat(
        PROMPT, temperature=0, max_tokens=50, top_p=0.5, seed=7, stop=["END"], n=1
    )
    span = exported.call
    found = attributes(span)
    assert (span.name, span.kind, span.status.status_code) == ("chat gpt-4o", SpanKind.CLIENT, StatusCode.UNSET)
    assert told.usage is not None
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.response.id": told.id,
        "gen_ai.response.model": told.model,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": told.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": told.usage.completion_tokens,
        "openai.api.type": "chat_completions",
        "server.address": "127.0.0.1",
        "server.port": int(server.url.rpartition(":")[2]),
    }


def test_every_attribute_is_one_that_the_conventions_know(
    server: MockServer, connect: Open, exported: Exported
) -> None:
    client = connect(telemetry=exported.telemetry(content=True))
    client.chat("whales as json", response_format={"type": "json_object"}, n=2, presence_penalty=1, frequency_penalty=1)
    with client.stream(PROMPT) as stream:
        list(stream)
    client.embed("Hi")
    client.respond(PROMPT, instructions="Be brief")
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    used = {name for span in exported.spans for name in attributes(span) if name.startswith("gen_ai.")}
    assert len(used) > 15
    assert used <= known


def test_a_retry_is_a_span_below_that_of_the_call(server: MockServer, connect: Open, exported: Exported) -> None:
    server.script(fault.server_error(status=503), reply(ANSWER))
    told = connect(telemetry=exported.telemetry()).chat(PROMPT)
    call, (first, second) = exported.call, exported.requests
    assert call.context is not None
    assert [one.parent.span_id for one in (first, second) if one.parent] == [call.context.span_id] * 2
    assert attributes(first)["error.type"] == "Overloaded"
    assert attributes(first)["http.response.status_code"] == 503
    assert first.status.status_code is StatusCode.ERROR
    assert attributes(second)["http.request.resend_count"] == 1
    assert attributes(second)["llmkit.wait_s"] == told.attempts[1].wait_s > 0
    assert call.status.status_code is StatusCode.UNSET, "what was mended is no error"
    times = [call.start_time, first.start_time, first.end_time, second.start_time, second.end_time, call.end_time]
    known = [moment for moment in times if moment is not None]
    assert known == sorted(known)
    assert len(known) == 6


def test_a_call_that_fails_is_an_error_without_what_was_said(
    server: MockServer, connect: Open, exported: Exported
) -> None:
    server.script(fault.http_error(status=400))
    with pytest.raises(LLMError):
        connect(telemetry=exported.telemetry()).chat(PROMPT)
    span = exported.call
    assert (span.status.status_code, attributes(span)["error.type"]) == (StatusCode.ERROR, "InvalidRequest")
    everything = "".join(one.to_json() for one in exported.spans)
    assert PROMPT not in everything
    assert KEY not in everything
    assert span.events == (), "an exception event would hold the message"


def test_a_stream_tells_when_it_began(server: MockServer, connect: Open, exported: Exported) -> None:
    server.script(reply(ANSWER))
    with connect(telemetry=exported.telemetry()).stream(PROMPT) as stream:
        list(stream)
    found = attributes(exported.call)
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.usage.output_tokens"] > 0
    assert found["gen_ai.response.time_to_first_chunk"] > 0
    [(_, point)] = exported.points("gen_ai.client.operation.time_to_first_chunk")
    assert point.sum == found["gen_ai.response.time_to_first_chunk"]


def test_a_stream_that_is_left_is_a_span_that_is_no_error(
    server: MockServer, connect: Open, exported: Exported
) -> None:
    server.script(reply(ANSWER) & fault.stall(at={"frame": 3}))
    with connect(telemetry=exported.telemetry()).stream(PROMPT) as stream:
        next(iter(stream))
    assert exported.call.status.status_code is StatusCode.UNSET
    assert attributes(exported.requests[0])["error.type"] == "cancelled"


def test_spans_stand_below_the_current_one(server: MockServer, connect: Open, exported: Exported) -> None:
    client = connect(telemetry=exported.telemetry())
    tracer = exported.tracers.get_tracer("the application")
    with tracer.start_as_current_span("outer") as outer:
        client.chat("Hi")
        client.map(["one", "two"])
        with client.stream("Hi") as stream, tracer.start_as_current_span("inner"):
            list(stream)
    parents = {span.parent and span.parent.span_id for span in exported.spans if span.name == "chat gpt-4o"}
    assert parents == {outer.get_span_context().span_id}


async def test_spans_of_tasks_stand_below_their_own(server: MockServer, exported: Exported) -> None:
    tracer = exported.tracers.get_tracer("the application")
    async with AsyncClient(
        base_url=f"{server.url}/v1", api_key=KEY, model="gpt-4o", telemetry=exported.telemetry()
    ) as client:
        with tracer.start_as_current_span("outer") as outer:
            await client.chat("Hi")
        await client.chat("Hi")
    first, second = (span for span in exported.spans if span.name == "chat gpt-4o")
    assert first.parent is not None
    assert first.parent.span_id == outer.get_span_context().span_id
    assert second.parent is None


def test_embeddings_and_azure_have_their_words(server: MockServer, exported: Exported) -> None:
    with Client.azure(deployment="chat", endpoint=server.url, api_key=KEY, telemetry=exported.telemetry()) as client:
        told = client.embed(["a", "b"], model="text-embedding-3-small")
    found = attributes(exported.call)
    assert found["gen_ai.provider.name"] == "azure.ai.openai"
    assert found["gen_ai.operation.name"] == "embeddings"
    assert found["gen_ai.embeddings.dimension.count"] == len(told.vectors[0])
    assert found["gen_ai.request.encoding_formats"] == ("base64",)


def test_each_answer_of_a_call_is_counted(server: MockServer, connect: Open, exported: Exported) -> None:
    server.script(reply("no"), reply("[1]"))
    client = connect(telemetry=exported.telemetry())
    client.chat(PROMPT, parse=Json(), reasks=1)
    used = client.totals.snapshot().overall
    assert attributes(exported.call)["gen_ai.usage.input_tokens"] == used.prompt_tokens
    assert len(exported.requests) == 2


def test_a_cached_answer_is_a_span_without_a_metric(connect: Open, exported: Exported, tmp_path: Path) -> None:
    client = connect(telemetry=exported.telemetry(), cache=str(tmp_path / "cache.sqlite"))
    client.chat(PROMPT, temperature=0)
    client.chat(PROMPT, temperature=0)
    asked, cached = (span for span in exported.spans if span.kind is SpanKind.CLIENT)
    assert "llmkit.cached" not in attributes(asked)
    assert attributes(cached)["llmkit.cached"] is True
    assert "gen_ai.usage.input_tokens" not in attributes(cached)
    assert sum(point.count for _, point in exported.points("gen_ai.client.operation.duration")) == 1


def test_the_metrics_are_those_of_the_conventions(server: MockServer, connect: Open, exported: Exported) -> None:
    client = connect(telemetry=exported.telemetry(), max_attempts=1)
    usage = client.chat(PROMPT).usage
    server.script(fault.server_error(status=503))
    with pytest.raises(LLMError):
        client.chat(PROMPT)
    tokens = {
        found["gen_ai.token.type"]: point for found, point in exported.points(gen_ai_metrics.GEN_AI_CLIENT_TOKEN_USAGE)
    }
    assert usage is not None
    assert (tokens["input"].sum, tokens["output"].sum) == (usage.prompt_tokens, usage.completion_tokens)
    assert tokens["input"].explicit_bounds[:4] == (1, 4, 16, 64)
    durations = exported.points(gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION)
    assert [found.get("error.type") for found, _ in durations] == [None, "Overloaded"]
    assert durations[0][1].explicit_bounds[-1] == 81.92
    wanted = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "server.address", "server.port"}
    assert all(wanted <= set(found) for found, _ in durations)


def test_what_was_said_is_in_spans_where_that_is_asked_for(
    server: MockServer, connect: Open, exported: Exported
) -> None:
    server.script(reply(f"{ANSWER} sk-proj-abcdefgh1234"))
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/whale.png"}}
    call = {"id": "call_1", "type": "function", "function": {"name": "weigh", "arguments": "{}"}}
    connect(telemetry=exported.telemetry(content=True)).chat(
        [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": PROMPT}, picture]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "7 kg"},
        ]
    )
    found = attributes(exported.call)
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief"}]},
        {"role": "user", "parts": [{"type": "text", "content": PROMPT}, {"type": "image_url"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "call_1", "name": "weigh", "arguments": "{}"}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "7 kg"}]},
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": f"{ANSWER} ***"}],
            "finish_reason": "stop",
        }
    ]


def test_what_was_said_is_in_no_span_otherwise(server: MockServer, connect: Open, exported: Exported) -> None:
    server.script(reply(ANSWER))
    connect(telemetry=exported.telemetry()).chat(PROMPT)
    everything = "".join(span.to_json() for span in exported.spans)
    assert PROMPT not in everything
    assert ANSWER not in everything


def test_it_can_be_turned_off(connect: Open, exported: Exported) -> None:
    quiet = Telemetry(opentelemetry=False, tracer_provider=exported.tracers, meter_provider=exported.meters)
    connect(telemetry=quiet).chat(PROMPT)
    assert exported.spans == []


def test_an_application_that_has_imported_it_need_not_ask(connect: Open, exported: Exported) -> None:
    own = Telemetry(tracer_provider=exported.tracers, meter_provider=exported.meters)
    connect(telemetry=own).chat(PROMPT)
    assert exported.call.name == "chat gpt-4o"


PROGRAM = """
import sys
from llmkit import Client, ConfigError
from llmkit.telemetry import Telemetry
client = Client(model="gpt-4o")
client.chat("Hi")
print("opentelemetry" in sys.modules, client.totals.snapshot().overall.requests)
sys.modules["opentelemetry"] = None
try:
    Client(model="gpt-4o", telemetry=Telemetry(opentelemetry=True))
except ConfigError as error:
    print(error)
"""


def test_an_application_without_it_neither_loads_nor_needs_it(server: MockServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.url}/v1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    loaded, refusal = done.stdout.splitlines()
    assert loaded == "False 1"
    assert "pip install 'llmkit[otel]'" in refusal
