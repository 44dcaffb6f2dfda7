"""Every function of the clients, against the mock server and through the SDK. Rows 5.I5, 3.T3, H1 and H10."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import pytest

from llmkit import AsyncClient, Client, Completion, Embedding
from mockserver import MockServer
from mockserver.calls import digest_of
from tests.integration.clients import KEY, STREAMS, Caller

CHAT, OLDER, VECTORS = "gpt-4o-mini", "gpt-3.5-turbo-instruct", "text-embedding-3-small"
SDK = re.compile(r"(Async)?(Azure)?OpenAI/Python ")
KEPT_APART = {"with_options", "close", "aclose"}  # they make a client, or end it


@dataclass(frozen=True, kw_only=True)
class Use:
    """How a function is asked, and what a server sees of it."""

    asked: Any
    model: str
    operation: str
    sent: Callable[[Any], object]
    answers: Callable[[Any], list[Completion | Embedding]] = lambda answer: [answer]
    requests: int = 1


def last_said(body: Any) -> object:
    return body["messages"][-1]["content"]


def texts(body: Any) -> object:
    return body["input"]


USES = {
    "chat": Use(asked="Hi", model=CHAT, operation="chat/completions", sent=last_said),
    "stream": Use(asked="Hi", model=CHAT, operation="chat/completions", sent=last_said),
    "complete": Use(asked="Hi", model=OLDER, operation="completions", sent=lambda body: body["prompt"]),
    "respond": Use(asked="Hi", model=CHAT, operation="responses", sent=texts),
    "stream_response": Use(asked="Hi", model=CHAT, operation="responses", sent=texts),
    "embed": Use(asked=["Hi", "Ho"], model=VECTORS, operation="embeddings", sent=texts),
    "map": Use(asked=["Hi", "Hi"], model=CHAT, operation="chat/completions", sent=last_said, answers=list, requests=2),
    "embed_many": Use(asked=["Hi", "Ho"], model=VECTORS, operation="embeddings", sent=texts),
}


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_function_is_used_here(kind: type[object]) -> None:
    members = {name: value for each in kind.__mro__[:2] for name, value in vars(each).items()}
    there = {name for name, value in members.items() if isinstance(value, FunctionType) and name[0] != "_"}
    assert there - KEPT_APART == set(USES)


@pytest.mark.parametrize("function", USES)
def test_a_function_is_answered_through_the_sdk(function: str, caller: Caller, server: MockServer) -> None:
    use = USES[function]
    answers = use.answers(caller.ask(function, use.asked, model=use.model))
    asked = list(server.journal)
    assert len(answers) == len(asked) == use.requests
    for exchange in asked:
        assert exchange.path.endswith(f"/{use.operation}")
        assert SDK.match(exchange.headers["user-agent"])
        assert use.sent(exchange.request) == (use.asked[0] if use.requests > 1 else use.asked)
        assert exchange.stream is (function in STREAMS)
        assert exchange.complete
    attempts = [attempt for answer in answers for attempt in answer.attempts]
    assert {(attempt.status_code, attempt.request_id) for attempt in attempts} == {
        (200, exchange.request_id) for exchange in asked
    }
    billed = [exchange.spent.prompt for exchange in asked if exchange.spent]
    assert [answer.usage.prompt_tokens for answer in answers if answer.usage] == billed


def test_each_dialect_has_its_own_address(caller: Caller, server: MockServer, dialect: str) -> None:
    """Rows 1.I4 and 5.I4: address, version, deployment and key are what the SDK's client was given."""
    caller.ask("chat", "Hi", model=CHAT)
    [exchange] = server.journal
    path, query = {
        "openai": ("/v1/chat/completions", {}),
        "azure": ("/openai/v1/chat/completions", {}),
        "azure, dated": (f"/openai/deployments/{CHAT}/chat/completions", {"api-version": "2025-04-01-preview"}),
    }[dialect]
    assert (exchange.path, dict(exchange.query)) == (path, query)
    assert exchange.dialect == ("openai" if dialect == "openai" else "azure")
    assert exchange.key == digest_of(KEY)


@pytest.mark.parametrize("function", STREAMS)
def test_the_events_of_a_stream_add_up_to_its_reply(function: str, caller: Caller) -> None:
    """Row H6."""
    reply = caller.ask(function, "Tell me more", model=CHAT)
    assert len(caller.events) > 3
    assert "".join(event.text for event in caller.events) == reply.text
    assert reply.finish_reason == "stop"
    assert reply.complete
