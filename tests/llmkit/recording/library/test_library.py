"""The cassettes of a project as values: what they come to, and what is wrong with them."""

from __future__ import annotations

import os
import subprocess
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from llmkit.recording import cassette
from llmkit.recording.errors import RecordingError
from llmkit.recording.interaction import Interaction
from llmkit.recording.library.checks import Finding
from llmkit.recording.library.library import Library, committed, is_failure
from llmkit.recording.replies.prices import Prices
from llmkit.recording.scrubbing.leaks import Allowed
from llmkit.recording.scrubbing.scrub import Scrubber
from tests.llmkit.recording.samples import KEY, chat, request, streamed

PRICES = Prices.parse(["gpt-4o-mini = 1 / 2"])
NOTHING_KNOWN = Scrubber()


@pytest.fixture
def cassettes(tmp_path: Path) -> Path:
    (tmp_path / "cassettes").mkdir()
    return tmp_path / "cassettes"


def kinds(found: list[Finding]) -> list[tuple[str, str]]:
    return [(str(one.severity), one.kind) for one in found]


def check(*paths: Path, max_age_days: float | None = None) -> list[Finding]:
    return Library(*paths).check(scrubber=NOTHING_KNOWN, max_age_days=max_age_days)


# Finding files


def test_files_are_found_in_all_directories_but_hidden_ones(cassettes: Path) -> None:
    for name in ("b.yaml", "a/c.yml", ".review/d.yaml", ".e.yaml", "README.md"):
        cassette.write(cassettes / name, "")

    assert Library(cassettes).files == [cassettes / "b.yaml", cassettes / "a/c.yml"]


def test_a_path_that_is_named_twice_counts_once(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat()])

    assert len(Library(cassettes, cassettes / "a.yaml").files) == 1


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"there is no '.*nowhere'"):
        Library(tmp_path / "nowhere")


# What cassettes come to


def test_a_summary_adds_calls_tokens_cost_and_models_up(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(), chat("other"), chat("x", "no", status=429)])

    (summary,) = Library(cassettes, prices=PRICES).summaries()

    assert (summary.bill.calls, summary.bill.tokens_in, summary.bill.tokens_out) == (3, 20, 10)
    assert summary.bill.cost == Decimal("0.00004")
    assert summary.bill.unpriced == 0
    assert summary.models == ("gpt-4o-mini",)
    assert summary.refusals == 1
    assert summary.size == (cassettes / "a.yaml").stat().st_size


def test_a_model_without_a_price_leaves_the_cost_open(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(model="in-house-7b")])

    (summary,) = Library(cassettes, prices=PRICES).summaries()

    assert (summary.bill.cost, summary.bill.unpriced) == (None, 1)


def test_a_stream_that_reports_no_usage_leaves_the_cost_open(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [streamed("x", "y"), chat()])

    (summary,) = Library(cassettes, prices=PRICES).summaries()

    assert (summary.bill.cost, summary.bill.unpriced) == (Decimal("0.00002"), 1)


def test_a_request_that_is_not_billed_costs_nothing(cassettes: Path) -> None:
    listing = replace(chat(), request=replace(request({}, "/v1/models"), method="GET"))
    cassette.save(cassettes / "a.yaml", [listing])

    assert Library(cassettes, prices=PRICES).summaries()[0].bill.cost == 0


def test_the_age_is_that_of_the_oldest_reply(cassettes: Path) -> None:
    at = [(datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds") for days in (3, 30)]
    cassette.save(cassettes / "a.yaml", [chat(str(n), recorded_at=one) for n, one in enumerate(at)])

    (summary,) = Library(cassettes).summaries()

    assert (round(summary.age_days), summary.dated_by) == (30, "recorded_at")


def test_without_a_date_of_recording_that_of_the_reply_counts(cassettes: Path) -> None:
    one = chat(recorded_at="")
    dated = replace(one.response, headers={"Date": ["Fri, 20 Nov 2020 15:33:04 GMT"]})
    cassette.save(cassettes / "a.yaml", [replace(one, response=dated)])

    (summary,) = Library(cassettes).summaries()

    assert (summary.recorded_at.year, summary.dated_by) == (2020, "date header")


def test_without_any_date_that_of_the_file_counts(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(recorded_at="")])
    os.utime(cassettes / "a.yaml", (0, 0))

    (summary,) = Library(cassettes).summaries()

    assert (summary.recorded_at.year, summary.dated_by) == (1970, "file")


def test_a_broken_file_does_not_hide_the_others(cassettes: Path) -> None:
    cassette.save(cassettes / "b.yaml", [chat()])
    (cassettes / "a.yaml").write_text("version: 1\ninteractions: [\n")

    broken, whole = Library(cassettes).summaries()

    assert broken.problem is not None
    assert (whole.problem, whole.bill.calls) == (None, 1)


def test_stats_group_by_surface_and_by_model(cassettes: Path) -> None:
    embedding = replace(chat(), request=request({"model": "e", "input": "x"}, "/v1/embeddings"))
    cassette.save(cassettes / "a.yaml", [chat(), chat("x", "no", status=400), streamed("a", "b")])
    cassette.save(cassettes / "b.yaml", [embedding])

    stats = Library(cassettes, prices=PRICES).stats()

    assert (stats.files, stats.broken, stats.bill.calls, stats.streams, stats.refusals) == (2, 0, 4, 1, 1)
    assert [(name, bill.calls) for name, bill in stats.by_surface] == [("chat", 3), ("embeddings", 1)]
    assert [(name, bill.calls) for name, bill in stats.by_model] == [("gpt-4o-mini", 4)]
    assert stats.by_status == ((200, 3), (400, 1))
    assert stats.bill.cost == Decimal("0.00004")
    assert [one.path.name for one in stats.largest] == ["a.yaml", "b.yaml"]


def test_stats_tell_when_by_the_replies_that_have_a_date(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(recorded_at="")])
    os.utime(cassettes / "a.yaml", (0, 0))
    cassette.save(cassettes / "b.yaml", [chat(recorded_at="2020-01-01T00:00:00+00:00")])
    cassette.save(cassettes / "c.yaml", [chat(recorded_at="2021-01-01T00:00:00+00:00")])

    stats = Library(cassettes).stats()

    assert stats.oldest is not None
    assert stats.newest is not None
    assert [one.recorded_at.year for one in (stats.oldest, stats.newest)] == [2020, 2021]


def test_prices_come_from_the_configuration(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(model="in-house-7b")])
    (cassettes.parent / "pytest.ini").write_text("[pytest]\nllmkit_prices = in-house-7b = 1 / 2\n")

    assert Library(cassettes).stats().bill.cost == Decimal("0.00002")


# What is wrong with them


def test_a_sound_library_has_no_findings(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(), streamed("a", "b")])

    assert check(cassettes) == []


def test_a_broken_file_is_an_error_with_its_line(cassettes: Path) -> None:
    (cassettes / "a.yaml").write_text("version: 1\ninteractions:\n- request: 1\n")

    (finding,) = check(cassettes)

    assert kinds([finding]) == [("error", "broken")]
    assert (finding.line, finding.place) == (3, f"{cassettes / 'a.yaml'}:3")


@pytest.mark.parametrize("interaction", [chat(f"use {KEY}"), chat("x", KEY), streamed("x", KEY[:15], KEY[15:])])
def test_a_secret_is_an_error_that_does_not_show_it(cassettes: Path, interaction: Interaction) -> None:
    cassette.save(cassettes / "a.yaml", [interaction])

    (finding,) = check(cassettes)

    assert kinds([finding]) == [("error", "secret")]
    assert finding.interaction == 1
    assert KEY[8:] not in repr(finding)


@pytest.mark.parametrize("text", [f"# {KEY}\n", f"interactions: [{KEY}\n"], ids=["comment", "broken"])
def test_a_secret_beside_the_interactions_is_found_too(cassettes: Path, text: str) -> None:
    cassette.save(cassettes / "a.yaml", [chat()])
    (cassettes / "a.yaml").write_text(text + (cassettes / "a.yaml").read_text())

    secrets = [one for one in check(cassettes) if one.kind == "secret"]

    assert [one.line for one in secrets] == [1]
    assert KEY[8:] not in repr(secrets)


def test_a_value_of_the_environment_is_a_secret_whatever_it_looks_like(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat("my c4n4ry-plain-words")])

    (finding,) = Library(cassettes).check(scrubber=Scrubber().knowing(["c4n4ry-plain-words"]))

    assert (finding.kind, finding.message) == ("secret", "a value of this environment in request.body")


def test_an_allowed_secret_is_no_finding(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(f"use {KEY}")])

    allowed = Allowed({KEY: "a sample"})

    assert Library(cassettes, allowed=allowed).check(scrubber=NOTHING_KNOWN) == []


def test_names_that_a_file_system_may_take_for_one_are_an_error(cassettes: Path) -> None:
    names = ["Ä.yaml", unicodedata.normalize("NFD", "ä.yaml")]
    for name in names:
        cassette.save(cassettes / name, [chat()])

    assert kinds(check(cassettes)) == [("error", "collision")]


def test_what_an_interrupted_write_left_is_an_error(cassettes: Path) -> None:
    (cassettes / "x").mkdir()
    (cassettes / "x" / ".a.yaml.k2j3.tmp").touch()
    (cassettes / ".review").mkdir()

    assert kinds(check(cassettes)) == [("error", "leftover"), ("error", "leftover")]


def test_what_else_is_hidden_is_no_leftover(cassettes: Path) -> None:
    (cassettes / ".gitkeep").touch()
    (cassettes / ".cache.tmp").mkdir()

    assert check(cassettes) == []


def test_the_same_reply_twice_is_a_warning(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(), chat(), chat()])

    found = check(cassettes)

    assert kinds(found) == [("warning", "duplicate")] * 2
    assert [one.interaction for one in found] == [2, 3]


def test_two_replies_to_the_same_request_are_no_duplicate(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(identity="1"), chat(identity="2")])

    assert check(cassettes) == []


def test_an_old_recording_is_a_warning_where_an_age_is_set(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(recorded_at="2020-01-01T00:00:00+00:00")])

    assert check(cassettes) == []
    assert kinds(check(cassettes, max_age_days=30)) == [("warning", "old")]


def test_the_age_may_be_set_in_the_configuration(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(recorded_at="2020-01-01T00:00:00+00:00")])
    (cassettes.parent / "pytest.ini").write_text("[pytest]\nllmkit_max_age_days = 30\n")

    assert kinds(check(cassettes)) == [("warning", "old")]


def test_a_recorded_refusal_is_a_note(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat("x", "no", status=404)])

    found = check(cassettes)

    assert kinds(found) == [("note", "refusal")]
    assert not is_failure(found, is_strict=True)


def test_an_orphan_is_an_error_with_the_tests_name(cassettes: Path) -> None:
    (cassettes.parent / "test_app.py").write_text("def test_a(): ...\n")
    cassette.save(cassettes / "test_app" / "test_a.yaml", [chat()])
    cassette.save(cassettes / "test_app" / "test_gone.yaml", [chat()])

    (finding,) = check(cassettes)

    assert kinds([finding]) == [("error", "orphan")]
    assert finding.message == "test_app.py::test_gone: test_app.py has no such test"


def test_warnings_fail_only_a_strict_check(cassettes: Path) -> None:
    cassette.save(cassettes / "a.yaml", [chat(), chat()])

    found = check(cassettes)

    assert not is_failure(found)
    assert is_failure(found, is_strict=True)


# Against git


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    git(tmp_path, "init", "-q")
    return tmp_path


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *arguments], cwd=directory, check=True)


def test_what_git_has_is_read(repository: Path) -> None:
    path = repository / "sub" / "a b[1].yaml"
    cassette.save(path, [chat("old")])
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "x")
    cassette.save(path, [chat("new")])

    assert committed(path) == [chat("old")]


def test_what_git_does_not_have_is_an_error(repository: Path) -> None:
    cassette.save(repository / "a.yaml", [chat("old")])

    with pytest.raises(RecordingError, match=r"git has no .*a\.yaml in HEAD"):
        committed(repository / "a.yaml")


def test_outside_of_a_repository_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    cassette.save(tmp_path / "a.yaml", [chat("old")])

    with pytest.raises(RecordingError, match="not a git repository"):
        committed(tmp_path / "a.yaml")
