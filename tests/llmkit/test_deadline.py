"""The deadline cuts wherever the server dawdles, and no byte that trickles in moves it. Row 4.I6."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from llmkit import DeadlineExceeded, LLMError, RateLimited, ServerError, StreamEvent

if TYPE_CHECKING:
    from tests.llmkit.conftest import Caller, Open, RawServer

DEADLINE_S = 0.4
OVERSHOOT_S = 2.5  # a busy machine's; what dawdles below would go on for 5


def dripping(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def failure_of(ask: Any, **options: Any) -> tuple[LLMError, float]:
    """The error that `ask` ends with, and the seconds that it took."""
    started = time.monotonic()
    with pytest.raises(LLMError) as caught:
        ask(**options)
    return caught.value, time.monotonic() - started


def connected(caller: Open, url: str) -> Caller:
    """A client whose first connection is behind it: what is measured is the deadline, not the SDK's start."""
    client = caller(url)
    client.chat()
    return client


@pytest.fixture
def client(caller: Open, raw: RawServer) -> Caller:
    raw.say(raw.http(raw.completion()))
    return connected(caller, raw.url)


def test_deadline_cuts_the_wait_for_headers(raw: RawServer, client: Caller) -> None:
    raw.say(hang=True)
    error, elapsed_s = failure_of(client.chat, deadline_s=DEADLINE_S)
    assert isinstance(error, DeadlineExceeded)
    assert DEADLINE_S <= elapsed_s < DEADLINE_S + OVERSHOOT_S
    assert [attempt.error for attempt in error.attempts] == ["DeadlineExceeded"]
    assert error.limit_s == DEADLINE_S


def test_deadline_cuts_trickling_headers(raw: RawServer, client: Caller) -> None:
    raw.say(*dripping(raw.http(raw.completion())), gap_s=0.05)
    error, elapsed_s = failure_of(client.chat, deadline_s=DEADLINE_S)
    assert isinstance(error, DeadlineExceeded)
    assert elapsed_s < DEADLINE_S + OVERSHOOT_S


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
def test_deadline_cuts_a_trickling_body(raw: RawServer, client: Caller, status: str) -> None:
    head, _, body = raw.http(raw.completion(), status=status).partition(b"\r\n\r\n")
    raw.say(head + b"\r\n\r\n", *dripping(body), gap_s=0.05)
    error, elapsed_s = failure_of(client.chat, deadline_s=DEADLINE_S)
    assert isinstance(error, DeadlineExceeded)
    assert elapsed_s < DEADLINE_S + OVERSHOOT_S


def test_deadline_cuts_a_stream_that_only_keeps_alive(raw: RawServer, client: Caller) -> None:
    raw.say(raw.event_stream, *[b": keep-alive\n\n"] * 100, gap_s=0.05)
    error, elapsed_s = failure_of(client.stream, seen=[], deadline_s=DEADLINE_S)
    assert isinstance(error, DeadlineExceeded)
    assert "first event" in str(error)
    assert elapsed_s < DEADLINE_S + OVERSHOOT_S


def test_deadline_cuts_a_stream_of_steady_events_and_keeps_its_text(raw: RawServer, client: Caller) -> None:
    raw.say(raw.event_stream, *[raw.frame("word ")] * 100, gap_s=0.05)
    seen: list[StreamEvent] = []
    error, elapsed_s = failure_of(client.stream, seen=seen, deadline_s=DEADLINE_S)
    assert isinstance(error, DeadlineExceeded)
    assert error.partial == "".join(event.text for event in seen)
    assert error.partial.startswith("word word ")
    assert elapsed_s < DEADLINE_S + OVERSHOOT_S


def test_deadline_bounds_all_attempts_and_pauses_together(raw: RawServer, client: Caller) -> None:
    raw.say(raw.http("{}", status="500 Oops", retry_after_ms="250"))
    error, elapsed_s = failure_of(client.chat, deadline_s=1, max_attempts=100)
    assert isinstance(error, ServerError | DeadlineExceeded)  # which of both depends on how fast the machine is
    assert 2 <= len(error.attempts) <= 5
    assert elapsed_s <= 1 + OVERSHOOT_S


def test_retry_after_beyond_the_deadline_fails_at_once(raw: RawServer, client: Caller) -> None:
    raw.say(raw.http("{}", status="429 Slow", Retry_After="86400"))
    error, elapsed_s = failure_of(client.chat, deadline_s=5)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 86400
    assert len(error.attempts) == 1
    assert elapsed_s < 5
    assert any("86400 s" in note or "8.64e+04 s" in note for note in error.__notes__)


def test_a_stream_that_finished_outlives_a_missing_end(raw: RawServer, client: Caller) -> None:
    """A server that neither says [DONE] nor closes has still given the whole answer."""
    raw.say(raw.event_stream + raw.frame("All") + raw.frame(finish="stop"), hang=True)
    seen: list[StreamEvent] = []
    started = time.monotonic()
    reply = client.stream(seen, deadline_s=DEADLINE_S)
    assert (reply.text, reply.complete, reply.usage) == ("All", True, None)
    assert time.monotonic() - started < DEADLINE_S + OVERSHOOT_S
