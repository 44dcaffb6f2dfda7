"""Attempts and waits, as measured on TinyTroupe itself; see also the tests of the cache."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from llmkit import tinytroupe
from llmkit.tinytroupe import InvalidRequestError, NonTerminalError, OpenAIClient
from mockserver import MockServer, fault, reply
from tests.llmkit.tinytroupe.conftest import KEY, MESSAGES, Configure, asked


class Scripted(OpenAIClient):
    """A client of another API, as applications write them: it overrides both raw methods."""

    def __init__(self, *outcomes: Any, **cache: Any) -> None:
        super().__init__(**cache)
        self.outcomes = list(outcomes)
        self.calls = 0

    def _setup_from_config(self) -> None:
        """There is nothing to set up."""

    def _raw_model_call(self, model: str, chat_api_params: dict[str, Any]) -> Any:
        chat_api_params["model"] = model  # as TinyTroupe's own clients do
        self.calls += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _raw_model_response_extractor(self, response: Any) -> Any:
        return {"content": response}


@pytest.mark.parametrize(
    ("failure", "calls", "slept"),
    [
        (fault.rate_limited(), 3, [0.5, 0.5, 2.5, 2.5, 12.5, 12.5]),
        (fault.rate_limited(retry_after_s=86_400), 3, [0.5, 0.5, 2.5, 2.5, 12.5, 12.5]),
        (fault.insufficient_quota(), 3, [0.5, 0.5, 2.5, 2.5, 12.5, 12.5]),
        (fault.server_error(), 3, [0.5, 0.5, 0.5]),
        (fault.server_error(status=503), 3, [0.5, 0.5, 0.5]),
        (fault.http_error(status=401), 3, [0.5, 0.5, 0.5]),
        (fault.reset(), 3, [0.5, 0.5, 0.5]),
        (fault.html(), 3, [0.5, 0.5, 0.5]),
        (fault.malformed_json(), 3, [0.5, 0.5, 0.5]),
        (fault.missing_field(field="choices"), 3, [0.5, 0.5, 0.5]),
        (fault.http_error(status=400), 1, [0.5]),
    ],
)
def test_a_failure_that_stays_ends_in_none(
    failure: Any, calls: int, slept: list[float], configured: object, server: MockServer, waits: list[float]
) -> None:
    """Rows T9, T10 and T12. The last wait is slept too, and the SDK retries nothing by itself."""
    server.script(failure.times(10))
    assert OpenAIClient().send_message(MESSAGES) is None
    assert (len(server.journal), waits) == (calls, slept)


def test_a_timeout_is_tried_again_without_a_longer_wait(
    configured: object, server: MockServer, waits: list[float]
) -> None:
    """Row T9."""
    server.script(fault.hang().times(10))
    assert OpenAIClient().send_message(MESSAGES, timeout=0.05) is None
    assert (len(server.journal), waits) == (3, [0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("error", "calls", "slept"),
    [
        (NonTerminalError("not yet"), 3, [0.5, 0.5, 2.5, 2.5, 12.5, 12.5]),
        (RuntimeError("what"), 3, [0.5, 0.5, 0.5]),
        (InvalidRequestError("no"), 1, [0.5]),
    ],
)
def test_what_a_client_of_ones_own_raises_steers_the_attempts(
    error: Exception, calls: int, slept: list[float], configured: object, waits: list[float]
) -> None:
    """Rows T13 and T18."""
    client = Scripted(error)
    assert client.send_message(MESSAGES) is None
    assert (client.calls, waits) == (calls, slept)


def test_a_client_of_ones_own_is_asked_for_the_call_and_the_answer(configured: object, waits: list[float]) -> None:
    """Rows T13 and T19."""
    tinytroupe.register_client("custom", Scripted("Hello"))
    tinytroupe.force_api_type("custom")
    assert tinytroupe.client().send_message(MESSAGES) == {"content": "Hello"}


def test_after_a_rate_limit_the_next_attempt_may_succeed(
    configured: object, server: MockServer, waits: list[float]
) -> None:
    """Row T10."""
    server.script(fault.rate_limited(), reply("Hello"))
    answer = OpenAIClient().send_message(MESSAGES)
    assert answer is not None
    assert answer["content"] == "Hello"
    assert waits == [0.5, 0.5, 2.5]


@pytest.mark.parametrize(
    ("attempts", "calls", "said"),
    [
        (2.5, 3, "Failed to get response after 2.5 attempts."),
        (2, 2, "Failed to get response after 2 attempts."),
        (0, 0, "Failed to get response after 0 attempts."),
    ],
)
def test_attempts_are_bounded(
    attempts: float, calls: int, said: str, configured: object, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Row T12."""
    client = Scripted(RuntimeError("what"))
    assert client.send_message(MESSAGES, max_attempts=attempts) is None
    assert client.calls == calls
    assert caplog.messages[-1] == said


def test_no_wait_stays_no_wait(configured: object, waits: list[float]) -> None:
    """Row T10."""
    assert Scripted(NonTerminalError("not yet")).send_message(MESSAGES, waiting_time=0) is None
    assert set(waits) == {0}


def test_without_a_number_of_attempts_in_the_file_there_are_none(configure: Configure, waits: list[float]) -> None:
    """Rows T4 and T12: TinyTroupe's fallback is 0.0."""
    configure(MAX_ATTEMPTS=None)
    client = Scripted("Hello")
    assert client.send_message(MESSAGES) is None
    assert (client.calls, waits) == (0, [])


def test_a_model_that_cannot_be_counted_is_asked_all_the_same(
    configured: object, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Row T14."""
    caplog.set_level(logging.DEBUG)
    assert Scripted("Hello").send_message(MESSAGES, model="text-davinci-003") == {"content": "Hello"}
    assert "Token count not implemented for model text-davinci-003." in caplog.messages


@pytest.mark.parametrize("dialect", ["openai", "azure"])
def test_the_log_says_what_was_wrong_with_a_request(
    dialect: str, configured: object, server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Row T11: since SDK 3 the text of an error alone has no code."""
    server.script(fault.refused(status=400, code="context_length_exceeded", message="Too long."))
    tinytroupe.force_api_type(dialect)
    assert tinytroupe.client().send_message(MESSAGES) is None
    line = next(said for said in caplog.messages if said.startswith("[1] Invalid request error, won't retry: "))
    for fact in ("Too long.", "status_code 400", "code 'context_length_exceeded'"):
        assert fact in line


@pytest.mark.parametrize(
    ("variable", "dialect"),
    [("OPENAI_API_KEY", "openai"), ("AZURE_OPENAI_KEY", "azure"), ("AZURE_OPENAI_API_KEY", "azure")],
)
def test_a_key_that_the_server_echoes_stays_out_of_the_log(
    variable: str,
    dialect: str,
    configured: object,
    server: MockServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Row T11."""
    caplog.set_level(logging.DEBUG)
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, KEY)
    server.script(fault.refused(status=401, message=f"Incorrect API key provided: {KEY}."), reply(f"It is {KEY}."))
    tinytroupe.force_api_type(dialect)
    assert tinytroupe.client().send_message(MESSAGES) is not None
    assert "Incorrect API key provided: ***." in caplog.text
    assert KEY not in caplog.text


def test_a_logger_that_is_disabled_says_nothing(
    configured: object, server: MockServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Row T2."""
    assert tinytroupe.logger is logging.getLogger("tinytroupe")
    monkeypatch.setattr(tinytroupe.logger, "disabled", True)
    server.script(fault.server_error(), fault.rate_limited(), fault.http_error(status=400))
    tinytroupe.utils.read_config_file(use_cache=False)
    assert OpenAIClient().send_message(MESSAGES) is None
    assert capfd.readouterr() == ("", "")


def test_the_sdk_is_made_once_and_anew_for_another_key(
    configured: object, server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TinyTroupe makes one for each message, which takes longer than a request to a server nearby."""
    client = OpenAIClient()
    client.send_message(MESSAGES)
    first = client.client
    client.send_message(MESSAGES, temperature=0.4)
    assert client.client is first
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-key")
    client.send_message(MESSAGES, temperature=0.5)
    assert client.client is not first
    assert client.client.api_key == "sk-another-key"


def test_another_address_is_used_from_the_next_message_on(
    configured: object, server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row T9: as TinyTroupe does, which makes a client of the SDK each time."""
    client = OpenAIClient()
    client.send_message(MESSAGES)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/openai/v1")
    client.send_message(MESSAGES, temperature=0.4)
    assert [exchange.path for exchange in server.journal] == ["/v1/chat/completions", "/openai/v1/chat/completions"]


def test_what_is_replaced_on_the_module_is_used_from_then_on(
    configured: object, server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row T1."""
    client = OpenAIClient()
    client.send_message(MESSAGES)

    class Refusing(openai.OpenAI):
        def __init__(self, **given: Any) -> None:
            raise LookupError(str(sorted(given)))

    monkeypatch.setattr(tinytroupe, "OpenAI", Refusing)
    with pytest.raises(LookupError, match=r"\['api_key'\]"):
        client.send_message(MESSAGES)


def test_the_modules_that_the_original_imports_are_there() -> None:
    """Row T1."""
    names = ["os", "openai", "OpenAI", "AzureOpenAI", "time", "json", "pickle", "logging", "configparser", "tiktoken"]
    assert [name for name in [*names, "utils"] if not hasattr(tinytroupe, name)] == []


def test_a_stop_given_by_nobody_is_a_list_of_its_own(configured: object, waits: list[float]) -> None:
    """TinyTroupe shares one list among all calls."""

    class Adding(Scripted):
        def _raw_model_call(self, model: str, chat_api_params: dict[str, Any]) -> Any:
            assert chat_api_params["stop"] == []
            chat_api_params["stop"].append("END")
            return super()._raw_model_call(model, chat_api_params)

    client = Adding("Hello")
    assert client.send_message(MESSAGES) == client.send_message(MESSAGES, temperature=1.0) == {"content": "Hello"}


def test_none_is_passed_on(configured: object, server: MockServer) -> None:
    """Row T9: an argument that was given is sent as it is."""
    OpenAIClient().send_message(MESSAGES, stop=None, temperature=1.0)
    [body] = asked(server)
    assert (body["stop"], body["temperature"]) == (None, 1.0)


def test_what_utf8_cannot_hold_is_left_out_of_an_answer(configured: object, waits: list[float]) -> None:
    """Row T9: half of a surrogate pair."""
    assert Scripted("caf\u00e9 \ud83d!").send_message(MESSAGES) == {"content": "caf\u00e9 !"}


def test_the_wait_is_a_real_one(configured: object, server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row T9: what sleeps is time.sleep of the module."""
    monkeypatch.undo()
    assert tinytroupe.time.sleep is time.sleep


def test_the_first_call_of_a_process_needs_no_file_and_no_server(tmp_path: Path, configured: object) -> None:
    """A client is made without a key: only a request needs one."""
    assert OpenAIClient(cache_api_calls=False).client is None
