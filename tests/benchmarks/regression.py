"""Whether anything is slower than it was: `python -m tests.benchmarks.regression [SUITE…] [--update]`.

What is measured are ratios, of what ours costs to what something else costs in the same run, so that they hold on any
machine: less is better. They are compared with those of baseline.json. What is worse than its tolerance allows is
measured once more, and fails where that confirms it. All figures go into reports/benchmarks.json. A change that is
meant to cost more comes with a new baseline: `--update`, in the same commit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from tests.benchmarks import cache, files, fixed_costs, tokens
from tests.benchmarks.client import __main__ as client
from tests.benchmarks.measurement import alternating
from tests.benchmarks.traffic import chat

BASELINE, OUT = Path(__file__).with_name("baseline.json"), Path("reports/benchmarks.json")
RUNS = 7
TOLERANCE = 0.3  # of a first baseline; on a busy machine they come back within a tenth
Ratios: TypeAlias = dict[str, float]
Suite: TypeAlias = Callable[[Path], Iterable[tuple[str, float]]]
State: TypeAlias = Literal["as it was", "faster", "slower", "new", "gone"]
FAILING: frozenset[State] = frozenset({"slower", "gone"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the ratios were, and by how much one may be worse, as a share of what it was."""

    tolerance: float
    ratios: Ratios

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """The baseline in a file, an empty one where there is no file."""
        if not path.exists():
            return cls(tolerance=TOLERANCE, ratios={})
        told = json.loads(path.read_text("utf-8"))
        return cls(tolerance=told["tolerance"], ratios=told["ratios"])

    def write(self, path: Path) -> None:
        """Write it, a line for each ratio."""
        rounded = {name: float(f"{ratio:.3g}") for name, ratio in sorted(self.ratios.items())}
        text = json.dumps({"tolerance": self.tolerance, "ratios": rounded}, indent=2, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one ratio; None is what was not there, or was not measured."""

    name: str
    was: float | None
    now: float | None
    state: State


def judged(measured: Mapping[str, float], baseline: Baseline) -> list[Verdict]:
    """Compare what was measured with the baseline, name by name."""
    names = dict.fromkeys([*baseline.ratios, *measured])
    return [_verdict(name, baseline.ratios.get(name), measured.get(name), baseline.tolerance) for name in names]


def _verdict(name: str, was: float | None, now: float | None, tolerance: float) -> Verdict:
    if was is None or now is None:
        return Verdict(name, was, now, "new" if was is None else "gone")
    slower, faster = now > was * (1 + tolerance), now < was / (1 + tolerance)
    return Verdict(name, was, now, "slower" if slower else "faster" if faster else "as it was")


def measured(suites: Mapping[str, Suite], baseline: Baseline) -> Ratios:
    """Run each suite, those with something slower twice: what only one of both shows is noise."""
    found: Ratios = {}
    for name, suite in suites.items():
        print(f"{name} …", file=sys.stderr)
        ratios = _run(name, suite)
        if any(verdict.state == "slower" for verdict in judged(ratios, baseline)):
            again = _run(name, suite)
            ratios = {key: min(ratio, again.get(key, ratio)) for key, ratio in ratios.items()}
        found |= ratios
    return found


def _run(name: str, suite: Suite) -> Ratios:
    with tempfile.TemporaryDirectory() as directory:
        return {f"{name}: {what}": ratio for what, ratio in suite(Path(directory))}


def table(verdicts: Sequence[Verdict]) -> str:
    """Lay the verdicts out in columns."""
    rows = [("ratio", "was", "now", "")]
    rows += [(one.name, _number(one.was), _number(one.now), one.state) for one in verdicts]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [(*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]) for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _number(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.3g}"


def of_client(_: Path) -> Iterator[tuple[str, float]]:
    """Calls and streams beside the SDK's."""
    for part in ("calls", "streams"):
        lines = client.measured(part, runs=RUNS)
        yield from ((line.name, line.times) for line in lines if line.theirs and "HTTP alone" not in line.name)


def of_tokens(_: Path) -> Iterator[tuple[str, float]]:
    """Counting beside tiktoken."""
    yield from ((line.name, line.ours / line.theirs) for line in tokens.lines() if line.theirs)


def of_cache(directory: Path) -> Iterator[tuple[str, float]]:
    """A cached answer beside the least that it could cost; breaker and limiter beside a SELECT."""
    found = dict(cache._measured(directory))
    for count in ("1 message", "10 messages", "100 messages"):
        yield f"hit, {count}", found[f"hit, {count}"] / (found["bare SELECT"] + found[f"json.dumps, {count}"])
    yield "breaker and limiter, a call", found["breaker and limiter, a call"] / found["bare SELECT"]


def of_recorder(directory: Path) -> Iterator[tuple[str, float]]:
    """Cassettes beside vcrpy's, by CPU time."""
    chats = [chat(number) for number in range(1_000)]
    for one in (*fixed_costs._blocks(directory), *files._saves_and_loads(directory, "1,000 chats", chats)):
        if one.theirs:
            yield one.name, one.ours / one.theirs


def of_imports(_: Path) -> Iterator[tuple[str, float]]:
    """A process that imports llmkit, or the client with it, beside one that imports openai."""
    codes = {"llmkit": "import llmkit", "Client": "from llmkit import Client", "openai": "import openai"}
    runs = alternating({name: _python(code) for name, code in codes.items()}, runs=RUNS, clock=fixed_costs._children_s)
    yield from ((name, runs[name].best / runs["openai"].best) for name in ("llmkit", "Client"))


def _python(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


SUITES: dict[str, Suite] = {
    "imports": of_imports,
    "client": of_client,
    "tokens": of_tokens,
    "cache": of_cache,
    "recorder": of_recorder,
}


def main(arguments: Sequence[str] | None = None, *, suites: Mapping[str, Suite] = SUITES) -> int:
    """Measure, write the figures, and return 1 where something is slower, or is no longer measured."""
    chosen = _parser(suites).parse_args(arguments)
    wanted = {name: suite for name, suite in suites.items() if name in chosen.suites or not chosen.suites}
    whole = Baseline.read(chosen.baseline)
    mine = {name: ratio for name, ratio in whole.ratios.items() if name.partition(":")[0] in wanted}
    baseline = Baseline(tolerance=whole.tolerance, ratios=mine)
    found = measured(wanted, baseline)
    verdicts = judged(found, baseline)
    _write(chosen.out, found, verdicts)
    print(f"\n{table(verdicts)}\n\nFigures: {chosen.out}")
    if chosen.update:
        kept = {name: ratio for name, ratio in whole.ratios.items() if name not in mine}
        Baseline(tolerance=whole.tolerance, ratios=kept | found).write(chosen.baseline)
        return 0
    failing = [one.name for one in verdicts if one.state in FAILING]
    if failing:
        print(f"Worse than {chosen.baseline.name} by more than {whole.tolerance:.0%}, or gone: {'; '.join(failing)}")
    return 1 if failing else 0


def _parser(suites: Mapping[str, Suite]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.regression", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*suites, []], metavar="SUITE", help=f"of {', '.join(suites)}")
    parser.add_argument("--update", action="store_true", help="make what is measured the baseline")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=OUT, help="where the figures go; default: %(default)s")
    return parser


def _write(path: Path, found: Ratios, verdicts: Sequence[Verdict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    told = {**machine, "ratios": found, "verdicts": [asdict(one) for one in verdicts]}
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
