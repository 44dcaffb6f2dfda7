"""Conversations: what counts as a message, and what is said about anything else."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage

from llmkit import InvalidRequest
from llmkit.messages import conversation

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
REPLY = ChatCompletionMessage.model_validate({"role": "assistant", "content": None, "tool_calls": [CALL]})


def test_a_message_of_the_sdk_is_a_message() -> None:
    assert conversation([REPLY]) == [{"role": "assistant", "content": None, "tool_calls": [CALL]}]


def test_parts_of_a_message_of_the_sdk_are_parts() -> None:
    messages = [{"role": "assistant", "tool_calls": REPLY.tool_calls}]
    assert conversation(messages) == [{"role": "assistant", "tool_calls": [CALL]}]


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        (None, "messages is None"),
        (5, "messages is 5"),
        (b"Hi", "messages is b'Hi'"),
        ({"role": "user"}, "put it into a list"),
        (REPLY, "put it into a list"),
        ([{"role": "user"}, "a"], r"messages\[1\] is 'a'"),
        ([{"role": "user"}, None], r"messages\[1\] is None"),
        ([{"role": None}], r"messages\[0\] has the role None"),
        ([{"content": "Hi"}], r"messages\[0\] has the role None"),
        ([{"role": 5}], r"messages\[0\] has the role 5"),
    ],
)
def test_what_is_no_message_is_told_with_its_place(messages: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        conversation(messages)


def test_an_object_that_does_not_dump_as_pydantics_do_is_refused() -> None:
    class Odd:
        def model_dump(self) -> dict[str, str]:
            return {"role": "user"}

    with pytest.raises(InvalidRequest, match=r"messages\[0\] cannot be read: .*mode"):
        conversation([Odd()])  # type: ignore[list-item] # that is the test
