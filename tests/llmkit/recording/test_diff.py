from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmkit.recording.diff import Difference, describe, differences, explain_miss, nearest
from llmkit.recording.interaction import Request

URI = "https://api.openai.com/v1/chat/completions"


def chat(content: str, *, uri: str = URI, **more: Any) -> Request:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **more}
    return Request(method="POST", uri=uri, body=json.dumps(body).encode())


def explained(asked: Request, *recorded: Request, played: int = 0, same: int = 0) -> str:
    return explain_miss(asked, recorded, path=Path("c.yaml"), played=played, same=same, remedy="pytest --record t.py")


def test_differences_are_named_by_their_json_path() -> None:
    found = differences(chat("one", temperature=1), chat("two", n=2))
    assert found == [
        Difference(where="$.messages[0].content", recorded='"one"', asked='"two"'),
        Difference(where="$.temperature", recorded="1", asked="(nothing)"),
        Difference(where="$.n", recorded="(nothing)", asked="2"),
    ]


def test_equal_numbers_are_no_difference() -> None:
    assert differences(chat("x", top_p=1), chat("x", top_p=1.0)) == []


def test_the_query_is_compared() -> None:
    [found] = differences(chat("x", uri=f"{URI}?api-version=1"), chat("x", uri=f"{URI}?api-version=2"))
    assert (found.where, found.recorded, found.asked) == ("?api-version", "1", "2")


@pytest.mark.parametrize("position", [0, 7, 29])
def test_the_nearest_is_the_one_that_differs_least_wherever_it_stands(position: int) -> None:
    recorded = [chat(f"an entirely different question, number {number * 7919}") for number in range(30)]
    recorded[position] = chat("What is the capital of Francf?")
    assert nearest(chat("What is the capital of France?"), recorded) == position


def test_a_request_to_another_path_is_never_the_nearest() -> None:
    assert nearest(chat("x"), [chat("x", uri="https://api.openai.com/v1/embeddings")]) is None


def test_a_request_is_described_by_model_and_last_message() -> None:
    assert describe(chat("Hi")) == [f"POST {URI}", "model 'gpt-4o', 1 message, the last: 'Hi'"]


def test_a_body_that_is_no_json_is_described_as_text() -> None:
    assert describe(Request(method="PUT", uri="https://a.test/", body=b"abc"))[1] == "body: abc"
    assert describe(Request(method="PUT", uri="https://a.test/", body=b"\xff"))[1] == "body: <1 bytes of binary data>"


def test_a_miss_says_what_was_asked_what_is_nearest_and_what_to_do() -> None:
    text = explained(chat("Hi there"), chat("Hello"), chat("Hi their"), played=1)
    assert "asked     POST https://api.openai.com/v1/chat/completions" in text
    assert "c.yaml (2 interactions, 1 played)" in text
    assert "interaction 2 of 2 differs in" in text
    assert 'recorded  "Hi their"' in text
    assert "record what is missing: pytest --record t.py" in text


def test_a_miss_without_a_cassette_says_so() -> None:
    assert "c.yaml (does not exist)" in explained(chat("x"))


def test_a_request_asked_once_too_often_is_told_from_a_changed_one() -> None:
    text = explained(chat("x"), chat("x"), chat("x"), played=2, same=2)
    assert "recorded 2 times, asked once more than that" in text
    assert "differs" not in text


def test_a_miss_with_nothing_near_names_what_there_is() -> None:
    text = explained(chat("x"), Request(method="GET", uri="https://a.test/models"))
    assert "none; it holds GET https://a.test/models" in text


def test_long_texts_are_shown_where_they_part() -> None:
    text = explained(chat("a" * 5000 + "left"), chat("a" * 5000 + "right"))
    assert 'aright"' in text
    assert 'aleft"' in text
    assert len(text) < 1500


def test_many_differences_are_counted_instead_of_listed() -> None:
    text = explained(chat("x", metadata={f"a{i}": 1 for i in range(20)}), chat("x"))
    assert "… and 12 more" in text
