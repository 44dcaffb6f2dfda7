"""The file that a tape records to loses nothing that others write there, and brings nothing back that they took out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording import BrokenCassette, cassette
from llmkit.recording.cassette.shelf import Shelf
from llmkit.recording.interaction import Interaction, Request, Response


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "case.yaml"


def recording(text: str) -> Interaction:
    request = Request(method="POST", uri="https://api.openai.com/v1/chat", body=text.encode())
    return Interaction(request=request, response=Response(status=200, body=text.encode()))


def opened(path: Path, *, first: Path | None = None) -> Shelf:
    """A shelf that has read what is there, like that of a tape."""
    shelf = Shelf(path, first=first)
    source = path if path.exists() else first or path
    raw = shelf.read()
    shelf.hold(None if raw is None else cassette.load(source))
    return shelf


def held(path: Path) -> list[str]:
    return [one.response.body.decode() for one in cassette.load(path)]


def keep(_: int) -> bool:
    return True


def drop(_: int) -> bool:
    return False


def test_each_write_leaves_the_file_whole_with_all_that_was_written(path: Path) -> None:
    shelf = opened(path)
    shelf.write([recording("a")], keep)
    assert held(path) == ["a"]
    shelf.write([recording("a"), recording("b")], keep)
    assert held(path) == ["a", "b"]


def test_what_others_added_stays(path: Path) -> None:
    one, other = opened(path), opened(path)
    one.write([recording("a")], keep)
    other.write([recording("b")], keep)
    one.write([recording("a"), recording("c")], keep)
    other.write([recording("b"), recording("d")], keep)
    assert sorted(held(path)) == ["a", "b", "c", "d"]


def test_equal_recordings_of_two_writers_are_two(path: Path) -> None:
    one, other = opened(path), opened(path)
    one.write([recording("a")], keep)
    other.write([recording("a")], keep)
    one.write([recording("a")], keep)
    assert held(path) == ["a", "a"]


def test_what_others_took_out_never_comes_back(path: Path) -> None:
    cassette.save(path, [recording("old"), recording("kept")])
    one, other = opened(path), opened(path)
    other.write([], lambda place: place == 1)
    for ours in (["a"], ["a", "b"]):  # at the second write the file is as this shelf left it
        one.write(list(map(recording, ours)), keep)
    assert held(path) == ["kept", "a", "b"]
    one.restore()
    assert held(path) == ["kept"]


def test_what_others_took_out_stays_out_however_often_they_write(path: Path) -> None:
    cassette.save(path, [recording("old"), recording("kept")])
    one, other = opened(path), opened(path)
    other.write([], lambda place: place == 1)
    for ours in (["a"], ["a", "b"], ["a", "b", "c"]):
        one.write(list(map(recording, ours)), keep)
        opened(path).write([recording("another's")], keep)
    assert sorted(held(path)) == ["a", *["another's"] * 3, "b", "c", "kept"]


def test_what_was_let_go_of_here_may_come_back_here(path: Path) -> None:
    cassette.save(path, [recording("old")])
    one, other = opened(path), opened(path)
    one.write([recording("a")], drop)
    other.write([recording("b")], keep)
    one.restore()
    assert sorted(held(path)) == ["b", "old"]


def test_a_file_that_has_nothing_left_is_gone(path: Path) -> None:
    cassette.save(path, [recording("old")])
    opened(path).write([], drop)
    assert not path.exists()


def test_restoring_where_there_was_no_file_leaves_none(path: Path) -> None:
    shelf = opened(path)
    shelf.write([recording("a")], keep)
    shelf.restore()
    assert not path.exists()


def test_an_empty_cassette_stays_a_file(path: Path) -> None:
    cassette.save(path, [])
    shelf = opened(path)
    shelf.write([recording("a")], keep)
    shelf.restore()
    assert held(path) == []


def test_what_waits_for_review_is_read_before_the_cassette_and_written_instead_of_it(path: Path) -> None:
    pending = path.with_name("pending.yaml")
    cassette.save(path, [recording("old")])
    opened(pending, first=path).write([recording("new")], keep)
    assert (held(path), held(pending)) == (["old"], ["old", "new"])
    opened(pending, first=path).write([recording("newer")], keep)
    assert (held(path), held(pending)) == (["old"], ["old", "new", "newer"])


def test_a_cassette_that_is_to_have_nothing_left_waits_for_review_too(path: Path) -> None:
    pending = path.with_name("pending.yaml")
    cassette.save(path, [recording("old")])
    opened(pending, first=path).write([], drop)
    assert (held(path), held(pending)) == (["old"], [])


def test_a_file_that_is_gone_is_written_anew(path: Path) -> None:
    cassette.save(path, [recording("old")])
    shelf = opened(path)
    path.unlink()
    shelf.write([recording("a")], keep)
    assert held(path) == ["old", "a"]


def test_a_file_that_broke_meanwhile_is_refused_and_not_overwritten(path: Path) -> None:
    cassette.save(path, [recording("old")])
    shelf = opened(path)
    whole = path.read_bytes()
    for length in (0, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:length])
        with pytest.raises(BrokenCassette, match=r"case\.yaml:\d+: broken cassette"):
            shelf.write([recording("a")], keep)
        assert path.read_bytes() == whole[:length]


STEPS = st.lists(st.tuples(st.integers(0, 2), st.text("xyz", min_size=1, max_size=2)), max_size=12)


@given(before=st.lists(st.text("ab", min_size=1, max_size=2), max_size=3), steps=STEPS)
def test_however_three_writers_take_turns_each_recording_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], steps: list[tuple[int, str]]
) -> None:
    path = tmp_path_factory.mktemp("shelf") / "case.yaml"
    if before:
        cassette.save(path, map(recording, before))
    shelves, written = [opened(path) for _ in range(3)], [list[Interaction]() for _ in range(3)]
    for writer, text in steps:
        written[writer].append(recording(text))
        shelves[writer].write(written[writer], keep)
    expected = sorted([*before, *(text for _, text in steps)])
    assert sorted(held(path) if path.exists() else []) == expected
