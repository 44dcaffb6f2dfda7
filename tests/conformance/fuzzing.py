"""The admin API under schemathesis: requests by its own document, right and wrong; every answer must be as it says.

https://schemathesis.readthedocs.io
"""

import os
import subprocess
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.conformance.report import Row
from tests.conformance.workshop import Absent, Workshop

_WITHIN_S = 420
_NAME = "admin API, fuzzed"


def rows(workshop: Workshop, origin: str) -> list[Row]:
    """A row for all operations; absent where schemathesis can't be had."""
    data = tomllib.loads(Path(__file__).with_name("fuzzing.toml").read_text(encoding="utf-8"))
    try:
        python = workshop.python("fuzz", data["requirements"])
    except Absent as exc:
        return [Row(name=_NAME, absent=str(exc))]
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        said = _run(_command(python, data, report, origin), Path(scratch))
        return [judged(report, said)]


def _command(python: Path, data: dict[str, object], report: Path, origin: str) -> list[str]:
    checks = data["checks"]
    assert isinstance(checks, list)
    options = {
        "--checks": ",".join(checks),
        "--max-examples": str(data["examples"]),
        "--seed": str(data["seed"]),
        "--report": "junit",
        "--report-junit-path": str(report),
        "--generation-database": "none",
        "--phases": "examples,coverage,fuzzing",
        "--warnings": "off",
    }
    given = [word for pair in options.items() for word in pair]
    return [
        str(python.with_name("schemathesis").absolute()),
        "run",
        *given,
        "--continue-on-failure",
        f"{origin}/__admin/openapi.json",
    ]


def _run(command: Sequence[str], folder: Path) -> str:
    """The last lines that schemathesis says."""
    env = {**os.environ, "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"schemathesis did not end within {_WITHIN_S} s"
    return (done.stdout + done.stderr).strip()[-2000:] or "schemathesis said nothing"


def judged(report: Path, said: str) -> Row:
    """What a JUnit report of schemathesis, which is no hostile XML, says; without one, what it said itself."""
    if not report.exists():
        return Row(name=_NAME, failed=1, failures=(said,))
    cases = list(ElementTree.parse(report).iter("testcase"))
    wrong = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    if not cases:
        return Row(name=_NAME, failed=1, failures=(said,))
    failures = tuple(f"{case.get('name', '?')}: {_reason(case)}" for case in wrong)
    return Row(name=_NAME, passed=len(cases) - len(wrong), failed=len(wrong), failures=failures)


def _reason(case: ElementTree.Element) -> str:
    found = case.find("failure")
    found = case.find("error") if found is None else found
    text = "" if found is None else found.text or found.get("message") or ""
    return " ".join(text.split())[:1200]
