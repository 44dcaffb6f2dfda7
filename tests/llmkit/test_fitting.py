"""Fitting a conversation into a window: what stays, what goes, and when that is refused. Row 2.I6."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit import ConfigError, ContextOverflow, count_tokens, fit_messages, trim_text

MODEL = "gpt-4o"
SYSTEM = {"role": "system", "content": "Be brief."}


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def exchange(call_id: str, words: int = 20) -> list[dict[str, Any]]:
    call = {"id": call_id, "type": "function", "function": {"name": "look", "arguments": '{"at":"here"}'}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "word " * words},
    ]


def test_a_conversation_that_fits_stays_as_it_is() -> None:
    messages = [SYSTEM, user("Hi")]
    fitted = fit_messages(messages, model=MODEL)
    assert (fitted.messages, fitted.dropped) == (messages, [])
    assert str(fitted) == "2 messages of 15 tokens"


def test_the_oldest_go_and_are_told() -> None:
    messages = [SYSTEM, *(user(f"{number} " + "word " * 50) for number in range(10))]
    fitted = fit_messages(messages, model=MODEL, window=200)
    assert fitted.messages == [SYSTEM, *messages[-len(fitted.messages) + 1 :]]
    assert [*fitted.messages[:1], *fitted.dropped, *fitted.messages[1:]] == messages
    assert f"dropped the {len(fitted.dropped)} oldest" in str(fitted)


def test_it_drops_no_more_than_it_has_to() -> None:
    messages = [user("word " * 50) for _ in range(10)]
    fitted = fit_messages(messages, model=MODEL, window=200)
    assert count_tokens([fitted.dropped[-1], *fitted.messages], model=MODEL) > 200


def test_room_for_the_answer_and_the_tools_is_kept_free() -> None:
    messages = [user("word " * 20) for _ in range(10)]
    tools = [{"type": "function", "function": {"name": "look", "description": "word " * 40}}]
    whole = fit_messages(messages, model=MODEL, window=300)
    assert len(fit_messages(messages, model=MODEL, window=300, answer=100).messages) < len(whole.messages)
    assert len(fit_messages(messages, model=MODEL, window=300, tools=tools).messages) < len(whole.messages)


def test_a_legacy_call_goes_with_its_result() -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}}
    result = {"role": "function", "name": "look", "content": "word " * 60}
    fitted = fit_messages([called, result, user("Hi")], model=MODEL, window=60)
    assert fitted.dropped == [called, result]


def test_what_cannot_be_made_to_fit_is_refused() -> None:
    with pytest.raises(ContextOverflow, match=r"more than the 50 of 'gpt-4o': shorten them"):
        fit_messages([SYSTEM, user("word " * 100)], model=MODEL, window=50)


def test_a_window_that_nobody_knows_has_to_be_said() -> None:
    with pytest.raises(ConfigError, match="say window="):
        fit_messages("Hi", model="my-own-model")
    assert fit_messages("Hi", model="my-own-model", window=100).dropped == []


TURNS = st.lists(st.integers(0, 5).flatmap(lambda kind: st.tuples(st.just(kind), st.integers(1, 60))), max_size=12)


@given(TURNS, st.integers(30, 600))
@settings(deadline=None, max_examples=80)
def test_what_is_left_fits_keeps_every_system_message_and_parts_no_call_from_its_result(
    turns: list[tuple[int, int]], window: int
) -> None:
    messages: list[dict[str, Any]] = []
    for number, (kind, words) in enumerate(turns):
        if kind == 0:
            messages.append({"role": "system", "content": f"rule {number}"})
        elif kind < 3:
            messages += exchange(f"c{number}", words)
        else:
            messages.append(user("word " * words))
    messages.append(user("And now?"))
    try:
        fitted = fit_messages(messages, model=MODEL, window=window)
    except ContextOverflow:
        return
    assert fitted.count + fitted.count.margin <= window
    assert fitted.count == count_tokens(fitted.messages, model=MODEL)
    assert [each for each in messages if each["role"] == "system"] == [
        each for each in fitted.messages if each["role"] == "system"
    ]
    assert fitted.messages[-1] == messages[-1]
    assert sorted(map(id_of, fitted.messages + fitted.dropped)) == sorted(map(id_of, messages))
    for part in (fitted.messages, fitted.dropped):
        calls = {call["id"] for message in part for call in message.get("tool_calls", ())}
        assert calls == {message["tool_call_id"] for message in part if message["role"] == "tool"}


def id_of(message: dict[str, Any]) -> str:
    return repr(message)


def test_a_trimmed_text_keeps_letters_whole() -> None:
    text = "🌞" * 30
    for tokens in range(1, 20):
        trimmed = trim_text(text, model="gpt-4", tokens=tokens)
        assert set(trimmed) <= {"🌞"}


def test_a_million_blanks_can_be_trimmed() -> None:
    assert len(trim_text(" " * 1_100_000, model=MODEL, tokens=10)) > 100
