"""Streams: what arrived is handed out, and what did not is never made up. Rows 3.I4 and 3.T6."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from typing import TYPE_CHECKING, Any, Literal

import pytest

from llmkit import (
    AsyncClient,
    Client,
    ConnectionFailed,
    InvalidRequest,
    LLMError,
    MalformedResponse,
    RateLimited,
    ServerError,
    StreamEvent,
    StreamTruncated,
)
from mockserver import MockServer, fault, reply

if TYPE_CHECKING:
    from tests.llmkit.conftest import Open, RawServer


def test_a_stream_adds_up_to_its_reply(caller: Open, mockserver: MockServer) -> None:
    mockserver.script(reply("Once upon a time"))
    seen: list[StreamEvent] = []
    answer = caller(mockserver.openai_url).stream(seen)
    assert "".join(event.text for event in seen) == answer.text == "Once upon a time"
    assert len(seen) > 2
    assert (answer.finish_reason, answer.complete) == ("stop", True)
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    assert [attempt.status_code for attempt in answer.attempts] == [200]


def test_tool_calls_are_put_together_from_their_fragments(caller: Open, raw: RawServer) -> None:
    def fragment(index: int, arguments: str, **more: Any) -> bytes:
        call = {"index": index, "function": {"arguments": arguments} | more.pop("function", {})} | more
        return raw.frame(choices=[{"index": 0, "delta": {"tool_calls": [call]}}])

    raw.say(
        raw.event_stream
        + fragment(0, "", id="call_a", function={"name": "weather"})
        + fragment(0, '{"city":')
        + fragment(1, "{}", id="call_b", function={"name": "time"})
        + fragment(0, ' "Oslo"}')
        + raw.frame(finish="tool_calls")
        + raw.done
    )
    answer = caller(raw.url).stream([])
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        ("call_a", "weather", '{"city": "Oslo"}'),
        ("call_b", "time", "{}"),
    ]


def test_tool_calls_without_an_index_are_told_apart_by_their_ids(caller: Open, raw: RawServer) -> None:
    def frame(*calls: dict[str, Any]) -> bytes:
        return raw.frame(choices=[{"delta": {"tool_calls": list(calls)}}])

    weather = {"id": "call_a", "function": {"name": "weather", "arguments": '{"city":'}}
    clock = {"index": None, "id": "call_b", "function": {"name": "time", "arguments": "{}"}}
    raw.say(
        raw.event_stream
        + frame(weather)
        + frame({"function": {"arguments": ' "Oslo"'}})
        + frame({"id": "call_a", "function": {"arguments": "}"}}, clock)
        + raw.frame(finish="tool_calls")
        + raw.done
    )
    answer = caller(raw.url).stream([])
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        ("call_a", "weather", '{"city": "Oslo"}'),
        ("call_b", "time", "{}"),
    ]


def test_a_streamed_tool_call_without_a_name_is_an_error(caller: Open, raw: RawServer) -> None:
    call = {"index": 0, "id": "call_a", "function": {"arguments": "{}"}}
    nameless = raw.frame(choices=[{"delta": {"tool_calls": [call]}}])
    raw.say(raw.event_stream + nameless + raw.frame(finish="tool_calls") + raw.done)
    with pytest.raises(MalformedResponse, match="does not name its function"):
        caller(raw.url, max_attempts=1).stream([])


def test_a_choice_whose_index_is_null_is_the_first(caller: Open, raw: RawServer) -> None:
    choice = {"index": None, "delta": {"content": "Hello"}, "finish_reason": "stop"}
    raw.say(raw.event_stream + raw.frame(choices=[choice]) + raw.done)
    assert caller(raw.url).stream([]).text == "Hello"


def test_azures_frames_without_choice_or_delta_are_passed_over(caller: Open, raw: RawServer) -> None:
    raw.say(
        raw.event_stream
        + raw.frame(choices=[], prompt_filter_results=[{"prompt_index": 0}])
        + raw.frame("Hel")
        + raw.frame(choices=[{"index": 0, "content_filter_results": {}, "finish_reason": None}])
        + raw.frame("lo")
        + raw.frame(finish="stop")
    )
    seen: list[StreamEvent] = []
    assert caller(raw.url).stream(seen).text == "Hello"
    assert [event.text for event in seen] == ["Hel", "lo", ""]


def test_other_choices_do_not_mix_with_the_first(caller: Open, raw: RawServer) -> None:
    other = {"index": 1, "delta": {"content": "Bye"}, "finish_reason": "stop"}
    raw.say(raw.event_stream + raw.frame("Hello") + raw.frame(choices=[other]) + raw.frame(finish="stop") + raw.done)
    assert caller(raw.url).stream([]).text == "Hello"


def test_a_clean_end_without_finish_reason_is_a_truncation(caller: Open, raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame("Once ") + raw.frame("upon"))
    seen: list[StreamEvent] = []
    with pytest.raises(StreamTruncated) as caught:
        caller(raw.url).stream(seen)
    assert caught.value.partial == "Once upon" == "".join(event.text for event in seen)
    assert (caught.value.status_code, caught.value.request_id) == (200, "req_7")
    assert [attempt.error for attempt in caught.value.attempts] == ["StreamTruncated"]


def test_done_without_finish_reason_is_a_truncation(caller: Open, raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame("Once") + raw.done)
    with pytest.raises(StreamTruncated) as caught:
        caller(raw.url).stream([])
    assert caught.value.partial == "Once"


@pytest.mark.parametrize("how", ["rst", "fin", "eof"])
def test_a_cut_stream_is_an_error_that_keeps_the_text(
    caller: Open, mockserver: MockServer, how: Literal["rst", "fin", "eof"]
) -> None:
    mockserver.script(fault.cut(at={"frame": 4}, how=how))
    seen: list[StreamEvent] = []
    with pytest.raises((StreamTruncated, ConnectionFailed)) as caught:
        caller(mockserver.openai_url).stream(seen)
    assert caught.value.partial == "".join(event.text for event in seen) != ""
    assert len(mockserver.journal) == 1


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b'data: {"error": {"message": "Oops", "type": "server_error", "param": null, "code": null}}\n\n', ServerError),
        (b'event: error\ndata: {"message": "Slower", "code": "rate_limit_exceeded"}\n\n', RateLimited),
        (b'data: {"choices": [{"delta": {"cont\n\n', MalformedResponse),
        (b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n', MalformedResponse),
        (b'data: {"choices": [{"delta": {"content": 3}}]}\n\n', MalformedResponse),
        (b'data: {"choices": [{"delta": "Hello"}]}\n\n', MalformedResponse),
        (b'data: {"choices": {}, "x": 1}\n\ndata: "Hello"\n\n', MalformedResponse),
        (b'data: {"choices": [{"index": "0", "delta": {"content": "Hello"}}]}\n\n', MalformedResponse),
        (b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n', MalformedResponse),
        (b'data: {"choices": [{"delta": {"tool_calls": [{"index": -1}]}}]}\n\n', MalformedResponse),
        (b'data: {"choices": [{"delta": {"tool_calls": [{"index": true}]}}]}\n\n', MalformedResponse),
        (b'data: {"choices": [{"delta": {"tool_calls": [{"id": 5}]}}]}\n\n', MalformedResponse),
        (b'data: {"choices": [{"delta": {"tool_calls": [{}, {}]}}]}\n\n', MalformedResponse),
        pytest.param(b"data: " + b"[" * 200_000 + b"\n\n", MalformedResponse, id="nested"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2], ids=["in one piece", "in two"])
def test_an_error_amid_a_stream_is_typed_and_keeps_the_text(
    caller: Open, raw: RawServer, frame: bytes, expected: type[LLMError], pieces: int
) -> None:
    """However the network cuts it: the text before the error reaches the caller first."""
    parts = [raw.event_stream + raw.frame("Once"), frame]
    raw.say(*(parts if pieces == 2 else [b"".join(parts)]), gap_s=0.02, hang=True)
    seen: list[StreamEvent] = []
    with pytest.raises(expected) as caught:
        caller(raw.url).stream(seen)
    assert caught.value.partial == "Once" == "".join(event.text for event in seen)
    assert caught.value.status_code == 200
    assert len(raw.requests) == 1


def test_a_failure_before_the_first_event_is_retried(caller: Open, raw: RawServer) -> None:
    role = raw.frame(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
    raw.say(raw.http("{}", status="503 Busy", retry_after_ms="1"))
    raw.say(raw.event_stream + role)
    raw.say(raw.event_stream + role + raw.frame("Hello") + raw.frame(finish="stop") + raw.done)
    answer = caller(raw.url).stream([])
    assert answer.text == "Hello"
    assert [attempt.error for attempt in answer.attempts] == ["Overloaded", "StreamTruncated", None]


def test_a_page_instead_of_a_stream_is_an_error(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http("<html>", content_type="text/html"))
    with pytest.raises(MalformedResponse):
        caller(raw.url, max_attempts=1).stream([])


def test_a_whole_reply_instead_of_a_stream_is_an_error(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(raw.completion()))
    with pytest.raises(MalformedResponse, match="application/json"):
        caller(raw.url, max_attempts=1).stream([])


def test_a_stream_of_nothing_is_an_error(caller: Open, raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame(finish="stop") + raw.done)
    with pytest.raises(MalformedResponse) as caught:
        caller(raw.url, max_attempts=1).stream([])
    assert [attempt.error for attempt in caught.value.attempts] == ["MalformedResponse"]


def test_usage_after_the_finish_reason_is_kept_and_its_loss_forgiven(caller: Open, raw: RawServer) -> None:
    told = raw.frame("Hi") + raw.frame(finish="stop")
    raw.say(
        raw.event_stream + told + raw.frame(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 1}) + raw.done
    )
    broken = raw.http(told + b"data: {", content_type="text/event-stream").replace(
        b"content-length: ", b"content-length: 9"
    )
    raw.say(broken)
    client = caller(raw.url)
    usage, lost = client.stream([]).usage, client.stream([]).usage
    assert usage is not None
    assert (usage.total_tokens, lost) == (4, None)


def test_a_stream_asks_for_its_usage_unless_told_otherwise(caller: Open, raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame("Hi") + raw.frame(finish="stop") + raw.done)
    client = caller(raw.url)
    client.stream([])
    client.stream([], stream_options={"include_usage": False})
    assert [body["stream_options"] for body in raw.bodies] == [{"include_usage": True}, {"include_usage": False}]
    assert all(body["stream"] for body in raw.bodies)


UNKNOWN = {"error": {"message": "Unrecognized request argument supplied: stream_options", "code": None, "param": None}}


def test_a_server_that_cannot_tell_the_usage_is_asked_without_from_then_on(caller: Open, raw: RawServer) -> None:
    """Such as older API versions of Azure. It costs one request, of those that a call may make."""
    raw.say(raw.http(json.dumps(UNKNOWN), status="400 Bad Request"))
    raw.say(raw.event_stream + raw.frame("Hi") + raw.frame(finish="stop") + raw.done)
    client = caller(raw.url)
    assert [attempt.error for attempt in client.stream([]).attempts] == ["InvalidRequest", None]
    assert client.stream([]).text == "Hi"
    assert ["stream_options" in body for body in raw.bodies] == [True, False, False]


def test_what_a_caller_asks_of_the_stream_is_not_taken_back(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(json.dumps(UNKNOWN), status="400 Bad Request"))
    with pytest.raises(InvalidRequest):
        caller(raw.url).stream([], stream_options={"include_usage": True, "include_obfuscation": False})
    with pytest.raises(InvalidRequest):
        caller(raw.url, max_attempts=1).stream([])
    assert len(raw.requests) == 2


def test_a_connection_is_used_again_after_a_stream(mockserver: MockServer) -> None:
    """Otherwise every stream would cost a TLS handshake."""
    with Client(base_url=mockserver.openai_url, api_key="key", model="gpt-4o") as client:
        with client.stream("Hi") as stream:
            list(stream)
        assert stream.reply.complete
        assert client.chat("Hi").text


def test_the_reply_is_not_there_before_its_end(mockserver: MockServer) -> None:
    with Client(base_url=mockserver.openai_url, api_key="key", model="gpt-4o") as client:
        with client.stream("Hi") as stream:
            first = next(stream)
            assert stream.text.startswith(first.text)
            with pytest.raises(LLMError, match="read all events"):
                _ = stream.reply


def test_a_stream_that_is_not_entered_says_so(mockserver: MockServer) -> None:
    with Client(base_url=mockserver.openai_url, api_key="key", model="gpt-4o") as client:
        with pytest.raises(LLMError, match=r"with client\.stream"):
            next(client.stream("Hi"))


@pytest.fixture
def story(raw: RawServer) -> RawServer:
    """A server that begins to tell a story, and then falls silent."""
    raw.say(raw.event_stream + raw.frame("Once"), hang=True)
    return raw


def test_reading_on_after_the_block_says_that_the_stream_is_closed(story: RawServer) -> None:
    with Client(base_url=story.url, api_key="key", model="gpt-4o") as client:
        with client.stream("Hi") as stream:
            next(stream)
        with pytest.raises(LLMError, match=r"closed, for its `with` block has been left") as caught:
            next(stream)
    assert type(caught.value) is LLMError
    assert caught.value.partial == "Once"


def test_reading_on_after_a_failure_says_that_the_stream_is_closed(raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame("Once"))
    with Client(base_url=raw.url, api_key="key", model="gpt-4o") as client, client.stream("Hi") as stream:
        next(stream)
        with pytest.raises(StreamTruncated) as first:
            next(stream)
        with pytest.raises(LLMError, match="closed, for it failed"):
            next(stream)
    assert len(first.value.attempts) == 1


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_wait_and_not_the_stream(raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame("Once"), raw.frame(" upon"), gap_s=0.6, hang=True)
    with Client(base_url=raw.url, api_key="key", model="gpt-4o") as client, client.stream("Hi") as stream:
        next(stream)
        main = threading.main_thread().ident
        assert main is not None
        threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            next(stream)
        assert next(stream).text == " upon"


async def test_a_cancelled_wait_loses_nothing(raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame("Once"), raw.frame(" upon"), gap_s=0.2, hang=True)
    async with AsyncClient(base_url=raw.url, api_key="key", model="gpt-4o") as client:
        async with client.stream("Hi") as stream:
            await stream.next()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.next(), timeout=0.05)
            event = await stream.next()
    assert event is not None
    assert event.text == " upon"


def test_a_stream_is_entered_once(mockserver: MockServer) -> None:
    with Client(base_url=mockserver.openai_url, api_key="key", model="gpt-4o") as client:
        with client.stream("Hi") as stream:
            list(stream)
        with pytest.raises(LLMError, match="once"), stream:
            pass


async def test_leaving_a_stream_early_closes_it(mockserver: MockServer) -> None:
    async with AsyncClient(base_url=mockserver.openai_url, api_key="key", model="gpt-4o") as client:
        async with client.stream("Hi") as stream:
            async for _ in stream:
                break
        async with client.stream("Hi") as stream:
            texts = [event.text async for event in stream]
        assert "".join(texts) == stream.reply.text


async def test_streams_do_not_mix(mockserver: MockServer) -> None:
    async def read(client: AsyncClient, topic: str) -> bool:
        async with client.stream(topic) as stream:
            return "".join([event.text async for event in stream]) == stream.reply.text and topic in stream.text

    async with AsyncClient(base_url=mockserver.openai_url, api_key="key", model="gpt-4o") as client:
        assert all(await asyncio.gather(*(read(client, topic) for topic in ("apples", "rivers", "clocks"))))
