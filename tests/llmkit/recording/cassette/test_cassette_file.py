"""A cassette's file: what the system refuses is said with its remedy, and two writers never lose each other's work."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llmkit.recording import BrokenCassette, RecordingError, cassette
from llmkit.recording.cassette.file import remove
from llmkit.recording.cassette.shelf import Shelf
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.tape import Tape
from tests.llmkit.pytest_plugin.conftest import Project

pytest_plugins = ["pytester"]

RECORDING = Interaction(
    request=Request(method="POST", uri="https://api.openai.com/v1/chat"), response=Response(status=200, body=b"x")
)
fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "case.yaml"


@pytest.fixture
def below_a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "case.yaml"


def too_long(tmp_path: Path) -> Path:
    """A path that the system refuses whatever it is asked about it, as one below a directory that is not ours."""
    return tmp_path / f"{'x' * 300}.yaml"


def test_a_file_where_a_directory_is_needed_is_named_with_the_remedy(below_a_file: Path) -> None:
    with pytest.raises(BrokenCassette, match=r"/file is a file where a directory is needed: move it away"):
        Shelf(below_a_file).read()


def test_a_tape_below_a_file_is_broken(below_a_file: Path) -> None:
    tape = Tape(below_a_file)
    with pytest.raises(BrokenCassette):
        tape.check()
    assert tape.is_broken


def test_a_path_that_the_system_refuses_is_a_broken_cassette(tmp_path: Path) -> None:
    with pytest.raises(BrokenCassette, match="it can't be read: File name too long"):
        Shelf(too_long(tmp_path)).read()


def test_a_write_below_a_file_names_the_remedy(below_a_file: Path) -> None:
    shelf = Shelf(below_a_file)
    shelf.hold(None)
    with pytest.raises(RecordingError, match=r"can't lock the cassette .*case\.yaml: .* move it away"):
        shelf.write([RECORDING], lambda _: True)


def test_a_file_that_cannot_be_deleted_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(RecordingError, match=r"can't delete the cassette .*case\.yaml"):
        remove(path)


def test_a_link_whose_cassette_has_nothing_left_stays(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    cassette.save(real, [RECORDING])
    path.parent.mkdir()
    path.symlink_to(real)
    shelf = Shelf(path)
    shelf.hold(cassette.load(path))
    shelf.write([], lambda _: False)
    assert (path.is_symlink(), real.exists()) == (True, False)


def test_links_that_lead_to_each_other_are_named(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)
    with pytest.raises(RecordingError, match="delete the link"):
        cassette.save(path, [RECORDING])


@pytest.mark.parametrize("options", [(), ("--record",)])
def test_a_file_in_the_place_of_a_directory_does_not_end_the_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    project = Project(tmp_path, None)
    swallowed = "    try:\n        ask()\n    except Exception:\n        pass\n"
    project.write(
        test_g="import pytest\nfrom app import ask\n"
        f"def test_swallows():\n{swallowed}"
        "@pytest.mark.cassette(allow='unplayed')\ndef test_asks_nothing(): pass\n",
        test_h="def test_other(): pass\n",
    )
    (project.path / "cassettes").mkdir()
    (project.path / "cassettes" / "test_g").write_text("")
    result = project.run(*options)
    assert "INTERNALERROR" not in str(result.stdout) + str(result.stderr)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*cassettes/test_g is a file where a directory is needed: move it away*"])
    assert "test_h.py ." in str(result.stdout)


def hold(path: Path, tmpdir: str, is_held: object, is_done: object) -> None:
    os.environ["TMPDIR"] = tmpdir
    with cassette.locked(path):
        is_held.set()  # type: ignore[attr-defined]
        is_done.wait(30)  # type: ignore[attr-defined]


def is_free(path: Path) -> bool:
    """Whether another process could take the lock that `locked` takes on ``path``."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_two_spellings_of_one_path_have_one_lock(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (tmp_path / "link").symlink_to(path.parent)
    order: list[str] = []

    def other() -> None:
        with cassette.locked(tmp_path / "link" / path.name):
            order.append("other")

    thread = threading.Thread(target=other)
    with cassette.locked(path):
        thread.start()
        thread.join(0.2)
        order.append("one")
    thread.join(30)
    assert order == ["one", "other"]


def test_a_link_to_a_cassette_has_the_lock_of_the_cassette(path: Path, tmp_path: Path) -> None:
    cassette.save(path, [])
    (tmp_path / "link.yaml").symlink_to(path)
    with cassette.locked(tmp_path / "link.yaml"):
        assert not is_free(path)
    assert is_free(path)


def test_another_tmpdir_has_the_same_lock(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    context = multiprocessing.get_context("spawn")
    is_held, is_done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(path, str(tmp_path), is_held, is_done))
    process.start()
    assert is_held.wait(60)
    assert not is_free(path)
    is_done.set()
    process.join(60)
    assert is_free(path)


def test_a_lock_leaves_nothing_lying_about(path: Path) -> None:
    with cassette.locked(path):
        cassette.save(path, [RECORDING])
    assert list(path.parent.iterdir()) == [path]


def refusing_directories(flock: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """A ``flock`` as that of NFS, which locks only what is open for writing."""

    def refuse(descriptor: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(9, "Bad file descriptor")
        flock(descriptor, operation)

    return refuse


def test_where_directories_have_no_locks_a_file_beside_the_cassette_has(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing_directories(fcntl.flock))
    with cassette.locked(path):
        beside = path.with_name(".case.yaml.lock")
        with beside.open("ab") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_lock_that_cannot_be_had_is_a_recording_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing_directories(fcntl.flock))
    path.with_name(".case.yaml.lock").mkdir(parents=True)
    with pytest.raises(RecordingError, match="can't lock the cassette"), cassette.locked(path):
        pass


def test_a_cassette_that_is_a_link_stays_one_and_its_file_is_written(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "real.yaml"
    path.parent.mkdir()
    path.symlink_to(real)
    cassette.save(path, [])
    cassette.save(path, [RECORDING])
    assert path.is_symlink()
    assert cassette.load(real) == [RECORDING]
    remove(path)
    assert (path.is_symlink(), real.exists()) == (True, False)


def test_a_file_keeps_its_mode(path: Path) -> None:
    cassette.save(path, [])
    path.chmod(0o640)
    cassette.save(path, [RECORDING])
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_new_file_has_the_mode_that_the_umask_leaves(path: Path) -> None:
    before = os.umask(0o002)
    try:
        cassette.save(path, [RECORDING])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_what_is_there_already_is_not_written_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cassette.save(path, [RECORDING])
    before = path.stat()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    cassette.save(path, [RECORDING])
    assert path.stat() == before


def test_the_directory_is_safe_on_disk_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode)))
    cassette.save(path, [RECORDING])
    assert synced == [False, True]


@pytest.mark.parametrize("name", ["case.yaml", f"test_it[{'long' * 20}].yaml"])
def test_only_old_leftovers_of_the_same_cassette_are_deleted(path: Path, name: str) -> None:
    path = path.with_name(name)
    cassette.save(path.with_name("case.yaml.other.yaml"), [])
    left: list[Path] = []

    def killed(_: int) -> None:
        left.extend(path.parent.glob(".*.tmp"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", killed)
        cassette.save(path, [])
    [leftover] = {one for one in left if not one.exists()}
    young = leftover.with_name(leftover.name.replace(".tmp", "0.tmp"))
    foreign = [path.with_name(".case.yaml.other.yaml.0a.tmp"), path.with_name(".other.tmp"), path.with_name("x.tmp")]
    for one in (leftover, young, *foreign):
        one.touch()
    for one in (leftover, *foreign):
        os.utime(one, (time.time() - 7200,) * 2)
    # the leftovers of one path are looked for once a process
    moved = path.parent.with_name("moved")
    path.parent.rename(moved)
    cassette.save(moved / name, [RECORDING])
    assert not (moved / leftover.name).exists()
    assert all((moved / one.name).exists() for one in (young, *foreign))
