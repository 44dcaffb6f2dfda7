from __future__ import annotations

import copy
import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmkit.recording.cassette import load
from llmkit.recording.errors import BrokenCassette
from llmkit.recording.interaction import Interaction, Response
from llmkit.recording.replies.content_coding import decoded
from llmkit.recording.replies.verify import Drift, Tier, compare, describe, worst

CORPUS = Path(__file__).parents[4] / "shared" / "data" / "cassettes"

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 0}},
    "service_tier": "default",
    "system_fingerprint": "fp_1",
}
TOOL_CHAT = copy.deepcopy(CHAT)
TOOL_CHAT["choices"][0]["finish_reason"] = "tool_calls"
TOOL_CHAT["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [CALL]}


def reply(body: object, *, status: int = 200, ended: str = "", content_type: str = "application/json") -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, headers={"Content-Type": [content_type]}, body=data, ended=ended)


def with_change(body: Any, change: Callable[[Any], object]) -> Any:
    changed = copy.deepcopy(body)
    change(changed)
    return changed


def drifts(recorded: object, live: object) -> list[Drift]:
    return compare(reply(recorded), reply(live))


def changed(change: Callable[[Any], object], body: Any = CHAT) -> list[Drift]:
    return drifts(body, with_change(body, change))


def tiers(found: list[Drift]) -> dict[str, Tier]:
    return {drift.where: drift.tier for drift in found}


def test_another_answer_to_the_same_question_is_no_drift() -> None:
    def answer(body: Any) -> None:
        body |= {"id": "chatcmpl-2", "created": 9}
        body["choices"][0]["message"]["content"] = "Good morning"
        body["usage"]["completion_tokens"] = 40

    assert changed(answer) == []


def test_the_order_of_fields_is_no_drift() -> None:
    assert drifts(CHAT, dict(reversed(CHAT.items()))) == []


def test_a_field_that_is_gone_is_breaking() -> None:
    assert changed(lambda body: body["choices"][0]["message"].pop("content")) == [
        Drift(Tier.BREAKING, "choices[0].message.content", "string", "absent")
    ]


def test_an_added_field_is_named_and_passes() -> None:
    found = changed(lambda body: body["usage"].update(energy={"joules": 3}))
    assert found == [Drift(Tier.ADDED, "usage.energy", "absent", "object")]


def test_a_changed_type_is_breaking() -> None:
    found = changed(lambda body: body["usage"].update(prompt_tokens="3"))
    assert found == [Drift(Tier.BREAKING, "usage.prompt_tokens", "number", "string")]


def test_whole_and_broken_numbers_are_of_one_type() -> None:
    assert drifts({"top_p": 1}, {"top_p": 0.5}) == []


def test_true_is_no_number() -> None:
    assert worst(drifts({"n": 1}, {"n": True})) is Tier.BREAKING


@pytest.mark.parametrize("key", ["refusal", "system_fingerprint", "logprobs", "service_tier"])
def test_what_may_be_null_is_named_when_it_becomes_null(key: str) -> None:
    assert tiers(drifts({key: "x"}, {key: None})) == {key: Tier.NOTABLE}


def test_what_was_never_null_breaks_when_it_becomes_null() -> None:
    assert tiers(drifts({"id": "x"}, {"id": None})) == {"id": Tier.BREAKING}


def test_a_value_where_there_was_null_is_named() -> None:
    assert tiers(drifts({"anything": None}, {"anything": "x"})) == {"anything": Tier.NOTABLE}


def test_a_model_that_calls_a_tool_instead_of_answering_does_not_break() -> None:
    found = drifts(CHAT, TOOL_CHAT)
    assert worst(found) is Tier.NOTABLE
    assert Drift(Tier.NOTABLE, "choices[0].finish_reason", "'stop'", "'tool_calls'") in found


def test_a_tool_call_that_is_gone_though_the_reply_finished_with_it_is_breaking() -> None:
    found = changed(lambda body: body["choices"][0]["message"].pop("tool_calls"), TOOL_CHAT)
    assert tiers(found) == {"choices[0].message.tool_calls": Tier.BREAKING}


def test_a_refusal_has_no_content() -> None:
    found = changed(lambda body: body["choices"][0]["message"].update(content=None, refusal="No."))
    assert tiers(found) == {"choices[0].message.content": Tier.NOTABLE, "choices[0].message.refusal": Tier.NOTABLE}


def test_what_is_polled_at_another_stage_may_lack_a_result() -> None:
    found = drifts({"status": "completed", "usage": {}}, {"status": "queued", "usage": None})
    assert tiers(found) == {"status": Tier.NOTABLE, "usage": Tier.NOTABLE}


def test_the_arguments_of_a_tool_may_be_others_but_must_stay_json() -> None:
    def call(arguments: str) -> Callable[[Any], object]:
        return lambda body: body["choices"][0]["message"]["tool_calls"][0]["function"].update(arguments=arguments)

    where = "choices[0].message.tool_calls[0].function.arguments"
    assert changed(call('{"town": 3}'), TOOL_CHAT) == []
    assert changed(call('{"town": '), TOOL_CHAT) == [Drift(Tier.BREAKING, where, "JSON", "not JSON")]


@pytest.mark.parametrize(
    ("change", "where", "tier"),
    [
        (lambda body: body.update(object="chat"), "object", Tier.BREAKING),
        (lambda body: body["choices"][0]["message"].update(role="bot"), "choices[0].message.role", Tier.BREAKING),
        (lambda body: body["choices"][0].update(finish_reason="bored"), "choices[0].finish_reason", Tier.NOTABLE),
        (lambda body: body.update(model="gpt-5"), "model", Tier.NOTABLE),
    ],
)
def test_a_new_word_of_a_vocabulary_is_noted_or_breaks(change: Any, where: str, tier: Tier) -> None:
    assert tiers(changed(change)) == {where: tier}


def test_another_code_of_an_error_is_breaking() -> None:
    found = drifts({"error": {"code": "rate_limit_exceeded"}}, {"error": {"code": "insufficient_quota"}})
    assert tiers(found) == {"error.code": Tier.BREAKING}


def test_an_array_is_compared_by_all_of_its_items() -> None:
    assert drifts({"a": [{"b": 1}, {"c": 1}]}, {"a": [{"c": 1, "b": 1}]}) == []
    assert tiers(drifts({"a": [{"b": 1}, {"c": 1}]}, {"a": [{"b": 1}]})) == {"a[*].c": Tier.BREAKING}


def test_a_field_that_some_items_lost_is_breaking() -> None:
    found = drifts({"a": [{"b": 1}, {"b": 1}]}, {"a": [{"b": 1}, {}]})
    assert found == [Drift(Tier.BREAKING, "a[*].b", "number", "absent in some")]


def test_an_array_that_is_empty_now_is_named() -> None:
    assert drifts({"a": [1, 2]}, {"a": []}) == [Drift(Tier.NOTABLE, "a", "2 items", "empty")]


def test_a_choice_that_is_missing_is_breaking() -> None:
    found = changed(lambda body: body["choices"].clear())
    assert found == [Drift(Tier.BREAKING, "choices", "1 items", "empty")]


def test_vectors_of_another_dimension_are_breaking() -> None:
    found = drifts({"data": [{"embedding": [0.5, 1]}]}, {"data": [{"embedding": [0.5]}]})
    assert found == [Drift(Tier.BREAKING, "data[0].embedding", "2 numbers", "1 numbers")]


def test_fewer_vectors_are_breaking() -> None:
    one = {"embedding": [0.5]}
    assert tiers(drifts({"data": [one, one]}, {"data": [one]})) == {"data": Tier.BREAKING}


def test_a_listing_may_be_shorter() -> None:
    assert drifts({"data": [{"id": "a"}, {"id": "b"}]}, {"data": [{"id": "a"}]}) == []


def test_metadata_may_have_any_keys() -> None:
    assert drifts({"metadata": {"a": 1}}, {"metadata": {"b": "x"}}) == []


def test_an_output_item_of_another_kind_is_the_models_choice() -> None:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    found = drifts({"output": [{"type": "reasoning", "summary": []}, message]}, {"output": [message]})
    assert found == [Drift(Tier.NOTABLE, "output[*].type", "'reasoning'", "absent")]
    assert drifts({"output": [message]}, {"output": [{**message, "id": "m"}]}) == [
        Drift(Tier.ADDED, "output[0].id", "absent", "string")
    ]


def test_a_part_of_another_kind_is_breaking_unless_the_model_refused() -> None:
    assert worst(drifts({"content": [{"type": "output_text"}]}, {"content": [{"type": "words"}]})) is Tier.BREAKING
    assert worst(drifts({"content": [{"type": "output_text"}]}, {"content": [{"type": "refusal"}]})) is Tier.NOTABLE


def test_another_status_is_breaking_and_all_that_is_said() -> None:
    assert compare(reply(CHAT), reply({"error": {}}, status=429)) == [Drift(Tier.BREAKING, "status", "200", "429")]


def test_another_content_type_is_breaking_another_charset_is_not() -> None:
    assert tiers(compare(reply(CHAT), reply(CHAT, content_type="text/plain"))) == {"content-type": Tier.BREAKING}
    assert compare(reply(CHAT), reply(CHAT, content_type="application/json; charset=utf-8")) == []


def test_json_that_is_html_now_is_breaking() -> None:
    found = compare(reply(CHAT), reply(b"<html>Bad gateway</html>"))
    assert found == [Drift(Tier.BREAKING, "body", "JSON", "not JSON")]


def test_compression_is_no_drift() -> None:
    body = gzip.compress(json.dumps(CHAT).encode())
    headers = {"Content-Type": ["application/json"], "Content-Encoding": ["gzip"]}
    assert compare(Response(status=200, headers=headers, body=body), reply(CHAT)) == []


def test_audio_is_audio_unless_there_is_none() -> None:
    sound = reply(b"\xff\xf3\x01", content_type="audio/mpeg")
    assert compare(sound, reply(b"\xff\xf3\x02\x03", content_type="audio/mpeg")) == []
    assert worst(compare(sound, reply(b"", content_type="audio/mpeg"))) is Tier.BREAKING


def test_a_reply_that_broke_off_is_breaking() -> None:
    found = compare(reply(CHAT), reply(b'{"id": "chatcm', ended="aborted: peer closed"))
    assert found == [Drift(Tier.BREAKING, "end", "whole", "aborted: peer closed")]


def test_a_recording_that_broke_off_is_no_reason_to_break_off_again() -> None:
    assert worst(compare(reply(b'{"id": "chatcm', ended="reset: by peer"), reply(CHAT))) is Tier.NOTABLE


# Streams


def chunk(delta: object, finish: str | None = None, **more: object) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o", "choices": choices, **more}


USAGE = {"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 1}}
ROLE = chunk({"role": "assistant", "content": ""})
STREAM: list[Any] = [ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop"), USAGE, "[DONE]"]


def sse(events: list[Any], *, ended: str = "", newline: str = "\n") -> Response:
    blocks = [f"data: {event if isinstance(event, str) else json.dumps(event)}{newline * 2}" for event in events]
    return reply("".join(blocks).encode(), content_type="text/event-stream", ended=ended)


def streamed(events: list[Any], recorded: list[Any] = STREAM) -> dict[str, Tier]:
    return tiers(compare(sse(recorded), sse(events)))


def test_more_chunks_are_no_drift() -> None:
    assert streamed([ROLE, *[chunk({"content": letter}) for letter in "Good day"], *STREAM[3:]]) == {}


def test_line_ends_and_comments_are_no_drift() -> None:
    live = sse(STREAM, newline="\r\n")
    assert compare(sse(STREAM), reply(b": ping\r\n\r\n" + live.body, content_type="text/event-stream")) == []


def test_a_stream_is_known_without_its_content_type() -> None:
    bare = [replace(sse(events), headers={}) for events in (STREAM, STREAM[:-1])]
    assert tiers(compare(*bare)) == {"[DONE]": Tier.BREAKING}


def test_a_line_separator_inside_a_text_ends_no_line() -> None:
    events = [*STREAM[:1], json.dumps(chunk({"content": "a\u2028b\x85c"}), ensure_ascii=False), *STREAM[3:]]
    assert streamed(events) == {}


def test_padding_may_come_and_go() -> None:
    padded = [event if isinstance(event, str) else {**event, "obfuscation": "x"} for event in STREAM]
    assert streamed(padded) == {"obfuscation": Tier.ADDED}
    assert streamed(STREAM, padded) == {"obfuscation": Tier.NOTABLE}


@pytest.mark.parametrize(
    ("events", "where"),
    [
        (STREAM[:-1], "[DONE]"),
        (["[DONE]", *STREAM[:-1]], "[DONE]"),
        ([*STREAM[:3], *STREAM[4:]], "choices[0].finish_reason"),
        ([*STREAM[:4], STREAM[3], *STREAM[4:]], "choices[0].finish_reason"),
        ([*STREAM[:4], STREAM[1], *STREAM[4:]], "choices[0].delta"),
        ([STREAM[1], ROLE, *STREAM[2:]], "choices[0].delta.role"),
        ([ROLE, USAGE, *STREAM[1:4], "[DONE]"], "usage"),
        ([*STREAM[:4], "[DONE]"], "usage"),
        (["{", *STREAM], "data"),
        ([*STREAM[:2], {"error": {"message": "overloaded"}}, *STREAM[2:]], "error"),
        ([USAGE, "[DONE]"], "choices[0]"),
        ([chunk({"role": "assistant", "content": 3}), *STREAM[1:]], "choices[*].delta.content"),
    ],
)
def test_a_broken_stream_is_breaking_where_it_is_broken(events: list[Any], where: str) -> None:
    assert streamed(events)[where] is Tier.BREAKING


def test_what_the_recorded_stream_broke_too_is_no_drift() -> None:
    assert streamed(STREAM[:-1], STREAM[:-1]) == {}


def test_a_stream_with_the_frame_of_a_prompt_filter_drifts_by_that_alone() -> None:
    first = {"choices": [], "id": "", "object": "", "model": "", "prompt_filter_results": [{"prompt_index": 0}]}
    assert streamed([first, *STREAM]) == {"prompt_filter_results": Tier.ADDED}


def test_the_arguments_of_a_streamed_tool_call_are_read_as_one() -> None:
    def calling(*pieces: str) -> list[Any]:
        calls = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
        return [ROLE, *calls, chunk({}, "tool_calls"), "[DONE]"]

    assert streamed(calling("{", "}"), calling("{}")) == {}
    where = "choices[0].delta.tool_calls[*].function.arguments"
    assert streamed(calling("{", "]"), calling("{}")) == {where: Tier.BREAKING}
    assert compare(sse(calling("{", "}")), sse(calling("{", "}")[:2], ended="closed")) == []


def test_a_streamed_tool_call_instead_of_an_answer_does_not_break() -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    events = [chunk({"role": "assistant", "content": None, "tool_calls": [call]}), chunk({}, "tool_calls")]
    found = streamed([*events, USAGE, "[DONE]"])
    assert found["choices[*].finish_reason"] is Tier.NOTABLE
    assert Tier.BREAKING not in found.values()


def test_a_stream_that_was_left_is_compared_as_far_as_it_goes() -> None:
    assert compare(sse(STREAM), sse(STREAM[:2], ended="closed")) == []
    assert compare(sse(STREAM[:2], ended="closed"), sse(STREAM)) == [Drift(Tier.ADDED, "usage", "absent", "object")]


# The Responses API


def happening(name: str, **more: object) -> dict[str, Any]:
    return {"type": f"response.{name}", **more}


ITEM = {"type": "message", "id": "m"}
PART = {"type": "output_text", "text": ""}
EVENTS = [
    happening("created", response={"status": "in_progress"}),
    happening("output_item.added", item=ITEM),
    happening("content_part.added", part=PART),
    happening("output_text.delta", delta="Hi"),
    happening("output_text.done", text="Hi"),
    happening("content_part.done", part=PART),
    happening("output_item.done", item=ITEM),
    happening("completed", response={"status": "completed", "output": [ITEM]}),
]


def named(events: list[dict[str, Any]]) -> Response:
    numbered = ({**event, "sequence_number": number} for number, event in enumerate(events))
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in numbered)
    return reply(body.encode(), content_type="text/event-stream")


def happened(live: list[dict[str, Any]], recorded: list[dict[str, Any]] = EVENTS) -> dict[str, Tier]:
    return tiers(compare(named(recorded), named(live)))


def test_more_deltas_are_no_more_than_another_order() -> None:
    assert happened([*EVENTS[:4], EVENTS[3], *EVENTS[4:]]) == {}


def test_a_field_of_an_event_is_named_after_the_event() -> None:
    live = [happening("created", response={"status": None}), *EVENTS[1:]]
    assert happened(live) == {"response.created: response.status": Tier.BREAKING}


def test_a_new_kind_of_event_is_named_and_passes() -> None:
    assert happened([*EVENTS[:1], happening("heartbeat"), *EVENTS[1:]]) == {"response.heartbeat": Tier.ADDED}


def test_a_kind_of_event_that_is_gone_is_breaking() -> None:
    assert happened(EVENTS, [EVENTS[0], happening("heartbeat"), *EVENTS[1:]]) == {"response.heartbeat": Tier.BREAKING}


def test_events_that_the_client_did_not_wait_for_are_not_missed() -> None:
    left = replace(named(EVENTS[:4]), ended="closed")
    assert compare(named(EVENTS), left) == []
    assert {drift.tier for drift in compare(left, named(EVENTS))} == {Tier.ADDED}


def test_an_event_whose_name_and_type_differ_is_breaking() -> None:
    body = named(EVENTS).body.replace(b"event: response.completed", b"event: response.created")
    found = tiers(compare(named(EVENTS), reply(body, content_type="text/event-stream")))
    assert found["type"] is Tier.BREAKING


@pytest.mark.parametrize(
    ("events", "where"),
    [
        (EVENTS[:-1], "the end"),
        (EVENTS[1:], "the first event"),
        ([*EVENTS[:6], *EVENTS[7:]], "response.output_item.done"),
        ([*EVENTS[:2], EVENTS[5], EVENTS[2], *EVENTS[3:5], *EVENTS[6:]], "response.content_part.done"),
        ([*EVENTS[:4], *EVENTS[5:]], "response.output_text.done"),
        ([*EVENTS[:7], happening("failed", response={"status": "failed"})], "response.failed"),
        ([*EVENTS[:3], *EVENTS[5:]], "response.output_text.delta"),
    ],
)
def test_broken_events_are_breaking_where_they_are_broken(events: list[dict[str, Any]], where: str) -> None:
    assert happened(events)[where] is Tier.BREAKING


def test_events_of_a_tool_that_was_not_called_do_not_break() -> None:
    call = {"type": "function_call", "id": "f"}
    calling = [
        EVENTS[0],
        happening("output_item.added", item=call),
        happening("function_call_arguments.delta", delta="{}"),
        happening("function_call_arguments.done", arguments="{}"),
        happening("output_item.done", item=call),
        EVENTS[-1],
    ]
    assert max(happened(EVENTS, calling).values()) is Tier.NOTABLE
    assert max(happened(calling, EVENTS).values()) is Tier.NOTABLE


def test_an_order_that_was_never_seen_is_named() -> None:
    twice = [*EVENTS[:7], *EVENTS[1:]]
    assert happened(twice) == {"response.output_item.added": Tier.NOTABLE}


def test_the_lines_for_people_begin_with_the_worst() -> None:
    found = [Drift(Tier.ADDED, "b", "absent", "number"), Drift(Tier.BREAKING, "a", "string", "null")]
    assert describe(found) == [
        "breaking: a: string in the recording, null in the live reply",
        "added: b: absent in the recording, number in the live reply",
    ]
    assert (worst(found), worst([])) == (Tier.BREAKING, None)


# Laws


def values_with(names: list[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=4),
        max_leaves=12,
    )


json_values = values_with(["a", "b", "id", "text", "items", "object", "usage", "choices"])
wild_values = values_with([
    "arguments", "choices", "content", "data", "delta", "embedding", "error", "finish_reason", "function", "index",
    "item", "message", "metadata", "output", "part", "response", "sequence_number", "status", "tool_calls", "type",
    "usage",
])  # fmt: skip


@given(wild_values | st.binary())
def test_nothing_drifts_from_itself(body: Any) -> None:
    assert compare(reply(body), reply(body)) == []


@given(st.lists(wild_values, max_size=5))
def test_no_stream_drifts_from_itself(events: list[Any]) -> None:
    assert compare(sse(events), sse(events)) == []
    assert compare(sse(events, ended="closed"), sse(events, ended="closed")) == []


def fields(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the fields of objects that no other item of an array could have too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from fields(inner)
    elif isinstance(value, list) and len(value) == 1:
        yield from fields(value[0])


@given(json_values, st.randoms(use_true_random=False))
def test_a_field_that_is_gone_always_breaks_and_one_that_is_new_never_does(body: Any, random: Any) -> None:
    less = copy.deepcopy(body)
    found = list(fields(less))
    assume(found)
    owner, key = random.choice(found)
    del owner[key]
    assert worst(drifts(body, less)) is Tier.BREAKING
    assert {drift.tier for drift in drifts(less, body)} == {Tier.ADDED}


@given(st.lists(wild_values | st.text(), max_size=3), st.lists(wild_values | st.text(), max_size=3))
def test_any_two_replies_can_be_compared(recorded: list[Any], live: list[Any]) -> None:
    describe(compare(reply(recorded), reply(live)))
    describe(compare(sse(recorded), sse(live)))
    created = happening("created")
    describe(compare(sse([created, *recorded]), sse([created, *live])))


def test_nesting_without_end_is_no_crash() -> None:
    deep = reply(b"[" * 900 + b"]" * 900)
    assert compare(deep, deep) == []


# Recorded traffic of the real APIs


def recorded_replies() -> dict[str, list[Interaction]]:
    """Return the replies of the corpus that answer the same kind of request: path, model family, options."""
    found: dict[str, list[Interaction]] = {}
    for path in sorted(CORPUS.rglob("*.yaml")):
        try:
            interactions = load(path)
        except BrokenCassette:
            continue
        for interaction in interactions:
            if key := _kind_of(interaction):
                found.setdefault(key, []).append(interaction)
    return found


def _kind_of(interaction: Interaction) -> str:
    """Return the same text for requests with the same options; "" for other services and scrubbed replies."""
    request, response = interaction.request, interaction.response
    is_known = "api.openai.com" in request.uri or "openai.azure.com" in request.uri
    try:
        asked = json.loads(request.body)
    except ValueError:
        return ""
    if not is_known or not isinstance(asked, dict) or "content-type" not in {name.lower() for name in response.headers}:
        return ""
    family = re.sub(r"-\d{4}-\d\d-\d\d$", "", str(asked.get("model")))
    said = {"messages", "input", "model", "user", "prompt", "prompt_cache_key"}
    options = {key: value for key, value in asked.items() if key not in said}
    return json.dumps([request.uri, response.status, family, options], sort_keys=True)


def _created(interaction: Interaction) -> int:
    found = re.search(rb'"created(?:_at)?": ?(\d{6,})', decoded(interaction.response).body)
    return int(found[1]) if found else 0


@pytest.mark.skipif(not CORPUS.exists(), reason="the recorded public traffic is not here")
def test_two_honest_recordings_of_one_api_never_break() -> None:
    pairs = [
        (before, after)
        for interactions in recorded_replies().values()
        for before, after in permutations(interactions, 2)
        if _created(before) <= _created(after)
    ]
    broken = [drift for pair in pairs for drift in compare(pair[0].response, pair[1].response) if drift.tier == 3]
    assert len(pairs) > 300
    assert broken == []
