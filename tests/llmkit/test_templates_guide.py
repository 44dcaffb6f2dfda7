"""What the guides of templates and parsers show is so: each session is run, and prints what stands there.

Row 5.T5, for these two guides.
"""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path

import pytest

from llmkit import parsers
from llmkit.templates import front_matter, inputs, patterns
from mockserver import MockServer, reply

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
TEMPLATES, PARSING = ((GUIDES / f"{name}.md").read_text(encoding="utf-8") for name in ("templates", "parsing"))


def blocks(guide: str, language: str) -> list[tuple[str, str]]:
    """The blocks of one language: what stands behind its name, and what is in them."""
    return re.findall(rf"^```{language}(?: (\S+))?\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("guide", [TEMPLATES, PARSING], ids=["templates", "parsing"])
def test_a_guide_shows_what_happens(guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in blocks(guide, "markdown"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    names: dict[str, object] = {}
    with MockServer() as server:
        server.script(reply("Yes."))
        (tmp_path / ".env").write_text(f"OPENAI_BASE_URL={server.openai_url}\nOPENAI_API_KEY=any\n")
        for _, code in blocks(guide, "python"):
            exec(code, names)
    session = "\n".join(text for _, text in blocks(guide, "pycon"))
    test = doctest.DocTestParser().get_doctest(session, names, "guide", None, 0)
    said: list[str] = []
    result = doctest.DocTestRunner().run(test, out=said.append)
    assert result.attempted > 10
    assert not result.failed, "".join(said)


def rows(guide: str, head: str) -> str:
    """The first cells of the table with this head."""
    table = guide.partition(f"| {head} |")[2].partition("\n\n")[0]
    return " ".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))


def named(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)", text))


def test_every_key_of_a_head_and_of_an_input_is_explained() -> None:
    assert named(rows(TEMPLATES, "in the head of a file")) == set(front_matter.KEYS)
    assert named(rows(TEMPLATES, "of an input")) == set(inputs.KEYS)
    types = re.search(r"^\| `type` \| (.*); alone", TEMPLATES, re.MULTILINE)
    assert types
    assert named(types[1]) == set(inputs.TYPES)


def test_every_pattern_and_parser_is_listed_with_options_that_it_has() -> None:
    listed = re.findall(r"`(\w+)\(([^)]*)\)`", TEMPLATES.partition("| | reads the reply |")[2].partition("\n\n")[0])
    of_patterns = {name: options for name, options in listed if name in patterns.NAMES}
    assert set(of_patterns) == set(patterns.NAMES)
    for name, options in of_patterns.items():
        there = inspect.signature(getattr(patterns, name)).parameters
        assert [option.removesuffix("=…") for option in options.split(", ")] == list(there)
    shown = named(rows(PARSING, "parser | takes | returns"))
    assert shown == set(parsers.__all__) - {"Block", "ParsedCall", "Reading", "Repair"}
