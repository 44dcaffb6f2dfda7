"""Moving over from vcrpy and pytest-recording, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vcr.serialize import deserialize
from vcr.serializers import jsonserializer, yamlserializer

from llmkit.recording import cassette
from llmkit.recording.cassette import vcr_format
from llmkit.recording.cassette.vcr_format import Spelling
from llmkit.recording.errors import BrokenCassette, RecordingError
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.library import migration
from llmkit.recording.library.migration import Outcome, migrate, migrate_back, plan, plan_layout
from llmkit.recording.library.project import Project
from llmkit.recording.naming import file_name
from llmkit.recording.scrubbing.scrub import Scrubber
from tests.llmkit.recording.samples import KEY, chat, streamed

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_bodies = st.one_of(_texts.map(str.encode), st.binary(max_size=30), st.just(b'{"a": 1}'))
_headers = st.dictionaries(
    st.sampled_from(["x-a", "1", "yes", "content-type"]),
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10), min_size=1, max_size=2),
    max_size=3,
)
_interactions = st.builds(
    Interaction,
    request=st.builds(
        Request,
        method=st.sampled_from(["GET", "POST"]),
        uri=st.just("https://api.openai.com/v1/x"),
        headers=_headers,
        body=_bodies,
    ),
    response=st.builds(Response, status=st.integers(100, 599), reason=_texts, headers=_headers, body=_bodies),
)


def vcrpy_file(path: Path, **facts: Any) -> Path:
    request = {
        "method": "POST",
        "uri": "https://my-resource.openai.azure.com/openai/deployments/d/chat/completions",
        "body": json.dumps({"messages": [{"role": "user", "content": facts.pop("prompt", "Hello")}]}),
        "headers": {"authorization": ["Bearer sk-proj-abc"], "user-agent": ["x"]},
    }
    response = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": '{"ok":true}'}, **facts}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"version": 1, "interactions": [{"request": request, "response": response}]}))
    return path


def migrated(path: Path, **options: Any) -> Outcome:
    return migrate(plan([path])[0], scrubber=Scrubber(), **options)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_interactions, max_size=3))
def test_bodies_status_and_headers_survive_vcrpys_yaml(tmp_path: Path, interactions: list[Interaction]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(vcr_format.dump(interactions), encoding="utf-8")

    assert vcr_format.load(path) == interactions


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_interactions, max_size=3))
def test_bodies_status_and_headers_survive_vcrpys_json(tmp_path: Path, interactions: list[Interaction]) -> None:
    path = tmp_path / "a.json"
    try:
        path.write_text(vcr_format.dump(interactions, "json"), encoding="utf-8")
    except RecordingError:
        return  # binary

    assert vcr_format.load(path) == interactions


@pytest.mark.parametrize(("spelling", "serializer"), [("yaml", yamlserializer), ("json", jsonserializer)])
@given(interactions=st.lists(_interactions, max_size=3))
def test_vcrpy_itself_reads_what_is_written_for_it(
    spelling: Spelling, serializer: Any, interactions: list[Interaction]
) -> None:
    try:
        text = vcr_format.dump(interactions, spelling)
    except RecordingError:
        return

    requests, responses = deserialize(text, serializer)

    assert [request.body or b"" for request in requests] == [one.request.body for one in interactions]
    assert [reply["body"]["string"] for reply in responses] == [one.response.body for one in interactions]
    assert [reply["status"]["code"] for reply in responses] == [one.response.status for one in interactions]
    assert [reply["headers"] for reply in responses] == [one.response.headers for one in interactions]


@pytest.mark.parametrize("spelling", ["yaml", "json"])
def test_nothing_of_ours_is_left_in_vcrpys_file(tmp_path: Path, spelling: Spelling) -> None:
    path = tmp_path / "a.yaml"
    cassette.save(path, [chat(test="t"), streamed("x", "y")])

    (step,) = migration.plan_back([path], spelling=spelling)
    migrate_back(step, spelling=spelling)

    assert step.target is not None
    document = yaml.safe_load(step.target.read_text())
    assert list(document) == ["interactions", "version"] or list(document) == ["version", "interactions"]
    for entry in document["interactions"]:
        assert set(entry) == {"request", "response"}
        assert set(entry["response"]) == {"status", "headers", "body"}


def test_a_vcrpy_cassette_is_scrubbed_and_put_under_its_stable_address(tmp_path: Path) -> None:
    path = vcrpy_file(tmp_path / "a.yaml")

    outcome = migrated(path)

    assert (outcome.problem, outcome.interactions) == (None, 1)
    (one,) = cassette.load(path)
    assert one.request.uri == "https://resource.openai.azure.com/openai/deployments/d/chat/completions"
    assert one.request.headers == {"authorization": ["REDACTED"]}
    assert vcr_format.is_ours(path)


def test_a_parsed_body_becomes_the_body(tmp_path: Path) -> None:
    path = vcrpy_file(tmp_path / "a.yaml", parsed_body={"answer": 42})
    text = yaml.safe_load(path.read_text())
    del text["interactions"][0]["response"]["body"]
    path.write_text(yaml.safe_dump(text))

    migrated(path)

    assert cassette.load(path)[0].response.body == b'{"answer":42}'


def test_a_secret_that_would_stay_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = vcrpy_file(tmp_path / "a.yaml", prompt=f"use {KEY}")
    before = path.read_bytes()

    outcome = migrated(path)

    assert outcome.problem is not None
    assert "messages[0].content" in str(outcome.problem)
    assert KEY not in str(outcome.problem)
    assert path.read_bytes() == before


def test_what_is_in_our_format_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    cassette.save(path, [chat()])

    assert plan([path])[0].target is None


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    path = vcrpy_file(tmp_path / "a.yaml")
    before = path.read_bytes()

    assert migrated(path, is_dry=True).interactions == 1
    assert path.read_bytes() == before


def test_vcrpys_json_becomes_our_yaml(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(vcr_format.dump([chat("😀 \x7f \u2028")], "json"))

    migrated(path)

    assert not path.exists()
    assert cassette.load(tmp_path / "a.yaml")[0].request.body == chat("😀 \x7f \u2028").request.body


def test_json_that_is_broken_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"interactions": [\n  {]\n')

    problem = migrated(path).problem

    assert isinstance(problem, BrokenCassette)
    assert problem.line == 2


def test_vcrpys_format_loses_how_a_reply_broke_off_and_says_so(tmp_path: Path) -> None:
    one = streamed("x", "y")
    broken_off = Response(status=200, body=one.response.body, ended="reset: x")
    cassette.save(tmp_path / "a.yaml", [Interaction(request=one.request, response=broken_off)])

    outcome = migrate_back(migration.plan_back([tmp_path / "a.yaml"], out=tmp_path / "out")[0])

    assert outcome.lost == ("1 reply that broke off will end as if it were whole",)


def test_files_keep_their_places_below_another_directory(tmp_path: Path) -> None:
    files = [tmp_path / "c" / "x" / "a.yaml", tmp_path / "c" / "y" / "a.yaml"]

    targets = [step.target for step in migration.plan_back(files, out=tmp_path / "out")]

    assert targets == [tmp_path / "out" / "x" / "a.yaml", tmp_path / "out" / "y" / "a.yaml"]


def test_files_keep_their_places_below_the_directory_that_was_named(tmp_path: Path) -> None:
    file = tmp_path / "c" / "x" / "a.yaml"
    file.parent.mkdir(parents=True)

    (step,) = migration.plan_back([file], out=tmp_path / "out", below=[tmp_path / "c"])

    assert step.target == tmp_path / "out" / "x" / "a.yaml"


@pytest.fixture
def recorded_by_pytest_recording(tmp_path: Path) -> Path:
    tests = tmp_path / "tests" / "unit"
    tests.mkdir(parents=True)
    (tests / "test_app.py").write_text(
        "def test_a(): ...\nclass TestOuter:\n    class TestGroup:\n        def test_b(self): ...\n"
    )
    for name in ("test_a", "test_a[x (1)]", "TestGroup.test_b", "default"):
        vcrpy_file(tests / "cassettes" / "test_app" / f"{name}.yaml")
    return tmp_path


def test_cassettes_of_pytest_recording_move_to_where_ours_are(recorded_by_pytest_recording: Path) -> None:
    root = recorded_by_pytest_recording

    steps = plan_layout(root / "tests", Project.around(root, root=root))

    moves = {
        step.source.stem: step.target.relative_to(root / "cassettes/tests/unit/test_app").as_posix()
        for step in steps
        if step.target
    }
    assert moves == {
        "test_a": "test_a.yaml",
        "test_a[x (1)]": f"{file_name('test_a[x (1)]')}.yaml",
        "TestGroup.test_b": "TestOuter/TestGroup/test_b.yaml",
    }
    assert [step.note for step in steps if not step.target] == [
        f"stays: {root / 'tests/unit/test_app.py'} has no such test; name it by a marker"
    ]


def test_a_moved_cassette_leaves_no_empty_directory_behind(recorded_by_pytest_recording: Path) -> None:
    root = recorded_by_pytest_recording
    (root / "tests/unit/cassettes/test_app/default.yaml").unlink()

    for step in plan_layout(root / "tests", Project.around(root, root=root)):
        assert migrate(step, scrubber=Scrubber()).problem is None

    assert not (root / "tests/unit/cassettes").exists()
    assert len(list((root / "cassettes").rglob("*.yaml"))) == 3


def test_a_move_overwrites_nothing(recorded_by_pytest_recording: Path) -> None:
    root = recorded_by_pytest_recording
    cassette.save(root / "cassettes/tests/unit/test_app/test_a.yaml", [chat()])
    step = next(
        one for one in plan_layout(root / "tests", Project.around(root, root=root)) if one.source.stem == "test_a"
    )

    outcome = migrate(step, scrubber=Scrubber())

    assert "exists" in str(outcome.problem)
    assert step.source.exists()
    assert cassette.load(root / "cassettes/tests/unit/test_app/test_a.yaml") == [chat()]


@pytest.mark.parametrize("source", ["def broken(:\n", "def test_other(): ...\n"])
def test_a_cassette_stays_where_no_test_can_be_told(recorded_by_pytest_recording: Path, source: str) -> None:
    root = recorded_by_pytest_recording
    (root / "tests/unit/test_app.py").write_text(source)

    steps = plan_layout(root / "tests", Project.around(root, root=root))

    assert [step.target for step in steps] == [None] * 4


def test_a_cassette_outside_of_the_project_stays(recorded_by_pytest_recording: Path) -> None:
    root = recorded_by_pytest_recording

    steps = plan_layout(root / "tests", Project.around(root / "other", root=root / "other"))

    assert [step.target for step in steps] == [None] * 4


def test_a_name_whose_characters_were_replaced_is_pointed_out(recorded_by_pytest_recording: Path) -> None:
    root = recorded_by_pytest_recording
    vcrpy_file(root / "tests/unit/cassettes/test_app/test_a[a-b].yaml")

    steps = plan_layout(root / "tests", Project.around(root, root=root))

    assert [one.source.name for one in steps if one.is_unsure] == ["test_a[a-b].yaml"]


@pytest.mark.parametrize(
    "marker", ['default_cassette("default.yaml")', 'vcr("cassettes/default.yaml")', 'vcr("default")']
)
def test_a_cassette_that_a_marker_names_has_its_way_told(
    recorded_by_pytest_recording: Path, monkeypatch: pytest.MonkeyPatch, marker: str
) -> None:
    root = recorded_by_pytest_recording
    monkeypatch.chdir(root)
    (root / "tests/unit/test_app.py").write_text(f"@pytest.mark.{marker}\ndef test_a(): ...\n")

    steps = plan_layout(root / "tests", Project.around(root, root=root))

    (note,) = [one.note for one in steps if one.source.name == "default.yaml"]
    assert "git mv tests/unit/cassettes/test_app/default.yaml cassettes/default.yaml" in note
    assert '@pytest.mark.cassette("default")' in note


def test_json_of_vcrpy_is_found_in_a_directory_and_other_json_is_not(tmp_path: Path) -> None:
    cassette.save(tmp_path / "a.yaml", [chat()])
    for name, text in (("b", vcr_format.dump([chat()], "json")), ("c", "{}"), ("d", "{"), ("e", "[]")):
        (tmp_path / f"{name}.json").write_text(text)

    assert [path.name for path in migration.sources([tmp_path])] == ["a.yaml", "b.json"]
    assert [path.name for path in migration.sources([tmp_path / "c.json"])] == ["c.json"]
