"""Deleting what nothing plays, and nothing else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from llmkit.recording import cassette
from llmkit.recording.errors import RecordingError
from llmkit.recording.library.library import Library
from llmkit.recording.library.pruning import Played, Removal, apply
from tests.llmkit.recording.samples import chat


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_app.py").write_text("def test_a(): ...\n")
    cassette.save(tmp_path / "cassettes/tests/test_app/test_a.yaml", [chat("a"), chat("b"), chat("c")])
    cassette.save(tmp_path / "cassettes/tests/test_app/test_gone.yaml", [chat()])
    return tmp_path


def report(root: Path, unplayed: list[int], *, orphans: list[str] | None = None) -> Played:
    name = "cassettes/tests/test_app/test_a.yaml"
    digest = hashlib.sha256((root / name).read_bytes()).hexdigest()
    facts = {"root": str(root), "cassettes": {name: {"sha256": digest, "unplayed": unplayed}}, "orphans": orphans or []}
    (root / "played").write_text(json.dumps(facts))
    return Played.read(root / "played")


def removals(root: Path, played: Played | None = None) -> list[Removal]:
    return Library(root / "cassettes").removals(played)


def test_an_orphan_is_deleted(root: Path) -> None:
    (removal,) = removals(root)

    assert removal.is_whole
    assert removal.reason == "orphan of tests/test_app.py::test_gone: tests/test_app.py has no such test"
    assert apply([removal]) == [removal]
    assert [path.name for path in (root / "cassettes").rglob("*.yaml")] == ["test_a.yaml"]


def test_unplayed_interactions_are_taken_out(root: Path) -> None:
    found = [one for one in removals(root, report(root, [0, 2])) if one.reason == "unplayed"]

    assert [one.interactions for one in found] == [(1, 3)]
    apply(found)
    assert cassette.load(found[0].path) == [chat("b")]


def test_a_cassette_of_which_nothing_was_played_is_deleted(root: Path) -> None:
    found = [one for one in removals(root, report(root, [0, 1, 2])) if one.reason == "unplayed"]

    apply(found)

    assert not found[0].path.exists()


def test_what_was_recorded_anew_since_the_run_stays(root: Path) -> None:
    played = report(root, [0])
    cassette.save(root / "cassettes/tests/test_app/test_a.yaml", [chat("new")])

    assert [one.reason for one in removals(root, played) if one.reason == "unplayed"] == []


def test_a_file_that_changes_between_plan_and_deed_stays(root: Path) -> None:
    found = removals(root, report(root, [0]))
    for one in found:
        cassette.save(one.path, [chat("new")])

    assert apply(found) == []
    assert all(cassette.load(one.path) == [chat("new")] for one in found)


def test_an_orphan_that_the_run_reports_is_deleted(root: Path) -> None:
    (root / "tests" / "test_app.py").write_text("def test_a(): ...\ndef test_gone(): ...\n")

    found = removals(root, report(root, [], orphans=["cassettes/tests/test_app/test_gone.yaml"]))

    assert [(one.path.name, one.is_whole) for one in found] == [("test_gone.yaml", True)]


def test_a_broken_file_is_never_touched(root: Path) -> None:
    path = root / "cassettes/tests/test_app/test_gone.yaml"
    path.write_text("interactions: [")

    assert removals(root) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"root": "/", "cassettes": {"a": {"unplayed": [0]}}}'])
def test_a_report_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "played").write_text(text)

    with pytest.raises(RecordingError, match="played: it is no report"):
        Played.read(tmp_path / "played")


def test_a_report_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="Run pytest first"):
        Played.read(tmp_path / "played")
