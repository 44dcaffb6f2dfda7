"""The second load of a cassette goes through an index that is derived from it, and never says anything else."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmkit.recording import cassette, use_cassette
from llmkit.recording.cassette import index
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.manner import Manner
from llmkit.recording.matching.match import Rules
from llmkit.recording.tape import Tape

RAW = b"x" * 20_000
RECORDING = Interaction(
    request=Request(method="POST", uri="https://a.test/é", headers={"x": ["1", "2"]}, body=b'{"a": "\xc3\xa9"}'),
    response=Response(
        status=404,
        reason="Not Found",
        headers={"y": ["z"]},
        body=b"\xff\x00",
        ended="aborted: it broke",
        headers_ms=7,
        chunks=((3, 2), (9, 0)),
    ),
    recorded_at="2026-01-02T03:04:05+00:00",
    test="test_it.py::test_one",
)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMKIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(made_with: list[str] | None = None, raw: bytes = RAW) -> tuple[list[index.Keyed], bool]:
    """What a load gives, and whether it had to be derived."""
    derived = []

    def make() -> list[index.Keyed]:
        derived.append(True)
        return [("key", RECORDING)]

    return index.keyed(raw, made_with or [], make), bool(derived)


def test_the_second_load_goes_through_the_index_and_is_the_same(directory: Path) -> None:
    assert load() == ([("key", RECORDING)], True)
    assert load() == ([("key", RECORDING)], False)


def test_the_index_is_safe_to_delete(directory: Path) -> None:
    load()
    [place] = directory.iterdir()
    place.unlink()
    assert load() == ([("key", RECORDING)], True)
    assert load()[1] is False


@given(where=st.integers(0, 10_000), change=st.integers(1, 255))
@example(where=0, change=1)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_damaged_index_is_derived_anew(directory: Path, where: int, change: int) -> None:
    load()
    [place] = directory.iterdir()
    whole = bytearray(place.read_bytes())
    whole[where % len(whole)] ^= change
    place.write_bytes(whole)
    assert load() == ([("key", RECORDING)], True)


def test_an_index_that_was_cut_off_is_derived_anew_at_every_length(directory: Path) -> None:
    load()
    [place] = directory.iterdir()
    whole = place.read_bytes()
    for length in range(len(whole)):
        place.write_bytes(whole[:length])
        assert load() == ([("key", RECORDING)], True)


@pytest.mark.parametrize("text", ["[1]", '["abcdefghijklmno"]', "{}", "null", "[" * 100_000, "[[1,2]]", '{"a": {}}'])
def test_an_index_that_someone_wrote_by_hand_is_not_trusted(directory: Path, text: str) -> None:
    load()
    [place] = directory.iterdir()
    place.write_text(text)
    assert load() == ([("key", RECORDING)], True)


def test_another_text_or_other_rules_have_an_index_of_their_own(directory: Path) -> None:
    load()
    assert load(raw=RAW + b" ")[1]
    assert load(made_with=["other rules"])[1]
    assert len(list(directory.iterdir())) == 3


def test_where_none_can_be_written_it_is_derived_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLMKIT_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert load() == load() == ([("key", RECORDING)], True)


def test_a_user_without_a_home_derives_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LLMKIT_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7, raising=False)  # which the system has no entry for
    assert load() == load() == ([("key", RECORDING)], True)


def test_a_small_cassette_has_an_index_too(directory: Path) -> None:
    assert load(raw=b"x")[1]
    assert not load(raw=b"x")[1]


def test_old_ones_are_forgotten_and_what_is_not_ours_is_left_alone(directory: Path) -> None:
    foreign = [directory / "notes.json", directory / "data.tmp", directory / "below"]
    old, young = (directory / f"{digit * 40}.json" for digit in "0a")
    foreign[-1].mkdir(parents=True)
    for place in (*foreign[:2], old, young):
        place.write_text("[]")
    long_ago = time.time() - 60 * 24 * 3600
    for place in (old, *foreign):
        os.utime(place, (long_ago, long_ago))
    load()
    assert not old.exists()
    assert all(place.exists() for place in (young, *foreign))


def large(path: Path, secret: str) -> Path:
    """A cassette, as another recorder left it, that has a secret in a request."""
    body = json.dumps({"model": "gpt-4o", "metadata": {"run_id": "7"}, "input": secret + "." * 20_000})
    request = Request(method="POST", uri="https://api.openai.com/v1/responses", body=body.encode())
    cassette.save(path, [Interaction(request=request, response=Response(status=200, body=b"{}"))])
    return path


def test_another_secret_in_the_environment_is_not_confused(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = large(tmp_path / "case.yaml", "canary-5f3a9d-0123456789")
    monkeypatch.setenv("OPENAI_API_KEY", "something-else-0123456789")
    assert b"canary" in Tape(path).interactions[0].request.body
    monkeypatch.setenv("OPENAI_API_KEY", "canary-5f3a9d-0123456789")
    for _ in range(2):
        assert b"canary" not in Tape(path).interactions[0].request.body
    monkeypatch.setenv("OPENAI_API_KEY", "something-else-0123456789")
    assert b"canary" in Tape(path).interactions[0].request.body
    assert all(b"canary-5f3a9d" not in place.name.encode() for place in directory.iterdir())


def test_other_ignore_paths_are_not_confused(directory: Path, tmp_path: Path) -> None:
    path = large(tmp_path / "case.yaml", "-")
    other = Request(
        method="POST",
        uri="https://api.openai.com/v1/responses",
        body=Tape(path).interactions[0].request.body.replace(b'"7"', b'"8"'),
    )
    for rules, is_there in ((Rules(), False), (Rules(ignore=("metadata.run_id",)), True), (Rules(), False)):
        tape = Tape(path, manner=Manner(rules=rules))
        assert tape.can_play(tape.ask(other)) is is_there


def test_a_replay_through_the_index_is_that_of_the_file(directory: Path, tmp_path: Path) -> None:
    path = large(tmp_path / "case.yaml", "-")
    first = Tape(path).interactions
    assert len(list(directory.iterdir())) == 1
    assert Tape(path).interactions == first
    with use_cassette(path) as tape:
        assert tape.interactions == first
