"""The Responses API, whole and streamed: what came back in words, calls and reasons. Rows 3.I1, 3.I4, 3.I5 and 3.T6."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmkit import (
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

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


def message(*parts: tuple[str, str]) -> dict[str, Any]:
    """An item of the output: texts and refusals by their types."""
    names = {"output_text": "text", "refusal": "refusal"}
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": kind, names[kind]: said} for kind, said in parts],
    }


def payload(*output: dict[str, Any], status: str | None = "completed", **more: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 8,
        "output_tokens": 2,
        "total_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 1},
    }
    return {"id": "resp_1", "model": "gpt-4o", "status": status, "output": list(output), "usage": usage} | more


def call(name: str, arguments: str, call_id: str = "call_1") -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": name, "arguments": arguments}


def frame(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


def said(text: str) -> bytes:
    return frame("response.output_text.delta", output_index=0, delta=text)


def completed(*output: dict[str, Any], kind: str = "response.completed", **more: Any) -> bytes:
    return frame(kind, response=payload(*output, **more))


HELLO = message(("output_text", "Hello"))


def test_a_response_tells_text_usage_and_request(caller: Open, mockserver: MockServer) -> None:
    mockserver.script(reply("Hello"))
    answer = caller(mockserver.openai_url).respond("Hi", instructions="Be brief.", temperature=0)
    assert (answer.text, answer.finish_reason, answer.complete) == ("Hello", "stop", True)
    assert answer.model.startswith("gpt-4o")
    assert answer.id is not None
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    [exchange] = mockserver.journal
    assert exchange.request == {"model": "gpt-4o", "input": "Hi", "instructions": "Be brief.", "temperature": 0}
    assert answer.request_id == exchange.request_id
    assert answer.choices == (answer,)
    assert answer.message == {"role": "assistant", "content": "Hello"}


def test_items_and_messages_go_as_they_are(caller: Open, raw: RawServer) -> None:
    """An item without a role, such as the output of a function, is none of chat's messages."""
    raw.say(raw.http(json.dumps(payload(HELLO))))
    items = [
        {"role": "user", "content": "Hi"},
        call("weather", "{}"),
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
    ]
    client = caller(raw.url)
    client.respond(items)
    client.respond(iter(items[:1]))
    client.respond([], prompt={"id": "pmpt_1"})
    assert [body.get("input") for body in raw.bodies] == [items, items[:1], None]


@pytest.mark.parametrize("question", ["", [], [{"role": "user"}, "Hi"], 5, [{"role": 3}]])
def test_a_question_that_is_none_is_not_sent(caller: Open, raw: RawServer, question: Any) -> None:
    with pytest.raises(InvalidRequest):
        caller(raw.url).respond(question)
    with pytest.raises(InvalidRequest):
        caller(raw.url).stream_response([], question)
    assert raw.requests == []


def test_tool_calls_come_with_the_id_that_their_output_needs(caller: Open, mockserver: MockServer) -> None:
    mockserver.script(
        reply(tool_calls=[{"name": "weather", "arguments": {"city": "Oslo"}}, {"name": "weather", "arguments": {}}])
    )
    answer = caller(mockserver.openai_url).respond("Hi", tools=[WEATHER])
    items = [item for item in answer.payload["output"] if item["type"] == "function_call"]
    assert [(one.id, one.name, json.loads(one.arguments)) for one in answer.tool_calls] == [
        (items[0]["call_id"], "weather", {"city": "Oslo"}),
        (items[1]["call_id"], "weather", {}),
    ]
    assert (answer.finish_reason, answer.complete) == ("tool_calls", True)


def test_a_custom_tools_input_is_its_arguments(caller: Open, raw: RawServer) -> None:
    item = {"type": "custom_tool_call", "call_id": "call_9", "name": "sql", "input": "SELECT 1"}
    raw.say(raw.http(json.dumps(payload(item))))
    [one] = caller(raw.url).respond().tool_calls
    assert (one.id, one.name, one.arguments) == ("call_9", "sql", "SELECT 1")


def test_the_texts_of_all_messages_are_one_and_reasoning_is_none_of_it(caller: Open, raw: RawServer) -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    raw.say(raw.http(json.dumps(payload(thought, message(("output_text", "Hel"), ("output_text", "lo")), HELLO))))
    answer = caller(raw.url).respond()
    assert answer.text == "HelloHello"
    assert answer.usage is not None
    assert answer.usage.reasoning_tokens == 1


def test_a_refusal_is_told_apart_from_text(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(json.dumps(payload(message(("refusal", "I can't."))))))
    answer = caller(raw.url).respond()
    assert (answer.text, answer.refusal, answer.complete) == ("", "I can't.", True)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_output_tokens", "length"),
        ("content_filter", "content_filter"),
        ("new_one", "new_one"),
        (None, "incomplete"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_cut_short_is_not_complete(
    caller: Open, raw: RawServer, reason: str | None, finish: str, streamed: bool
) -> None:
    told: dict[str, Any] = {"status": "incomplete", "incomplete_details": reason and {"reason": reason}}
    end = completed(HELLO, kind="response.incomplete", **told)
    raw.say(raw.event_stream + said("Hello") + end if streamed else raw.http(json.dumps(payload(HELLO, **told))))
    client = caller(raw.url)
    answer = client.stream_response([]) if streamed else client.respond()
    assert (answer.text, answer.finish_reason, answer.complete) == ("Hello", finish, False)


def test_a_response_that_reaches_its_limit_is_not_complete(caller: Open, mockserver: MockServer) -> None:
    mockserver.script(reply("Once upon a time there was a", finish_reason="length").times(2))
    client = caller(mockserver.openai_url)
    for answer in client.respond(max_output_tokens=16), client.stream_response([], max_output_tokens=16):
        assert (answer.finish_reason, answer.complete) == ("length", False)


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled"])
def test_a_response_in_the_background_is_there_but_not_complete(caller: Open, raw: RawServer, status: str) -> None:
    raw.say(raw.http(json.dumps(payload(status=status))))
    answer = caller(raw.url).respond(background=True)
    assert (answer.id, answer.text, answer.finish_reason, answer.complete) == ("resp_1", "", None, False)
    assert answer.payload["status"] == status


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": "server_error", "message": "Oops"}, ServerError),
        ({"code": "rate_limit_exceeded", "message": "Slower"}, RateLimited),
        (None, ServerError),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_that_failed_is_the_error_that_it_tells(
    caller: Open, raw: RawServer, error: dict[str, str] | None, expected: type[LLMError], streamed: bool
) -> None:
    failed = payload(status="failed", error=error)
    begun = raw.event_stream + frame("response.created", response={}) + said("Hel")
    raw.say(begun + frame("response.failed", response=failed) if streamed else raw.http(json.dumps(failed)))
    client = caller(raw.url, max_attempts=1)
    with pytest.raises(expected, match=error["message"] if error else "failed to make this response") as caught:
        client.stream_response([]) if streamed else client.respond()
    assert type(caught.value) is expected
    assert caught.value.partial == ("Hel" if streamed else "")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": None, "output": None},
        {"status": "completed"},
        {"status": "completed", "output": None},
        {"status": "completed", "output": []},
        {"status": "completed", "output": [{"type": "reasoning", "summary": []}]},
        {"status": 7, "output": []},
        {"status": "completed", "output": {}},
        {"status": "completed", "output": ["Hello"]},
        payload(message() | {"content": "Hello"}),
        payload(message() | {"content": ["Hello"]}),
        payload(message() | {"content": [{"type": "output_text", "text": 7}]}),
        payload({"type": "function_call", "call_id": "call_1", "arguments": "{}"}),
        payload(call("weather", "{}") | {"arguments": {}}),
        payload(HELLO, model=7),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_no_response_is_an_error(caller: Open, raw: RawServer, body: Any, streamed: bool) -> None:
    """An empty text would be a wrong answer that nobody sees."""
    ended = frame("response.completed", response=body)
    raw.say(raw.event_stream + ended if streamed else raw.http(json.dumps(body)))
    client = caller(raw.url, max_attempts=1)
    with pytest.raises(MalformedResponse):
        client.stream_response([]) if streamed else client.respond()


def test_a_streamed_response_adds_up(caller: Open, mockserver: MockServer) -> None:
    mockserver.script(reply("Once upon a time"))
    seen: list[StreamEvent] = []
    answer = caller(mockserver.openai_url).stream_response(seen)
    assert "".join(event.text for event in seen) == answer.text == "Once upon a time"
    assert [event.finish_reason for event in seen if event.finish_reason] == ["stop"]
    assert answer.complete
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    [exchange] = mockserver.journal
    assert exchange.request == {"model": "gpt-4o", "input": "Hi", "stream": True}


def test_the_fragments_of_streamed_tool_calls_add_up(caller: Open, mockserver: MockServer) -> None:
    mockserver.script(reply(tool_calls=[{"name": "weather", "arguments": {"city": "Oslo"}}]))
    seen: list[StreamEvent] = []
    answer = caller(mockserver.openai_url).stream_response(seen, tools=[WEATHER])
    pieces = [piece for event in seen for piece in event.tool_calls]
    [one] = answer.tool_calls
    assert "".join(piece["function"]["arguments"] for piece in pieces) == one.arguments
    assert [(piece["id"], piece["function"]["name"]) for piece in pieces if "id" in piece] == [(one.id, "weather")]
    assert len({piece["index"] for piece in pieces}) == 1


def test_refusals_and_reasoning_are_events_of_their_own(caller: Open, raw: RawServer) -> None:
    raw.say(
        raw.event_stream
        + frame("response.reasoning_summary_text.delta", delta="Hm.")
        + frame("response.something_new", delta="?")
        + frame("response.refusal.delta", delta="I can't.")
        + completed(message(("refusal", "I can't.")))
        + b"data: [DONE]\n\n"
    )
    seen: list[StreamEvent] = []
    answer = caller(raw.url).stream_response(seen)
    assert [event.more for event in seen if event.more] == [{"response.reasoning_summary_text.delta": "Hm."}]
    assert "".join(event.refusal for event in seen) == answer.refusal == "I can't."
    assert "".join(event.text for event in seen) == answer.text == ""


def test_the_type_may_stand_in_the_name_of_the_event_alone(caller: Open, raw: RawServer) -> None:
    raw.say(
        raw.event_stream
        + b'event: response.output_text.delta\ndata: {"delta": "Hello"}\n\n'
        + f"event: response.completed\ndata: {json.dumps({'response': payload(HELLO)})}\n\n".encode()
    )
    assert caller(raw.url).stream_response([]).text == "Hello"


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n", b'event: response.completed\ndata: {"ty'])
def test_a_streamed_response_without_its_end_is_truncated(caller: Open, raw: RawServer, end: bytes) -> None:
    raw.say(raw.event_stream + said("Once") + said(" upon") + end)
    seen: list[StreamEvent] = []
    with pytest.raises(StreamTruncated) as caught:
        caller(raw.url).stream_response(seen)
    assert caught.value.partial == "".join(event.text for event in seen) == "Once upon"
    assert len(raw.requests) == 1


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (frame("error", code="rate_limit_exceeded", message="Slower", param=None), RateLimited),
        (frame("error", error={"message": "Oops", "type": "server_error"}), ServerError),
        (b'data: {"error": {"message": "Oops", "code": "server_error"}}\n\n', ServerError),
        (frame("response.output_text.delta", delta=7), MalformedResponse),
        (frame("response.refusal.delta", delta=[]), MalformedResponse),
        (frame("response.function_call_arguments.delta", delta={}), MalformedResponse),
        (frame("response.output_item.added", item="call"), MalformedResponse),
        (frame("response.completed", response=None), MalformedResponse),
        (b'data: {"type": 5}\n\n', MalformedResponse),
        (b"data: [1\n\n", MalformedResponse),
        (b"data: \xff\n\n", MalformedResponse),
    ],
)
def test_an_error_amid_a_streamed_response_is_typed_and_keeps_the_text(
    caller: Open, raw: RawServer, bad: bytes, expected: type[LLMError]
) -> None:
    raw.say(raw.event_stream + said("Once") + bad, hang=True)
    seen: list[StreamEvent] = []
    with pytest.raises(expected) as caught:
        caller(raw.url).stream_response(seen)
    assert type(caught.value) is expected
    assert caught.value.partial == "Once" == "".join(event.text for event in seen)
    assert len(raw.requests) == 1


def test_an_error_before_the_first_piece_is_retried(caller: Open, raw: RawServer) -> None:
    """`response.created` says nothing of the answer: nobody has seen anything yet."""
    created = frame("response.created", response={"status": "in_progress"})
    raw.say(raw.event_stream + created + frame("error", code="server_error", message="Oops", retry_after_ms=1))
    raw.say(raw.event_stream + created + said("Hello") + completed(HELLO))
    answer = caller(raw.url).stream_response([])
    assert [attempt.error for attempt in answer.attempts] == ["ServerError", None]


@pytest.mark.parametrize("how", ["rst", "fin", "eof"])
def test_a_streamed_response_that_is_cut_keeps_its_text(caller: Open, mockserver: MockServer, how: Any) -> None:
    mockserver.script(fault.cut(at="finish", how=how))
    seen: list[StreamEvent] = []
    with pytest.raises(LLMError) as caught:
        caller(mockserver.openai_url).stream_response(seen)
    assert caught.value.partial == "".join(event.text for event in seen) != ""
    assert len(mockserver.journal) == 1
