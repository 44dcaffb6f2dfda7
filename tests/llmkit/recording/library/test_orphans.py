"""Which cassettes have no test, told by the project's sources alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from llmkit.recording.library.orphans import Orphan, Tests
from llmkit.recording.library.project import Project
from llmkit.recording.naming import file_name

SOURCE = """
import sys
from shared import test_imported
from base import Base

def test_plain(): ...
async def test_async(): ...
if sys.platform:
    def test_guarded(): ...
else:
    def test_otherwise(): ...
test_made = make()

class TestGroup:
    def test_inside(self): ...
    class TestNested:
        def test_deep(self): ...

class TestChild(Base):
    def test_own(self): ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_app.py").write_text(SOURCE)
    return tmp_path


def orphan(root: Path, cassette: str) -> Orphan | None:
    path = root / "cassettes" / cassette
    return Tests(Project.around(path, root=root)).orphan(path)


@pytest.mark.parametrize(
    "cassette",
    [
        "test_plain",
        "test_plain[a-1]",
        "test_plain[v1.5]",
        f"{file_name('test_plain[a/b]')}",
        "test_async",
        "test_guarded",
        "test_otherwise",
        "test_made",
        "test_imported",
        "TestGroup/test_inside",
        "TestGroup/test_inside[x]",
        "TestGroup/TestNested/test_deep",
        "TestGroup/__class__",
        "TestGroup.test_inside",
        "__module__",
    ],
)
def test_a_cassette_whose_test_is_there_is_no_orphan(project: Path, cassette: str) -> None:
    assert orphan(project, f"tests/test_app/{cassette}.yaml") is None


@pytest.mark.parametrize(
    ("cassette", "test"),
    [
        ("test_gone", "tests/test_app.py::test_gone"),
        ("test_plai", "tests/test_app.py::test_plai"),
        ("test_plain_too[x]", "tests/test_app.py::test_plain_too[x]"),
        ("test_inside", "tests/test_app.py::test_inside"),
        ("TestGroup/test_plain", "tests/test_app.py::TestGroup::test_plain"),
        ("TestGone/test_plain", "tests/test_app.py::TestGone::test_plain"),
        ("TestGone/__class__", "tests/test_app.py::TestGone"),
        ("TestGroup.test_gone", "tests/test_app.py::TestGroup::test_gone"),
    ],
)
def test_an_orphan_is_named_by_the_test_that_it_was_for(project: Path, cassette: str, test: str) -> None:
    found = orphan(project, f"tests/test_app/{cassette}.yaml")

    assert found is not None
    assert found.test == test
    assert "tests/test_app.py has no such" in found.reason


def test_a_test_whose_name_was_shortened_is_found(project: Path) -> None:
    name = "test_" + "long_" * 40
    (project / "tests" / "test_long.py").write_text(f"def {name}(): ...\n")

    assert orphan(project, f"tests/test_long/{file_name(name + '[x]')}.yaml") is None
    assert orphan(project, f"tests/test_long/{file_name('test_other_' + 'long_' * 40)}.yaml") is not None


def test_what_looks_like_a_hash_makes_no_test_of_another(project: Path) -> None:
    assert orphan(project, "tests/test_app/test_pla-0123abcd.yaml") is not None


def test_a_cassette_of_a_module_that_is_gone_is_an_orphan(project: Path) -> None:
    found = orphan(project, "tests/test_removed/test_a.yaml")

    assert found is not None
    assert (found.test, found.reason) == ("tests/test_removed.py::test_a", "tests/test_removed.py is gone")


def test_a_test_that_may_be_inherited_is_not_judged(project: Path) -> None:
    assert orphan(project, "tests/test_app/TestChild/test_of_the_base.yaml") is None


def test_a_module_that_imports_with_a_star_is_not_judged(project: Path) -> None:
    (project / "tests" / "test_star.py").write_text("from shared import *\n")

    assert orphan(project, "tests/test_star/test_anything.yaml") is None


def test_a_module_that_does_not_parse_is_not_judged(project: Path) -> None:
    (project / "tests" / "test_torn.py").write_text("def test_a(:\n")

    assert orphan(project, "tests/test_torn/test_anything.yaml") is None


def test_a_test_that_is_no_python_is_not_judged(project: Path) -> None:
    (project / "guide.rst").write_text(">>> 1\n")

    assert orphan(project, "guide.rst/guide.rst.yaml") is None


def test_a_cassette_of_the_session_is_no_orphan(project: Path) -> None:
    assert orphan(project, "__session__.yaml") is None


def test_a_cassette_of_a_package_is_an_orphan_once_the_directory_is_gone(project: Path) -> None:
    assert orphan(project, "tests/__package__.yaml") is None
    found = orphan(project, "older/unit/__package__.yaml")
    assert found is not None
    assert (found.test, found.reason) == ("older/unit", "the directory older/unit is gone")


def test_a_named_cassette_is_an_orphan_unless_a_string_names_it(project: Path) -> None:
    (project / "tests" / "test_named.py").write_text(
        '@mark.cassette("shared/greeting")\ndef test_a(): ...\n# farewell\n'
    )

    assert orphan(project, "shared/greeting.yaml") is None
    found = orphan(project, "shared/farewell.yaml")
    assert found is not None
    assert found.test == "shared/farewell"


def test_a_cassette_named_like_a_test_is_no_orphan(project: Path) -> None:
    (project / "tests" / "test_named.py").write_text('use_cassette("cassettes/tests/test_old/test_a.yaml")\n')

    assert orphan(project, "tests/test_old/test_a.yaml") is None


def test_without_any_python_nothing_is_judged(tmp_path: Path) -> None:
    assert orphan(tmp_path, "tests/test_app/test_a.yaml") is None


def test_what_is_installed_is_no_source_of_the_project(project: Path) -> None:
    (project / "env").mkdir()
    (project / "env" / "pyvenv.cfg").touch()
    (project / "env" / "module.py").write_text('"farewell"\n')

    assert orphan(project, "farewell.yaml") is not None


def test_two_long_names_are_told_apart_by_their_hash() -> None:
    one, other = file_name("test_" + "a" * 200), file_name("test_" + "a" * 201)

    assert one != other
    assert len(one) < 200
    assert one.endswith(hashlib.sha256(("test_" + "a" * 200).encode()).hexdigest()[:8])
