"""The harness must not call a run good that isn't."""

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from mockserver import MockServer, reply
from tests.conformance import conversations, suite
from tests.conformance.clients import openai_python, talk
from tests.conformance.conversations import Client
from tests.conformance.report import ABSENT, FAILED, HELD, Row, exit_code, failures, table
from tests.conformance.serving import NotStarted, _complaints, serving
from tests.conformance.suite import Area
from tests.conformance.workshop import Absent, Workshop

AREA = Area(name="models", path="test_models.py", passes=2)
CLIENT = Client(name="a client", kind="python", needs=(), conversations=2)
HELD_LINE = '{"dialect": "openai", "conversation": "plain", "ok": true}'
REPORT = """<testsuites><testsuite>
<testcase classname="tests.api_resources.test_models.TestModels" name="a"/>
<testcase classname="tests.api_resources.test_models.TestModels" name="b">
<failure message="Boom: 404&#10;more"/></testcase>
<testcase classname="tests.api_resources.test_models.TestModels" name="c"><skipped message="aiohttp"/></testcase>
<testcase classname="tests.api_resources.test_models_of_others.TestX" name="d"><error>lost</error></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def client(mockserver: MockServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=mockserver.openai_url, api_key=talk.KEY, max_retries=0, timeout=10) as made:
        yield made


@pytest.mark.parametrize(
    "conversation",
    [openai_python.plain, openai_python.streamed, openai_python.tools, openai_python.streamed_tools],
)
def test_the_sdk_holds_its_conversations(conversation: Callable[[openai.OpenAI], None], client: openai.OpenAI) -> None:
    conversation(client)


def test_a_stream_that_says_something_else_than_the_plain_reply_is_noticed(
    client: openai.OpenAI, mockserver: MockServer
) -> None:
    mockserver.script(reply("One thing is said here."))
    with pytest.raises(AssertionError, match="but the plain reply is"):
        openai_python.streamed(client)


def test_an_answer_in_words_where_a_tool_should_be_called_is_noticed(
    client: openai.OpenAI, mockserver: MockServer
) -> None:
    mockserver.script(reply("I would rather not call it."))
    with pytest.raises(AssertionError, match="expected a tool call"):
        openai_python.tools(client)


@pytest.mark.parametrize(
    "arguments",
    [
        '{"city": "Lisbon", "unit": "kelvin", "days": 3}',
        '{"city": "Lisbon", "unit": "celsius", "days": 8}',
        '{"city": "Lisbon", "unit": "celsius", "days": true}',
        '{"city": "", "unit": "celsius", "days": 1}',
        '{"city": "Lisbon", "unit": "celsius"}',
        '{"city": "Lisbon", "unit": "celsius", "days": 1, "more": 1}',
    ],
)
def test_arguments_that_break_the_schema_are_noticed(arguments: str) -> None:
    with pytest.raises(AssertionError):
        talk.weather("get_weather", arguments)


def test_a_conversation_that_raises_is_a_line_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise ValueError("no text")

    assert talk.hold({"openai": {"plain": broken}}) == 1
    row = conversations.judged(CLIENT, capsys.readouterr().out, "")
    assert (row.passed, row.failed) == (0, 2)
    assert row.failures[0] == "openai, plain: ValueError: no text"


def test_a_client_that_dies_has_failed_what_it_did_not_hold() -> None:
    row = conversations.judged(CLIENT, HELD_LINE, "Traceback\nImportError: no such module\n")
    assert (row.passed, row.failed) == (1, 1)
    assert row.failures == ("of 2 conversations 1 were held: ImportError: no such module",)


def test_a_client_that_held_all_has_failed_nothing() -> None:
    row = conversations.judged(CLIENT, f"noise\n{HELD_LINE}\n{HELD_LINE}\n", "a warning")
    assert (row.passed, row.failed, row.failures) == (2, 0, ())


def test_every_client_that_is_listed_has_its_script() -> None:
    scripts = Path(conversations.__file__).with_name("clients")
    for one in conversations.clients("python", "node"):
        name = one.script if one.kind == "node" else f"{one.script}.py"
        assert (scripts / name).is_file(), one


def test_the_report_of_the_suite_is_read_by_area(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    (row,) = suite.judged([AREA], list(suite.cases(report)))
    assert (row.passed, row.failed, row.skipped, row.failures) == (1, 1, 1, ("Boom: 404",))


def test_cases_that_were_not_run_have_failed() -> None:
    (row,) = suite.judged([AREA], [])
    assert (row.passed, row.failed) == (0, 2)
    assert row.failures == ("of 2 cases 2 were not run",)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([Row(name="a", passed=1)], HELD),
        ([Row(name="a", passed=1, skipped=2)], HELD),
        ([Row(name="a", passed=1), Row(name="b", absent="no npm")], ABSENT),
        ([Row(name="a", failed=1), Row(name="b", absent="no npm")], FAILED),
    ],
)
def test_a_failure_weighs_more_than_what_could_not_be_run(rows: list[Row], code: int) -> None:
    assert exit_code(rows) == code


def test_the_table_says_why_something_was_not_run_and_sums_up() -> None:
    lines = table([Row(name="chat", passed=2, failed=1), Row(name="node", absent="no npm")]).splitlines()
    assert lines[1].split() == ["chat", "2", "1", "0"]
    assert lines[2].split(maxsplit=1) == ["node", "not run: no npm"]
    assert lines[3].split() == ["all", "2", "1", "0"]


def test_messages_are_counted_and_the_most_frequent_comes_first() -> None:
    said = failures([Row(name="chat", failed=3, failures=("rare\n\n and long", "often", "often"))])
    assert said.split("\n") == ["   2 x chat: often", "   1 x chat: rare and long"]


def test_an_environment_is_made_anew_only_if_it_should_hold_something_else(tmp_path: Path) -> None:
    made: list[str] = []

    def make(place: Path) -> None:
        assert not place.exists()
        place.mkdir()
        made.append(place.name)

    for holds in (["openai==1"], ["openai==1"], ["openai==2"]):
        Workshop(tmp_path)._made("an SDK", holds, make)
    assert made == ["an-sdk", "an-sdk"]
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_an_environment_that_was_not_made_to_its_end_is_made_anew(tmp_path: Path) -> None:
    def broken(place: Path) -> None:
        place.mkdir()
        raise Absent("no index")

    for _ in range(2):
        with pytest.raises(Absent, match="no index"):
            Workshop(tmp_path)._made("sdk", ["openai"], broken)


def test_a_machine_without_node_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    client = Client(name="node", kind="node", needs=("openai",), conversations=1)
    row = conversations.row(client, Workshop(tmp_path), "http://127.0.0.1:1")
    assert row.absent == "node and npm are not both on PATH; install Node 20 or newer"


def test_a_server_that_ends_in_peace_has_nothing_said_about_it(network_allowance: Any) -> None:
    with serving("--seed", "7") as served:
        network_allowance.allow("127.0.0.1", int(served.origin.rpartition(":")[2]))
        asked = urllib.request.Request(f"{served.origin}/v1/models", headers={"authorization": "Bearer any"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert answer.status == 200
    assert served.complaints == []


def test_a_server_that_does_not_start_is_quoted() -> None:
    with pytest.raises(NotStarted, match=r"did not start: [\s\S]*'99999' is no port"), serving("--port", "99999"):
        pass


@pytest.mark.parametrize(
    ("running", "code", "said", "complaint"),
    [
        (False, 1, "", "it ended by itself, with 1"),
        (True, -9, "", "it did not end in peace when it was told to: -9"),
        (True, 0, "Traceback\nKeyError: 'id'\n", "it wrote to stderr: Traceback\nKeyError: 'id'"),
    ],
)
def test_a_server_that_dies_hangs_or_writes_a_traceback_is_complained_about(
    running: bool, code: int, said: str, complaint: str
) -> None:
    assert _complaints(running=running, code=code, said=said) == [complaint]
