"""The 38 tests that TinyTroupe's module is known by, in our words and, where the originals are broken, corrected.

Each test names its number. Where the originals stand in for the SDK, these talk with the mock server; the six that no
correct module can pass (2, 3, 10, 11, 33, 36) say what their authors meant.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmkit import tinytroupe
from llmkit.tinytroupe import AzureClient, LLMCall, NonTerminalError, OpenAIClient
from mockserver import MockServer, fault, reply
from tests.llmkit.tinytroupe.conftest import MESSAGES, Configure, asked

PARAMS = {
    "messages": MESSAGES,
    "temperature": 0.3,
    "max_tokens": 1024,
    "top_p": 0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "stop": [],
    "timeout": 30.0,
    "stream": False,
    "n": 1,
}
CLIENTS = [OpenAIClient, AzureClient]


class Stub:
    """A client that answers what it is told to, and counts."""

    def __init__(self, output: Any) -> None:
        self.output = output
        self.calls: list[Any] = []

    def send_message(self, *arguments: Any, **named: Any) -> Any:
        self.calls.append((arguments, named))
        return self.output


@pytest.fixture
def template(tmp_path: Path) -> str:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "test_system_template").write_text("You are {{name}}.")
    return "test_system_template"


class Tiktoken:
    """A tokenizer for which every text is three tokens, and which knows every model; it counts what it is asked for."""

    def __init__(self) -> None:
        self.asked_for: list[str] = []

    def encoding_for_model(self, model: str) -> SimpleNamespace:
        self.asked_for.append(model)
        return SimpleNamespace(encode=lambda _text, **_options: [1, 2, 3])

    get_encoding = encoding_for_model


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Tiktoken:
    fake = Tiktoken()
    monkeypatch.setattr(tinytroupe, "tiktoken", fake)
    return fake


def test_1_a_call_keeps_what_it_was_made_with() -> None:
    """Row T5."""
    call = LLMCall(system_template_name="test_system_template")
    assert call.system_template_name == "test_system_template"
    assert call.user_template_name is None
    assert call.model_params == {}


def test_2_a_call_returns_the_content(template: str) -> None:
    """Row T6."""
    stub = Stub({"content": "test response"})
    tinytroupe.register_client("openai", stub)
    call = LLMCall(template, temperature=0.5)
    assert call.call(name="Ada") == "test response"
    assert call.model_config == {"temperature": 0.5}
    assert stub.calls == [(([{"role": "system", "content": "You are Ada."}],), {"temperature": 0.5})]


@pytest.mark.parametrize("output", [{"error": "no content"}, None])
def test_3_a_call_without_content_is_none_and_a_line_in_the_log(
    output: Any, template: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Row T6. TinyTroupe itself raises TypeError for an output of None."""
    stub = Stub(output)
    tinytroupe.register_client("openai", stub)
    assert LLMCall(template).call(name="Ada") is None
    assert len(stub.calls) == 1
    assert f"Model output does not contain 'content' key: {output}" in caplog.messages


def test_4_a_call_shows_what_was_said() -> None:
    """Row T7."""
    call = LLMCall(system_template_name="test_system", user_template_name="test_user", model_params={"model": "gpt-4"})
    assert repr(call) == "LLMCall(messages=[], model_config={}, model_output=None)"
    call.messages = [{"role": "system", "content": "test system"}]
    call.model_output = {"content": "test response"}
    assert repr(call) == (
        "LLMCall(messages=[{'role': 'system', 'content': 'test system'}], model_config={}, "
        "model_output={'content': 'test response'})"
    )


@pytest.mark.parametrize("kind", CLIENTS)
def test_5_26_a_client_caches_as_configured(kind: type[OpenAIClient], configured: object) -> None:
    """Row T8."""
    client = kind()
    assert client.cache_api_calls is True
    assert client.cache_file_name == "test_cache.pickle"
    assert client.api_cache == {}


def test_6_the_cache_can_be_turned_off_and_on(configured: object) -> None:
    """Row T8."""
    client = OpenAIClient()
    client.set_api_cache(False, "new_cache.pickle")
    assert (client.cache_api_calls, client.cache_file_name) == (False, "new_cache.pickle")
    assert not hasattr(client, "api_cache")
    client.set_api_cache(True)
    assert (client.cache_api_calls, client.cache_file_name) == (True, "test_cache.pickle")
    assert client.api_cache == {}


@pytest.mark.parametrize(("kind", "sdk"), [(OpenAIClient, "OpenAI"), (AzureClient, "AzureOpenAI")])
def test_7_27_the_sdk_is_set_up_once_and_not_by_the_constructor(
    kind: type[OpenAIClient], sdk: str, configured: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row T17: what AzureOpenAI is given."""
    made: list[Any] = []

    def make(**given: Any) -> SimpleNamespace:
        made.append(given)
        return SimpleNamespace()

    monkeypatch.setattr(tinytroupe, sdk, make)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://test.azure.com")
    monkeypatch.setenv("AZURE_OPENAI_KEY", "test_key")
    client = kind()
    assert made == []
    client._setup_from_config()
    azure = {"azure_endpoint": "https://test.azure.com", "api_version": "2024-10-21", "api_key": "test_key"}
    assert made == [azure if sdk == "AzureOpenAI" else {"api_key": "sk-canary-5f3a9d"}]


def test_8_a_message_is_answered(configured: object, server: MockServer, encoder: Tiktoken) -> None:
    """Row T9."""
    server.script(reply("test response"))
    answer = OpenAIClient().send_message(MESSAGES)
    assert answer is not None
    assert (answer["role"], answer["content"]) == ("assistant", "test response")
    assert asked(server) == [{name: value for name, value in PARAMS.items() if name != "timeout"} | {"model": "gpt-4"}]
    assert encoder.asked_for == ["gpt-4"]


def test_9_what_is_in_the_cache_is_not_asked_for(
    configured: object, server: MockServer, encoder: Tiktoken, waits: list[float]
) -> None:
    """Row T9; the key is the one that TinyTroupe computes."""
    client = OpenAIClient()
    client.api_cache[str(("gpt-4", PARAMS))] = {"content": "cached response"}
    assert client.send_message(MESSAGES) == {"content": "cached response"}
    assert (asked(server), waits, encoder.asked_for) == ([], [], ["gpt-4"])


def test_10_a_refused_request_is_not_repeated(configured: object, server: MockServer, encoder: Tiktoken) -> None:
    """Row T11."""
    server.script(fault.http_error(status=400))
    assert OpenAIClient().send_message(MESSAGES) is None
    assert len(server.journal) == 1
    assert len(encoder.asked_for) == 1


def test_11_a_rate_limit_is_waited_for(configured: object, server: MockServer, encoder: Tiktoken) -> None:
    """Row T10."""
    server.script(fault.rate_limited().times(2))
    assert OpenAIClient().send_message(MESSAGES, max_attempts=2) is None
    assert len(server.journal) == 2
    assert len(encoder.asked_for) == 2


@pytest.mark.parametrize("error", [NonTerminalError("non-terminal error"), Exception("generic error")])
def test_12_13_an_error_is_tried_again(
    error: Exception, configured: object, waits: list[float], encoder: Tiktoken
) -> None:
    """Row T9."""

    class Failing(OpenAIClient):
        calls = 0

        def _raw_model_call(self, model: str, chat_api_params: dict[str, Any]) -> Any:
            self.calls += 1
            raise error

    client = Failing()
    assert client.send_message(MESSAGES, max_attempts=2) is None
    assert client.calls == 2
    assert len(encoder.asked_for) == 2


@pytest.mark.parametrize("kind", CLIENTS)
def test_14_28_the_raw_call_sends_its_parameters(
    kind: type[OpenAIClient], configured: object, server: MockServer
) -> None:
    """Row T13: also as the first call of a client."""
    kind()._raw_model_call("gpt-4", PARAMS)
    [body] = asked(server)
    assert body == {name: value for name, value in PARAMS.items() if name != "timeout"} | {"model": "gpt-4"}
    assert "model" not in PARAMS
    assert server.journal[0].dialect == ("azure" if kind is AzureClient else "openai")


def test_15_the_message_is_taken_out_of_a_reply() -> None:
    """Row T13."""
    message = SimpleNamespace(to_dict=lambda: {"content": "test response"})
    response = SimpleNamespace(choices=[SimpleNamespace(message=message)])
    assert OpenAIClient()._raw_model_response_extractor(response) == {"content": "test response"}


def test_16_a_message_costs_three_tokens_and_its_texts(encoder: Tiktoken) -> None:
    """Row T14: without the three of the reply."""
    assert OpenAIClient()._count_tokens(MESSAGES, "gpt-4-0613") == 9
    assert encoder.asked_for == ["gpt-4-0613"]


def test_17_a_model_whose_format_is_unknown_is_an_error(encoder: Tiktoken) -> None:
    """Row T14."""
    expected = "num_tokens_from_messages() is not implemented for model test_model"
    with pytest.raises(NotImplementedError, match=re.escape(expected)):
        OpenAIClient()._count_tokens(MESSAGES, "test_model")
    assert encoder.asked_for == ["test_model"]


def test_18_a_model_that_tiktoken_does_not_know_is_estimated(
    encoder: Tiktoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row T14."""

    def unknown(model: str) -> None:
        encoder.asked_for.append(model)
        raise KeyError("model not found")

    monkeypatch.setattr(encoder, "encoding_for_model", unknown)
    assert OpenAIClient()._count_tokens(MESSAGES, "test_model") == 9
    assert encoder.asked_for == ["test_model", "cl100k_base"]


def test_19_any_other_error_of_counting_is_none(
    encoder: Tiktoken, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Row T14."""

    def broken(_model: str) -> None:
        raise RuntimeError("test error")

    monkeypatch.setattr(encoder, "encoding_for_model", broken)
    assert OpenAIClient()._count_tokens(MESSAGES, "gpt-4") is None
    assert "Error counting tokens: test error" in caplog.messages


def test_20_the_cache_is_saved(tmp_path: Path) -> None:
    """Row T15."""
    client = OpenAIClient()
    client.cache_file_name = str(tmp_path / "test_cache.pickle")
    client.api_cache = {"test_key": "test_value"}
    client._save_cache()
    assert pickle.loads(Path(client.cache_file_name).read_bytes()) == {"test_key": "test_value"}


def test_21_the_cache_is_loaded(tmp_path: Path) -> None:
    """Row T15."""
    client = OpenAIClient()
    client.cache_file_name = str(tmp_path / "test_cache.pickle")
    Path(client.cache_file_name).write_bytes(pickle.dumps({"test_key": "test_value"}))
    assert client._load_cache() == {"test_key": "test_value"}


def test_22_without_a_file_the_cache_is_empty(tmp_path: Path) -> None:
    """Row T15."""
    client = OpenAIClient()
    client.cache_file_name = str(tmp_path / "test_cache.pickle")
    assert client._load_cache() == {}


@pytest.mark.parametrize("kind", CLIENTS)
def test_23_29_a_text_is_embedded(kind: type[OpenAIClient], configured: object, server: MockServer) -> None:
    """Row T16: also as the first call of a client."""
    vector = kind().get_embedding("test text")
    assert len(vector) == 1536
    [body] = asked(server)
    assert (body["input"], body["model"]) == (["test text"], "text-embedding-3-small")


@pytest.mark.parametrize("kind", CLIENTS)
def test_24_30_the_raw_embedding_call_sends_its_parameters(
    kind: type[OpenAIClient], configured: object, server: MockServer
) -> None:
    """Row T16."""
    kind()._raw_embedding_model_call("test text", "text-embedding-3-large")
    [body] = asked(server)
    assert (body["input"], body["model"]) == (["test text"], "text-embedding-3-large")


def test_25_the_vector_is_taken_out_of_a_reply() -> None:
    """Row T16."""
    response = SimpleNamespace(data=[SimpleNamespace(embedding=[0.1, 0.2, 0.3])])
    assert OpenAIClient()._raw_embedding_model_response_extractor(response) == [0.1, 0.2, 0.3]


def test_31_32_what_is_registered_is_found() -> None:
    """Row T19: a class is as welcome as an object."""
    tinytroupe.register_client("test_api", Stub)
    assert tinytroupe._api_type_to_client["test_api"] is Stub
    assert tinytroupe._get_client_for_api_type("test_api") is Stub


def test_33_what_is_not_registered_is_an_error() -> None:
    """Row T19."""
    expected = "API type test_api is not supported. Please check the 'config.ini' file."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        tinytroupe._get_client_for_api_type("test_api")


def test_34_the_client_is_the_configured_one(configured: object) -> None:
    """Row T20."""
    assert type(tinytroupe.client()) is OpenAIClient


def test_35_the_client_is_the_forced_one(configured: object) -> None:
    """Row T20."""
    tinytroupe.force_api_type("azure")
    assert type(tinytroupe.client()) is AzureClient


def test_36_any_type_can_be_forced() -> None:
    """Row T21."""
    tinytroupe.force_api_type("test_api")
    assert tinytroupe._api_type_override == "test_api"


def test_37_every_client_caches_as_forced(configured: object) -> None:
    """Row T22."""
    clients = tinytroupe._api_type_to_client.values()
    tinytroupe.force_api_cache(False, "new_cache.pickle")
    assert {(each.cache_api_calls, each.cache_file_name) for each in clients} == {(False, "new_cache.pickle")}
    tinytroupe.force_api_cache(True)
    assert {(each.cache_api_calls, each.cache_file_name) for each in clients} == {(True, "test_cache.pickle")}


def test_38_defaults_can_be_forced(configure: Configure) -> None:
    """Row T23."""
    tinytroupe.force_default_value("model", "test_model")
    tinytroupe.force_default_value("max_tokens", 2048)
    assert (tinytroupe.default["model"], tinytroupe.default["max_tokens"]) == ("test_model", 2048)
    with pytest.raises(ValueError, match=r"^Key invalid_key is not a valid configuration key\.$"):
        tinytroupe.force_default_value("invalid_key", "test_value")
