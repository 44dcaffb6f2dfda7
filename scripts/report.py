"""Writes reports/: what the last `make test` came to, as HTML and as Markdown; `make dashboard` does it again.

summary.md and index.html have the counts by kind, what failed and was skipped, what took long, and coverage by package;
coverage/index.html has every line. They are made of reports/junit.xml and .coverage. Returns 1 where no test of some
kind has run, or a package is covered less than its floor asks.
"""

from __future__ import annotations

import argparse
import html
import json
import platform
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from xml.etree import ElementTree

from coverage import Coverage

from tests.kinds import PLACES, kind_of

Outcome: TypeAlias = Literal["passed", "failed", "error", "skipped", "xfailed"]
OUTCOMES: tuple[Outcome, ...] = ("passed", "failed", "error", "skipped", "xfailed")
# of a package; `fail_under` in pyproject.toml is that of all together
FLOORS = {"llmkit": 0.95}
SLOWEST, LEAST_COVERED, LONGEST_MESSAGE = 15, 15, 300
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; }}
td, th {{ border-bottom: 1px solid #ddd; padding: .2rem .8rem; text-align: left; }}
td:not(:first-child) {{ font-variant-numeric: tabular-nums; }}
</style>
<h1>{title}</h1>
<p>{about} <a href="coverage/index.html">Every line</a> · <a href="junit.xml">JUnit</a></p>
{sections}
</html>
"""


@dataclass(frozen=True, slots=True)
class Test:
    """One test of the run; ``said`` is why it failed or was skipped."""

    name: str
    kind: str
    outcome: Outcome
    duration_s: float
    said: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the report; its first row are the heads."""

    title: str
    rows: Sequence[Sequence[str]]


def tests_of(junit: Path) -> list[Test]:
    """Return the tests in a JUnit file of pytest."""
    return [_test(case) for case in ElementTree.parse(junit).iter("testcase")]


def _test(case: ElementTree.Element) -> Test:
    module = case.get("classname", "")
    found = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
    return Test(
        name=f"{module}::{case.get('name')}",
        kind=kind_of(module.replace(".", "/")),
        outcome=_outcome(found),
        duration_s=float(case.get("time", 0)),
        said="" if found is None else " ".join(found.get("message", "").split())[:LONGEST_MESSAGE],
    )


def _outcome(found: ElementTree.Element | None) -> Outcome:
    if found is None:
        return "passed"
    if found.tag == "skipped":
        return "xfailed" if found.get("type") == "pytest.xfail" else "skipped"
    return "failed" if found.tag == "failure" else "error"


def missing_kinds(tests: Iterable[Test]) -> list[str]:
    """Return the kinds of which no test has run."""
    ran = {test.kind for test in tests if test.outcome != "skipped"}
    return [kind for kind in PLACES if kind not in ran]


def sections(tests: Sequence[Test], coverage: Mapping[str, Any]) -> Iterator[Section]:
    """Yield the tables of the report; ``coverage`` is what `coverage json` says."""
    yield Section("Tests", [("kind", *OUTCOMES, "all", "time"), *_counts(tests)])
    unhappy = [test for test in tests if test.outcome in ("failed", "error")]
    if unhappy:
        yield Section("Failed", [("test", "why"), *((test.name, test.said) for test in unhappy)])
    yield Section(
        "Coverage", [("package", "covered", "statements", "missed", "branches", "partly"), *_covered(coverage)]
    )
    yield Section("Least covered", [("module", "covered", "lines missed"), *_least_covered(coverage)])
    reasons = Counter(test.said for test in tests if test.outcome == "skipped")
    if reasons:
        yield Section("Skipped", [("why", "tests"), *((why, str(count)) for why, count in reasons.most_common())])
    slowest = sorted(tests, key=lambda test: -test.duration_s)[:SLOWEST]
    yield Section("Slowest", [("test", "time"), *((test.name, f"{test.duration_s:.1f} s") for test in slowest)])


def _counts(tests: Sequence[Test]) -> Iterator[tuple[str, ...]]:
    for kind in (*PLACES, "all"):
        mine = [test for test in tests if kind in (test.kind, "all")]
        counts = Counter(test.outcome for test in mine)
        time_s = sum(test.duration_s for test in mine)
        yield kind, *(str(counts[outcome]) for outcome in OUTCOMES), str(len(mine)), f"{time_s:.0f} s"


def _covered(coverage: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each package and one for all."""
    for name, numbers in (*_packages(coverage).items(), ("all", _numbers(coverage["totals"]))):
        yield name, f"{_share(numbers):.1%}", *(str(numbers[key]) for key in _SHOWN)


_SHOWN = ("num_statements", "missing_lines", "num_branches", "num_partial_branches")
_COUNTED = (*_SHOWN, "covered_lines", "covered_branches")


def _packages(coverage: Mapping[str, Any]) -> dict[str, Counter[str]]:
    packages: dict[str, Counter[str]] = {}
    for path, told in sorted(coverage["files"].items()):
        packages.setdefault(path.partition("/")[0], Counter()).update(_numbers(told["summary"]))
    return packages


def _numbers(summary: Mapping[str, Any]) -> Counter[str]:
    return Counter({key: int(summary.get(key, 0)) for key in _COUNTED})


def _share(numbers: Mapping[str, int]) -> float:
    """Return how much is covered, of statements and branches together, as coverage has it."""
    there = numbers["num_statements"] + numbers["num_branches"]
    return (numbers["covered_lines"] + numbers["covered_branches"]) / there if there else 1.0


def below_floor(coverage: Mapping[str, Any]) -> dict[str, float]:
    """Return the packages that are covered less than their floor asks, and how much they are."""
    shares = {name: _share(numbers) for name, numbers in _packages(coverage).items()}
    return {name: share for name, share in shares.items() if share < FLOORS.get(name, 0.0)}


def _least_covered(coverage: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    files = sorted(coverage["files"].items(), key=lambda each: each[1]["summary"]["percent_covered"])
    for path, told in files[:LEAST_COVERED]:
        yield path, f"{_share(_numbers(told['summary'])):.1%}", str(told["summary"]["missing_lines"])


def as_markdown(title: str, about: str, parts: Iterable[Section]) -> str:
    """Return the report as Markdown."""
    text = [f"# {title}\n\n{about}\n"]
    for part in parts:
        lines = [[cell.replace("|", "\\|") for cell in row] for row in part.rows]
        lines.insert(1, ["---"] * len(lines[0]))
        text.append(f"\n## {part.title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "".join(text)


def as_html(title: str, about: str, parts: Iterable[Section]) -> str:
    """Return the report as a page."""
    tables = []
    for part in parts:
        rows = "".join(_row(row, "td" if number else "th") for number, row in enumerate(part.rows))
        tables.append(f"<h2>{html.escape(part.title)}</h2>\n<table>\n{rows}</table>")
    return PAGE.format(title=html.escape(title), about=html.escape(about), sections="\n".join(tables))


def _row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>\n"


def measured(reports: Path) -> dict[str, Any]:
    """Write coverage's own pages below ``reports``, and return what it says as JSON."""
    coverage = Coverage(messages=False)
    coverage.load()
    coverage.html_report(directory=str(reports / "coverage"), skip_covered=False)
    coverage.json_report(outfile=str(reports / "coverage.json"))
    found: dict[str, Any] = json.loads((reports / "coverage.json").read_text("utf-8"))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the reports, and return 1 where a kind of tests is empty or a package below its floor."""
    parser = argparse.ArgumentParser(prog="python -m scripts.report", description="Writes reports/ of the last run.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path("reports"), help="default: %(default)s")
    reports: Path = parser.parse_args(arguments).directory
    tests, coverage = tests_of(reports / "junit.xml"), measured(reports)
    title = f"{len(tests)} tests, {coverage['totals']['percent_covered']:.1f} % covered"
    about = f"Python {platform.python_version()} on {platform.system()}."
    parts = list(sections(tests, coverage))
    (reports / "summary.md").write_text(as_markdown(title, about, parts), encoding="utf-8")
    (reports / "index.html").write_text(as_html(title, about, parts), encoding="utf-8")
    print(f"{title}: {reports / 'index.html'}, {reports / 'summary.md'}")
    missing = missing_kinds(tests)
    for kind in missing:
        print(f"no {kind} test has run: look in {' and '.join(PLACES[kind]) or 'tests/'}", file=sys.stderr)
    low = below_floor(coverage)
    for name, share in low.items():
        print(f"{name} is covered to {share:.1%}, less than {FLOORS[name]:.0%}", file=sys.stderr)
    return 1 if missing or low else 0


if __name__ == "__main__":
    sys.exit(main())
