"""openai-python's own tests, from its sdist, with the mock server in the place of the API."""

import os
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.conformance.report import Row
from tests.conformance.workshop import Absent, Workshop

_WITHIN_S = 420
_FOLDER = "tests/api_resources"


@dataclass(frozen=True, kw_only=True)
class Area:
    """One file of the suite and how many of its cases must pass."""

    name: str
    path: str
    passes: int

    @property
    def module(self) -> str:
        """As the report names it."""
        return f"{_FOLDER}/{self.path}".removesuffix(".py").replace("/", ".")


@dataclass(frozen=True)
class Case:
    """One case of the report."""

    classname: str
    failure: str | None
    skipped: bool


def rows(workshop: Workshop, origin: str) -> list[Row]:
    """Run the core areas; a row each, or a single one where the suite can't be had."""
    data = tomllib.loads(Path(__file__).with_name("suite.toml").read_text(encoding="utf-8"))
    areas = [Area(name=name, **area) for name, area in data["areas"].items()]
    try:
        python = workshop.python("suite", data["requirements"])
        sources = workshop.sdist("openai", data["version"], python=python)
    except Absent as exc:
        return [Row(name="openai-python's suite", absent=str(exc))]
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        said = _run(python, sources, areas, report=report, origin=origin)
        if not report.exists():
            return [Row(name="openai-python's suite", failed=1, failures=(said,))]
        return judged(areas, list(cases(report)))


def _run(python: Path, sources: Path, areas: Sequence[Area], *, report: Path, origin: str) -> str:
    """The last line that pytest says; it writes its report unless it fails to run."""
    files = [f"{_FOLDER}/{area.path}" for area in areas]
    workers = min(os.cpu_count() or 1, 4)
    options = [
        "-o",
        "addopts=",
        "-n",
        str(workers),
        "-q",
        "--tb=line",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
    ]
    env = {**_plain_environment(), "TEST_API_BASE_URL": f"{origin}/v1"}
    command = [str(python), "-m", "pytest", *options, *files]
    try:
        done = subprocess.run(
            command, cwd=sources, env=env, capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"pytest did not end within {_WITHIN_S} s"
    return ((done.stdout + done.stderr).strip().splitlines() or ["pytest said nothing"])[-1]


def _plain_environment() -> dict[str, str]:
    """Ours without what would steer the SDK or pytest."""
    steering = ("OPENAI_", "AZURE_", "PYTEST_", "PYTHONPATH", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(steering)}


def cases(report: Path) -> Iterator[Case]:
    """The cases of a JUnit report, which is pytest's own and so no hostile XML."""
    for element in ElementTree.parse(report).iter("testcase"):
        wrong = element.find("failure") if element.find("failure") is not None else element.find("error")
        failure = None if wrong is None else (wrong.get("message") or wrong.text or "?").partition("\n")[0]
        yield Case(element.get("classname", ""), failure, element.find("skipped") is not None)


def judged(areas: Sequence[Area], found: Sequence[Case]) -> list[Row]:
    """A row for each area; cases that should pass and are not there have failed too."""
    return [_row(area, [case for case in found if case.classname.startswith(f"{area.module}.")]) for area in areas]


def _row(area: Area, found: Sequence[Case]) -> Row:
    said = [case.failure for case in found if case.failure is not None]
    skipped = sum(case.skipped for case in found)
    passed = len(found) - len(said) - skipped
    lost = max(area.passes - passed - len(said), 0)
    said += [f"of {area.passes} cases {lost} were not run"] if lost else []
    return Row(
        name=area.name,
        passed=passed,
        failed=max(area.passes - passed, 0),
        skipped=skipped,
        failures=tuple(said),
    )
