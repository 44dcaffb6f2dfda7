"""`llmkit doctor`: settings with their sources, and what a server says, without a call that costs anything.

Rows 1.I5, 1.T4, H7.
"""

from __future__ import annotations

import json
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llmkit import models
from llmkit.cli.program import program
from llmkit.diagnosis import diagnose
from mockserver import MockServer, fault

KEY = "sk-canary-5f3a9d"

# live, for the variables that say where the API is would have its answers recorded
pytestmark = [pytest.mark.live, pytest.mark.usefixtures("bare")]


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(deployments={"chat": "gpt-4.1", "vectors": "text-embedding-3-small"}, api_keys=[KEY]) as running:
        yield running


def doctor(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(program, ["doctor", *arguments], env=variables)


def openai(url: str, *arguments: str, key: str = KEY, **variables: str) -> Result:
    return doctor(*arguments, OPENAI_BASE_URL=url, OPENAI_API_KEY=key, **variables)


def azure(url: str, *arguments: str, key: str = KEY, **variables: str) -> Result:
    return doctor(*arguments, AZURE_OPENAI_ENDPOINT=url, AZURE_OPENAI_API_KEY=key, **variables)


class Fixed:
    """A server that says the same bytes to everyone, or to every path its own, or nothing; `asked` are the paths."""

    def __init__(self, reply: bytes | dict[str, bytes] | None) -> None:
        self.asked: list[str] = []
        self.stopping = threading.Event()
        fixed = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                path = self.rfile.readline().split()[1].decode()
                fixed.asked.append(path)
                while self.rfile.readline().strip():
                    pass
                if reply is None:
                    fixed.stopping.wait()
                else:
                    self.wfile.write(reply if isinstance(reply, bytes) else reply[path])

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Fixed:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def http(status: str, body: str, content_type: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{more}"
    return f"{head}connection: close\r\n\r\n{body}".encode()


def test_a_sound_setup_of_openai_is_told_and_its_model_found(server: MockServer) -> None:
    found = openai(server.openai_url, LLMKIT_MODEL="gpt-4.1", LLMKIT_EMBEDDING_MODEL="text-embedding-3-small")
    assert found.exit_code == 0, found.output
    assert f"ok      connection: {server.openai_url} answered in" in found.output
    assert "ok      model: gpt-4.1 is there" in found.output
    assert "ok      model: text-embedding-3-small is there" in found.output


@pytest.mark.parametrize("version", [{}, {"OPENAI_API_VERSION": "2024-10-21"}], ids=["v1", "dated"])
def test_a_sound_setup_of_azure_is_told_and_its_deployments_found(server: MockServer, version: dict[str, str]) -> None:
    settings = {"LLMKIT_MODEL": "chat", "LLMKIT_EMBEDDING_MODEL": "vectors"}
    Path("llmkit.toml").write_text('[azure.deployments]\nchat = "gpt-4.1"\nvectors = "text-embedding-3-small"\n')
    found = azure(server.azure_endpoint, **settings, **version)
    assert found.exit_code == 0, found.output
    assert "ok      deployment: chat is there" in found.output
    assert "ok      deployment: vectors is there" in found.output
    assert "chat, which is gpt-4.1," in found.output


def test_nothing_is_billed(server: MockServer) -> None:
    server.reset()
    azure(server.azure_endpoint, LLMKIT_MODEL="chat")
    assert len(server.journal) == 2
    assert server.ledger.total.billable_tokens == 0


@pytest.mark.parametrize("version", [{}, {"OPENAI_API_VERSION": "2024-10-21"}], ids=["v1", "dated"])
def test_an_unknown_deployment_is_named(server: MockServer, version: dict[str, str]) -> None:
    found = azure(server.azure_endpoint, LLMKIT_MODEL="gone", **version)
    assert found.exit_code == 1
    assert f"FAILED  deployment: {server.azure_endpoint} knows no deployment 'gone'" in found.output


def test_an_unknown_model_is_named(server: MockServer) -> None:
    found = openai(server.openai_url, "--model", "gpt-nope")
    assert found.exit_code == 1
    assert f"FAILED  model: {server.openai_url} knows no model 'gpt-nope'" in found.output
    assert "'gpt-nope' is not among the models that llmkit knows" in found.output


@pytest.mark.parametrize("ask", [openai, azure])
def test_a_wrong_key_is_told_with_the_address_and_not_shown(server: MockServer, ask: object) -> None:
    url = server.openai_url if ask is openai else server.azure_endpoint
    found = (openai if ask is openai else azure)(url, key="sk-another-canary-77", LLMKIT_MODEL="chat")
    assert found.exit_code == 1
    assert f"FAILED  credentials: {url}" in found.output
    assert "the key or token is not the one of this address" in found.output
    assert "sk-another-canary-77" not in found.output


@pytest.mark.parametrize("ask", [openai, azure])
def test_a_refused_port_is_told_with_the_address(ask: object) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # nobody listens, and nobody else can
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        found = (openai if ask is openai else azure)(url)
    assert found.exit_code == 1
    assert f"FAILED  connection: {url}" in found.output
    assert "check the address, the network" in found.output


@pytest.mark.parametrize("model", [{}, {"LLMKIT_MODEL": "gpt-4.1"}], ids=["no model", "model"])
def test_a_path_that_is_not_the_apis_is_told_with_the_likely_one(server: MockServer, model: dict[str, str]) -> None:
    found = openai(server.url, **model)
    assert found.exit_code == 1
    assert "has no list of models" in found.output
    assert f"does the API begin at {server.url}/v1?" in found.output


def test_a_server_without_a_list_is_asked_for_the_model_itself() -> None:
    with MockServer(script=[fault.http_error(status=404), fault.http_error(status=400)]) as server:
        found = openai(server.openai_url, LLMKIT_MODEL="gpt-4.1")
    assert found.exit_code == 0, found.output
    assert "ok      model: gpt-4.1 is there" in found.output


@pytest.mark.parametrize(
    ("answer", "told", "exit_code"),
    [
        ('{"error": {"code": "empty_array", "message": "no messages"}}', "ok      deployment: chat is there", 0),
        ('{"error": {"code": "unknown_model", "message": "Unknown model: chat"}}', "knows no deployment 'chat'", 1),
    ],
)
def test_a_gateway_with_azures_newer_route_alone_is_asked_there(answer: str, told: str, exit_code: int) -> None:
    replies = {
        "/openai/v1/models": http("200 OK", '{"data": []}'),
        "/openai/deployments/chat/chat/completions?api-version=2024-10-21": http("404 Not Found", '{"error": {}}'),
        "/openai/v1/chat/completions": http("400 Bad Request", answer),
    }
    with Fixed(replies) as gateway:
        found = azure(gateway.url.removesuffix("/v1"), LLMKIT_MODEL="chat")
    assert (found.exit_code, gateway.asked) == (exit_code, list(replies))
    assert told in found.output


@pytest.mark.parametrize(
    ("status", "exit_code", "told"),
    [
        ("400 Bad Request", 0, "ok      model: gpt-4.1 is there"),
        ("429 Too Many Requests", 0, "warning model: gpt-4.1 cannot be told"),
        ("500 Internal Server Error", 1, "FAILED  model:"),
    ],
)
def test_a_key_that_may_not_list_models_may_still_call_one(status: str, exit_code: int, told: str) -> None:
    replies = {
        "/v1/models": http("403 Forbidden", '{"error": {"message": "missing scopes: api.model.read"}}'),
        "/v1/chat/completions": http(status, '{"error": {"message": "as it is"}}'),
    }
    with Fixed(replies) as server:
        found = openai(server.url, LLMKIT_MODEL="gpt-4.1")
    assert "does not show its models to them" in found.output
    assert told in found.output
    assert found.exit_code == exit_code


def test_a_token_is_fetched_before_it_is_sent(server: MockServer) -> None:
    found = diagnose("openai", base_url=server.openai_url, token_provider=lambda: KEY)
    assert found.ok
    assert "the token provider returned a token" in [finding.text for finding in found.findings]
    assert KEY not in str(found)


def test_a_token_that_cannot_be_had_is_told(server: MockServer) -> None:
    found = diagnose("openai", base_url=server.openai_url, token_provider=lambda: "")
    assert [finding.about for finding in found.findings if finding.status == "failure"] == ["credentials"]


def test_the_help_names_both_groups_of_commands() -> None:
    printed = CliRunner().invoke(program, ["--help"]).output
    assert "doctor" in printed
    assert "cassettes" in printed
    assert CliRunner().invoke(program, ["surgeon"]).exit_code == 2


def test_a_model_that_is_shut_down_is_told_with_its_successor() -> None:
    Path("llmkit.toml").write_text(
        "[models.old]\nlike = 'gpt-4o'\nretires = 2020-01-01\nreplacement = 'young'\n"
        "[models.young]\nlike = 'gpt-4o'\nretires = 2999-01-01\n"
    )
    try:
        found = openai("https://host/v1", "--offline", LLMKIT_MODEL="old", LLMKIT_FALLBACK="young")
    finally:
        models.reset()
    assert "warning model: old was to be shut down on 2020-01-01" in found.output
    assert "(OpenAI advises young)" in found.output
    assert "ok      model: young is known: 128,000 tokens of context, 16,384 of output" in found.output


def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    with Fixed(None) as silent:
        began = time.monotonic()
        found = openai(silent.url, "--timeout", "0.3")
        assert time.monotonic() - began < 8
    assert found.exit_code == 1
    assert f"no answer of {silent.url} within 0.3 s" in found.output
    assert "--timeout" in found.output


def test_a_page_of_something_else_is_no_api() -> None:
    with Fixed(http("200 OK", "<html>Log in</html>", "text/html")) as portal:
        found = openai(portal.url)
    assert found.exit_code == 1
    assert "text/html that holds no list of models" in found.output
    assert "a login page is in between" in found.output


def test_an_answer_that_is_nested_without_end_is_no_list_of_models() -> None:
    with Fixed(http("200 OK", '{"data":' + "[" * 100_000)) as hostile:
        found = openai(hostile.url)
    assert found.exit_code == 1
    assert "holds no list of models" in found.output


def test_a_key_that_the_server_repeats_is_not_shown() -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}.", "code": "invalid_api_key"}})
    with Fixed(http("401 Unauthorized", body)) as echoing:
        for arguments in ([], ["--json"]):
            found = openai(echoing.url, *arguments)
            assert found.exit_code == 1
            assert "Incorrect API key provided: ***" in found.output
            assert KEY not in found.output


def test_a_clock_that_is_wrong_is_told() -> None:
    reply = http("200 OK", '{"object": "list", "data": []}', more="date: Tue, 01 Jan 2019 00:00:00 GMT\r\n")
    with Fixed(reply) as late:
        found = openai(late.url)
    assert found.exit_code == 0
    assert "warning clock: this machine's clock is" in found.output
    assert "ahead of the server's" in found.output


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({}, "OPENAI_API_KEY"),
        ({"AZURE_OPENAI_ENDPOINT": "https://me"}, "AZURE_OPENAI_API_KEY"),
        ({"LLMKIT_PROVIDER": "azure", "AZURE_OPENAI_API_KEY": KEY}, "AZURE_OPENAI_ENDPOINT"),
        ({"AZURE_OPENAI_API_KEY": KEY}, "AZURE_OPENAI_ENDPOINT"),
    ],
)
def test_a_missing_variable_is_named(variables: dict[str, str], missing: str) -> None:
    found = doctor(**variables)
    assert found.exit_code == 1
    assert f"set the environment variable {missing}" in found.output


def test_where_nothing_is_set_up_both_ways_are_told() -> None:
    told = "For Azure OpenAI, set AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY"
    assert told in doctor().output
    assert told not in doctor("--provider", "openai").output


def test_a_wrong_setting_and_a_misspelt_one_are_named() -> None:
    found = openai("https://host/v1", "--offline", LLMKIT_DEADLINE_S="soon", LLMKIT_MODLE="gpt-4o")
    assert found.exit_code == 1
    assert "deadline_s = 'soon', from the environment variable LLMKIT_DEADLINE_S, is not valid" in found.output
    assert "warning settings: LLMKIT_MODLE, in the environment, is no setting of llmkit (did you mean" in found.output


def test_offline_sends_nothing_and_shows_where_settings_came_from(server: MockServer, tmp_path: Path) -> None:
    server.reset()
    Path("llmkit.toml").write_text('model = "gpt-5-mini"\n[defaults]\ntemperature = 0.2\n')
    found = openai(server.openai_url, "--offline")
    assert found.exit_code == 0
    assert len(server.journal) == 0
    lines = {line.split()[0]: line for line in found.output.splitlines() if line}
    assert lines["model"].endswith(str(tmp_path / "llmkit.toml"))
    assert "***" in lines["api_key"]
    assert "gpt-5-mini does not take temperature as set in defaults" in found.output
    assert "openai 3." in found.output or "openai 2." in found.output
    assert KEY not in found.output


def test_json_has_it_all_for_programs(server: MockServer) -> None:
    found = azure(server.azure_endpoint, "--json", LLMKIT_MODEL="gone")
    told = json.loads(found.output)
    assert (found.exit_code, told["ok"]) == (1, False)
    assert {"name": "model", "shown": "gone", "source": "the environment variable LLMKIT_MODEL"} in told["settings"]
    assert [one["about"] for one in told["findings"] if one["status"] == "failure"] == ["deployment"]


def test_a_state_that_is_gone_is_told_without_its_password(server: MockServer) -> None:
    pytest.importorskip("redis")
    found = openai(server.openai_url, LLMKIT_STATE_URL="redis://:canary-pw@127.0.0.1:1/0")
    assert found.exit_code == 1
    assert "FAILED  state_url: redis://***@127.0.0.1:1/0 does not answer" in found.output
    assert "canary-pw" not in found.output


def test_a_state_that_is_there_answers(server: MockServer, tmp_path: Path) -> None:
    program_file = shutil.which("redis-server")
    if program_file is None:
        pytest.skip("needs redis-server, of Debian's package of that name")
    pytest.importorskip("redis")
    path = tmp_path / "state.sock"
    redis = subprocess.Popen(
        [program_file, "--port", "0", "--unixsocket", str(path), "--save", ""], stdout=subprocess.PIPE, text=True
    )
    try:
        assert redis.stdout is not None
        next(line for line in redis.stdout if "ready to accept" in line.lower())
        found = openai(server.openai_url, LLMKIT_STATE_URL=f"unix://{path}")
    finally:
        redis.terminate()
        redis.communicate()
    assert f"ok      state_url: unix://{path} answers" in found.output
