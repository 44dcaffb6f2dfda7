"""Every example in Python that the documentation shows is run by a test; here those that no other runs. Row 5.T5."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import textwrap
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import llmkit
from llmkit import Client
from llmkit.parsers import Json
from mockserver import MockServer, app, fault, reply
from mockserver.faults import responses as faults_of_responses
from mockserver.faults.registry import REGISTRY
from mockserver.scripting.reading import from_yaml
from mockserver.surfaces import embeddings

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("unmeasured_children")

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "reference" not in path.parts
}
HERE = "tests/test_documentation.py"
RUN_BY = {
    "README.md": ("tests/test_readme.py", HERE),
    "docs/tokens.md": (HERE,),
    "docs/faults.md": (HERE,),
    "docs/adding/a-fault.md": (HERE,),
    "docs/adding/a-surface.md": (HERE,),
    "docs/guides/bad-days.md": ("tests/test_guides.py",),
    "docs/guides/caching.md": ("tests/llmkit/stores/test_guides.py",),
    "docs/guides/client.md": ("tests/llmkit/test_client_guide.py",),
    "docs/guides/configuration.md": ("tests/llmkit/test_configuration_pages.py",),
    "docs/guides/from-vcrpy.md": ("tests/test_guides.py",),
    "docs/guides/mock-server.md": ("tests/test_guides.py",),
    "docs/guides/parsing.md": ("tests/llmkit/test_templates_guide.py",),
    "docs/guides/recording-proxy.md": ("tests/test_guides.py",),
    "docs/guides/recording.md": ("tests/test_guides.py",),
    "docs/guides/shared-state.md": ("tests/llmkit/stores/test_guides.py",),
    "docs/guides/telemetry.md": ("tests/llmkit/telemetry/test_guide.py",),
    "docs/guides/templates.md": ("tests/llmkit/test_templates_guide.py",),
    "docs/guides/tinytroupe.md": ("tests/llmkit/tinytroupe/test_guide.py",),
}


def blocks(page: str, language: str = "python") -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", PAGES[page], re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


EXAMPLES = {page: blocks(page) for page in PAGES if blocks(page)}


def test_every_page_with_examples_has_a_test_that_runs_them() -> None:
    assert set(EXAMPLES) == set(RUN_BY)


@pytest.mark.parametrize("page", RUN_BY)
def test_the_test_of_a_page_reads_that_page(page: str) -> None:
    for test in RUN_BY[page]:
        code = (ROOT / test).read_text("utf-8")
        assert re.search(rf"\b{re.escape(Path(page).stem)}\b", code), test


def code_of(example: str) -> str:
    """The code of an example; of a session what was typed."""
    typed = re.findall(r"^(?:>>>|\.\.\.) ?(.*)$", example, re.MULTILINE)
    return "\n".join(typed) if typed else example


@pytest.mark.parametrize("page", EXAMPLES)
def test_what_an_example_imports_is_there(page: str) -> None:
    """Also in blocks that show a part of something."""
    for code in map(code_of, EXAMPLES[page]):
        for node in ast.walk(ast.parse(code, filename=page)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("llmkit", "mockserver")):
                exec(ast.unparse(node), {})


@pytest.mark.parametrize("code", blocks("docs/tokens.md"))
def test_the_examples_of_tokens_print_what_their_comments_say(code: str) -> None:
    shown = re.findall(r"^print\(.*\)  # (.+)$", code, re.MULTILINE)
    assert shown
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "docs/tokens.md", "exec"), {})
    assert printed.getvalue().splitlines() == shown


def test_the_example_of_faults_says_the_same_in_both_notations() -> None:
    [code], [text] = blocks("docs/faults.md"), blocks("docs/faults.md", "yaml")
    with MockServer() as server:
        exec(compile(code, "docs/faults.md", "exec"), {"server": server, "fault": fault, "reply": reply})
        assert len(server.script_left) == len(from_yaml(text, source="docs/faults.md").steps) == 3


def test_the_fault_that_the_guide_adds_is_served() -> None:
    [code] = blocks("docs/adding/a-fault.md")
    there = set(REGISTRY)
    try:
        exec(compile(code, "docs/adding/a-fault.md", "exec"), dict(vars(faults_of_responses)))
        with MockServer() as server:
            server.script(reply("Hi") & fault.make("teapot", strength=2))
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
            answer = httpx.post(
                f"{server.openai_url}/chat/completions", json=body, headers={"authorization": "Bearer any"}
            )
        assert answer.status_code == 418
        assert answer.text == 2 * answer.text[: len(answer.text) // 2]
    finally:
        for name in set(REGISTRY) - there:
            del REGISTRY[name]


def test_the_surface_that_the_guide_adds_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = blocks("docs/adding/a-surface.md")
    surface = ModuleType("reversals")
    vars(surface).update({name: value for name, value in vars(embeddings).items() if not name.startswith("__")})
    exec(compile(code, "docs/adding/a-surface.md", "exec"), vars(surface))
    monkeypatch.setattr(app, "SURFACES", (*app.SURFACES, surface))
    with MockServer() as server:
        ask = partial(httpx.post, f"{server.openai_url}/reversals", headers={"authorization": "Bearer any"})
        assert ask(json={"model": "gpt-4o-mini", "input": "Hello"}).json()["text"] == "olleH"
        assert ask(json={"model": "gpt-4o-mini"}).status_code == 400


def test_the_short_examples_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = [block for block in blocks("README.md") if block.startswith("replies = client.map(")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    names: dict[str, Any] = {"llmkit": llmkit, "Client": Client, "Json": Json, "question": "Hi", "tools": []}
    names |= {"questions": ["Hi", "Ho"], "texts": ["a", "b"], "messages": "Hi"}
    with MockServer(seed=1) as server:
        server.script(*[reply('{"a": 1}')] * 3)
        with Client(base_url=server.openai_url, model="gpt-4o", embedding_model="text-embedding-3-small") as client:
            names["client"] = client
            exec(compile(code, "README.md", "exec"), names)
        names["safe"].close()
    assert [answer.text for answer in names["replies"]] == ['{"a": 1}'] * 2
    assert len(names["vectors"]) == 2
    assert names["reply"].parsed == {"a": 1}
    assert names["count"].tokens == 8
    assert {"answers.jsonl", "vectors.jsonl"} <= {path.name for path in tmp_path.iterdir()}


def test_the_markers_of_the_readme_are_taken(pytester: pytest.Pytester) -> None:
    [code] = [block for block in blocks("README.md") if block.startswith("# test_support.py")]
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(test_support=code)
    pytester.runpytest_subprocess("--strict-markers", "-p", "no:cacheprovider").assert_outcomes(passed=1)
