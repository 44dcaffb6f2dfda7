"""A slow-down is found, noise is not taken for one, and the figures are in a file. Rows 5.I6 and 6.I5."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import regression
from tests.benchmarks.regression import BASELINE, SUITES, Baseline, Suite, judged

WAS = Baseline(tolerance=0.4, ratios={"toy: a": 1.0, "toy: b": 0.5})


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, Any]]:
    """The command on a suite whose ratios are given, run by run: its exit code and the figures that it wrote."""

    def run(*rounds: dict[str, float], options: tuple[str, ...] = ()) -> tuple[int, Any]:
        left = iter(rounds)
        suites: dict[str, Suite] = {"toy": lambda _: next(left).items(), "other": lambda _: []}
        files = ["--baseline", str(tmp_path / "baseline.json"), "--out", str(tmp_path / "out/figures.json")]
        code = regression.main([*files, *options], suites=suites)
        return code, json.loads((tmp_path / "out/figures.json").read_text())

    WAS.write(tmp_path / "baseline.json")
    return run


@pytest.mark.parametrize(
    ("now", "state"), [(1.0, "as it was"), (1.39, "as it was"), (1.41, "slower"), (0.72, "as it was"), (0.71, "faster")]
)
def test_a_ratio_is_judged_by_the_tolerance(now: float, state: str) -> None:
    assert [one.state for one in judged({"toy: a": now, "toy: b": 0.5}, WAS)] == [state, "as it was"]


def test_what_is_as_it_was_passes(run: Callable[..., tuple[int, Any]]) -> None:
    assert run({"a": 1.1, "b": 0.4})[0] == 0


def test_a_slow_down_fails(run: Callable[..., tuple[int, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    code, figures = run({"a": 1.0, "b": 0.9}, {"a": 1.0, "b": 0.8})
    assert code == 1
    assert figures["ratios"] == {"toy: a": 1.0, "toy: b": 0.8}
    assert figures["verdicts"][1] == {"name": "toy: b", "was": 0.5, "now": 0.8, "state": "slower"}
    assert "by more than 40%, or gone: toy: b" in capsys.readouterr().out


def test_what_a_second_run_does_not_confirm_is_noise(run: Callable[..., tuple[int, Any]]) -> None:
    code, figures = run({"a": 2.0, "b": 0.5}, {"a": 1.1, "b": 0.6})
    assert code == 0
    assert figures["ratios"] == {"toy: a": 1.1, "toy: b": 0.5}


def test_what_is_no_longer_measured_fails(run: Callable[..., tuple[int, Any]]) -> None:
    assert run({"a": 1.0})[0] == 1


def test_what_is_new_is_told_and_passes(run: Callable[..., tuple[int, Any]]) -> None:
    code, figures = run({"a": 1.0, "b": 0.5, "c": 7.0})
    assert code == 0
    assert figures["verdicts"][-1]["state"] == "new"


def test_suites_that_are_not_asked_for_are_left_alone(run: Callable[..., tuple[int, Any]], tmp_path: Path) -> None:
    assert run(options=("other", "--update")) == (0, run(options=("other",))[1])
    assert Baseline.read(tmp_path / "baseline.json") == WAS


def test_an_update_makes_what_is_measured_the_baseline(run: Callable[..., tuple[int, Any]], tmp_path: Path) -> None:
    assert run({"a": 1.23456, "c": 9.0}, {"a": 1.23456, "c": 9.0}, options=("--update",))[0] == 0
    assert Baseline.read(tmp_path / "baseline.json") == Baseline(tolerance=0.4, ratios={"toy: a": 1.23, "toy: c": 9.0})


def test_the_baseline_has_ratios_of_every_suite() -> None:
    ratios = Baseline.read(BASELINE).ratios
    assert {name.partition(": ")[0] for name in ratios} == set(SUITES)
    assert all(ratio > 0 for ratio in ratios.values())


def test_a_real_suite_writes_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    assert regression.main(["cache", "--out", str(out)]) in (0, 1)  # which of both is the machine's matter today
    figures = json.loads(out.read_text())
    assert set(figures["ratios"]) == {name for name in Baseline.read(BASELINE).ratios if name.startswith("cache: ")}
    assert figures["ratios"]["cache: hit, 1 message"] > 1  # it does more than the least
    assert re.fullmatch(r"3\.\d+\.\d+", figures["python"])
