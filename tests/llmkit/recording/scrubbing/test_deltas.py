from __future__ import annotations

import json

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
