"""Whole calls, sync and async alike, against a mock server and a server of raw bytes."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from openai.types.chat import ChatCompletionMessage

import llmkit
from llmkit import (
    AsyncClient,
    AuthenticationFailed,
    Client,
    ConfigError,
    ConnectionFailed,
    ContextOverflow,
    InvalidRequest,
    LLMError,
    MalformedResponse,
    ModelNotFound,
    NotFound,
    QuotaExceeded,
    RateLimited,
    ServerError,
)
from llmkit._transport import Transport
from llmkit.config import OpenAISettings
from mockserver import MockServer, fault, reply

if TYPE_CHECKING:
    from tests.llmkit.conftest import Open, RawServer


def test_chat_gives_the_text_and_what_it_cost(caller: Open, mockserver: MockServer) -> None:
    mockserver.script(reply("Hello"))
    answer = caller(mockserver.openai_url).chat([{"role": "user", "content": "Hi"}], temperature=0)
    assert (answer.text, answer.finish_reason, answer.complete) == ("Hello", "stop", True)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == llmkit.count_tokens("Hi", model="gpt-4o")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model.startswith("gpt-4o")
    assert answer.request_id
    assert [attempt.status_code for attempt in answer.attempts] == [200]


def test_parameters_and_messages_go_to_the_api_as_they_are(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(raw.completion()))
    messages = [{"role": "user", "content": "Hi", "unheard_of": {"x": None}}]
    caller(raw.url).chat(messages, temperature=0, metadata={"a": "b"}, unheard_of=[1])
    assert raw.bodies == [
        {"model": "gpt-4o", "messages": messages, "temperature": 0, "metadata": {"a": "b"}, "unheard_of": [1]}
    ]


def test_a_plain_string_is_one_user_message(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(raw.completion()))
    caller(raw.url).chat("Hi", model="gpt-5")
    assert raw.bodies == [{"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}]


def test_tool_calls_come_back_with_their_arguments(caller: Open, raw: RawServer) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    raw.say(raw.http(raw.completion(message=message, finish_reason="tool_calls")))
    answer = caller(raw.url).chat()
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        ("call_1", "weather", '{"city": "Oslo"}')
    ]
    assert (answer.text, answer.complete) == ("", True)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_reply_cut_short_is_not_complete(caller: Open, raw: RawServer, reason: str) -> None:
    raw.say(raw.http(raw.completion("Once upon", finish_reason=reason)))
    answer = caller(raw.url).chat()
    assert (answer.text, answer.finish_reason, answer.complete) == ("Once upon", reason, False)


def test_a_refusal_is_an_answer(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(raw.completion(message={"role": "assistant", "content": None, "refusal": "I can't."})))
    answer = caller(raw.url).chat()
    assert (answer.text, answer.refusal) == ("", "I can't.")


def test_a_rate_limit_is_waited_out(caller: Open, mockserver: MockServer) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=0.05), reply("Hello"))
    answer = caller(mockserver.openai_url).chat()
    assert answer.text == "Hello"
    assert [(attempt.status_code, attempt.error) for attempt in answer.attempts] == [(429, "RateLimited"), (200, None)]
    assert answer.attempts[1].wait_s == answer.attempts[0].retry_after_s
    assert len(mockserver.journal) == 2


def test_failures_stop_at_the_last_attempt(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http('{"error": {"message": "no"}}', status="503 Busy", retry_after_ms="1", x_request_id="req_9"))
    with pytest.raises(llmkit.Overloaded) as caught:
        caller(raw.url, max_attempts=3).chat()
    assert len(raw.requests) == len(caught.value.attempts) == 3
    assert {attempt.request_id for attempt in caught.value.attempts} == {"req_9"}
    assert caught.value.__notes__ == ["llmkit gave up after request 3: all 3 attempts are used up"]


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        ("400 Bad", {"code": "context_length_exceeded"}, ContextOverflow),
        ("400 Bad", {"code": "unsupported_value", "param": "temperature"}, InvalidRequest),
        ("401 No", {"code": "invalid_api_key"}, AuthenticationFailed),
        ("404 Lost", {"code": "model_not_found"}, ModelNotFound),
        ("429 Slow", {"code": "insufficient_quota", "type": "insufficient_quota"}, QuotaExceeded),
    ],
)
def test_what_cannot_succeed_is_asked_once(
    caller: Open, raw: RawServer, status: str, error: dict[str, str], expected: type[LLMError]
) -> None:
    raw.say(raw.http(json.dumps({"error": {"message": "No.", **error}}), status=status))
    with pytest.raises(expected) as caught:
        caller(raw.url).chat()
    assert type(caught.value) is expected
    assert caught.value.code == error["code"]
    assert caught.value.param == error.get("param")
    assert len(raw.requests) == 1


def test_the_servers_word_on_retrying_counts(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http("{}", status="500 Oops", x_should_retry="false"))
    with pytest.raises(ServerError):
        caller(raw.url).chat()
    assert len(raw.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        "<html><title>Please log in</title></html>",
        '{"choices": [{"message": {"content": "Hel',
        b'{"choices": [{"message": {"content": "\xff\xfe"}}]}',
        "null",
        "[]",
        "{}",
        '{"choices": null}',
        '{"choices": []}',
        '{"choices": {}}',
        '{"choices": [null]}',
        '{"choices": [{"finish_reason": "stop"}]}',
        '{"choices": [{"message": "Hello", "finish_reason": "stop"}]}',
        '{"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}',
        '{"choices": [{"message": {"content": {"text": "Hello"}}, "finish_reason": "stop"}]}',
        '{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}',
        '{"choices": [{"message": {"content": null, "tool_calls": [3]}, "finish_reason": "stop"}]}',
        '{"choices": [{"message": {"tool_calls": [{"function": {"arguments": "{}"}}]}, "finish_reason": "stop"}]}',
        '{"choices": [{"message": {"content": "\\ud800"}, "finish_reason": "stop"}]}',
        '{"choices": [{"message": {"content": "Hi"}, "finish_reason": true}]}',
        pytest.param("[" * 200_000, id="nested"),
        pytest.param('{"choices": ' + "[" * 200_000 + "]" * 200_000 + "}", id="nested inside"),
        pytest.param('{"choices": ' + "9" * 5000 + "}", id="digits"),
        "",
    ],
)
def test_a_200_that_is_no_answer_is_an_error(caller: Open, raw: RawServer, body: str | bytes) -> None:
    raw.say(
        raw.http(
            body, content_type="text/html" if body and b"<html" in bytes(str(body), "utf-8") else "application/json"
        )
    )
    with pytest.raises(MalformedResponse) as caught:
        caller(raw.url, max_attempts=1).chat()
    assert caught.value.status_code == 200
    assert len(caught.value.attempts) == 1


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted", "206 Partial Content"])
def test_the_status_is_the_servers_own(caller: Open, raw: RawServer, status: str) -> None:
    raw.say(raw.http(raw.completion(), status=status))
    raw.say(raw.http("<html>", status=status))
    client = caller(raw.url, max_attempts=1)
    assert [attempt.status_code for attempt in client.chat().attempts] == [int(status[:3])]
    with pytest.raises(MalformedResponse) as caught:
        client.chat()
    assert caught.value.status_code == caught.value.attempts[0].status_code == int(status[:3])


def test_a_204_is_no_answer(caller: Open, raw: RawServer) -> None:
    raw.say(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
    with pytest.raises(MalformedResponse) as caught:
        caller(raw.url, max_attempts=1).chat()
    assert caught.value.status_code == 204


@pytest.mark.parametrize("status", ["200 OK", "400 Bad"])
def test_an_error_code_of_any_length_is_a_code(caller: Open, raw: RawServer, status: str) -> None:
    raw.say(raw.http(json.dumps({"error": {"message": "a", "code": "9" * 5000}}), status=status))
    with pytest.raises(LLMError) as caught:
        caller(raw.url, max_attempts=1).chat()
    assert type(caught.value) is (ServerError if status.startswith("200") else InvalidRequest)
    assert caught.value.code == "9" * 5000


@pytest.mark.parametrize("usage", [True, "12", {"prompt_tokens": True}, {"prompt_tokens": -1}, {"total_tokens": "7"}])
def test_a_bill_that_is_none_is_not_made_up(caller: Open, raw: RawServer, usage: Any) -> None:
    raw.say(raw.http(json.dumps(json.loads(raw.completion()) | {"usage": usage})))
    assert caller(raw.url).chat().usage is None


@pytest.mark.parametrize("date", ["Wed, 21 Oct 99999999999 07:28:00 GMT", "1_0", "soon"])
def test_a_retry_after_that_is_nonsense_is_none(caller: Open, raw: RawServer, date: str) -> None:
    raw.say(raw.http("{}", status="429 Slow", Retry_After=date))
    with pytest.raises(RateLimited) as caught:
        caller(raw.url, max_attempts=1).chat()
    assert caught.value.retry_after_s is None
    assert caught.value.__context__ is None


def test_a_rate_limit_without_retry_after_is_waited_out_by_its_quota(caller: Open, raw: RawServer) -> None:
    spent = {"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "60ms"}
    raw.say(raw.http("{}", status="429 Slow", **spent))
    raw.say(raw.http(raw.completion()))
    assert [attempt.wait_s for attempt in caller(raw.url).chat().attempts] == [0, 0.06]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "foo://bar"),
        ("HTTPS_PROXY", "foo://user:canary@bar"),
        ("SSL_CERT_FILE", "/nonexistent.pem"),
        ("SSL_CERT_FILE", __file__),
    ],
)
def test_a_wrong_variable_of_the_environment_is_named(
    caller: Open, raw: RawServer, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    client = caller(raw.url)
    for streamed in (False, True):
        with pytest.raises(ConfigError, match=f"{variable}='") as caught:
            client.stream([]) if streamed else client.chat()
        assert caught.value.attempts == ()
        assert "canary" not in str(caught.value)
        assert caught.value.__context__ is None
    assert raw.requests == []


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_address_that_only_the_http_library_refuses_is_a_config_error(kind: type[Client | AsyncClient]) -> None:
    with pytest.raises(ConfigError, match=r"'http://☃\.net/v1' is no address that can be called"):
        kind(base_url="http://☃.net/v1", api_key="key")


def test_what_no_header_can_say_is_a_config_error(caller: Open, raw: RawServer) -> None:
    with pytest.raises(ConfigError, match="A header cannot say 'ü'"):
        caller(raw.url, organization="Bücher").chat()
    assert raw.requests == []


async def test_what_no_one_foresaw_is_an_llm_error(raw: RawServer) -> None:
    async def failing() -> None:
        raise ZeroDivisionError("division by zero")

    transport = Transport(OpenAISettings.load(api_key="key", base_url=raw.url))
    with pytest.raises(LLMError, match="ended in an unknown way: ZeroDivisionError") as caught:
        await transport.translated(failing())
    assert caught.value.__context__ is None


async def test_what_is_no_exception_passes_untouched(raw: RawServer) -> None:
    class Halt(BaseException):
        pass

    async def halting() -> None:
        raise Halt

    transport = Transport(OpenAISettings.load(api_key="key", base_url=raw.url))
    with pytest.raises(Halt):
        await transport.translated(halting())


def test_an_answer_that_is_none_is_asked_for_again(caller: Open, mockserver: MockServer) -> None:
    mockserver.script(fault.malformed_json(), reply("Hello"))
    assert [attempt.error for attempt in caller(mockserver.openai_url).chat().attempts] == ["MalformedResponse", None]


def test_an_error_inside_a_200_is_that_error(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http('{"error": {"message": "Slower", "code": "rate_limit_exceeded"}}'))
    with pytest.raises(RateLimited, match="Slower"):
        caller(raw.url, max_attempts=1).chat()


def test_a_refused_connection_names_the_address(caller: Open) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        with pytest.raises(ConnectionFailed, match=url.removesuffix("/v1")) as caught:
            caller(url, max_attempts=1).chat()
    assert caught.value.status_code is None


def test_a_connection_that_breaks_in_the_body_is_tried_again(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(raw.completion())[:-9])
    raw.say(raw.http(raw.completion()))
    assert [attempt.error for attempt in caller(raw.url).chat().attempts] == ["ConnectionFailed", None]


def test_a_redirect_is_not_followed(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http("", status="308 Elsewhere", location="http://elsewhere.invalid/v1"))
    with pytest.raises(NotFound, match=r"redirects to 'http://elsewhere\.invalid/v1'"):
        caller(raw.url).chat()
    assert len(raw.requests) == 1


def test_a_gateways_page_of_html_keeps_its_status(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http("<html>Bad gateway</html>", status="502 Bad Gateway", content_type="text/html"))
    with pytest.raises(ServerError, match="Bad gateway") as caught:
        caller(raw.url, max_attempts=1).chat()
    assert caught.value.status_code == 502


def test_embeddings_come_in_the_order_of_the_texts(caller: Open, raw: RawServer) -> None:
    def row(index: int, *numbers: float) -> dict[str, Any]:
        return {"index": index, "embedding": base64.b64encode(struct.pack("<2f", *numbers)).decode()}

    raw.say(
        raw.http(
            json.dumps({"model": "m", "data": [row(1, 3.0, 4.0), row(0, 1.0, 2.0)], "usage": {"prompt_tokens": 2}})
        )
    )
    answer = caller(raw.url).embed(["a", "b"], dimensions=2)
    assert answer.vectors == ([1.0, 2.0], [3.0, 4.0])
    assert answer.usage is not None
    assert answer.usage.total_tokens == 2
    model = "text-embedding-3-small"
    assert raw.bodies == [{"encoding_format": "base64", "model": model, "input": ["a", "b"], "dimensions": 2}]


def test_a_client_of_a_chat_model_embeds_with_an_embedding_model(caller: Open, mockserver: MockServer) -> None:
    caller(mockserver.openai_url, model="gpt-4o").embed(["a", "b"])
    caller(mockserver.openai_url, model="text-embedding-3-large").embed("a")
    caller(mockserver.openai_url, model="gpt-4o", embedding_model="text-embedding-ada-002").embed("a")
    asked = [exchange.model for exchange in mockserver.journal]
    assert asked == ["text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"]


def test_embeddings_agree_in_both_encodings(caller: Open, mockserver: MockServer) -> None:
    client = caller(mockserver.openai_url, model="text-embedding-3-small")
    packed, plain = client.embed("a").vectors, client.embed("a", encoding_format="float").vectors
    assert packed[0] == pytest.approx(plain[0], rel=1e-6)


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"index": 0, "embedding": "not base64"}],
        [{"index": 0, "embedding": "AAA="}],
        [{"index": 0, "embedding": ["x"]}],
        [{"index": 0}],
        [{"index": 0, "embedding": []}],
        [{"index": 0, "embedding": ""}],
        [{"index": 0, "embedding": [True]}],
        [{"index": 0, "embedding": [float("nan")]}],
        [{"index": 0, "embedding": base64.b64encode(struct.pack("<f", float("nan"))).decode()}],
        [{"index": 1, "embedding": [1.0]}],
        [{"index": True, "embedding": [1.0]}],
    ],
)
def test_embeddings_that_are_none_are_an_error(caller: Open, raw: RawServer, data: list[Any]) -> None:
    raw.say(raw.http(json.dumps({"data": data})))
    with pytest.raises(MalformedResponse):
        caller(raw.url, max_attempts=1).embed("a")


@pytest.mark.parametrize(
    "rows",
    [
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [2.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [2.0]}],
        [{"index": 0, "embedding": [1.0]}, {"embedding": [2.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [2.0, 3.0]}],
    ],
)
def test_vectors_that_cannot_be_told_apart_are_an_error(caller: Open, raw: RawServer, rows: list[Any]) -> None:
    raw.say(raw.http(json.dumps({"data": rows})))
    with pytest.raises(MalformedResponse):
        caller(raw.url, max_attempts=1).embed(["a", "b"])


def test_vectors_without_an_index_are_taken_in_their_order(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(json.dumps({"data": [{"embedding": [1.0]}, {"embedding": [2]}]})))
    assert caller(raw.url).embed(["a", "b"]).vectors == ([1.0], [2.0])


def test_a_wrong_number_of_vectors_is_not_paid_for_twice(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(json.dumps({"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]})))
    with pytest.raises(MalformedResponse, match="2 vectors for 1 texts"):
        caller(raw.url).embed("a")
    assert len(raw.requests) == 1


def test_token_ids_are_one_text(caller: Open, mockserver: MockServer) -> None:
    client = caller(mockserver.openai_url, model="text-embedding-3-small")
    assert len(client.embed([1, 2, 3]).vectors) == 1
    assert len(client.embed([[1, 2], [3]]).vectors) == 2


@pytest.mark.parametrize("api_version", ["2024-10-21", None])
def test_azure_speaks_to_the_deployment(mockserver: MockServer, api_version: str | None) -> None:
    """Row 1.I4."""
    mockserver.script(reply("Hello"))
    with Client.azure(
        endpoint=mockserver.azure_endpoint, api_key="azure-key-1", api_version=api_version, deployment="gpt-4o"
    ) as client:
        assert client.chat("Hi").text == "Hello"
    expected = "/openai/v1/chat/completions" if api_version is None else "/openai/deployments/gpt-4o/chat/completions"
    assert [exchange.path for exchange in mockserver.journal] == [expected]


def test_azures_deployment_may_be_called_a_model(mockserver: MockServer) -> None:
    with Client.azure(model="gpt-4o", endpoint=mockserver.url, api_key="key") as client:
        assert client.chat("Hi").complete
    assert mockserver.journal[0].deployment == "gpt-4o"


def test_a_provider_by_name_is_refused_with_the_call_to_make() -> None:
    with pytest.raises(ConfigError, match=r"provider = 'azure' is none: for Azure call Client\.azure"):
        Client(provider="azure", api_key="key")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("api_version", "route"), [("2024-10-21", "/openai/deployments/chat/chat/completions?"), (None, "/openai/v1/chat/")]
)
@pytest.mark.parametrize("behind", ["", "/", "/openai", "/openai/v1/"])
def test_azures_route_begins_behind_the_path_of_the_endpoint(
    raw: RawServer, api_version: str | None, route: str, behind: str
) -> None:
    raw.say(raw.http(raw.completion()))
    gateway = raw.url.replace("/v1", "/gateway") + behind
    with Client.azure(endpoint=gateway, api_key="azure-key-1", api_version=api_version, deployment="chat") as client:
        client.chat("Hi")
    assert raw.requests[0].startswith(f"POST /gateway{route}".encode())


@pytest.mark.parametrize("model", ["", "  ", 5])
def test_a_model_that_is_no_name_is_refused(caller: Open, raw: RawServer, model: Any) -> None:
    client = caller(raw.url)
    for ask in (client.chat, client.embed):
        with pytest.raises(InvalidRequest, match=f"model = {model!r}"):
            ask("Hi", model=model)
    assert raw.requests == []


def test_a_message_of_the_sdk_can_be_sent_back(caller: Open, raw: RawServer) -> None:
    raw.say(raw.http(raw.completion()))
    caller(raw.url).chat([ChatCompletionMessage(role="assistant", content="Hi")])
    assert raw.bodies[0]["messages"] == [{"role": "assistant", "content": "Hi"}]


def test_a_missing_model_is_told_before_any_request(
    caller: Open, raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLMKIT_MODEL", raising=False)
    with pytest.raises(ConfigError, match="LLMKIT_MODEL"):
        caller(raw.url, model=None).chat()
    assert raw.requests == []


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "no messages"),
        ({"role": "user", "content": "Hi"}, "put it into a list"),
        (["Hi"], r"messages\[0\] is 'Hi'"),
        ([{"content": "Hi"}], r"messages\[0\]"),
    ],
)
def test_messages_that_are_none_are_refused_here(caller: Open, raw: RawServer, messages: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        caller(raw.url).chat(messages)
    assert raw.requests == []


@pytest.mark.parametrize("value", [{1, 2}, "\ud800"])
def test_what_json_cannot_say_is_an_invalid_request(caller: Open, raw: RawServer, value: Any) -> None:
    with pytest.raises(InvalidRequest, match="JSON") as caught:
        caller(raw.url).chat("Hi", metadata=value)
    assert raw.requests == []
    assert caught.value.attempts == ()


def test_messages_are_read_in_the_callers_thread(caller: Open, raw: RawServer) -> None:
    """A generator that blocks, or uses what belongs to its thread, must not run where the sockets are served."""
    raw.say(raw.http(raw.completion()))
    threads = []

    def messages() -> Iterator[dict[str, str]]:
        threads.append(threading.current_thread())
        yield {"role": "user", "content": "Hi"}

    caller(raw.url).chat(messages())
    assert threads == [threading.current_thread()]


def test_stream_is_not_a_parameter_of_chat(caller: Open, raw: RawServer) -> None:
    with pytest.raises(InvalidRequest, match=r"client\.stream"):
        caller(raw.url).chat("Hi", stream=True)


@pytest.mark.parametrize("limits", [{"deadline_s": 0}, {"deadline_s": float("nan")}, {"max_attempts": 0}])
def test_impossible_limits_of_a_call_are_refused(caller: Open, raw: RawServer, limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(limits))):
        caller(raw.url).chat("Hi", **limits)


def test_nothing_to_embed_is_refused_here(caller: Open, raw: RawServer) -> None:
    with pytest.raises(InvalidRequest, match="nothing to embed"):
        caller(raw.url).embed([])


def test_one_client_serves_many_threads(mockserver: MockServer) -> None:
    texts: list[str] = []
    with Client(base_url=mockserver.openai_url, api_key="key", model="gpt-4o") as client:
        threads = [threading.Thread(target=lambda: texts.append(client.chat("Hi").text)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(texts) == 10


def test_an_async_client_outlives_its_event_loop(mockserver: MockServer) -> None:
    """One that keeps connections of a closed loop fails with 'Event loop is closed'."""
    client = AsyncClient(base_url=mockserver.openai_url, api_key="key", model="gpt-4o")

    async def ask() -> list[str]:
        return [answer.text for answer in await asyncio.gather(*(client.chat("Hi") for _ in range(5)))]

    assert len(asyncio.run(ask())) == 5
    assert len(asyncio.run(ask())) == 5


async def test_cancelling_a_call_leaves_the_client_usable(mockserver: MockServer) -> None:
    mockserver.script(fault.hang(), reply("Hello"))
    async with AsyncClient(base_url=mockserver.openai_url, api_key="key", model="gpt-4o") as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.chat("Hi"), timeout=0.2)
        assert (await client.chat("Hi")).text == "Hello"


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_call_and_leaves_the_client_usable(mockserver: MockServer) -> None:
    mockserver.script(fault.hang(), reply("Hello"))
    main = threading.main_thread().ident
    assert main is not None
    with Client(base_url=mockserver.openai_url, api_key="key", model="gpt-4o") as client:
        threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            client.chat("Hi")
        assert client.chat("Hi").text == "Hello"


def test_a_forgotten_client_closes_its_connections(mockserver: MockServer) -> None:
    """Left open, they would end as ResourceWarnings, which are errors here."""
    client = Client(base_url=mockserver.openai_url, api_key="key", model="gpt-4o")
    client.chat("Hi")
    del client
    gc.collect()


def test_a_client_works_again_after_close(mockserver: MockServer) -> None:
    client = Client(base_url=mockserver.openai_url, api_key="key", model="gpt-4o")
    client.close()
    client.chat("Hi")
    client.close()
    assert client.chat("Hi").text
    client.close()


def test_a_pickled_client_takes_its_key_from_where_it_wakes(
    mockserver: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = pickle.dumps(Client(base_url=mockserver.openai_url, api_key="secret-1", model="gpt-4o", deadline_s=7))
    assert b"secret-1" not in frozen
    monkeypatch.setenv("OPENAI_API_KEY", "secret-2")
    with pickle.loads(frozen) as client:
        assert "deadline_s=7" in repr(client)
        assert client.chat("Hi").text


def test_a_forked_child_can_call_too(mockserver: MockServer) -> None:
    """The thread behind the synchronous client does not exist in a forked process."""
    code = (
        "import os, sys, llmkit\n"
        f"client = llmkit.Client(base_url={mockserver.openai_url!r}, api_key='key', model='gpt-4o')\n"
        "client.chat('Hi')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(0 if client.chat('Hi').text else 3)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
