from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.scrubbing import deltas


def sse(*events: object) -> str:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events)


def texts(body: str) -> dict[str, str]:
    return {one.where: one.text for one in deltas.joined(body)}


def test_the_content_of_a_chat_is_joined() -> None:
    body = sse(*({"choices": [{"index": 0, "delta": {"role": "assistant", "content": word}}]} for word in "abc"))
    assert texts(f"{body}data: [DONE]\n\n") == {"choices[0].delta.content": "abc"}


def test_parallel_tool_calls_are_joined_by_their_index() -> None:
    def call(index: int, text: str) -> object:
        return {"choices": [{"delta": {"tool_calls": [{"index": index, "function": {"arguments": text}}]}}]}

    joined = deltas.joined(sse(call(0, "a"), call(1, "x"), call(0, "b"), call(1, "y")))
    assert [one.text for one in joined] == ["ab", "xy"]


def test_items_of_the_responses_api_are_joined_by_their_ids() -> None:
    def delta(item: str, text: str, kind: str = "response.output_text.delta") -> object:
        return {"type": kind, "item_id": item, "output_index": 0, "content_index": 0, "delta": text}

    refusal = delta("m1", "no", "response.refusal.delta")
    body = sse(delta("m1", "a"), delta("m2", "x"), refusal, delta("m1", "b"), delta("m2", "y"))
    assert [one.text for one in deltas.joined(body)] == ["ab", "xy", "no"]


def test_completions_and_the_tokens_of_logprobs_are_joined() -> None:
    def event(*tokens: str) -> object:
        logprobs = {"content": [{"token": token, "bytes": [1]} for token in tokens]}
        return {"choices": [{"index": 0, "text": "".join(tokens), "logprobs": logprobs}]}

    assert texts(sse(event("a", "b"), event("c"))) == {
        "choices[0].text": "abc",
        "choices[0].logprobs.content[0].token": "abc",
    }


def test_json_lines_are_events_too() -> None:
    assert texts('{"delta": "a"}\n{"delta": "b"}\n') == {"delta": "ab"}


def test_what_is_no_stream_has_no_joined_texts() -> None:
    assert deltas.joined('{"choices": [{"delta": {"content": "a"}}]}') == []
    assert deltas.joined("data: {broken\n\ndata: [1]\n\ndata: 7\n\n") == []


LOGPROBS = {"content": [{"token": one, "bytes": [ord(one)], "top_logprobs": [{"token": one}]} for one in "abc"]}


def test_the_tokens_of_a_reply_that_is_not_streamed_are_joined() -> None:
    chat = json.dumps({"choices": [{"message": {"content": "abc"}, "logprobs": LOGPROBS}]})
    assert texts(chat) == {"choices[0].message.content": "abc", "choices[0].logprobs.content[0].token": "abc"}
    item = {"output": [{"content": [{"text": "abc", "logprobs": LOGPROBS["content"]}]}]}
    assert texts(json.dumps(item)) == {"output[0].content[0].logprobs[0].token": "abc"}


@pytest.mark.parametrize(
    "pieces",
    [
        [{"message": {"role": "assistant", "content": one}} for one in "abc"],
        [{"response": one, "done": False} for one in "abc"],
        [{"token": {"id": 7, "text": one}} for one in "abc"],
        [{"type": "response.output_text.delta", "item_id": "m", "logprobs": [{"token": one}]} for one in "abc"],
    ],
)
def test_what_other_servers_stream_is_joined(pieces: list[object]) -> None:
    assert "abc" in texts("".join(f"{json.dumps(one)}\n" for one in pieces)).values()
    assert "abc" in texts(sse(*pieces)).values()


@pytest.mark.parametrize("indent", [None, 2])
def test_each_member_of_an_array_is_an_event_also_where_the_array_breaks_off(indent: int | None) -> None:
    events = [{"candidates": [{"content": {"parts": [{"text": one}]}}]} for one in "abc"]
    array = json.dumps(events, indent=indent)
    assert [one.text for one in deltas.joined(array)] == ["abc"]
    assert [one.text for one in deltas.joined(array[:-1])] == ["abc"]
    assert json.loads(deltas.hidden(array, lambda _: [(0, 3)], "R"))[0] == {
        "candidates": [{"content": {"parts": [{"text": "R"}]}}]
    }


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_an_event_may_have_several_lines_that_end_in_any_way(end: str) -> None:
    def event(text: str) -> str:
        return "".join(f"data: {line}{end}" for line in json.dumps({"delta": {"content": text}}, indent=1).splitlines())

    body = f"\ufeff: hi{end}{event('ab')}{end}event: x{end}{event('cd')}{end}data: [DONE]{end}{end}"
    assert texts(body) == {"delta.content": "abcd"}
    assert deltas.hidden(body, lambda _: [(1, 3)], "R") == body.replace('"ab"', '"aR"').replace('"cd"', '"d"')


def test_lines_that_only_by_themselves_are_json_are_events() -> None:
    assert texts('data: {"delta": "a"}\ndata: {"delta": "b"}\ndata: [DONE]\n') == {"delta": "ab"}


def test_a_hidden_token_loses_its_bytes_and_its_alternatives() -> None:
    body = json.dumps({"choices": [{"logprobs": LOGPROBS}]})
    hidden = json.loads(deltas.hidden(body, lambda _: [(0, 2)], "R"))["choices"][0]["logprobs"]["content"]
    assert hidden == [
        {"token": "R", "bytes": None, "top_logprobs": []},
        {"token": "", "bytes": None, "top_logprobs": []},
        LOGPROBS["content"][2],
    ]
    whole = json.dumps({"choices": [{"logprobs": {"content": [{"token": "R", "bytes": [97, 98]}]}}]})
    assert deltas.hidden(whole, lambda _: [], "R") == whole.replace("[97, 98]", "null")
    old = json.dumps({"choices": [{"logprobs": {"tokens": ["a", "b"], "top_logprobs": [{"a": -1}, {"b": -1}]}}]})
    assert deltas.hidden(old, lambda _: [(0, 1)], "R") == old.replace('["a"', '["R"').replace('{"a": -1}', "{}")


def test_a_long_stream_is_joined_and_hidden_quickly() -> None:
    events = [{"choices": [{"delta": {"content": "ab"}, "logprobs": LOGPROBS}]}] * 4_000
    for body in (sse(*events), json.dumps(events)):
        began = time.perf_counter()
        deltas.hidden(body, lambda text: [(0, len(text))], "R")
        assert time.perf_counter() - began < 30  # a second, and many minutes if it were quadratic


@given(st.lists(st.text(alphabet='ab"\\é😀\n', max_size=5), min_size=1), st.data(), st.booleans())
def test_a_span_goes_from_every_piece_that_holds_a_part_of_it(
    pieces: list[str], data: st.DataObject, is_ascii: bool
) -> None:
    whole = "".join(pieces)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    body = "".join(f"data: {json.dumps({'x': 'a', 'delta': one}, ensure_ascii=is_ascii)}\n\n" for one in pieces)
    after = deltas.hidden(body, lambda _: [(start, end)], "R")
    assert texts(after)["delta"] == (f"{whole[:start]}R{whole[end:]}" if end > start else whole)


@given(st.recursive(st.text() | st.integers() | st.none(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_nothing_changes_where_there_is_no_span(value: object) -> None:
    body = sse({"delta": value}, {"delta": value})
    assert deltas.hidden(body, lambda _: [], "R") == body


@given(st.recursive(st.text(min_size=1), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_every_piece_is_found_where_it_is_spelled(value: object) -> None:
    body = sse({"a": [{}, []], "delta": value})
    hidden = deltas.hidden(body, lambda text: [(0, len(text))], "R")
    assert set(texts(hidden).values()) <= {"R", ""}
    assert texts(hidden).keys() == texts(body).keys()


def test_a_path_is_shown_as_people_write_it() -> None:
    assert deltas.show(("choices", 0, "delta", "content")) == "choices[0].delta.content"
