"""Every requirement has a test that names it, and docs/requirements.md says which."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import map_requirements
from scripts.map_requirements import Naming, Row, named_in, of_module

ROWS, NAMED = map_requirements.chapters(), map_requirements.namings()


def test_the_page_is_what_the_script_writes() -> None:
    written = map_requirements.PAGE.read_text(encoding="utf-8")
    assert written == map_requirements.page(ROWS, NAMED), "run python scripts/map_requirements.py"


def test_every_row_has_a_test() -> None:
    assert ", ".join(map_requirements.unproven(ROWS, NAMED)) == ""


def test_no_test_names_a_row_that_there_is_none_of() -> None:
    assert [str(naming) for naming in map_requirements.invented(ROWS, NAMED)] == []


def test_no_row_is_listed_twice_or_left_out() -> None:
    names = [row.name for rows in ROWS.values() for row in rows]
    parts = {"1": (6, 4), "2": (6, 5), "3": (6, 6), "4": (7, 7), "5": (7, 7), "6": (7, 4)}
    expected = [f"H{number}" for number in range(1, 11)]
    for part, counts in parts.items():
        for kind, count in zip("IT", counts, strict=True):
            expected += [f"{part}.{kind}{number}" for number in range(1, count + 1)]
    assert names == [*expected, *(f"T{number}" for number in range(1, 26))]


@pytest.mark.parametrize(
    ("docstring", "names"),
    [
        ("Row 2.I3.", ["2.I3"]),
        ("What it does. Row H7", ["H7"]),
        ("Rows 1.I1 and 1.I2: both", ["1.I1", "1.I2"]),
        ("Rows T9, T10 and T12. The last wait", ["T9", "T10", "T12"]),
        ("Rows 1.I1, 1.I2, and\n1.I3", ["1.I1", "1.I2", "1.I3"]),
        ("Rows 2.I3 (variables), 2.T1 (escaping, Unicode), 2.T4", ["2.I3", "2.T1", "2.T4"]),
        ("Row 2.I2: gpt-4.1 is there; H2: more than one family", ["2.I2", "H2"]),
        ("Row 3.I6 (2.I6 has the rest)", ["3.I6"]),
        ("Row T1. It says T2 too.", ["T1"]),
        ("Rows 2.I3 and so on, as in 2.T1", ["2.I3"]),
        ("Row 12 of the table", []),
        ("It throws no T9", []),
        ("Row 1.I1. Later: Row 1.I2. And row 1.I1", ["1.I1", "1.I2"]),
    ],
)
def test_the_rows_of_a_docstring_are_found(docstring: str, names: list[str]) -> None:
    assert named_in(docstring) == names


def test_a_test_is_named_before_its_module() -> None:
    code = '''"""Rows T1 and T2."""
def test_one():
    """Row T1."""
class TestMore:
    async def test_two(self):
        """Row T3."""
def helper():
    """Row T4."""
'''
    assert [str(naming) for naming in of_module("tests/test_x.py", code)] == [
        "tests/test_x.py",
        "tests/test_x.py::test_one",
        "tests/test_x.py::TestMore::test_two",
    ]


def test_rows_without_tests_and_tests_without_rows_are_told() -> None:
    rows = {"Chapter": [Row("T1", "asks", "check"), Row("T2", "asks", "check")]}
    named = [Naming("T1", "tests/test_x.py", "test_one"), Naming("T3", "tests/test_x.py")]
    assert map_requirements.unproven(rows, named) == ["T2"]
    assert map_requirements.invented(rows, named) == [named[1]]
    lines = map_requirements.page(rows, named).splitlines()
    assert "| T1 | asks | check | `test_x.py::test_one` |" in lines
    assert "| T2 | asks | check | **none** |" in lines


@pytest.mark.parametrize("path", sorted({naming.file for naming in NAMED}))
def test_rows_are_named_one_by_one(path: str) -> None:
    """A range, as in T1 to T5, would hide which of them have a test."""
    code = (map_requirements.ROOT / Path(path)).read_text(encoding="utf-8")
    ranges = re.findall(r"\bRows?\s+[\w.]+\s*(?:-|–|to)\s*(?:\d\.[IT]|[HT])\d.*", code)  # noqa: RUF001, an en dash is meant
    assert ranges == []
