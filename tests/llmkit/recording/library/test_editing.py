"""Scrubbing, merging and splitting cassettes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording import cassette
from llmkit.recording.cassette.yaml_writer import block
from llmkit.recording.errors import BrokenCassette, RecordingError
from llmkit.recording.interaction import Interaction
from llmkit.recording.library.editing import By, merge, merge_into, scrub, split, split_into
from llmkit.recording.scrubbing.scrub import Scrubber
from tests.llmkit.recording.samples import chat, streamed

SECRET = "c4n4ry-s3cret-0123456789"


def written(path: Path, *interactions: Interaction) -> Path:
    cassette.save(path, interactions)
    return path


def test_a_known_secret_goes_and_its_place_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", chat(), chat(f"the key is {SECRET}", f"so it is {SECRET}"))

    done = scrub(path, Scrubber().knowing([SECRET]))

    assert SECRET not in path.read_text()
    assert done.places == ((2, "request.body messages[0].content"), (2, "response.body choices[0].message.content"))


def test_what_a_header_names_goes_wherever_it_echoes(tmp_path: Path) -> None:
    one = chat()
    one = replace(one, request=replace(one.request, headers={"authorization": [f"Bearer {SECRET}"]}))
    path = written(tmp_path / "a.yaml", chat("x", f"you sent {SECRET}"), one)

    done = scrub(path, Scrubber())

    assert SECRET not in path.read_text()
    assert (2, "request.headers authorization") in done.places


def test_a_secret_over_the_chunks_of_a_stream_goes(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", streamed("x", SECRET[:9], SECRET[9:]))

    assert scrub(path, Scrubber().knowing([SECRET])).places == ((1, "response.body"),)


def test_a_dry_run_names_the_places_and_writes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", chat(SECRET))
    before = path.read_bytes()

    assert scrub(path, Scrubber().knowing([SECRET]), is_dry=True).places
    assert path.read_bytes() == before


def test_a_clean_cassette_is_not_rewritten(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", chat())
    before = path.stat().st_ino

    assert scrub(path, Scrubber().knowing([SECRET])).places == ()
    assert path.stat().st_ino == before


def test_a_broken_cassette_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("interactions: [")

    with pytest.raises(BrokenCassette):
        scrub(path, Scrubber())
    assert path.read_text() == "interactions: ["


def test_a_merge_keeps_the_order_and_drops_what_was_there_already(tmp_path: Path) -> None:
    one = written(tmp_path / "1.yaml", chat("a"), chat("b"))
    other = written(tmp_path / "2.yaml", chat("b"), chat("c"))

    assert merge([one, other]) == [chat("a"), chat("b"), chat("c")]
    assert merge([one, other], keep_duplicates=True) == [chat("a"), chat("b"), chat("b"), chat("c")]


def test_a_merge_keeps_what_one_file_holds_twice(tmp_path: Path) -> None:
    one = written(tmp_path / "1.yaml", chat("a"), chat("a"))
    other = written(tmp_path / "2.yaml", chat("a"))

    assert merge([other, one]) == [chat("a"), chat("a")]


def test_a_merge_does_not_overwrite_a_stranger(tmp_path: Path) -> None:
    one, other, out = (written(tmp_path / f"{name}.yaml", chat(name)) for name in "abc")

    with pytest.raises(RecordingError, match="--force"):
        merge_into(out, [one, other])
    assert cassette.load(out) == [chat("c")]
    assert merge_into(out, [one, other], force=True) == 2


def test_a_merge_may_go_into_one_of_its_files(tmp_path: Path) -> None:
    one, other = (written(tmp_path / f"{name}.yaml", chat(name)) for name in "ab")

    merge_into(one, [one, other])

    assert cassette.load(one) == [chat("a"), chat("b")]


def test_a_merge_with_a_broken_file_writes_nothing(tmp_path: Path) -> None:
    one = written(tmp_path / "1.yaml", chat())
    broken = tmp_path / "2.yaml"
    broken.write_text("")

    with pytest.raises(BrokenCassette):
        merge_into(tmp_path / "out.yaml", [one, broken])
    assert not (tmp_path / "out.yaml").exists()


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("test", ["tests.test_a.py.test_x[1].yaml", "no-test.yaml"]),
        ("model", ["gpt-4o-mini.yaml", "o3.yaml"]),
        ("path", ["POST v1.chat.completions.yaml"]),
        ("interaction", ["1.yaml", "2.yaml"]),
    ],
)
def test_a_split_names_its_files_for_what_they_hold(by: By, names: list[str]) -> None:
    assert list(split([chat("a", test="tests/test_a.py::test_x[1]"), chat("b", model="o3")], by=by)) == names


def test_groups_whose_names_differ_by_case_alone_get_files_of_their_own() -> None:
    assert list(split([chat(model="O3"), chat(model="o3")], by="model")) == ["O3.yaml", "o3-2.yaml"]


def test_a_split_overwrites_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", chat("a"), chat("b"))
    written(tmp_path / "out" / "2.yaml", chat("mine"))

    with pytest.raises(RecordingError, match="--force"):
        split_into(path, tmp_path / "out", by="interaction")
    assert not (tmp_path / "out" / "1.yaml").exists()
    assert len(split_into(path, tmp_path / "out", by="interaction", force=True)) == 2


_made = st.builds(
    lambda prompt, model, test: chat(prompt, model=model, test=test),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["gpt-4o", "GPT-4o", "a/b", "a.b", ""]),
    st.sampled_from(["", "t.py::a", "t.py.a", "t.py::a[x/y]", "t.py::a[x:y]"]),
)


@given(st.lists(_made, max_size=8), st.sampled_from(["test", "model", "path", "interaction"]))
def test_what_was_split_merges_into_the_same_interactions(interactions: list[Interaction], by: By) -> None:
    groups = split(interactions, by=by)

    assert len({name.casefold() for name in groups}) == len(groups)
    assert Counter(block(one) for members in groups.values() for one in members) == Counter(map(block, interactions))


def test_what_was_split_on_disk_merges_into_the_same_cassette(tmp_path: Path) -> None:
    interactions = [chat("a", test="t.py::a"), chat("b", test="t.py::b"), chat("b", test="t.py::b"), streamed("c", "d")]
    path = written(tmp_path / "a.yaml", *interactions)

    parts = split_into(path, tmp_path / "parts")

    assert merge(list(parts), keep_duplicates=True) == interactions
    assert merge(list(parts)) == interactions
