"""Row 4.I5: what looks like a secret is taken out of records: message, arguments, traceback and fields."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.errors import ConfigError, InvalidRequest, LLMError, ParseFailed
from llmkit.telemetry import Redaction, described
from llmkit.telemetry.redaction import cleaned
from tests.llmkit.telemetry.conftest import Lines

SECRET = "Zk3v9Q1xLw7TzB2mN8cR4yH6"
SPELT = [
    "Authorization: Bearer {}",
    "{{'Authorization': 'Bearer {}'}}",
    '{{"authorization":"Bearer {}"}}',
    "[('authorization', 'x'), (b'api-key', 'y')] Bearer {}",
    "api-key: {}",
    "{{'api-key': '{}'}}",
    "api_key={}",
    "OPENAI_API_KEY={}",
    "AZURE_OPENAI_API_KEY = '{}'",
    "Ocp-Apim-Subscription-Key: {}",
    "Cookie: {}",
    "client_secret={}&x=1",
    "redis://user:{}@cache:6379/0",
    "https://{}@proxy.example",
    "https://host/path?key={}&x=1",
    "https://host/path?x=1&sig={}",
    "password='{}'",
    "sk-{}",
    "sk-proj-{}",
    "eyJhbGciOiJSUzI1NiJ9.{}.abc",
]


@pytest.mark.parametrize("spelt", SPELT)
def test_a_secret_is_hidden_however_it_is_spelt(spelt: str) -> None:
    assert SECRET not in cleaned(spelt.format(SECRET))


@pytest.mark.parametrize(
    "text",
    [
        "chat gpt-4o: stop after 0.8 s, request 1, 12 tokens, $0.000080",
        "max_tokens=5, total_tokens: 12",
        "request req_0123456789abcdef0123456789abcdef",
        "https://api.openai.com/v1/chat/completions?api-version=2024-10-21",
        "the key is missing: pass api_key=…",
        "write to ada@example.org",
        "a task-force of sk-ill",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert cleaned(text).replace("***", "…") == text


@given(st.text(), st.sampled_from(SPELT), st.text())
def test_a_secret_is_hidden_whatever_stands_around_it(before: str, spelt: str, after: str) -> None:
    assert SECRET not in cleaned(f"{before} {spelt.format(SECRET)} {after}")


@given(st.sampled_from(SPELT))
def test_cleaning_again_changes_nothing(spelt: str) -> None:
    once = cleaned(spelt.format(SECRET))
    assert cleaned(once) == once


@pytest.mark.parametrize("text", ["a" * 300_000, "://" * 100_000, "eyJ" * 100_000, "sk-" * 100_000, "-key" * 75_000])
def test_a_hostile_text_is_cleaned_in_no_time(text: str) -> None:
    began = time.process_time()
    cleaned(text)
    assert time.process_time() - began < 5


def test_the_keys_of_the_environment_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("OPENAI_API_KEY", "placeholder")
    text = "0123456789abcdef0123456789abcdef in a placeholder"
    assert cleaned(text) == "*** in a placeholder"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, Lines, list[logging.Filter]]]:
    logger, handler = logging.getLogger("somebody.else"), Lines()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    handler.addFilter(Redaction(secrets=["my-own-secret"]))
    yield logger, handler, []
    logger.removeHandler(handler)
    logger.propagate = True


Log = tuple[logging.Logger, Lines, Any]


def test_messages_and_arguments_are_cleaned(log: Log) -> None:
    logger, seen, _ = log
    logger.info("%s and %s", f"Bearer {SECRET}", {"api-key": SECRET})
    logger.info("%(a)s and my-own-secret", {"a": f"sk-{SECRET}"})
    assert SECRET not in seen.all
    assert "my-own-secret" not in seen.all
    assert seen.lines[0] == "Bearer *** and {'api-key': '***'}"


def test_the_error_of_a_call_is_told_without_its_message(log: Log) -> None:
    logger, seen, _ = log
    error = ParseFailed("expected a number in 'the secret recipe'", text="the secret recipe", status_code=200)
    logger.error(error)
    logger.error("failed: %s", error)
    described_ = "ParseFailed: The answer is not what its parser takes (status 200)"
    assert seen.lines == [described_, f"failed: {described_}"]


def test_a_traceback_is_cleaned(log: Log) -> None:
    logger, seen, _ = log
    try:
        try:
            raise ValueError(f"Bearer {SECRET}")
        except ValueError as error:
            failure = InvalidRequest("cannot do 'the secret recipe'", code="bad", request_id="req_1")
            failure.add_note("llmkit gave up after request 1")
            raise failure from error
    except LLMError:
        logger.exception("it failed")
    text = seen.all
    assert SECRET not in text
    assert "the secret recipe'" not in text.replace("InvalidRequest(\"cannot do 'the secret recipe'\"", "")
    assert "ValueError: Bearer ***" in seen.lines[0]
    assert "InvalidRequest: The API refuses this request as it is (code bad, request req_1)" in seen.lines[0]
    assert "llmkit gave up after request 1" in seen.lines[0]
    assert seen.records[0].exc_info is None


def test_a_traceback_says_what_happened_where_content_is_asked_for() -> None:
    try:
        raise InvalidRequest(f"cannot do this with sk-{SECRET}")
    except InvalidRequest as error:
        record = logging.makeLogRecord({"exc_info": (type(error), error, error.__traceback__)})
    Redaction(content=True).filter(record)
    assert record.exc_text is not None
    assert record.exc_text.endswith("InvalidRequest: cannot do this with ***")


def test_groups_and_circles_of_errors_come_to_an_end() -> None:
    inner = ParseFailed("quotes 'the secret recipe'")
    group = ExceptionGroup("both", [inner, KeyError(f"sk-{SECRET}")])
    inner.__context__ = group
    record = logging.makeLogRecord({"exc_info": (type(group), group, None)})
    Redaction().filter(record)
    assert record.exc_text is not None
    assert "the secret recipe" not in record.exc_text
    assert "KeyError: '***'" in record.exc_text
    assert record.exc_text.count("ExceptionGroup") == 1


def test_fields_are_cleaned(log: Log) -> None:
    logger, seen, _ = log
    fields = {
        "headers": {"api-key": SECRET, "Authorization": f"Bearer {SECRET}", "accept": ["*/*"]},
        "url": f"https://u:{SECRET}@host",
        "api_key": SECRET,
        "prompt": "the secret recipe",
        "messages": [{"role": "user", "content": "the secret recipe"}],
        "error_": InvalidRequest("the secret recipe"),
        "raw": f"Bearer {SECRET}".encode(),
        "tokens": 12,
        "done": True,
    }
    logger.info("here", extra=fields)
    found = vars(seen.records[0])
    assert SECRET not in seen.all
    assert "the secret recipe" not in seen.all
    assert found["prompt"] == "[hidden: 17 long]"
    assert found["headers"]["accept"] == ["*/*"]
    assert (found["tokens"], found["done"]) == (12, True)


def test_an_argument_that_cannot_be_shown_does_not_end_the_caller_s_work(log: Log) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("not today")

    logger, seen, _ = log
    logger.info("it is %s", Broken())
    logger.info("it is %s and %s", 1)
    assert seen.lines[0] == "it is %s [its arguments cannot be shown: RuntimeError]"
    assert "TypeError" in seen.lines[1]


def test_an_error_is_described_in_words_that_quote_nothing() -> None:
    assert described(ConfigError("model is missing: pass model=…")) == "ConfigError: model is missing: pass model=…"
    assert described(KeyError("the secret recipe")) == "KeyError"
    assert described(InvalidRequest("x", code="y" * 100)) == (
        f"InvalidRequest: The API refuses this request as it is (code {'y' * 64})"
    )
