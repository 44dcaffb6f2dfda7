from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmkit.recording.interaction import Request
from llmkit.recording.matching.match import Rules
from llmkit.recording.matching.miss import Miss, describe

URI = "https://api.openai.com/v1/chat/completions"


def chat(content: str, *, uri: str = URI, **more: Any) -> Request:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **more}
    return Request(method="POST", uri=uri, body=json.dumps(body).encode())


def explained(asked: Request, *recorded: Request, played: int = 0, **facts: Any) -> str:
    was_played = [number < played for number in range(len(recorded))]
    miss = Miss(
        asked=asked, recorded=recorded, played=was_played, path=Path("c.yaml"), remedy="pytest --record t.py", **facts
    )
    return miss.explain()


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
    assert "already played 2 times" in text
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
    one, other = ({f"a{i}": value for i in range(20)} for value in (1, 2))
    text = explained(chat("x", metadata=one), chat("x", metadata=other))
    assert "… and 12 more" in text


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (chat("Bye"), "the prompt changed"),
        (chat("Hi", temperature=1), "field added: temperature"),
        (chat("Bye", n=2, model="gpt-5"), "the prompt changed; field added: n; value changed: model"),
        (Request(method="POST", uri=URI, body=b'{"model": "gpt-4o"}'), "the prompt changed"),
    ],
)
def test_the_reason_is_given_in_a_few_words(asked: Request, reason: str) -> None:
    assert f"  reason    {reason}\n" in explained(asked, chat("Hi"))


def test_a_recording_of_another_test_is_named() -> None:
    text = explained(chat("Hi"), chat("Bye"), elsewhere=["cassettes/test_b.yaml"])
    assert "recorded in another test: cassettes/test_b.yaml" in text


def test_a_nearest_recording_that_was_played_is_said_to_be() -> None:
    assert "interaction 1 of 1, already played, differs in" in explained(chat("Hi"), chat("Ho"), played=1)


def test_what_is_ignored_is_not_shown() -> None:
    rules = Rules(ignore=("user",))
    text = explained(chat("Hi", user="a"), chat("Ho", user="b"), rules=rules)
    assert "messages[0].content" in text
    assert "user" not in text.split("nearest")[1]
