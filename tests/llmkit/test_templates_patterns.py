"""The prompts that come along: what they return is valid, and holds what it was given as it was given.

Row 2.I5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import TemplateInvalid
from llmkit.requests import chat_request
from llmkit.templates import patterns

Messages = list[dict[str, Any]]
ALL: dict[str, Callable[[str], Messages]] = {
    "answer": lambda text: patterns.answer(text, ["one", text]),
    "classify": lambda text: patterns.classify(text, ["good", "bad"], shots=[("fine", "good")]),
    "extract": lambda text: patterns.extract(text, {"name": "of the person", "age": ""}),
    "few_shot": lambda text: patterns.few_shot("Shout.", [("a", "A"), ("b", "B")], text),
    "rewrite": lambda text: patterns.rewrite(text, "shorter"),
    "summarise": lambda text: patterns.summarise(text, words=20, audience="children", language="German", bullets=True),
    "translate": lambda text: patterns.translate(text, "French", source="English", glossary={"cat": "chat"}),
}


@pytest.mark.parametrize("name", ALL)
@given(text=st.text())
def test_the_text_stands_in_the_users_message_and_nowhere_else(name: str, text: str) -> None:
    mark = f"<mark>{text}"
    system, *_, user = ALL[name](mark)
    assert (system["role"], user["role"]) == ("system", "user")
    assert mark in user["content"]
    assert "<mark>" not in system["content"]


@pytest.mark.parametrize("name", ALL)
def test_what_they_return_can_be_sent(name: str) -> None:
    request = chat_request(ALL[name]("text"), model="gpt-4o", parameters={})
    assert [message["role"] for message in request.body["messages"]][-1] == "user"


def test_there_is_a_template_of_each_and_each_is_tested() -> None:
    assert set(ALL) == set(patterns.NAMES)
    for name in patterns.NAMES:
        assert patterns.template(name).description
    with pytest.raises(TemplateInvalid, match="There is no pattern 'summarize': they are answer, classify"):
        patterns.template("summarize")


def test_options_change_what_is_asked() -> None:
    assert "- good: it praises\n- bad\n" in patterns.classify("t", {"good": "it praises", "bad": ""})[0]["content"]
    assert "- age\n" in patterns.extract("t", ["age"])[0]["content"]
    assert "at most 20 words, as a list" in ALL["summarise"]("t")[0]["content"]
    assert "in the language of the text" in patterns.summarise("t")[0]["content"]
    assert "from English into French" in ALL["translate"]("t")[0]["content"]
    assert "- cat: chat" in ALL["translate"]("t")[0]["content"]
    assert "into French.\n" in patterns.translate("t", "French")[0]["content"]
    assert "[1] one\n\n[2] why\n\nQuestion: why" in ALL["answer"]("why")[1]["content"]


def test_examples_are_turns_of_the_conversation() -> None:
    assert ALL["few_shot"]("c")[1:] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "c"},
    ]


@pytest.mark.parametrize(
    "call",
    [
        lambda: patterns.few_shot("I", [], "t"),
        lambda: patterns.few_shot("I", ["ab"], "t"),
        lambda: patterns.few_shot("I", [("a",)], "t"),
        lambda: patterns.classify("t", ["one"]),
        lambda: patterns.classify("t", "ab"),
        lambda: patterns.classify("t", ["a", "a"]),
        lambda: patterns.extract("t", []),
        lambda: patterns.answer("q", []),
        lambda: patterns.answer("q", "passage"),
        lambda: patterns.summarise("t", words="many"),  # type: ignore[arg-type] # that is the test
        lambda: patterns.summarise(5),  # type: ignore[arg-type] # that is the test
    ],
)
def test_what_makes_no_prompt_is_refused(call: Callable[[], Messages]) -> None:
    with pytest.raises(TemplateInvalid):
        call()
