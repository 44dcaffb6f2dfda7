from __future__ import annotations

import base64
import gzip
import json
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.replies.conversation import Conversation, Facts, ToolCall, Turn, facts, render
from llmkit.recording.replies.ledger import Usage

V1 = "https://api.openai.com/v1"
USAGE = {"prompt_tokens": 3, "completion_tokens": 4}


def interaction(
    path: str, asked: object, replied: object, *, status: int = 200, ended: str = "", method: str = "POST"
) -> Interaction:
    body, answer = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (asked, replied))
    headers = {"Content-Type": ["application/json; charset=utf-8"]}
    return Interaction(
        request=Request(method=method, uri=path if "://" in path else V1 + path, body=body),
        response=Response(status=status, headers=headers, body=answer, ended=ended),
        recorded_at="2026-11-20T12:00:00Z",
    )


def chat(messages: list[Any], message: Any, **more: Any) -> Conversation:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return render(interaction("/chat/completions", {"messages": messages}, {"choices": [choice], **more}))


def sse(*events: Any) -> bytes:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()


def streamed(*deltas: Any, ended: str = "") -> Conversation:
    body = sse(*({"choices": [{"index": 0, "delta": delta}]} for delta in deltas))
    return render(interaction("/chat/completions", {"messages": []}, body, ended=ended))


def responses(asked: Any, *output: Any, **more: Any) -> Conversation:
    return render(interaction("/responses", asked, {"status": "completed", "output": list(output), **more}))


HELLO = {"role": "assistant", "content": "Hello"}


def test_a_chat_is_told_in_turns() -> None:
    said = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]
    told = chat(said, HELLO, model="gpt-4o", usage=USAGE)
    assert told == Conversation(
        asked=(Turn(role="system", text="Be brief"), Turn(role="user", text="Hi")),
        replied=(Turn(role="assistant", text="Hello", finish="stop"),),
        usage=Usage(model="gpt-4o", prompt_tokens=3, completion_tokens=4),
    )


def test_calls_of_tools_are_told_with_their_answers() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
    asked = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "rain"}]
    told = chat(asked, {"role": "assistant", "content": None, "tool_calls": [call]})
    called = (ToolCall(name="weather", arguments='{"city": "Bern"}', id="call_1"),)
    assert told.asked == (
        Turn(role="assistant", tool_calls=called),
        Turn(role="tool", text="rain", tool_call_id="call_1"),
    )
    assert told.replied[0].tool_calls == called


def test_a_function_call_of_old_is_a_call_of_a_tool() -> None:
    told = chat([], {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}})
    assert told.replied[0].tool_calls == (ToolCall(name="f", arguments="{}"),)


def test_what_is_no_text_is_noted_in_brackets() -> None:
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"filename": "cv.pdf"}},
        {"type": "hologram"},
    ]
    told = chat([{"role": "user", "content": parts}], HELLO)
    assert told.asked[0].text.split("\n") == [
        "Look",
        "[image https://example.com/cat.png]",
        "[image image/png, 3 bytes]",
        "[audio wav]",
        "[file cv.pdf]",
        "[hologram]",
    ]


def test_a_refusal_is_told() -> None:
    assert chat([], {"role": "assistant", "content": None, "refusal": "No."}).replied[0].text == "No."


def test_the_pieces_of_a_stream_are_put_together() -> None:
    body = sse(
        {"choices": [], "prompt_filter_results": []},
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {"content": "Hel"}}]},
        {"choices": [{"index": 1, "delta": {"content": "Good day"}}]},
        {"choices": [{"index": 0, "delta": {"content": "lo"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"model": "gpt-4o", "choices": [], "usage": USAGE},
    )
    told = render(interaction("/chat/completions", {}, body + b"data: [DONE]\n\n"))
    assert told.replied == (
        Turn(role="assistant", text="Hello", finish="stop"),
        Turn(role="assistant", text="Good day"),
    )
    assert told.usage.completion_tokens == 4


def test_streamed_calls_of_tools_are_put_together() -> None:
    told = streamed(
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "[]"}}]},
    )
    assert told.replied[0].tool_calls == (
        ToolCall(name="f", arguments="{}", id="a"),
        ToolCall(name="g", arguments="[]", id="b"),
    )


def test_a_stream_that_broke_off_is_told_as_far_as_it_came() -> None:
    told = streamed({"content": "Hel"}, ended="aborted: peer closed")
    assert (told.replied[0].text, told.ended) == ("Hel", "aborted: peer closed")


def test_a_compressed_reply_is_read() -> None:
    body = gzip.compress(json.dumps({"choices": [{"message": HELLO}]}).encode())
    response = Response(status=200, headers={"Content-Encoding": ["gzip"]}, body=body)
    asked = Request(method="POST", uri=f"{V1}/chat/completions", body=b"{}")
    assert render(Interaction(request=asked, response=response)).replied[0].text == "Hello"


def test_an_error_is_what_was_replied() -> None:
    told = render(interaction("/chat/completions", {}, {"error": {"message": "Slow down"}}, status=429))
    assert told.replied == (Turn(role="error", text="Slow down"),)


def test_an_error_in_a_stream_comes_after_what_was_said() -> None:
    body = sse({"choices": [{"delta": {"content": "Hel"}}]}, {"error": {"message": "overloaded"}})
    told = render(interaction("/chat/completions", {}, body))
    assert [turn.role for turn in told.replied] == ["assistant", "error"]


def test_a_completion_continues_its_prompt() -> None:
    told = render(
        interaction("/completions", {"prompt": "Once"}, {"choices": [{"text": " upon", "finish_reason": "length"}]})
    )
    assert told.asked == (Turn(role="user", text="Once"),)
    assert told.replied == (Turn(role="assistant", text=" upon", finish="length"),)


def test_a_response_is_told_with_instructions_reasoning_and_tools() -> None:
    output = {"type": "function_call_output", "call_id": "c", "output": "rain"}
    told = responses(
        {
            "instructions": "Be brief",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}, output],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "web_search_call", "status": "completed"},
        {"type": "function_call", "call_id": "d", "name": "f", "arguments": "{}"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
    )
    assert told.asked == (
        Turn(role="instructions", text="Be brief"),
        Turn(role="user", text="Hi"),
        Turn(role="tool", text="rain", tool_call_id="c"),
    )
    assert told.replied == (
        Turn(role="reasoning", text="Hm"),
        Turn(role="assistant", text="[web_search_call]"),
        Turn(role="assistant", tool_calls=(ToolCall(name="f", arguments="{}", id="d"),)),
        Turn(role="assistant", text="Hello", finish="completed"),
    )


def test_the_input_of_a_response_may_be_a_text() -> None:
    assert responses({"input": "Hi"}).asked == (Turn(role="user", text="Hi"),)


def test_a_response_that_is_not_complete_says_why() -> None:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hel"}]}
    told = responses({}, message, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert told.replied[0].finish == "max_output_tokens"


def test_a_streamed_response_is_told_by_its_end() -> None:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
    done = {"type": "response.completed", "response": {"status": "completed", "output": [message]}}
    told = render(interaction("/responses", {}, sse({"type": "response.created", "response": {"output": []}}, done)))
    assert told.replied == (Turn(role="assistant", text="Hello", finish="completed"),)


def test_a_streamed_response_without_an_end_is_told_by_its_deltas() -> None:
    body = sse(
        {"type": "response.created", "response": {"status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "role": "assistant"}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Hel"},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "lo"},
        {"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "name": "f"}},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{"},
    )
    told = render(interaction("/responses", {}, body, ended="closed"))
    assert [turn.text for turn in told.replied] == ["Hello", ""]
    assert told.replied[1].tool_calls == (ToolCall(name="f", arguments="{"),)


def test_embeddings_are_told_by_their_number_and_size() -> None:
    reply = {"data": [{"embedding": [0.5, 1, 2]}, {"embedding": [1, 2, 3]}]}
    told = render(interaction("/embeddings", {"input": ["Hi", "Ho", [1, 2]]}, reply))
    assert [turn.text for turn in told.asked] == ["Hi", "Ho", "[2 tokens]"]
    assert told.replied == (Turn(role="vectors", text="2 vectors of 3 numbers"),)


def test_an_embedding_in_base64_is_counted_in_numbers() -> None:
    vector = base64.b64encode(struct.pack("<5f", *range(5))).decode()
    told = render(interaction("/embeddings", {"input": [1, 2, 3]}, {"data": [{"embedding": vector}]}))
    assert (told.asked[0].text, told.replied[0].text) == ("[3 tokens]", "1 vector of 5 numbers")


def test_anything_else_is_told_by_its_size() -> None:
    told = render(interaction("/models", b"", {"data": []}, method="GET"))
    assert told.asked == (Turn(role="request", text="GET /v1/models, 0 bytes"),)
    assert told.replied == (Turn(role="reply", text="200, application/json, 12 bytes"),)


def test_the_facts_of_an_interaction_fit_a_line() -> None:
    told = facts(interaction("/chat/completions", {"model": "gpt-4o"}, {"model": "gpt-4o-2024-08-06", "usage": USAGE}))
    assert told == Facts(
        surface="chat",
        asked="gpt-4o",
        served="gpt-4o-2024-08-06",
        usage=Usage(model="gpt-4o-2024-08-06", prompt_tokens=3, completion_tokens=4),
        status=200,
        size=85,
        recorded_at="2026-11-20T12:00:00Z",
    )


def test_a_listing_of_chats_is_no_chat() -> None:
    assert facts(interaction("/chat/completions", b"", {"data": []}, method="GET")).surface == "/v1/chat/completions"


def test_an_azure_deployment_is_the_model_that_was_asked() -> None:
    uri = "https://mine.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    body = sse({"model": "", "choices": []}, {"model": "gpt-4o", "choices": []})
    told = facts(interaction(uri, {}, body))
    assert (told.surface, told.asked, told.served) == ("chat", "my-gpt", "gpt-4o")


def test_the_model_inside_an_event_served() -> None:
    body = sse({"type": "response.created", "response": {"model": "gpt-5"}})
    assert facts(interaction("/responses", {}, body)).served == "gpt-5"


names = st.sampled_from([
    "arguments", "choices", "content", "data", "delta", "embedding", "error", "function", "image_url", "index", "input",
    "item", "message", "messages", "output", "output_index", "prompt", "response", "text", "tool_calls", "type",
])  # fmt: skip
values = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from(["message", "image_url", "function_call", "reasoning"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
paths = st.sampled_from(["/chat/completions", "/responses", "/completions", "/embeddings", "/models"])


@given(paths, values, values | st.lists(values, max_size=3).map(lambda events: sse(*events)) | st.binary())
def test_every_interaction_can_be_told(path: str, asked: Any, replied: Any) -> None:
    told = render(interaction(path, asked, replied))
    assert told.asked
    assert told.replied
    facts(interaction(path, asked, replied))
