"""The pages on models and configuration: generated parts are as the code is, and examples do what they say.

Rows 1.T1, 2.I2, 5.I7, 5.T5.
"""

from __future__ import annotations

import importlib.util
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from llmkit import models
from llmkit.config import AzureSettings, OpenAISettings
from llmkit.config.files import PARAMETER_OF, SETTING_OF

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/configuration.md").read_text(encoding="utf-8")
PYTHON = [textwrap.dedent(block) for block in re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)]


@pytest.fixture(autouse=True)
def as_shipped(bare: None) -> Iterator[None]:
    """No settings, and the models as they are shipped."""
    yield
    models.reset()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("document_models", ROOT / "scripts/document_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_models_is_as_the_registry(script: ModuleType) -> None:
    written = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    assert written == script.page(), "run python scripts/document_models.py"


def test_the_guides_settings_are_those_that_there_are(script: ModuleType) -> None:
    assert script.guide(GUIDE) == GUIDE, "run python scripts/document_models.py"


def test_the_guide_names_every_key_that_is_read_of_tinytroupes_file() -> None:
    assert {*SETTING_OF, *PARAMETER_OF} <= set(re.findall(r"`([A-Z_]+)`", GUIDE))


@pytest.mark.parametrize("code", PYTHON)
def test_an_example_does_what_it_says(code: str) -> None:
    names: dict[str, object] = {}
    exec(compile(code, "docs/guides/configuration.md", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        assert callable(test)
        test()


def test_the_example_of_a_file_is_one() -> None:
    (text,) = re.findall(r"^```toml\n(# llmkit\.toml\n.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    Path("llmkit.toml").write_text(text, encoding="utf-8")
    azure, openai = AzureSettings.load(), OpenAISettings.load(api_key="any")
    assert (azure.model, azure.auth, azure.spec("chat").name) == ("chat", "entra", "gpt-4.1")
    assert (openai.model, openai.fallback, openai.defaults["temperature"]) == ("gpt-6-luna", ("gpt-5.4-mini",), 0.2)
    assert models.spec_for("house-model").context_window == 32_000


def test_the_entry_that_shows_how_to_add_a_model_can_be_read() -> None:
    page = (ROOT / "docs/adding/a-model.md").read_text(encoding="utf-8")
    table = tomllib.loads(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0])["models"]
    data = tomllib.loads((ROOT / "llmkit/models.toml").read_text(encoding="utf-8"))
    for facts in table.values():
        assert set(facts.pop("sources").values()) <= set(data["sources"])
    models.register_all(table, origin="docs/adding/a-model.md")
    spec = models.spec_for("gpt-7-sol")
    assert (spec.known, spec.efforts[0], spec.context_window) == (True, "none", 2_000_000)
