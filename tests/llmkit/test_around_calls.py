"""Cache, fallback, parser, limits, options and observers around calls and streams of both clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmkit import (
    ContextOverflow,
    InvalidRequest,
    LLMError,
    ParseFailed,
    RateLimited,
    ServerError,
    StreamEvent,
    StreamTruncated,
    parsers,
)
from llmkit._flow import Event
from llmkit.policies.fallback import Fallback, Target

if TYPE_CHECKING:
    from tests.llmkit.conftest import Open, RawServer

DOWN = {"status": "500 Oops", "x_should_retry": "false"}


def streamed(raw: RawServer, *texts: str, finish: str | None = "stop") -> bytes:
    end = raw.frame(finish=finish) + raw.done if finish else b""
    return raw.event_stream + b"".join(map(raw.frame, texts)) + end


def test_a_stream_falls_back_before_anything_was_said(caller: Open, raw: RawServer) -> None:
    role = raw.frame(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
    raw.say(raw.http("{}", **DOWN))
    raw.say(raw.event_stream + role)
    raw.say(streamed(raw, "Hello"))
    seen: list[StreamEvent] = []
    answer = caller(raw.url, max_attempts=1, fallback=["gpt-4.1", "gpt-4o-mini"]).stream(seen)
    assert "".join(event.text for event in seen) == answer.text == "Hello"
    assert answer.degraded is not None
    assert (answer.degraded.target, answer.degraded.error) == ("gpt-4o-mini", "ServerError")
    assert [(one.model, one.error) for one in answer.attempts] == [
        ("gpt-4o", "ServerError"),
        ("gpt-4.1", "StreamTruncated"),
        ("gpt-4o-mini", None),
    ]


def test_a_stream_never_falls_back_after_something_was_said(caller: Open, raw: RawServer) -> None:
    """The caller has shown the words already; another model's would follow in mid-sentence."""
    raw.say(streamed(raw, "Once", finish=None))
    with pytest.raises(StreamTruncated) as caught:
        caller(raw.url, fallback=Fallback(models=(Target("gpt-4o-mini"),), stale=True, default="Later.")).stream([])
    assert caught.value.partial == "Once"
    assert len(raw.requests) == 1


@pytest.mark.parametrize("function", ["stream", "stream_response"])
def test_a_text_stands_in_for_a_stream_as_events(caller: Open, raw: RawServer, function: str) -> None:
    raw.say(raw.http("{}", **DOWN))
    seen: list[StreamEvent] = []
    client = caller(raw.url, max_attempts=1, fallback=Fallback(default="Come again later."))
    answer = getattr(client, function)(seen)
    assert "".join(event.text for event in seen) == answer.text == "Come again later."
    assert seen[-1].finish_reason == "stop"
    assert answer.degraded is not None
    assert (answer.degraded.kind, answer.complete) == ("default", True)


def test_a_text_stands_in_for_every_answer_in_words_but_not_for_vectors(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http("{}", **DOWN))
    client = caller(raw.url, max_attempts=1, fallback=Fallback(default="Later."))
    assert [client.complete().text, client.respond().text] == ["Later.", "Later."]
    with pytest.raises(ServerError):
        client.embed("Hi")


def test_another_client_stands_in(caller: Open, raw: RawServer) -> None:
    """Its address and its key, for the rest of the call; here both are of one server."""
    other = caller(raw.url.replace("/v1", "/other/v1"), api_key="sk-other")
    raw.say(raw.http("{}", **DOWN))
    raw.say(streamed(raw, "Hello"))
    raw.say(raw.http("{}", **DOWN))
    raw.say(raw.http(raw.completion()))
    client = caller(raw.url, max_attempts=1, fallback=Target("gpt-4.1", via=other.client))
    assert client.stream([]).text == client.chat().text == "Hello"
    places = [(request.split()[1], b"sk-other" in request) for request in raw.requests]
    assert places == [(b"/v1/chat/completions", False), (b"/other/v1/chat/completions", True)] * 2


def test_an_overflow_goes_to_the_larger_model(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http('{"error": {"code": "context_length_exceeded", "message": "long"}}', status="400 Bad"))
    raw.say(raw.http(raw.completion()))
    answer = caller(raw.url, fallback=Fallback(larger=(Target("gpt-4.1"),))).chat()
    assert answer.degraded is not None
    assert (answer.degraded.target, answer.degraded.error) == ("gpt-4.1", ContextOverflow.__name__)


@pytest.mark.parametrize("way", ["chat", "stream"])
def test_an_overflow_that_is_found_before_sending_goes_to_the_larger_model_too(
    caller: Open, raw: RawServer, way: str
) -> None:
    raw.say(streamed(raw, "Hello") if way == "stream" else raw.http(raw.completion("Hello")))
    client = caller(raw.url, model="gpt-4", fallback=Fallback(larger=(Target("gpt-4.1"),)))
    answer = client.stream([], max_tokens=8_192) if way == "stream" else client.chat(max_tokens=8_192)
    assert answer.text == "Hello"
    assert answer.degraded is not None
    assert (answer.degraded.target, answer.degraded.error) == ("gpt-4.1", ContextOverflow.__name__)
    assert len(raw.requests) == 1


@pytest.mark.parametrize("first", ["chat", "stream"])
def test_a_stream_and_a_call_share_their_cached_answer(
    caller: Open, raw: RawServer, tmp_path: Path, first: str
) -> None:
    raw.say(streamed(raw, "Hel", "lo") if first == "stream" else raw.http(raw.completion("Hello")))
    client = caller(raw.url, cache=str(tmp_path / "answers.db"))
    answers = [client.stream([], temperature=0) if first == "stream" else client.chat(temperature=0)]
    seen: list[StreamEvent] = []
    answers += [client.chat(temperature=0), client.stream(seen, temperature=0)]
    assert [answer.text for answer in answers] == ["Hello"] * 3
    assert [answer.cached for answer in answers] == [False, True, True]
    assert "".join(event.text for event in seen) == "Hello"
    assert len(raw.requests) == 1


def test_all_choices_of_a_cached_answer_are_streamed(caller: Open, raw: RawServer, tmp_path: Path) -> None:
    said = [{"index": at, "message": {"content": text}, "finish_reason": "stop"} for at, text in enumerate(("A", "B"))]
    raw.say(raw.http(json.dumps({"choices": said})))
    client = caller(raw.url, cache=str(tmp_path / "answers.db"))
    client.chat(temperature=0, n=2)
    seen: list[StreamEvent] = []
    assert client.stream(seen, temperature=0, n=2).cached
    assert [(event.choice, event.text) for event in seen if event.text] == [(0, "A"), (1, "B")]


def test_cached_tool_calls_are_streamed_too(caller: Open, raw: RawServer, tmp_path: Path) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    raw.say(raw.http(raw.completion(message=message, finish_reason="tool_calls")))
    client = caller(raw.url, cache=str(tmp_path / "answers.db"))
    first, seen = client.chat(temperature=0), list[StreamEvent]()
    again = client.stream(seen, temperature=0)
    assert (again.cached, again.tool_calls) == (True, first.tool_calls)
    [piece] = [piece for event in seen for piece in event.tool_calls]
    assert (piece["id"], piece["function"]) == ("call_1", {"name": "f", "arguments": "{}"})


def test_a_stream_that_is_left_early_is_not_kept(caller: Open, raw: RawServer, tmp_path: Path) -> None:
    raw.say(streamed(raw, "Once", finish=None))
    raw.say(streamed(raw, "Once upon"))
    client = caller(raw.url, cache=str(tmp_path / "answers.db"))
    with pytest.raises(StreamTruncated):
        client.stream([], temperature=0)
    assert client.stream([], temperature=0).text == "Once upon"


def test_what_does_not_parse_is_asked_for_again_with_what_is_wrong(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(raw.completion("It is one.")))
    raw.say(raw.http(raw.completion('{"a": 1}')))
    answer = caller(raw.url).chat(parse=parsers.Json(), reasks=2)
    assert (answer.parsed, len(answer.attempts)) == ({"a": 1}, 2)
    first, second = (body["messages"] for body in raw.bodies)
    assert second[: len(first)] == first
    assert second[1] == {"role": "assistant", "content": "It is one."}
    assert "could not be read" in second[2]["content"]


def test_it_is_asked_again_no_more_often_than_allowed(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(raw.completion("It is one.")))
    with pytest.raises(ParseFailed) as caught:
        caller(raw.url).chat(parse=parsers.Json(), reasks=2)
    assert len(raw.requests) == len(caught.value.attempts) == 3
    assert caught.value.text == "It is one."


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_what_was_cut_short_is_neither_parsed_nor_asked_for_again(caller: Open, raw: RawServer, finish: str) -> None:
    raw.say(raw.http(raw.completion("[1, 2]", finish_reason=finish)))
    raw.say(streamed(raw, "[1, 2]", finish=finish))
    client = caller(raw.url)
    with pytest.raises(ParseFailed, match="not complete"):
        client.chat(parse=parsers.Json(), reasks=2)
    with pytest.raises(ParseFailed, match="not complete"):
        client.stream([], parse=parsers.Json())
    assert len(raw.requests) == 2


def test_the_second_answer_is_not_marked_for_the_fallback_of_the_first(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http("{}", **DOWN))
    raw.say(raw.http(raw.completion("prose")))
    raw.say(raw.http(raw.completion("[1]")))
    answer = caller(raw.url, max_attempts=1, fallback="gpt-4o-mini").chat(parse=parsers.Json(), reasks=1)
    assert (answer.parsed, answer.degraded) == ([1], None)
    assert [one.model for one in answer.attempts] == ["gpt-4o", "gpt-4o-mini", "gpt-4o"]


def test_only_a_chat_can_be_asked_again(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http('{"choices": [{"text": "prose", "finish_reason": "stop"}]}'))
    with pytest.raises(InvalidRequest, match="for chat"):
        caller(raw.url).complete(parse=parsers.Json(), reasks=1)


def test_a_stream_is_parsed_at_its_end(caller: Open, raw: RawServer) -> None:
    raw.say(streamed(raw, '{"a"', ": 1}"))
    assert caller(raw.url).stream([], parse=parsers.Json()).parsed == {"a": 1}


def test_a_stream_that_does_not_parse_says_so_once_and_has_said_its_text(caller: Open, raw: RawServer) -> None:
    raw.say(streamed(raw, "prose"))
    told: list[Event] = []
    seen: list[StreamEvent] = []
    with pytest.raises(ParseFailed) as caught:
        caller(raw.url, observers=[told.append]).stream(seen, parse=parsers.Json())
    assert "".join(event.text for event in seen) == "prose"
    assert [attempt.status_code for attempt in caught.value.attempts] == [200]
    assert [event.detail for event in told if event.kind == "ended"] == [caught.value]


def test_requests_wait_for_their_turn(caller: Open, raw: RawServer) -> None:
    """Where the turn comes after the deadline, the call fails before it waits."""
    raw.say(raw.http(raw.completion()))
    waits: list[float] = []
    client = caller(
        raw.url, rpm=1, observers=[lambda event: waits.append(event.detail) if event.kind == "waits" else None]
    )
    client.chat()
    with pytest.raises(RateLimited, match="rpm = 1"):
        client.chat(deadline_s=0.2)
    assert (len(raw.requests), waits) == (1, [])


def test_tokens_are_reserved_as_estimated_and_settled_as_billed(caller: Open, raw: RawServer) -> None:
    """The first is estimated at 500 and billed 10, so that there is room for the next."""
    raw.say(raw.http(raw.completion()))
    usage = {"prompt_tokens": 900, "completion_tokens": 90}
    raw.say(raw.event_stream + raw.frame("Hi") + raw.frame(finish="stop") + raw.frame(choices=[], usage=usage))
    client = caller(raw.url, tpm=1000, deadline_s=2)
    client.chat(max_completion_tokens=500)
    client.stream([], max_completion_tokens=800)
    with pytest.raises(RateLimited, match="tpm = 1000"):
        client.chat(max_completion_tokens=999)
    assert len(raw.requests) == 2


def test_observers_are_told_of_each_step(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http("{}", status="503 Busy", retry_after_ms="1"))
    raw.say(raw.http("{}", **DOWN))
    raw.say(raw.http(raw.completion()))
    told: list[Event] = []
    client = caller(raw.url, observers=[told.append], fallback="gpt-4o-mini")
    answer = client.chat()
    kinds = [event.kind for event in told if event.kind != "billed"]
    request = ["leave", "sent"]
    assert kinds == [
        *request,
        "failed",
        "waits",
        *request,
        "failed",
        "stops",
        "falls back",
        *request,
        "answered",
        "ended",
    ]
    assert told[-1].detail == answer
    assert [event.detail for event in told if event.kind in ("failed", "answered")] == list(answer.attempts)
    assert {id(event.call) for event in told} == {id(told[0].call)}


def test_a_stream_tells_its_observers_the_same(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http("{}", status="503 Busy", retry_after_ms="1"))
    raw.say(streamed(raw, "Hello"))
    told: list[Event] = []
    answer = caller(raw.url, observers=[told.append]).stream([])
    kinds = [event.kind for event in told if event.kind not in ("billed", "first token")]
    assert kinds[:6] == ["leave", "sent", "failed", "waits", "leave", "sent"]
    assert sorted(kinds[6:]) == ["answered", "ended"]
    assert told[-1].detail == answer


def test_other_options_are_those_of_another_client_on_the_same_connections(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http("{}", status="500 Oops", retry_after_ms="1"))
    client = caller(raw.url, max_attempts=3)
    before = client.client
    client.client = before.with_options(max_attempts=1, fallback=None)
    for mine, requests in ((client, 1), (client, 2)):
        with pytest.raises(LLMError):
            mine.chat()
        assert len(raw.requests) == requests
    assert client.client.services is before.services
    client.client = before
    with pytest.raises(LLMError):
        client.chat()
    assert len(raw.requests) == 5


def test_a_deadline_bounds_the_fallbacks_too(caller: Open, raw: RawServer) -> None:
    """The second takes all of the time that is left, and the third is not asked."""
    raw.say(raw.http("{}", status="500 Oops", retry_after="9"))
    raw.say(hang=True)
    client = caller(raw.url, fallback=["gpt-4.1", "gpt-4o-mini", "gpt-4.1-mini"])
    with pytest.raises(ServerError) as caught:
        client.chat(deadline_s=0.8)
    assert [one.error for one in caught.value.attempts] == ["ServerError", "DeadlineExceeded"]
    assert len(raw.requests) == 2


@pytest.mark.parametrize("parse", ["json", 5, {"a": 1}])
def test_a_parser_that_is_none_is_told_before_anything_is_sent(caller: Open, raw: RawServer, parse: Any) -> None:
    with pytest.raises(LLMError, match="has to be a parser"):
        caller(raw.url).chat(parse=parse)
    assert raw.requests == []


@pytest.mark.parametrize("reasks", [-1, 10, 1.5, True, "2"])
def test_a_bound_that_is_none_is_told_before_anything_is_paid(caller: Open, raw: RawServer, reasks: Any) -> None:
    with pytest.raises(LLMError, match="reasks"):
        caller(raw.url).chat(parse=parsers.Json(), reasks=reasks)
    assert raw.requests == []
