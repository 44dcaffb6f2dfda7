"""A stream that says nothing is ended by its clocks, which what only keeps it alive does not move. Row 4.I6."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from llmkit import Client, FirstTokenTimeout, IdleTimeout, LLMError, StreamEvent

if TYPE_CHECKING:
    from tests.llmkit.conftest import Open, RawServer

CLOCK_S = 0.3
LATE_S = 4.5  # a busy machine's; all that is sent below would last for 5


def kept_alive(raw: RawServer) -> dict[str, bytes]:
    """What a server may send without saying anything."""
    return {
        "comments": b": keep-alive\n\n",
        "roles": raw.frame(choices=[{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]),
        "empty texts": raw.frame(""),
        "empty fields": raw.frame(choices=[{"index": 0, "delta": {"content": None, "tool_calls": [], "refusal": ""}}]),
        "no choices": raw.frame(choices=[]),
        "a filter's verdicts": raw.frame(choices=[{"index": 0, "content_filter_results": {}, "delta": {}}]),
    }


KINDS = ["comments", "roles", "empty texts", "empty fields", "no choices", "a filter's verdicts"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("clock", "expected"), [("first_token_s", FirstTokenTimeout), ("idle_s", IdleTimeout)], ids=["first token", "idle"]
)
def test_a_stream_that_never_says_anything_is_ended(
    caller: Open, raw: RawServer, kind: str, clock: str, expected: type[LLMError]
) -> None:
    raw.say(raw.event_stream, *[kept_alive(raw)[kind]] * 100, gap_s=0.05)
    started = time.monotonic()
    with pytest.raises(expected) as caught:
        caller(raw.url).stream([], **{clock: CLOCK_S})
    assert CLOCK_S <= time.monotonic() - started < LATE_S
    assert (caught.value.partial, getattr(caught.value, "limit_s", None)) == ("", CLOCK_S)
    assert [attempt.error for attempt in caught.value.attempts] == [expected.__name__]


@pytest.mark.parametrize("kind", ["comments", "empty texts"])
def test_a_stream_that_falls_silent_is_ended_and_its_text_kept(caller: Open, raw: RawServer, kind: str) -> None:
    raw.say(raw.event_stream + raw.frame("Once"), *[kept_alive(raw)[kind]] * 100, gap_s=0.05)
    seen: list[StreamEvent] = []
    client, started = caller(raw.url), time.monotonic()
    with pytest.raises(IdleTimeout) as caught:
        client.stream(seen, idle_s=CLOCK_S, first_token_s=9)
    assert time.monotonic() - started < LATE_S
    assert caught.value.partial == "Once" == "".join(event.text for event in seen)
    assert caught.value.limit_s == CLOCK_S


def test_before_any_head_there_is_no_first_token_either(caller: Open, raw: RawServer) -> None:
    raw.say(hang=True)
    client = caller(raw.url)
    with pytest.raises(FirstTokenTimeout, match="did not begin"):
        client.stream([], first_token_s=CLOCK_S)
    with pytest.raises(IdleTimeout, match="did not begin"):
        client.stream([], idle_s=CLOCK_S)


def test_a_first_token_may_take_longer_than_the_others(caller: Open, raw: RawServer) -> None:
    raw.say(
        raw.event_stream, *[b": thinking\n\n"] * 8, raw.frame("Hi") + raw.frame(finish="stop") + raw.done, gap_s=0.15
    )
    assert caller(raw.url).stream([], first_token_s=9, idle_s=1).text == "Hi"


def test_a_slow_stream_is_not_silent(caller: Open, raw: RawServer) -> None:
    raw.say(raw.event_stream, *[raw.frame("word ")] * 8, raw.frame(finish="stop") + raw.done, gap_s=0.15)
    assert caller(raw.url).stream([], idle_s=1, first_token_s=5).text == "word " * 8


def test_reasoning_is_no_silence(caller: Open, raw: RawServer) -> None:
    """Models that show their reasoning send it for a long time before the first word of the answer."""
    thought = raw.frame(choices=[{"index": 0, "delta": {"reasoning_content": "Hm. "}}])
    raw.say(raw.event_stream, *[thought] * 8, raw.frame("Hi") + raw.frame(finish="stop") + raw.done, gap_s=0.15)
    seen: list[StreamEvent] = []
    answer = caller(raw.url).stream(seen, idle_s=1, first_token_s=1)
    assert [dict(event.more) for event in seen if event.more] == [{"reasoning_content": "Hm. "}] * 8
    assert (answer.text, answer.message["reasoning_content"]) == ("Hi", "Hm. " * 8)


def test_a_response_that_was_only_created_has_said_nothing(caller: Open, raw: RawServer) -> None:
    frames = [
        f"data: {json.dumps({'type': kind, 'response': {}})}\n\n".encode()
        for kind in ("response.created", "response.in_progress", *["keepalive"] * 90)
    ]
    raw.say(raw.event_stream, *frames, gap_s=0.05)
    with pytest.raises(FirstTokenTimeout):
        caller(raw.url).stream_response([], first_token_s=CLOCK_S)


def test_while_nobody_reads_nobody_is_idle(raw: RawServer) -> None:
    """Whoever takes long over an event is not told that the server did."""
    raw.say(raw.event_stream + raw.frame("Once"), raw.frame(" upon") + raw.frame(finish="stop"), gap_s=0.5)
    with Client(base_url=raw.url, api_key="key", model="gpt-4o") as client:
        with client.stream("Hi", idle_s=0.25, first_token_s=5) as stream:
            first = next(stream)
            time.sleep(1)
            rest = [event.text for event in stream]
    assert first.text + "".join(rest) == "Once upon"


@pytest.mark.parametrize("function", ["stream", "chat"])
def test_the_clocks_of_a_stream_do_not_bound_a_call(caller: Open, raw: RawServer, function: str) -> None:
    raw.say(b"", raw.http(raw.completion()), gap_s=0.3)
    client = caller(raw.url, first_token_s=0.1, idle_s=0.1)
    if function == "chat":
        assert client.chat().text == "Hello"
    else:
        with pytest.raises(FirstTokenTimeout):
            client.stream([])
