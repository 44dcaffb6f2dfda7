"""What differs between two cassettes, and what doesn't count."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.library.comparison import Change, compare
from tests.llmkit.recording.samples import chat, request, streamed


def wheres(change: Change) -> list[str]:
    return [f"request {one.where}" for one in change.request] + [f"response {one.where}" for one in change.response]


@given(st.lists(st.builds(chat, st.text(max_size=5), st.text(max_size=5)), max_size=5), st.booleans())
def test_a_cassette_does_not_differ_from_itself(interactions: list[Interaction], is_exact: bool) -> None:
    assert compare(interactions, interactions, is_exact=is_exact) == []


@given(st.permutations([chat("a"), chat("b"), chat("c")]))
def test_the_order_of_different_requests_does_not_count(interactions: list[Interaction]) -> None:
    assert compare([chat("a"), chat("b"), chat("c")], interactions) == []


def test_the_order_of_replies_to_the_same_request_counts() -> None:
    changes = compare([chat("a", "1"), chat("a", "2")], [chat("a", "2"), chat("a", "1")])

    assert [change.kind for change in changes] == ["changed", "changed"]


def test_a_changed_answer_is_shown_by_its_path() -> None:
    (change,) = compare([chat("Hello", "Hi")], [chat("Hello", "Good day")])

    assert (change.kind, change.before, change.after) == ("changed", 1, 1)
    assert wheres(change) == ["response choices[0].message.content"]
    assert (change.response[0].recorded, change.response[0].asked) == ('"Hi"', '"Good day"')


def test_a_changed_prompt_is_paired_with_the_nearest_request() -> None:
    changes = compare(
        [chat("What is the capital of France?"), chat("Sing!")], [chat("Sing!"), chat("What is the capital of Spain?")]
    )

    assert [(change.before, change.after) for change in changes] == [(1, 2)]
    assert wheres(changes[0]) == ["request messages[0].content"]


def test_what_is_new_was_added_and_what_is_missing_is_gone() -> None:
    models = Interaction(
        request=Request(method="GET", uri="https://api.openai.com/v1/models"), response=Response(status=200)
    )

    (added,) = compare([chat()], [chat(), models])
    (gone,) = compare([chat(), models], [chat()])

    assert (added.kind, added.before, added.after) == ("added", 0, 2)
    assert (gone.kind, gone.before, gone.after) == ("gone", 2, 0)
    assert gone.about[0] == "GET https://api.openai.com/v1/models"


def test_times_ids_and_headers_of_no_consequence_count_only_when_exact() -> None:
    old = chat(identity="chatcmpl-1", recorded_at="2026-01-01T00:00:00+00:00")
    new = chat(identity="chatcmpl-2", recorded_at="2026-02-02T00:00:00+00:00")
    new = replace(new, response=replace(new.response, headers_ms=7))

    assert compare([old], [new]) == []
    (change,) = compare([old], [new], is_exact=True)
    assert wheres(change) == [
        "response headers_ms", "response recorded_at", "response headers x-request-id", "response id",
    ]  # fmt: skip


def test_another_spelling_of_the_same_body_counts_only_when_exact() -> None:
    old = chat()
    new = replace(
        old, response=replace(old.response, body=json.dumps(json.loads(old.response.body), indent=4).encode())
    )

    assert compare([old], [new]) == []
    assert wheres(compare([old], [new], is_exact=True)[0]) == ["response body"]


def test_a_retry_after_counts() -> None:
    old = chat("a", "busy", status=429)
    new = replace(old, response=replace(old.response, headers={**old.response.headers, "retry-after": ["3"]}))

    assert wheres(compare([old], [new])[0]) == ["response headers retry-after"]


def test_the_resource_that_was_recorded_through_does_not_count() -> None:
    def through(host: str) -> Interaction:
        return replace(
            chat(), request=replace(request({}), uri=f"https://{host}/openai/deployments/d/chat/completions")
        )

    assert compare([through("one.openai.azure.com")], [through("other.openai.azure.com")]) == []


def test_streams_are_compared_as_what_they_tell() -> None:
    old = streamed("Hello", "Good ", "day", identity="chatcmpl-1")

    assert compare([old], [streamed("Hello", "Good", " da", "y", identity="chatcmpl-2")]) == []
    (change,) = compare([old], [streamed("Hello", "Good ", "night")])
    assert wheres(change) == ["response replied[0].text"]
    assert (change.response[0].recorded, change.response[0].asked) == ('"Good day"', '"Good night"')


def test_a_stream_without_its_end_differs_in_structure() -> None:
    old = streamed("Hello", "Good day")
    new = replace(old, response=replace(old.response, body=old.response.body.replace(b"data: [DONE]\n\n", b"")))

    assert wheres(compare([old], [new])[0]) == ["response stream [DONE]"]


def test_a_stream_that_broke_off_differs_by_its_end() -> None:
    old = streamed("Hello", "Good day")
    new = replace(old, response=replace(old.response, ended="reset: connection reset by peer"))

    assert wheres(compare([old], [new])[0]) == ["response ended"]


def test_a_vector_is_told_in_one_line() -> None:
    def embedding(first: float) -> Interaction:
        body = json.dumps({"data": [{"embedding": [first, *[0.5] * 1535]}]}).encode()
        return Interaction(
            request=request({"input": "x"}, "/v1/embeddings"),
            response=Response(status=200, headers={"content-type": ["application/json"]}, body=body),
        )

    (change,) = compare([embedding(0.1)], [embedding(0.2)])

    assert wheres(change) == ["response data[0].embedding"]
    assert change.response[0].recorded.startswith('"1,536 numbers')
