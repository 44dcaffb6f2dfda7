"""The file that bulk calls resume from."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigError
from llmkit.bulk.resuming import ResumeFile

_ANSWERS = st.dictionaries(
    st.text(min_size=1, max_size=8), st.dictionaries(st.text(max_size=5), st.text(max_size=20)), max_size=6
)


@given(answers=_ANSWERS)
def test_it_gives_back_what_it_was_given(
    answers: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("bulk") / "answers"
    with ResumeFile(path) as file:
        for key, payload in answers.items():
            file.add(key, payload)
    with ResumeFile(path) as file:
        assert {key: file.get(key) for key in answers} == answers
        assert len(file) == len(answers)


@given(cut=st.integers(0, 400))
def test_wherever_it_was_cut_off_the_whole_lines_are_kept(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bulk") / "answers"
    with ResumeFile(path) as file:
        for number in range(5):
            file.add(f"key {number}", {"text": "x" * 20})
    header = path.read_bytes().index(b"\n") + 1
    whole = path.read_bytes()[: header + cut]
    path.write_bytes(whole)
    with ResumeFile(path) as file:
        assert len(file) == whole.count(b"\n") - 1
        file.add("after", {"text": "y"})
    with ResumeFile(path) as file:
        assert file.get("after") == {"text": "y"}


@pytest.mark.parametrize("content", [b"my notes\n", b"{}\n", b"\x00\xff", b'{"llmkit": "bulk", "version": 2}\n'])
def test_a_file_of_something_else_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "answers"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is no file of bulk answers"), ResumeFile(path):
        pass
    assert path.read_bytes() == content


def test_a_line_that_was_edited_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    with ResumeFile(path) as file:
        file.add("key", {"a": 1})
    path.write_bytes(path.read_bytes() + b'{"key": 7}\n')
    with pytest.raises(ConfigError, match="line 3, is no answer"), ResumeFile(path):
        pass


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with ResumeFile(tmp_path / "answers"):
        assert (tmp_path / "answers").stat().st_mode & 0o077 == 0


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened: No such file or directory"), ResumeFile(tmp_path / "a/b"):
        pass


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    program = f"from llmkit.bulk.resuming import ResumeFile\nwith ResumeFile({str(path)!r}): pass"
    with ResumeFile(path):
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "is in use by another process" in other.stderr


def test_an_answer_can_be_read_while_others_are_added(tmp_path: Path) -> None:
    with ResumeFile(tmp_path / "answers") as file:
        file.add("a", {"n": 1})
        assert file.get("a") == {"n": 1}
        file.add("b", {"n": 2})
        assert (file.get("b"), file.get("a")) == ({"n": 2}, {"n": 1})
    lines = (tmp_path / "answers").read_text().splitlines()
    assert [json.loads(line).get("key") for line in lines] == [None, "a", "b"]
