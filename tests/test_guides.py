"""What the guides say is so: commands print what is shown, settings are those that there are, projects move over."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from llmkit._pytest.settings import _MARKER_TAKES, FAULTS, MODES
from llmkit.cli.cassettes import cassettes as commands
from llmkit.cli.program import program
from mockserver import MockServer

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
GUIDES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "guides").glob("*.md")}
RECORDING = GUIDES["recording"]
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
