"""Chat, completions of the older kind, tool calls and embeddings: what is asked and what is answered. Row 3.I1."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmkit import InvalidRequest, MalformedResponse, StreamEvent
from mockserver import MockServer, reply

if TYPE_CHECKING:
    from tests.llmkit.conftest import Open, RawServer

OLDER = "gpt-3.5-turbo-instruct"


def text_choice(text: object, finish: str = "stop", **more: Any) -> dict[str, Any]:
    return {"text": text, "finish_reason": finish} | more


def test_a_completion_is_asked_for_and_answered(caller: Open, mockserver: MockServer) -> None:
    """Row 3.I2."""
    mockserver.script(reply(" upon a time"))
    answer = caller(mockserver.openai_url, model=OLDER).complete("Once", max_tokens=16, temperature=0)
    assert (answer.text, answer.finish_reason, answer.complete) == (" upon a time", "stop", True)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 1
    [exchange] = mockserver.journal
    assert exchange.path == "/v1/completions"
    assert exchange.request == {"model": OLDER, "prompt": "Once", "max_tokens": 16, "temperature": 0}
    assert answer.attempts[0].request_id == exchange.request_id


def test_a_chat_goes_with_its_messages_in_their_order(caller: Open, mockserver: MockServer) -> None:
    """Row 3.I3."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Łódź"},
    ]
    answer = caller(mockserver.openai_url).chat(messages)
    [exchange] = mockserver.journal
    assert exchange.path == "/v1/chat/completions"
    assert exchange.request == {"model": "gpt-4o", "messages": messages}
    assert answer.payload["object"] == "chat.completion"
    assert answer.id == answer.payload["id"]


def test_prompts_may_be_several_texts_or_token_ids(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(json.dumps({"choices": [text_choice("a"), text_choice("b", "length", index=1)]})))
    client = caller(raw.url, model=OLDER)
    answer = client.complete(["x", "y"], n=1)
    assert [(one.text, one.complete) for one in answer.choices] == [("a", True), ("b", False)]
    client.complete([1, 2])
    client.complete([[1], [2]])
    assert [body["prompt"] for body in raw.bodies] == [["x", "y"], [1, 2], [[1], [2]]]


@pytest.mark.parametrize("prompt", [[], None, ["a", 1], [[]], {"a": 1}])
def test_a_prompt_that_is_none_is_not_sent(caller: Open, raw: RawServer, prompt: Any) -> None:
    with pytest.raises(InvalidRequest):
        caller(raw.url, model=OLDER).complete(prompt)
    assert raw.requests == []


@pytest.mark.parametrize("choice", [{}, {"text": None}, {"text": 7}, {"text": ["a"]}, {"message": {"content": "Hi"}}])
def test_a_completion_without_text_is_an_error(caller: Open, raw: RawServer, choice: dict[str, Any]) -> None:
    raw.say(raw.http(json.dumps({"choices": [choice | {"finish_reason": "stop"}]})))
    with pytest.raises(MalformedResponse):
        caller(raw.url, model=OLDER, max_attempts=1).complete("Once")


def test_each_of_several_replies_has_its_own_text_and_end(caller: Open, mockserver: MockServer) -> None:
    client = caller(mockserver.openai_url)
    whole, streamed = client.chat("Hi", n=3, seed=1), client.stream([], n=3, seed=1)
    assert len(whole.choices) == len(streamed.choices) == 3
    assert [one.text for one in streamed.choices] == [one.text for one in whole.choices]
    assert streamed.text == streamed.choices[0].text
    assert all(one.complete for one in streamed.choices)


def test_events_of_several_replies_tell_whose_they_are(caller: Open, raw: RawServer) -> None:
    def said(index: int, text: str | None, finish: str | None = None) -> bytes:
        delta = {} if text is None else {"content": text}
        return raw.frame(choices=[{"index": index, "delta": delta, "finish_reason": finish}])

    raw.say(
        raw.event_stream
        + b"".join(
            [said(1, "B"), said(0, "A"), said(1, "b"), said(1, None, "length"), said(0, "a"), said(0, None, "stop")]
        )
        + raw.done
    )
    seen: list[StreamEvent] = []
    answer = caller(raw.url).stream(seen, n=2)
    assert "".join(event.text for event in seen if event.choice == 1) == "Bb"
    assert [(one.text, one.finish_reason) for one in answer.choices] == [("Aa", "stop"), ("Bb", "length")]


def test_a_stream_of_several_replies_is_whole_when_all_are(caller: Open, raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame("A") + raw.frame(finish="stop") + raw.done)
    with pytest.raises(Exception, match="finish reason") as caught:
        caller(raw.url).stream([], n=2)
    assert getattr(caught.value, "partial", None) == "A"


def fragments(raw: RawServer, *pieces: dict[str, Any]) -> bytes:
    """A stream of these pieces of tool calls, one a frame."""
    frames = [raw.frame(choices=[{"index": 0, "delta": {"tool_calls": [piece]}}]) for piece in pieces]
    return raw.event_stream + b"".join(frames) + raw.frame(finish="tool_calls") + raw.done


def piece(arguments: str = "", *, name: str | None = None, **more: Any) -> dict[str, Any]:
    return more | {"function": {"arguments": arguments} | ({"name": name} if name else {})}


CALLS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str, str]]]] = {
    "indices with gaps, out of order": (
        [piece(index=7, id="b", name="g"), piece("{}", index=2, id="a", name="f"), piece("[]", index=7)],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "in parallel": (
        [
            piece(index=0, id="a", name="f"),
            piece(index=1, id="b", name="f"),
            *[
                piece(letter, index=place)
                for letters in zip('{"x":1}', '{"y":2}', strict=True)
                for place, letter in enumerate(letters)
            ],
        ],
        [("a", "f", '{"x":1}'), ("b", "f", '{"y":2}')],
    ),
    "a name in two pieces": (
        [piece(index=0, id="a", name="wea"), piece("{}", index=0, name="ther")],
        [("a", "weather", "{}")],
    ),
    "no index, ids instead": (
        [piece("{", id="a", name="f"), piece("}"), piece("[", id="b", name="g"), piece("]")],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "no arguments at all": ([{"index": 0, "id": "a", "function": {"name": "f"}}], [("a", "f", "")]),
    "an id that comes again": (
        [piece("{", index=0, id="a", name="f"), piece("}", index=0, id="a")],
        [("a", "f", "{}")],
    ),
    "a custom tool": (
        [
            {"index": 0, "id": "a", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}},
            {"index": 0, "custom": {"input": " 1"}},
        ],
        [("a", "sql", "SELECT 1")],
    ),
}


@pytest.mark.parametrize("kind", CALLS)
def test_tool_calls_add_up_however_they_are_told(caller: Open, raw: RawServer, kind: str) -> None:
    pieces, calls = CALLS[kind]
    raw.say(fragments(raw, *pieces))
    answer = caller(raw.url).stream([])
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == calls
    assert (answer.text, answer.finish_reason, answer.complete) == ("", "tool_calls", True)


def test_a_tool_call_without_a_name_is_an_error(caller: Open, raw: RawServer) -> None:
    raw.say(fragments(raw, piece("{}", index=0, id="a")))
    with pytest.raises(MalformedResponse, match="name"):
        caller(raw.url).stream([])


def test_a_function_call_of_the_older_kind_is_kept(caller: Open, raw: RawServer) -> None:
    deltas: list[dict[str, Any]] = [{"function_call": {"name": "f", "arguments": ""}}]
    deltas += [{"function_call": {"arguments": part}} for part in ('{"a"', ": 1}")]
    frames = [raw.frame(choices=[{"index": 0, "delta": delta}]) for delta in deltas]
    raw.say(raw.event_stream + b"".join(frames) + raw.frame(finish="function_call") + raw.done)
    answer = caller(raw.url).stream([])
    assert answer.complete
    assert answer.message["function_call"] == {"name": "f", "arguments": '{"a": 1}'}


def test_what_stands_beside_the_words_is_kept(caller: Open, raw: RawServer) -> None:
    def told(token: str) -> dict[str, Any]:
        return {"index": 0, "delta": {"content": token}, "logprobs": {"content": [{"token": token}], "refusal": None}}

    raw.say(
        raw.event_stream
        + raw.frame(choices=[told("a")], service_tier="default")
        + raw.frame(choices=[told("b")])
        + raw.frame(finish="stop")
        + raw.done
    )
    payload = caller(raw.url).stream([], logprobs=True).payload
    assert payload["choices"][0]["logprobs"]["content"] == [{"token": "a"}, {"token": "b"}]
    assert payload["service_tier"] == "default"


@pytest.mark.parametrize(
    ("finish", "complete"),
    [
        ("stop", True),
        ("tool_calls", True),
        ("function_call", True),
        ("length", False),
        ("content_filter", False),
        (None, False),
    ],
)
def test_only_what_ended_of_itself_is_complete(
    caller: Open, raw: RawServer, finish: str | None, complete: bool
) -> None:
    """Row 3.I5."""
    raw.say(raw.http(raw.completion("Once", finish_reason=finish)))
    answer = caller(raw.url).chat()
    assert (answer.complete, answer.finish_reason, answer.model, answer.id) == (
        complete,
        finish,
        "gpt-4o-2024-08-06",
        "chatcmpl-1",
    )
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (8, 2, 10)


def test_a_stream_without_stream_options_goes_without_them(caller: Open, raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame("Hi") + raw.frame(finish="stop") + raw.done)
    assert caller(raw.url).stream([], stream_options=None).usage is None
    assert raw.bodies == [{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "stream": True}]


def test_embeddings_tell_model_usage_and_request(caller: Open, mockserver: MockServer) -> None:
    answer = caller(mockserver.openai_url).embed(["a", "b"], dimensions=8)
    assert [len(vector) for vector in answer.vectors] == [8, 8]
    assert answer.model == "text-embedding-3-small"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens == 2
    [exchange] = mockserver.journal
    assert (exchange.path, answer.request_id) == ("/v1/embeddings", exchange.request_id)
