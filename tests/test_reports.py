"""Coverage is what it is said to be, less of it fails, and the reports tell what has run.

The commands are those of `make test`, on a project of a few lines. Rows 6.I1, 6.I2, 6.I3, 6.I6, 6.T1, 6.T2, 6.T3 and
6.T4.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scripts import report
from tests.kinds import PLACES, kind_of

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
# 6 statements and 4 branches
TOY = """\
def sign(number):
    if number > 0:
        return 1
    if number < 0:
        return -1
    return 0
"""
TESTS = {
    "tests/test_toy.py": """\
import os
import pytest
from toy import sign

def test_positive(): assert sign(3) == 1
def test_negative(): assert sign(-3) == -1 and "BROKEN" not in os.environ
@pytest.mark.skipif("REDUCED" in os.environ, reason="left out")
def test_zero(): assert sign(0) == 0
""",
    "tests/integration/test_together.py": "def test_together(): pass\n",
    "tests/performance/test_speed.py": "def test_speed(): pass\n",
}
UNHAPPY = """\
import pytest

@pytest.fixture
def broken(): raise OSError("no <disk>")

def test_passes(): pass
@pytest.mark.parametrize("number", [1, 2])
def test_of_numbers(number): pass
def test_fails(): assert 1 == 2, "one | two"
def test_errs(broken): pass
def test_is_skipped(): pytest.skip("not today")
@pytest.mark.xfail(reason="some day")
def test_is_expected_to_fail(): assert False
class TestMore:
    def test_in_a_class(self): pass
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A run of the commands: where, the exit code of the last one, and what they all said."""

    directory: Path
    code: int
    said: str


def commands() -> list[str]:
    """What `make test` runs of coverage, pytest and the report, with this interpreter."""
    planned = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = planned.replace("\\\n", " ").splitlines()
    of_tests = [line for line in lines if re.match(r"\.venv/bin/(coverage|python -m scripts)", line)]
    return [line.replace(".venv/bin/", f"{Path(sys.executable).parent}/") for line in of_tests]


def made(directory: Path, **environment: str) -> Made:
    """The toy project, made as `make test` makes ours; it ends with the first command that fails."""
    for name, text in {"toy.py": TOY, **TESTS}.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    [of_coverage] = re.findall(
        r"^\[tool\.coverage\.run\].*?(?=^\[tool\.(?!coverage))", PYPROJECT, re.MULTILINE | re.DOTALL
    )
    settings = re.sub(r"^source_pkgs = .*$", 'source_pkgs = ["toy"]', of_coverage, flags=re.MULTILINE)
    (directory / "pyproject.toml").write_text(f'[tool.pytest.ini_options]\npythonpath = ["."]\n{settings}')
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST"))}
    said = ""
    for command in commands():
        ran = subprocess.run(
            command,
            shell=True,
            cwd=directory,
            env={**inherited, "PYTHONPATH": str(ROOT), "PYTEST_XDIST_AUTO_NUM_WORKERS": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said += ran.stdout
        if ran.returncode:
            break
    return Made(directory, ran.returncode, said)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("reduced"), REDUCED="1")


class _Cells(HTMLParser):
    """The rows of a page's tables."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._within = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._within = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self._within = False

    def handle_data(self, data: str) -> None:
        if self._within:
            self.rows[-1][-1] += data


def rows_of_html(path: Path) -> list[list[str]]:
    cells = _Cells()
    cells.feed(path.read_text("utf-8"))
    return cells.rows


def rows_of_markdown(path: Path) -> list[list[str]]:
    lines = [line for line in path.read_text("utf-8").splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_coverage_is_configured_with_branches_and_a_floor() -> None:
    """Rows 6.I1 and 6.I3."""
    told = tomllib.loads(PYPROJECT)["tool"]["coverage"]
    assert told["run"]["branch"]
    assert told["run"]["source_pkgs"] == ["llmkit", "mockserver"]
    assert told["report"]["fail_under"] >= 90


def test_all_that_is_covered_passes(whole: Made) -> None:
    """Row 6.T1."""
    assert whole.code == 0, whole.said
    totals = json.loads((whole.directory / "reports/coverage.json").read_text())["totals"]
    assert (totals["num_statements"], totals["num_branches"], totals["percent_covered"]) == (6, 4, 100.0)


def test_coverage_of_known_code_is_accurate(reduced: Made) -> None:
    """Row 6.T1: 5 of 6 statements and 3 of 4 branches are 8 of 10."""
    told = json.loads((reduced.directory / "reports/coverage.json").read_text())["files"]["toy.py"]
    assert told["missing_lines"] == [6]
    assert told["missing_branches"] == [[4, 6]]
    assert told["summary"]["percent_covered"] == 80.0


def test_reduced_coverage_fails(reduced: Made) -> None:
    """Rows 6.I3 and 6.T2: every test passes, and the build does not."""
    assert reduced.code == 2
    assert "4 passed, 1 skipped" in reduced.said
    assert "total of 80 is less than fail-under=90" in reduced.said


@pytest.mark.parametrize(("covered", "low"), [(95, {}), (94, {"llmkit": 0.94})])
def test_a_package_has_a_floor_of_its_own(covered: int, low: dict[str, float]) -> None:
    """Row 6.T2: the other package cannot make up for it."""
    summary = {"num_statements": 100, "covered_lines": covered}
    rest = {"num_statements": 1_000, "covered_lines": 1_000}
    assert report.below_floor({"files": {"llmkit/a.py": {"summary": summary}, "x/b.py": {"summary": rest}}}) == low


def test_a_failed_test_fails_the_build_and_is_in_the_report(tmp_path: Path) -> None:
    """Row 6.I6."""
    broken = made(tmp_path, BROKEN="1")
    assert broken.code == 1
    assert "tests.test_toy::test_negative" in (tmp_path / "reports/summary.md").read_text()


def test_the_dashboard_shows_every_package_and_every_line(
    reduced: Made,
) -> None:
    """Row 6.I2: what a run with too little coverage needs most."""
    reports = reduced.directory / "reports"
    for rows in (rows_of_html(reports / "index.html"), rows_of_markdown(reports / "summary.md")):
        assert ["toy.py", "80.0%", "6", "1", "4", "1"] in rows
        assert ["all", "80.0%", "6", "1", "4", "1"] in rows
    assert 'href="coverage/index.html"' in (reports / "index.html").read_text()
    [lines] = (reports / "coverage").glob("*toy_py.html")
    assert re.search(r'<p class="mis [^>]*>.*id="t6"', lines.read_text())


def test_all_kinds_of_tests_run(whole: Made) -> None:
    """Row 6.T4."""
    tests = report.tests_of(whole.directory / "reports/junit.xml")
    assert {test.kind for test in tests} == set(PLACES)
    for kind in PLACES:
        assert report.missing_kinds(test for test in tests if test.kind != kind) == [kind]


@pytest.mark.parametrize("kind", PLACES)
def test_there_are_tests_of_each_kind(kind: str) -> None:
    """Row 6.T4: `make test` fails where none of them has run."""
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "examples").rglob("test_*.py")]
    mine = [path for path in files if kind_of(path.relative_to(ROOT).as_posix()) == kind]
    assert any("def test_" in path.read_text("utf-8") for path in mine)


def test_a_test_is_marked_with_its_kind(request: pytest.FixtureRequest) -> None:
    """Row 6.T4: so that `pytest -m performance` runs those."""
    assert [mark.name for mark in request.node.iter_markers() if mark.name in PLACES] == ["unit"]


@pytest.fixture(scope="module")
def unhappy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run with every outcome: where its JUnit file is, and what pytest said at its end."""
    directory = tmp_path_factory.mktemp("unhappy")
    (directory / "test_days.py").write_text(UNHAPPY)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:llmkit",
        "--junitxml=junit.xml",
    ]
    ran = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    return directory / "junit.xml", ran.stdout.splitlines()[-1]


def test_the_counts_of_the_report_are_those_of_the_run(unhappy: tuple[Path, str]) -> None:
    """Rows 6.I6 and 6.T3."""
    junit, said = unhappy
    counted = {
        what.rstrip("s"): int(count)
        for count, what in re.findall(r"(\d+) (passed|failed|skipped|xfailed|errors?)", said)
    }
    assert counted == {"passed": 4, "failed": 1, "skipped": 1, "xfailed": 1, "error": 1}
    parts = {part.title: part.rows for part in report.sections(report.tests_of(junit), _nothing_covered())}
    head, *_, last = parts["Tests"]
    assert {name: int(count) for name, count in zip(head, last, strict=True) if name in counted} == counted
    assert last[head.index("all")] == "8"


def test_the_report_says_why(unhappy: tuple[Path, str], tmp_path: Path) -> None:
    """Rows 6.I6 and 6.T3: in both of its forms, whatever a message holds."""
    parts = list(report.sections(report.tests_of(unhappy[0]), _nothing_covered()))
    (tmp_path / "page.html").write_text(report.as_html("title", "about", parts))
    (tmp_path / "page.md").write_text(report.as_markdown("title", "about", parts))
    for rows in (rows_of_html(tmp_path / "page.html"), rows_of_markdown(tmp_path / "page.md")):
        said = {row[0]: row[1] for row in reversed(rows)}  # the slowest are named again, below
        assert said["test_days::test_fails"].startswith("AssertionError: one | two")
        assert said["test_days::test_errs"] == 'failed on setup with "OSError: no <disk>"'
        assert said["not today"] == "1"


def _nothing_covered() -> dict[str, object]:
    return {"files": {}, "totals": {}}
