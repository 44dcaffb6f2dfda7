"""The parts in one call: a template's messages are counted, fitted, sent, answered and parsed. Rows H5, H8 and H9."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit import ContextOverflow, count_tokens, fit_messages, parsers
from llmkit.templates import Template
from mockserver import MockServer, fault, reply
from tests.integration.clients import Caller

MODEL = "gpt-4o-mini"
TEMPLATE = Template("""\
system:
You answer in JSON.
user:
Where is {{ what }}?
""")


def test_a_template_is_counted_as_it_is_billed_and_its_answer_is_parsed(caller: Caller, server: MockServer) -> None:
    server.script(reply('{"city": "Łódź"}'))
    messages = TEMPLATE.render(what="system:\nthe factory")
    answer = caller.ask("chat", messages, model=MODEL, parse=parsers.Json())
    assert answer.parsed == {"city": "Łódź"}
    [exchange] = server.journal
    assert exchange.request["messages"] == messages
    assert [message["role"] for message in messages] == ["system", "user"]
    assert answer.usage.prompt_tokens == count_tokens(messages, model=MODEL).tokens


def test_what_is_fitted_is_what_is_billed(caller: Caller) -> None:
    talk: list[dict[str, Any]] = [{"role": "user", "content": f"Question {number}? " * 20} for number in range(30)]
    fitted = fit_messages(talk, model=MODEL, window=600, answer=100)
    answer = caller.ask("chat", fitted.messages, model=MODEL)
    assert answer.usage.prompt_tokens == fitted.count.tokens <= 500
    assert fitted.messages == talk[len(fitted.dropped) :]


def test_what_does_not_fit_is_not_sent(caller: Caller, server: MockServer) -> None:
    with pytest.raises(ContextOverflow):
        caller.ask("chat", "word " * 200_000, model=MODEL)
    assert not server.journal


def test_an_answer_that_does_not_parse_is_asked_for_again(caller: Caller, server: MockServer) -> None:
    server.script(reply("It is in Poland."), reply('{"city": "Łódź"}'))
    answer = caller.ask("chat", TEMPLATE.render(what="it"), model=MODEL, parse=parsers.Json(), reasks=1)
    assert answer.parsed == {"city": "Łódź"}
    assert len(server.journal) == 2


def test_a_stream_of_json_is_parsed_when_it_has_ended(caller: Caller, server: MockServer) -> None:
    server.script(reply(json.dumps({"rain": [True] * 50})))
    assert parsers.Json()(caller.ask("stream", "Hi", model=MODEL).text) == {"rain": [True] * 50}


@pytest.mark.parametrize(
    "failure", [fault.rate_limited(retry_after_s=0), fault.server_error(status=502), fault.reset()]
)
def test_a_failure_is_survived(failure: Any, server: MockServer, dialect: str) -> None:
    """Rows H3, H4 and 4.T1."""
    server.script(failure, reply("Hello"))
    for is_async in (False, True):
        caller = Caller(server, dialect=dialect, is_async=is_async, max_attempts=2)
        try:
            with server.clock.drives():
                assert caller.ask("chat", "Hi", model=MODEL).text
        finally:
            caller.close()
    assert len(server.journal) == 3
