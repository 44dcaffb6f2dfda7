"""docs/guides/tinytroupe.md: what it shows runs, and its tables are complete."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

from llmkit import tinytroupe
from llmkit.tinytroupe import settings

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("unmeasured_children")

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "tinytroupe.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_tests_that_it_shows_pass(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{f"test_{number}": block for number, block in enumerate(BLOCKS)})
    shown = GUIDE.count("\ndef test_")
    assert shown
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=shown)


def test_pointing_works_however_tinytroupe_imports_it(pytester: pytest.Pytester) -> None:
    """A stand-in for TinyTroupe with the ways of importing that it has; its own module must never be imported."""
    package = pytester.mkpydir("tinytroupe")
    (package / "openai_utils.py").write_text("raise AssertionError('this was to be replaced')")
    (package / "agent.py").write_text("from tinytroupe import openai_utils\nfound = openai_utils.client")
    (package / "story.py").write_text("import tinytroupe.openai_utils as openai_utils\nfound = openai_utils.client")
    (package / "factory.py").write_text("from tinytroupe.openai_utils import client as found")
    check = "from tinytroupe import agent, factory, story\nprint(agent.found is story.found is factory.found)"
    main = pytester.makepyfile(main=f"{BLOCKS[0]}\n{check}")
    assert pytester.runpython(main).outlines == ["True"]


def test_every_entry_of_the_configuration_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ?(.*?) ?\| (.+) \| `(\w+)` \|$", GUIDE, re.MULTILINE)
    packaged = ConfigParser()
    packaged.read(Path(tinytroupe.__file__).with_name("config.ini"))
    shipped = packaged["OpenAI"]
    there = [(name, shipped.get(name, ""), otherwise, key) for key, (name, otherwise, _) in settings._ENTRIES.items()]
    assert rows == there
    for name in ("API_TYPE", "AZURE_API_VERSION"):
        assert f"`{name}` ({shipped[name]})" in GUIDE
