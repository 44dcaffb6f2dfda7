"""A project's settings, as pytest's configuration files have them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from llmkit.recording.errors import RecordingError
from llmkit.recording.library.project import Project
from llmkit.recording.replies.ledger import Usage

INI = """
llmkit_max_age_days = 30
llmkit_allowed_secrets =
    0123456789ab: a sample of the documentation
    # a comment
    sk-test-[a-z]+: of the fake provider
llmkit_prices =
    my-model = 1 / 2
"""
TOML = """
llmkit_max_age_days = "30"
llmkit_allowed_secrets = ["0123456789ab: a sample of the documentation", "sk-test-[a-z]+: of the fake provider"]
llmkit_prices = ["my-model = 1 / 2"]
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[tool.pytest.ini_options]" + TOML),
        ("pyproject.toml", "[tool.pytest]" + TOML),
        ("pytest.toml", "[pytest]" + TOML),
        ("pytest.ini", "[pytest]" + INI),
        ("tox.ini", "[tox]\n[pytest]" + INI),
        ("setup.cfg", "[metadata]\n[tool:pytest]" + INI),
    ],
)
def test_settings_are_read_from_the_files_that_pytest_reads(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    project = Project.around(tmp_path / "cassettes")

    assert project.config == tmp_path / name
    assert project.max_age_days == 30
    assert list(project.allowed.reasons) == ["0123456789ab", "sk-test-[a-z]+"]
    assert project.prices.cost(Usage(model="my-model", prompt_tokens=1_000_000)) == Decimal(1)


def test_a_file_without_a_section_for_pytest_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "tox.ini").write_text("[pytest]\nllmkit_max_age_days = 7\n")

    assert Project.around(tmp_path / "cassettes").max_age_days == 7


def test_the_root_is_where_the_configured_cassettes_lie(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nllmkit_cassettes = recordings\n")

    project = Project.around(tmp_path / "recordings" / "tests" / "test_a")

    assert (project.root, project.cassettes) == (tmp_path, tmp_path / "recordings")


def test_the_root_is_what_holds_the_nearest_cassettes_otherwise(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nllmkit_max_age_days = 7\n")

    project = Project.around(tmp_path / "tests" / "cassettes" / "test_a")

    assert (project.root, project.cassettes) == (tmp_path / "tests", tmp_path / "tests" / "cassettes")
    assert project.max_age_days == 7


@pytest.mark.parametrize(
    "line", ["llmkit_allowed_secrets = .*: all", "llmkit_max_age_days = soon", "llmkit_prices = x"]
)
def test_a_setting_that_cannot_be_read_is_named_with_its_file(tmp_path: Path, line: str) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{line}\n")

    with pytest.raises(RecordingError, match=r"pytest\.ini"):
        Project.around(tmp_path / "cassettes")


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pytest\n")

    with pytest.raises(RecordingError, match=r"pyproject\.toml"):
        Project.around(tmp_path / "cassettes")
