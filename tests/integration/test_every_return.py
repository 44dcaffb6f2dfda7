"""Everything that a call can come back with, from the mock server to the caller: each kind of answer and of error.

Rows 3.T1, 3.T2, 5.T2, 5.T3 and H10.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

import pytest

from llmkit import Completion, Embedding, LLMError, ToolCall, errors
from mockserver import MockServer, fault, reply
from mockserver.scripting.steps import Step
from tests.integration.clients import STREAMS, Caller

CHAT, OLDER, VECTORS, REASONING = "gpt-4o-mini", "gpt-3.5-turbo-instruct", "text-embedding-3-small", "o4-mini"
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "rain": {"type": "boolean"}},
    "required": ["city", "rain"],
    "additionalProperties": False,
}
AS_JSON = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": SCHEMA}}
CALLS = [{"name": "look_up", "arguments": {"city": "Łódź"}}, {"name": "look_up", "arguments": {}}]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of answer: which functions return it, what the server says, what the answer has."""

    functions: tuple[str, ...]
    says: Step | None = None
    asked: Any = "Hi"
    options: Mapping[str, Any] = field(default_factory=dict)
    has: Mapping[str, Any] = field(default_factory=dict)


def refused(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, "refusal": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": CHAT, "choices": [choice]}


CHATS = ("chat", "stream")
KINDS = {
    "text": Kind(
        functions=(*CHATS, "respond", "stream_response"),
        says=reply("Hello, 世界 👩‍🔬"),
        has={"text": "Hello, 世界 👩‍🔬", "finish_reason": "stop", "complete": True, "tool_calls": ()},
    ),
    "nothing but white space": Kind(functions=CHATS, says=reply(" \n"), has={"text": " \n", "complete": True}),
    "JSON for a schema": Kind(functions=CHATS, options={"response_format": AS_JSON}, has={"finish_reason": "stop"}),
    "a tool call": Kind(
        functions=CHATS,
        says=reply(tool_calls=CALLS[:1]),
        options={"tools": [TOOL]},
        has={"text": "", "finish_reason": "tool_calls", "complete": True},
    ),
    "several tool calls": Kind(functions=CHATS, says=reply(tool_calls=CALLS), options={"tools": [TOOL]}),
    "a tool call of the Responses API": Kind(
        functions=("respond", "stream_response"),
        says=reply(tool_calls=CALLS[:1]),
        options={"tools": [{"type": "function", "name": "look_up", "parameters": TOOL["function"]["parameters"]}]},  # type: ignore[index]
    ),
    "cut by its length": Kind(
        functions=CHATS,
        says=reply("Once upon", finish_reason="length"),
        has={"text": "Once upon", "finish_reason": "length", "complete": False},
    ),
    "cut by a content filter": Kind(
        functions=CHATS,
        says=reply("Once", finish_reason="content_filter"),
        has={"text": "Once", "finish_reason": "content_filter", "complete": False},
    ),
    "a refusal": Kind(functions=("chat",), says=reply(json=refused("No.")), has={"text": "", "refusal": "No."}),
    "several choices": Kind(functions=("chat",), options={"n": 3}),
    "reasoning": Kind(functions=CHATS, options={"model": REASONING}, has={"finish_reason": "stop"}),
    "a completion of the older kind": Kind(
        functions=("complete",),
        says=reply(" and they lived"),
        options={"model": OLDER},
        has={"text": " and they lived", "finish_reason": "stop"},
    ),
    "vectors": Kind(
        functions=("embed",),
        says=reply(embedding=[0.5, -0.25]),
        asked=["a", "b"],
        options={"model": VECTORS},
        has={"vectors": ([0.5, -0.25], [0.5, -0.25])},
    ),
}
CASES = [(name, function) for name, kind in KINDS.items() for function in kind.functions]


@pytest.mark.parametrize(("name", "function"), CASES, ids=[f"{name}, {function}" for name, function in CASES])
def test_an_answer_comes_as_it_was_sent(name: str, function: str, caller: Caller, server: MockServer) -> None:
    kind = KINDS[name]
    if kind.says is not None:
        server.script(kind.says)
    answer = caller.ask(function, kind.asked, **{"model": CHAT, **kind.options})
    assert {key: getattr(answer, key) for key in kind.has} == kind.has
    assert isinstance(answer, Embedding if function == "embed" else Completion)
    assert not server.script_left
    of_kind(name, answer)


def of_kind(name: str, answer: Any) -> None:
    """What a table cannot say of an answer."""
    match name:
        case "JSON for a schema":
            told = json.loads(answer.text)
            assert (type(told["city"]), type(told["rain"]), len(told)) == (str, bool, 2)
        case "a tool call" | "several tool calls" | "a tool call of the Responses API":
            expected = CALLS if name == "several tool calls" else CALLS[:1]
            told = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in answer.tool_calls]
            assert told == expected
            assert all(isinstance(call, ToolCall) and call.id for call in answer.tool_calls)
            assert len({call.id for call in answer.tool_calls}) == len(expected)
        case "several choices":
            assert len(answer.choices) == 3
            assert all(choice.text and choice.complete for choice in answer.choices)
        case "reasoning":
            assert answer.usage.reasoning_tokens > 0


def test_every_way_to_finish_is_among_the_kinds() -> None:
    """Row 5.T2: what the server can be told to finish with; function calls are of before 2024, and tested as such."""
    ways = set(get_args(get_args(get_type_hints(reply)["finish_reason"])[0]))
    told = {kind.has.get("finish_reason") for kind in KINDS.values()}
    assert ways - told == {"function_call"}


def test_every_function_that_returns_one_answer_is_among_the_kinds() -> None:
    """Row 5.T3."""
    assert {function for _, function in CASES} == {"chat", "complete", "embed", "respond", *STREAMS}


def cases_of_errors() -> Iterator[tuple[type[LLMError], str, Step, dict[str, Any]]]:
    """Each class of error with what the server does for it, and with which function it comes."""
    yield errors.InvalidRequest, "chat", fault.http_error(status=400), {}
    yield errors.AuthenticationFailed, "chat", fault.http_error(status=401), {}
    yield errors.PermissionDenied, "chat", fault.http_error(status=403), {}
    yield errors.RateLimited, "chat", fault.rate_limited(), {}
    yield errors.ServerError, "chat", fault.server_error(status=500), {}
    yield errors.Overloaded, "chat", fault.server_error(status=503), {}
    yield errors.ConnectionFailed, "chat", fault.reset(), {}
    yield errors.MalformedResponse, "chat", fault.malformed_json(), {}
    yield errors.StreamTruncated, "stream", fault.cut(at="finish", how="eof"), {}
    yield errors.DeadlineExceeded, "chat", fault.hang(), {"deadline_s": 0.5}
    yield errors.FirstTokenTimeout, "stream", fault.stall(at={"frame": 0}), {"first_token_s": 0.5}
    yield errors.IdleTimeout, "stream", fault.stall(at={"frame": 4}), {"idle_s": 0.5}


ERRORS = list(cases_of_errors())


@pytest.mark.parametrize(
    ("kind", "function", "step", "options"), ERRORS, ids=[f"{each[0].__name__}" for each in ERRORS]
)
def test_an_error_is_of_its_class(
    kind: type[LLMError], function: str, step: Step, options: dict[str, Any], caller: Caller, server: MockServer
) -> None:
    server.script(step)
    with pytest.raises(LLMError) as raised:
        caller.ask(function, "Hi", model=CHAT, **options)
    assert type(raised.value) is kind
    assert len(raised.value.attempts) == len(server.journal) == 1


def test_every_class_of_error_is_returned_here_or_elsewhere() -> None:
    """Row 5.T2."""
    there = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, LLMError)}
    elsewhere = {
        *(errors.LLMError, errors.TimedOut),  # never raised themselves
        *(errors.NotFound, errors.ContextOverflow),  # of other endpoints; refused before it is sent
        *(errors.ContentFiltered, errors.ModelNotFound, errors.DeploymentNotFound, errors.QuotaExceeded),  # below
        *(errors.CircuitOpen, errors.BulkFailed),  # of many calls
        *(errors.ConfigError, errors.ParseFailed, errors.TemplateInvalid),  # of what is here
    }
    assert there == {each[0] for each in ERRORS} | elsewhere


@pytest.mark.parametrize(
    ("dialect", "kind", "step"),
    [
        ("openai", errors.ModelNotFound, fault.http_error(status=404)),
        ("azure, dated", errors.DeploymentNotFound, fault.http_error(status=404)),
        ("openai", errors.QuotaExceeded, fault.insufficient_quota()),
        ("azure", errors.RateLimited, fault.insufficient_quota()),  # Azure has no other word for it, but a long wait
        ("azure", errors.ContentFiltered, fault.content_filtered(category="hate", severity="high")),
    ],
)
def test_an_error_that_the_dialects_tell_in_their_own_ways(
    dialect: str, kind: type[LLMError], step: Step, server: MockServer
) -> None:
    server.script(step)
    with (
        closing(Caller(server, dialect=dialect, is_async=False, breaker=False)) as caller,
        pytest.raises(LLMError) as raised,
    ):
        caller.ask("chat", "Hi", model=CHAT)
    assert type(raised.value) is kind
    assert len(server.journal) == 1  # none of them is worth another request
    if isinstance(raised.value, errors.ContentFiltered):
        assert raised.value.filters == {"hate": "high"}
