"""What the guides say is so: commands print what is shown, settings are those that there are, projects move over."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from llmkit._pytest.settings import _MARKER_TAKES, FAULTS, MODES
from llmkit.cli.cassettes import cassettes as commands
from llmkit.cli.program import program
from mockserver import MockServer, reply
from mockserver.admin import Admin
from mockserver.admin.openapi import methods_by_path
from mockserver.app import PLACES, SURFACES, admin_routes, routes
from mockserver.cli import command as mockserver_command
from mockserver.content_filter import CATEGORIES, SEVERITIES
from mockserver.scripting.matching import CONDITIONS
from mockserver.scripting.reading import from_data, from_yaml
from mockserver.scripting.steps import OF_EVERY_STEP
from mockserver.state import Settings, State
from mockserver.truth.findings import Measure
from mockserver.truth.rules import RULES

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("unmeasured_children")

ROOT = Path(__file__).parents[1]
GUIDES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "guides").glob("*.md")}
RECORDING, SERVER, BAD_DAYS = GUIDES["recording"], GUIDES["mock-server"], GUIDES["bad-days"]
SURFACES_PAGE = (ROOT / "docs" / "surfaces.md").read_text(encoding="utf-8")
OF_THE_SERVER = ("mock-server", "bad-days", "recording-proxy")
_END_OF_COMMAND = "--- end of command ---"
_VOLATILE = re.compile(r"\S*\d\S*")  # sums, sizes, ages, dates, ids: a new recording has others

VCRPY = """\
interactions:
- request:
    body: '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Greet Ada"}]}'
    headers:
      authorization: [Bearer sk-proj-Zk3v9Q1xLw7TzB2mN8cR4yH6]
      content-type: [application/json]
    method: POST
    uri: https://api.openai.com/v1/chat/completions
  response:
    body: {string: '{"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello, Ada!"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}}'}
    headers:
      Content-Type: [application/json]
      Set-Cookie: [__cf_bm=Zk3v9Q1xLw7TzB2mN8cR4yH6]
    status: {code: 200, message: OK}
version: 1
"""
TEST = """\
import pytest, openai

@pytest.mark.parametrize("name", ["Ada"])
def test_a_greeting(name):
    asked = [{"role": "user", "content": f"Greet {name}"}]
    reply = openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=asked)
    assert name in reply.choices[0].message.content
"""
THEIR_TEST = """\
import openai

def test_a_greeting(vcr):
    asked = [{"role": "user", "content": "Greet Ada"}]
    with vcr.use_cassette("test_greeting/test_a_greeting[Ada].yaml"):
        openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=asked)
"""


def blocks(guide: str, language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", GUIDES[guide], re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


def session_of(guide: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command that ``guide`` shows, and the lines that it shows as its output."""
    for block in blocks(guide, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            yield command, shown


def loosely(line: str) -> str:
    return " ".join(_VOLATILE.sub("#", line).split())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with our examples, a cassette whose test is gone, and one that pytest-recording wrote."""
    for name in ("cassettes", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    searches = tmp_path / "cassettes/examples/docs_search/test_search"
    shutil.copy(searches / "__module__.yaml", searches / "test_a_name_of_old.yaml")
    theirs = tmp_path / "tests/cassettes/test_greeting"
    theirs.mkdir(parents=True)
    (theirs / "test_a_greeting[Ada].yaml").write_text(VCRPY)
    (tmp_path / "tests/test_greeting.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_line_prints_what_its_guide_shows(shop: Path) -> None:
    for command, shown in session_of("cassettes"):
        program_name, *arguments = shlex.split(command)
        assert program_name == "llmkit"
        printed = {loosely(line) for line in CliRunner().invoke(program, arguments).output.splitlines()}
        for line in shown:
            assert line == "…" or loosely(line) in printed, (command, line, printed)


def test_what_migrate_writes_is_named_from_here_on(shop: Path) -> None:
    printed = CliRunner().invoke(program, ["cassettes", "migrate", "--layout", "pytest-recording"]).output
    assert "  cassettes/tests/test_greeting/" in printed
    assert str(shop) not in printed


def test_each_command_has_an_example() -> None:
    shown = {shlex.split(command)[2] for command, _ in session_of("cassettes")}
    assert shown == set(commands.commands)


def test_the_options_of_the_command_line_are_those_that_the_guide_names() -> None:
    there = {name for one in commands.commands.values() for option in one.params for name in option.opts}
    named = set(re.findall(r"--[a-z-]+", GUIDES["cassettes"]))
    assert named <= there
    assert {name for name in there if name.startswith("--")} <= named


def test_every_setting_has_its_section_and_none_is_invented() -> None:
    printed = subprocess.run([sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True, cwd=ROOT)
    there = set(re.findall(r"^  (llmkit_\w+) \(", printed.stdout, re.MULTILINE))
    assert there
    assert set(re.findall(r"^\| `(llmkit_\w+)`", RECORDING, re.MULTILINE)) == there
    for guide in GUIDES.values():
        assert set(re.findall(r"\bllmkit_[a-z_]+", guide)) <= {*there, "llmkit_record"}  # where --record is kept


def test_every_option_is_explained_and_none_is_invented(pytestconfig: pytest.Config) -> None:
    group = pytestconfig._parser.getgroup("llmkit")
    there = {name.partition("[")[0].partition("=")[0] for option in group.options for name in option.names()}
    assert set(re.findall(r"^\| `(?:pytest )?(--[a-z-]+)", RECORDING, re.MULTILINE)) == there


def test_every_mode_is_explained_and_none_is_invented() -> None:
    assert set(re.findall(r"--record=([a-z_]+)", RECORDING)) == set(MODES)


def test_every_keyword_of_the_marker_is_explained_and_none_is_invented() -> None:
    assert set(re.findall(r"mark\.cassette\((\w+)=", RECORDING)) == set(_MARKER_TAKES)


def test_every_fault_and_how_to_let_it_be_is_explained() -> None:
    assert set(re.findall(r"^\| `([a-z]+)` \| `", RECORDING, re.MULTILINE)) == set(FAULTS)


def test_the_settings_that_the_guide_shows_are_understood(pytester: pytest.Pytester) -> None:
    [settings] = blocks("recording", "toml")
    pytester.makepyprojecttoml(settings)
    pytester.makepyfile("def test_nothing(): pass")
    pytester.runpytest_subprocess("--strict-config").assert_outcomes(passed=1)


def test_the_markers_and_blocks_that_the_guide_shows_work(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = "import openai\ndef greet(): return openai.OpenAI().models.list()\n"
    pytester.makepyfile(greeting=asking, test_guide="\n".join(blocks("recording", "python")))
    pytester.makeini("[pytest]\npythonpath = .\naddopts = --strict-markers\n")
    with MockServer() as server, monkeypatch.context() as environment:
        environment.setenv("OPENAI_BASE_URL", server.openai_url)
        environment.setenv("OPENAI_API_KEY", "any")
        recorded = pytester.runpytest_subprocess("--record").parseoutcomes()
    assert set(recorded) == {"passed"}
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert pytester.runpytest_subprocess("-m", "not live").parseoutcomes()["passed"] == recorded["passed"] - 1


def test_a_project_of_pytest_recording_moves_over_by_the_guide(shop: Path) -> None:
    [dry, moving] = [command for command, _ in session_of("from-vcrpy") if "--layout" in command]
    assert shlex.split(dry)[1:] == [*shlex.split(moving)[1:], "--dry-run"]
    assert CliRunner().invoke(program, shlex.split(moving)[1:]).exit_code == 0

    ran = subprocess.run([sys.executable, "-m", "pytest", "tests"], capture_output=True, text=True)

    assert "1 passed" in ran.stdout
    assert not list((shop / "tests").rglob("*.yaml"))
    assert not any("sk-proj" in path.read_text() for path in shop.rglob("cassettes/tests/**/*.yaml"))


def test_the_fixture_that_takes_the_place_of_vcr_replays(shop: Path) -> None:
    [fixture] = blocks("from-vcrpy", "python")
    imports = "from types import SimpleNamespace\nimport pytest\nfrom llmkit.recording import use_cassette\n"
    (shop / "tests/conftest.py").write_text(imports + fixture)
    (shop / "tests/test_greeting.py").write_text(THEIR_TEST)

    ran = subprocess.run([sys.executable, "-m", "pytest", "tests"], capture_output=True, text=True)

    assert "1 passed" in ran.stdout


def test_the_way_back_is_plain_vcrpy(shop: Path) -> None:
    [back] = [command for command, _ in session_of("from-vcrpy") if "--to vcrpy" in command]
    assert CliRunner().invoke(program, shlex.split(back)[1:]).exit_code == 0

    written = [path for path in shop.rglob("vcrpy/**/*.yaml") if "llmkit" in path.read_text().partition("request")[0]]

    assert list(shop.rglob("vcrpy/**/*.yaml"))
    assert not written


def test_no_link_in_a_guide_is_broken() -> None:
    for name, guide in GUIDES.items():
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", guide):
            assert (ROOT / "docs" / "guides" / target).exists(), (name, target)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", SURFACES_PAGE):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("name", OF_THE_SERVER)
def test_the_sections_that_links_lead_to_are_there(name: str) -> None:
    for target, section in re.findall(r"\]\(([\w./-]+\.md)?#([\w-]+)\)", GUIDES[name]):
        path = ROOT / "docs" / "guides" / (target or f"{name}.md")
        titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert section in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, section


def test_the_tests_that_the_guides_of_the_server_show_pass(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "AZURE_OPENAI_")):
            monkeypatch.delenv(name)
    pytester.makeini("[pytest]\n")
    shown = {name: "\n".join(blocks(name, "python")) for name in OF_THE_SERVER}
    pytester.makepyfile(**{f"test_{name.replace('-', '_')}": code for name, code in shown.items()})
    count = sum(len(re.findall(r"^def test_", code, re.MULTILINE)) for code in shown.values())
    assert count
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=count)


@pytest.fixture
def upstream() -> Iterator[MockServer]:
    """What stands for the real API where a guide records it."""
    with MockServer() as server:
        yield server


def shell(block: str, *, port: int, upstream: str, cwd: Path) -> list[tuple[str, list[str], list[str]]]:
    """Run a session; of each command what it is, what the guide shows and what came."""
    block = block.replace("8080", str(port))
    parts = [part.splitlines() for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    commands = ["\n".join([part[0], *(line[2:] for line in part if line.startswith("> "))]) for part in parts]
    shown = [[line for line in part[1:] if not line.startswith("> ")] for part in parts]
    health = f"://127.0.0.1:{port}/__admin/health"
    up = f"until curl -sko x http{health} || curl -sko x https{health}; do sleep 0.05; done"
    lines = ["set -m; shopt -s expand_aliases"]
    for command in commands:
        lines += [command.replace("https://api.openai.com", upstream), *([up] if command.endswith("&") else [])]
        lines += [f"echo '{_END_OF_COMMAND}'"]
    environment = {name: value for name, value in os.environ.items() if "OPENAI" not in name}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    script = "\n".join([*lines, "kill $(jobs -p) 2>/dev/null; wait"])
    ran = subprocess.run(
        ["bash", "-c", script], cwd=cwd, env=environment, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    came = [part.split("\n") for part in ran.stdout.decode().split(f"{_END_OF_COMMAND}\n")]
    assert len(came) == len(commands) + 1, ran.stdout.decode()
    return [
        (command, lines, [line.rstrip() for line in out if line and not re.match(r"\[\d+\]", line)])
        for command, lines, out in zip(commands, shown, came[:-1], strict=True)
    ]


@pytest.mark.parametrize("name", OF_THE_SERVER)
def test_a_session_with_the_server_prints_what_its_guide_shows(name: str, upstream: MockServer, tmp_path: Path) -> None:
    if name == "recording-proxy" and shutil.which("node") is None:
        pytest.skip("needs node")
    for block in blocks(name, "js"):
        (tmp_path / block.partition("\n")[0].removeprefix("// ")).write_text(block)
    for block in blocks(name, "console"):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        for command, shown, came in shell(block, port=port, upstream=upstream.url, cwd=tmp_path):
            assert not shown or came == shown, command
    if name == "recording-proxy":
        assert "fail 0" in (tmp_path / "report").read_text()
        assert len(upstream.journal) == 2  # recorded once, and served from then on


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_example_for_node_runs(upstream: MockServer, tmp_path: Path) -> None:
    [code] = blocks("mock-server", "js")
    (tmp_path / "ask.mjs").write_text(code)
    provider = {"OPENAI_BASE_URL": upstream.openai_url, "OPENAI_API_KEY": "any"}
    ran = subprocess.run(["node", "ask.mjs"], cwd=tmp_path, env={**os.environ, **provider}, capture_output=True)
    assert ran.stdout == b"200 assistant\n"


def test_the_three_notations_of_a_script_say_the_same() -> None:
    [text] = blocks("bad-days", "yaml")
    [data] = blocks("bad-days", "json")
    python = next(block for block in blocks("bad-days", "python") if "STEPS = [" in block)
    names: dict[str, object] = {}
    exec(python, names)
    steps = names["STEPS"]
    assert isinstance(steps, list)

    written = from_yaml(text, source="guide")

    assert [step.spec() for step in steps] == [step.spec() for step in written.steps]
    assert from_data(json.loads(data), source="guide") == written


def rows(text: str, section: str) -> list[list[str]]:
    """The rows of the first table below a headline, without its head."""
    below = text.partition(f"\n## {section}\n")[2] or text.partition(f"\n### {section}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table, section
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]


def named(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def test_the_options_of_the_server_are_those_that_the_guide_explains() -> None:
    there = {name for option in mockserver_command.params for name in option.opts} | {"--help", "-h"}
    explained = {name.split()[0] for row in rows(SERVER, "Options") for name in named(row[0])}
    assert explained == there
    assert {each for guide in OF_THE_SERVER for each in re.findall(r"(?<![\w-])--[a-z][a-z-]+", GUIDES[guide])} <= {
        *there,
        *("--cacert", "--test"),  # of curl and node
        "--record",  # of pytest, too
    }


def test_every_option_of_mockserver_in_python_is_named() -> None:
    explained = {named(row[1])[0] for row in rows(SERVER, "Options") if named(row[1])} - {"verdict()"}
    assert explained == set(inspect.signature(MockServer).parameters) - {"now"}


def test_every_admin_endpoint_is_named_and_none_is_invented() -> None:
    explained = {named(row[0])[0] for row in rows(SERVER, "`/__admin`")}
    assert explained == {f"{method} {path}" for path, methods in methods_by_path().items() for method in methods}


def test_every_admin_route_is_one_that_is_named(network_allowance: object) -> None:
    state = State(Settings())
    assert {route.path for route in Admin(state).routes()} <= {route.path for route in admin_routes(state)}
    explained = {named(row[0])[0].partition(" ")[2] for row in rows(SERVER, "`/__admin`")}
    served = {re.sub(r":.*\}$", "}", route.path) for route in admin_routes(state)}
    parts_of_the_page = {path for path in served if path.startswith("/__admin/ui/")}
    assert served - parts_of_the_page - {"/__admin/{path}"} == explained


def test_every_key_of_a_step_is_explained() -> None:
    keys = {name.removeprefix("reply: ").strip("{}") for row in rows(BAD_DAYS, "Steps") for name in named(row[0])}
    of_reply = {name for name, each in inspect.signature(reply).parameters.items() if each.kind is not each.VAR_KEYWORD}
    assert keys == {*of_reply, *OF_EVERY_STEP, "reply", "faults"}


def test_every_condition_is_explained() -> None:
    assert {name for row in rows(BAD_DAYS, "Matching") for name in named(row[0])} == set(CONDITIONS)


def test_every_rule_and_option_of_the_verdict_is_explained() -> None:
    assert [named(row[0])[0] for row in rows(BAD_DAYS, "The verdict")] == list(RULES)
    options = rows(BAD_DAYS.partition("| `billed_twice`")[2].replace("\n| option", "\n## Measure\n| option"), "Measure")
    shown = {named(row[0])[0]: row[1] for row in options}
    assert list(shown) == [each.name for each in fields(Measure)]
    defaults = {each.name: "" if each.default in (None, ()) else json.dumps(each.default) for each in fields(Measure)}
    assert {name: text.removesuffix(".0") for name, text in defaults.items()} == shown


def test_every_category_and_severity_of_the_filter_is_named() -> None:
    explained = named(BAD_DAYS.partition("## Content filter")[2].partition("are filtered")[0])
    assert {*CATEGORIES, *SEVERITIES} == set(explained)


def test_every_operation_of_every_surface_is_on_the_list_with_its_places() -> None:
    places: dict[tuple[str, str], set[str]] = {}
    for route in routes():
        operation = route.operation
        path = re.sub(r":[^}]+\}", "}", operation.path)
        places.setdefault((operation.surface, f"{operation.method} {path}"), set()).add(route.place)
    listed = {
        (row[0], named(row[1])[0]): {place for place, cell in zip(PLACES, row[2:], strict=True) if cell == "yes"}
        for row in rows(SURFACES_PAGE, "Paths")
    }
    assert listed == places


@pytest.mark.parametrize("section", ["Where shapes come from", "How it is generated"])
def test_every_surface_has_a_row(section: str) -> None:
    names = [module.OPERATIONS[0].surface for module in SURFACES]
    assert sorted(row[0] for row in rows(SURFACES_PAGE, section)) == sorted(names)
