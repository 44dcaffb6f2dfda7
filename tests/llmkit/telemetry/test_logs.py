"""Row 4.I5: errors are logged, each class at its level, and no line holds a secret or what was said."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit import AsyncClient, LLMError, errors
from llmkit._flow import Call, audience
from llmkit.parsers import Json
from llmkit.policies.fallback import Fallback
from llmkit.policies.retry import Limits
from llmkit.telemetry import Telemetry
from llmkit.telemetry.logs import LEVELS, Logs, level_of
from mockserver import MockServer, fault, reply
from tests.llmkit.conftest import RawServer
from tests.llmkit.telemetry.conftest import KEY, Lines, Open

PROMPT, ANSWER = "the secret recipe of the whale", "seven kilos of plankton"
GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "telemetry.md").read_text("utf-8")

Fail = Callable[[MockServer], object]
FAILURES: dict[str, tuple[Fail, type[LLMError], int]] = {
    "a wrong key": (lambda server: server.script(fault.http_error(status=401)), errors.AuthenticationFailed, 40),
    "no right": (lambda server: server.script(fault.http_error(status=403)), errors.PermissionDenied, 40),
    "no such model": (lambda server: server.script(fault.http_error(status=404)), errors.NotFound, 40),
    "a bad request": (lambda server: server.script(fault.http_error(status=400)), errors.InvalidRequest, 40),
    "a spent quota": (lambda server: server.script(fault.insufficient_quota()), errors.QuotaExceeded, 40),
    "a rate limit": (lambda server: server.script(fault.rate_limited(retry_after_s=99)), errors.RateLimited, 30),
    "a failure of the server": (lambda server: server.script(fault.server_error(status=500)), errors.ServerError, 30),
    "a broken connection": (lambda server: server.script(fault.reset()), errors.ConnectionFailed, 30),
    "an answer that is none": (lambda server: server.script(fault.malformed_json()), errors.MalformedResponse, 30),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_logged_once_at_the_level_of_its_class(
    server: MockServer, connect: Open, lines: Lines, failure: str
) -> None:
    script, kind, level = FAILURES[failure]
    script(server)
    with pytest.raises(kind):
        connect(max_attempts=1).chat(PROMPT)
    [record] = lines.of("llmkit.calls")
    assert record.levelno == level
    fields = vars(record)
    assert issubclass(getattr(errors, fields["error"]), kind)
    assert (fields["model"], fields["operation"], fields["attempt"]) == ("gpt-4o", "chat", 1)
    assert PROMPT not in lines.all
    assert KEY not in lines.all


def every(kind: type[LLMError]) -> set[type[LLMError]]:
    return {kind}.union(*map(every, kind.__subclasses__()))


def test_every_class_of_the_tree_has_a_level() -> None:
    ours = {kind for kind in every(LLMError) if kind.__module__ == "llmkit.errors"}
    without = ours - {errors.LLMError, errors.BulkFailed, errors.TemplateInvalid}  # no call ends with these
    assert {kind for kind in without if not any(base in LEVELS for base in kind.__mro__)} == set()
    assert level_of(LLMError("what nobody knows")) == logging.ERROR
    assert level_of(errors.ContextOverflow("too long")) == logging.WARNING, "the nearest class counts"


def test_the_guide_has_the_table_of_levels() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|$", GUIDE, re.MULTILINE))
    assert table == {kind.__name__: logging.getLevelName(level) for kind, level in LEVELS.items()}


def test_an_answer_is_one_line_with_its_figures(server: MockServer, connect: Open, lines: Lines) -> None:
    server.script(reply(ANSWER))
    told = connect().chat(PROMPT)
    [record] = lines.of("llmkit.calls")
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("chat gpt-4o: stop after ")
    fields = vars(record)
    assert told.usage is not None
    assert fields["tokens"] == told.usage.total_tokens
    assert fields["cost"] == pytest.approx(
        (told.usage.prompt_tokens * 2.5 + told.usage.completion_tokens * 10) / 1_000_000
    )
    assert (fields["request_id"], fields["status"], fields["wait_s"]) == (told.request_id, 200, 0)
    assert fields["duration_s"] >= told.attempts[0].duration_s


def test_each_request_is_a_line_and_each_retry_a_warning(server: MockServer, connect: Open, lines: Lines) -> None:
    server.script(fault.server_error(status=503), reply(ANSWER))
    connect().chat(PROMPT)
    found = [(record.levelname, vars(record)["attempt"]) for record in lines.of("llmkit.requests")]
    assert found == [("DEBUG", 1), ("DEBUG", 1), ("WARNING", 1), ("DEBUG", 2), ("DEBUG", 2)]
    retry = lines.of("llmkit.requests")[2]
    assert "Overloaded, status 503" in retry.getMessage()
    assert vars(retry)["wait_s"] > 0
    assert vars(retry)["status"] == 503


def test_a_fallback_is_a_warning(server: MockServer, connect: Open, lines: Lines) -> None:
    server.script(fault.server_error(status=500), reply(ANSWER))
    connect(max_attempts=1, fallback="gpt-4o-mini").chat(PROMPT)
    [warning] = [record for record in lines.records if record.levelno == logging.WARNING]
    assert warning.getMessage() == "gpt-4o could not answer; instead: gpt-4o-mini"
    assert vars(lines.of("llmkit.calls")[-1])["degraded"] == "model"


def test_a_default_is_named_by_its_kind_and_not_by_its_text(server: MockServer, connect: Open, lines: Lines) -> None:
    server.script(fault.server_error(status=500))
    connect(max_attempts=1, fallback=Fallback(default=ANSWER)).chat(PROMPT)
    assert "instead: say" in lines.lines[-2]
    assert ANSWER not in lines.all


def test_an_open_circuit_is_a_warning(server: MockServer, connect: Open, lines: Lines) -> None:
    server.script(fault.server_error(status=500, times="forever"))
    client = connect(max_attempts=1)
    for _ in range(100):
        with pytest.raises(LLMError) as caught:
            client.chat(PROMPT)
        if isinstance(caught.value, errors.CircuitOpen):
            break
    assert "the circuit of gpt-4o is open" in lines.of("llmkit.requests")[-1].getMessage()
    assert lines.of("llmkit.calls")[-1].levelno == logging.WARNING


def test_the_wait_for_a_limit_is_no_warning(lines: Lines) -> None:
    call = Call(Limits(), model="gpt-4o", observers=audience([Logs()]))
    call.tell("waits", 0.25)
    [record] = lines.of("llmkit.requests")
    assert (record.levelname, record.getMessage()) == ("INFO", "a request to gpt-4o waits 0.25 s for its limit")
    assert vars(record)["wait_s"] == 0.25


def test_nor_is_the_wait_of_a_re_ask_for_it(lines: Lines) -> None:
    call = Call(Limits(), model="gpt-4o", observers=audience([Logs()]))
    call.sending(wait_s=0)
    call.succeeded(status_code=200, request_id=None)
    call.tell("waits", 0.25)
    assert lines.records[-1].levelname == "INFO"


def test_a_stream_is_a_line_too(server: MockServer, connect: Open, lines: Lines) -> None:
    server.script(reply(ANSWER))
    with connect().stream(PROMPT) as stream:
        list(stream)
    [record] = lines.of("llmkit.calls")
    assert vars(record)["finish_reason"] == "stop"
    assert vars(record)["tokens"] > 0


def test_a_stream_that_is_left_is_a_line(server: MockServer, connect: Open, lines: Lines) -> None:
    server.script(reply(ANSWER))
    with connect().stream(PROMPT) as stream:
        next(iter(stream))
    [record] = lines.of("llmkit.calls")
    assert (record.levelno, "left before its end" in record.getMessage()) == (logging.INFO, True)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (lambda server: server.script(fault.server_error(status=500)), errors.ServerError),
        (lambda server: server.script(reply(ANSWER) & fault.cut(at={"frame": 2}, how="eof")), errors.StreamTruncated),
    ],
    ids=["before its first event", "within"],
)
def test_a_stream_that_fails_is_a_line(
    server: MockServer, connect: Open, lines: Lines, script: Fail, kind: type[LLMError]
) -> None:
    script(server)
    with pytest.raises(kind), connect(max_attempts=1).stream(PROMPT) as stream:
        list(stream)
    [record] = lines.of("llmkit.calls")
    assert (record.levelname, vars(record)["error"]) == ("WARNING", kind.__name__)


def test_a_stream_whose_parser_refuses_it_is_a_line(server: MockServer, connect: Open, lines: Lines) -> None:
    server.script(reply(ANSWER))
    with pytest.raises(errors.ParseFailed), connect().stream(PROMPT, parse=Json()) as stream:
        list(stream)
    [record] = lines.of("llmkit.calls")
    assert vars(record)["error"] == "ParseFailed"
    assert ANSWER not in lines.all, "the error quotes it, the line does not"


async def test_a_call_that_is_cancelled_is_a_line(server: MockServer, lines: Lines) -> None:
    server.script(fault.hang())
    async with AsyncClient(base_url=f"{server.url}/v1", api_key=KEY, model="gpt-4o") as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.chat(PROMPT)
    [record] = lines.of("llmkit.calls")
    assert (record.levelname, vars(record)["error"]) == ("INFO", "CancelledError")


def test_what_was_said_is_logged_where_that_is_asked_for(server: MockServer, connect: Open, lines: Lines) -> None:
    server.script(reply(f"{ANSWER}, and {KEY}, and sk-proj-abcdefgh1234"))
    connect(telemetry=Telemetry(content=True)).chat(PROMPT)
    assert PROMPT in lines.lines[-1]
    assert ANSWER in lines.lines[-1]
    assert vars(lines.of("llmkit.calls")[0])["prompt"] == [{"role": "user", "content": PROMPT}]
    assert KEY not in lines.all
    assert "sk-proj" not in lines.all, "nor what looks like a key, whoever wrote it"


def test_what_was_said_is_logged_nowhere_else(server: MockServer, connect: Open, lines: Lines) -> None:
    server.script(reply(ANSWER))
    connect().chat(PROMPT)
    assert PROMPT not in lines.all
    assert ANSWER not in lines.all


def test_the_api_s_words_are_logged_where_content_is_asked_for(raw: RawServer, lines: Lines, connect: Open) -> None:
    raw.say(raw.http(f'{{"error": {{"message": "cannot do {PROMPT}"}}}}', status="400 No"))
    for content in (False, True):
        with pytest.raises(errors.InvalidRequest):
            connect(base_url=raw.url, telemetry=Telemetry(content=content)).chat("Hi")
    quiet, loud = (record.getMessage() for record in lines.of("llmkit.calls"))
    assert "The API refuses this request as it is" in quiet
    assert PROMPT not in quiet
    assert PROMPT in loud


def test_a_key_that_the_server_repeats_is_not_logged(raw: RawServer, lines: Lines, connect: Open) -> None:
    raw.say(raw.http(f'{{"error": {{"message": "{KEY}", "code": "x{KEY}", "param": "{KEY}"}}}}', status="401 No"))
    for content in (False, True):
        with pytest.raises(errors.AuthenticationFailed):
            connect(base_url=raw.url, telemetry=Telemetry(content=content)).chat("Hi")
    assert len(lines.of("llmkit.calls")) == 2
    assert KEY not in lines.all


@pytest.mark.parametrize("telemetry", [False, Telemetry(logs=False)])
def test_logs_can_be_turned_off(server: MockServer, connect: Open, lines: Lines, telemetry: Any) -> None:
    connect(telemetry=telemetry).chat(PROMPT)
    assert lines.records == []


def test_telemetry_has_to_be_some(connect: Open) -> None:
    with pytest.raises(errors.ConfigError, match="telemetry = 'loud'"):
        connect(telemetry="loud")


PROGRAM = f"""
import logging
from llmkit import Client, LLMError
try:
    Client(model="gpt-4o").chat("{PROMPT}")
except LLMError as error:
    print(type(error).__name__)
logging.getLogger("llmkit.elsewhere").info("api-key: {KEY}")
"""


def run(server: MockServer, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program that asks the server once, and sets no logging up."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.url}/v1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_that_sets_nothing_up_sees_nothing(server: MockServer) -> None:
    server.script(fault.http_error(status=401))
    done = run(server)
    assert (done.stdout, done.stderr) == ("AuthenticationFailed\n", "")


def test_a_variable_shows_the_lines_without_what_was_said(server: MockServer) -> None:
    done = run(server, LLMKIT_LOG="debug")
    assert [line.split()[2] for line in done.stderr.splitlines()] == ["DEBUG", "DEBUG", "INFO", "INFO"]
    assert KEY not in done.stderr, "whoever writes it"
    assert PROMPT not in done.stderr


def test_the_variable_leaves_the_application_s_handlers_alone(
    connect: Open, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKIT_LOG", " Warning")
    before = list(logging.getLogger("llmkit").handlers)
    connect().chat(PROMPT)
    assert logging.getLogger("llmkit").handlers == before
    assert lines.records == [], "the level is set"


def test_a_level_that_is_none_is_refused(connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKIT_LOG", "loud")
    with pytest.raises(errors.ConfigError, match=r"LLMKIT_LOG = 'loud', from the environment.*debug, info, warning"):
        connect()
