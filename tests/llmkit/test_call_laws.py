"""Laws of whole calls, under any script of faults. Rows 4.T1, 4.T5 and 4.T6."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit import LLMError, RateLimited, ServerError, StreamEvent, parsers
from llmkit._flow import Call, Send, Step, life
from llmkit.policies.fallback import Fallback, Target, steps_after
from llmkit.policies.retry import Limits
from tests.llmkit.conftest import KEY, Async, RawServer, Sync

NOW = {"retry_after_ms": "0"}
Say = Callable[[RawServer], bytes]

ANSWERS: dict[str, Say] = {
    "JSON": lambda raw: raw.http(raw.completion('{"a": 1}')),
    "prose": lambda raw: raw.http(raw.completion("I think that it is 1.")),
    "cut short": lambda raw: raw.http(raw.completion('{"a": ', finish_reason="length")),
    "slower": lambda raw: raw.http("{}", status="429 Slow", **NOW),
    "down": lambda raw: raw.http("{}", status="500 Oops", **NOW),
    "busy": lambda raw: raw.http("<p>busy</p>", status="503 Busy", **NOW),
    "final": lambda raw: raw.http("{}", status="500 Oops", x_should_retry="false"),
    "refused": lambda raw: raw.http('{"error": {"code": "c"}}', status="400 Bad"),
    "no credit": lambda raw: raw.http('{"error": {"code": "insufficient_quota"}}', status="429 Slow"),
    "too long": lambda raw: raw.http('{"error": {"code": "context_length_exceeded"}}', status="400 Bad"),
}
STREAMS: dict[str, Say] = ANSWERS | {
    "JSON": lambda raw: raw.event_stream + raw.frame('{"a"') + raw.frame(": 1}") + raw.frame(finish="stop") + raw.done,
    "prose": lambda raw: raw.event_stream + raw.frame("It is 1.") + raw.frame(finish="stop"),
    "cut short": lambda raw: raw.event_stream + raw.frame('{"a": ') + raw.frame(finish="length") + raw.done,
    "broken off": lambda raw: raw.event_stream + raw.frame('{"a": '),
    "an error within": lambda raw: raw.event_stream + raw.frame('{"a"') + b'data: {"error": {"code": "429"}}\n\n',
}


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    server = RawServer()
    server.start()
    yield server
    server.stop()


def told(kind: type[Sync | Async], server: RawServer, function: str, script: list[bytes], **options: Any) -> Any:
    """What the server was asked, and what the caller was told."""
    server.requests.clear()
    server.scripts.clear()
    for data in script:
        server.say(data)
    caller = kind(base_url=server.url, api_key=KEY, model="gpt-4o")
    seen: list[StreamEvent] = []
    outcome: tuple[Any, ...]
    try:
        reply = caller.stream(seen, **options) if function == "stream" else caller.chat(**options)
        outcome = (reply.text, reply.finish_reason, reply.parsed, reply.degraded)
        attempts = reply.attempts
    except LLMError as error:
        outcome = (type(error), str(error), error.partial, getattr(error, "__notes__", None))
        attempts = error.attempts
    finally:
        caller.close()
    return server.bodies, outcome, seen, [(one.model, one.status_code, one.error) for one in attempts]


@pytest.mark.parametrize(("function", "ways"), [("chat", ANSWERS), ("stream", STREAMS)])
@settings(max_examples=12, deadline=None)
@given(st.data())
def test_both_clients_do_the_same_and_never_more_than_the_bound(
    server: RawServer, function: str, ways: dict[str, Say], data: st.DataObject
) -> None:
    """Requests: at most those of one model, times the models, times the rounds that a parser asks for."""
    script = [ways[name](server) for name in data.draw(st.lists(st.sampled_from(sorted(ways)), min_size=1, max_size=9))]
    attempts, models, reasks = (data.draw(st.integers(low, 2)) for low in (1, 0, 0))
    options = {
        "max_attempts": attempts,
        "fallback": ["gpt-4o-mini", "gpt-4.1"][:models],
        "parse": data.draw(st.sampled_from([None, parsers.Json()])),
        "reasks": reasks,
    }
    mine, theirs = (told(kind, server, function, script, **options) for kind in (Sync, Async))
    assert mine == theirs
    asked, _, _, tried = mine
    assert len(asked) == len(tried) <= attempts * (1 + models) * (1 + reasks)
    assert [body["model"] for body in asked] == [model for model, _, _ in tried]


failures = st.sampled_from([ServerError("no", retry_after_s=0.0), RateLimited("no"), ServerError("no")])


@given(st.integers(1, 100), st.lists(st.text(min_size=1, max_size=3), max_size=4), failures)
def test_each_model_has_attempts_of_its_own_and_all_are_bounded(
    most: int, models: list[str], failure: LLMError
) -> None:
    """Where nothing ever succeeds and time stands still, so that only counting ends a call."""
    call = Call(Limits(max_attempts=most), clock=lambda: 0.0, dice=lambda: 0.0)
    plan = Fallback(models=tuple(map(Target, models)))
    spent = [requests_of(call, failure)]
    for step in steps_after(plan, failure, in_time=True):
        call.turn_to(str(getattr(step, "target", "")))
        spent.append(requests_of(call, failure))
    assert spent == [most] * (1 + len(models))
    assert len(call.attempts) == most * (1 + len(models))


def requests_of(call: Call, failure: LLMError) -> int:
    """How many requests are made of one model if each fails."""
    steps: Generator[Step, Any, str] = life(call)
    step, sent = next(steps), 0
    try:
        while True:
            if isinstance(step, Send):
                sent += 1
                step = steps.throw(failure)
            else:
                step = steps.send(True)
    except LLMError:
        return sent
