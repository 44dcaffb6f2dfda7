"""The cache file: shared by processes, bounded, and never a file of somebody else's."""

import logging
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llmkit.errors import ConfigError
from llmkit.policies.cache import Entry
from llmkit.stores.sqlite import SQLiteCache

ENTRY = Entry('{"id": "chatcmpl-1"}', 1000.0)


def opened(path: Path, **options: int) -> SQLiteCache:
    return SQLiteCache(path, clock=lambda: 1000.0, **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.db"


async def test_what_is_put_is_got_again(path: Path) -> None:
    cache = opened(path)
    await cache.put("k", ENTRY, keep_s=60)
    assert await cache.get("k") == cache.get_now("k") == ENTRY
    assert cache.get_now("other") is None


async def test_it_outlives_the_object_that_wrote_it(path: Path) -> None:
    cache = opened(path)
    await cache.put("k", ENTRY, keep_s=60)
    await cache.aclose()
    assert opened(path).get_now("k") == ENTRY
    assert cache.get_now("k") == ENTRY, "it opens again when it is used again"
    assert pickle.loads(pickle.dumps(cache)).path == path


async def test_an_entry_is_replaced_and_deleted(path: Path) -> None:
    cache = opened(path)
    await cache.put("k", ENTRY, keep_s=60)
    await cache.put("k", Entry("{}", 1001.0), keep_s=60)
    assert cache.get_now("k") == Entry("{}", 1001.0)
    await cache.delete("k")
    assert cache.get_now("k") is None


def test_an_entry_is_gone_when_its_time_is_over(path: Path) -> None:
    now = 1000.0
    cache = SQLiteCache(path, clock=lambda: now)
    cache.put_now("k", ENTRY, keep_s=60)
    now = 1059.9
    assert cache.get_now("k") == ENTRY
    now = 1060.0
    assert cache.get_now("k") is None


def test_the_oldest_go_when_there_is_too_much(path: Path) -> None:
    cache = opened(path, most_bytes=10_000)
    for number in range(100):
        cache.put_now(str(number), Entry("x" * 500, 1000.0), keep_s=60)
    kept = [number for number in range(100) if cache.get_now(str(number))]
    assert kept == list(range(kept[0], 100))
    assert 18 <= len(kept) <= 20
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT bytes FROM size").fetchone() == (500 * len(kept),)
    connection.close()


def test_an_entry_that_is_too_large_pushes_nothing_out(path: Path) -> None:
    cache = opened(path, most_bytes=1000)
    cache.put_now("k", ENTRY, keep_s=60)
    cache.put_now("large", Entry("x" * 1001, 1000.0), keep_s=60)
    assert cache.get_now("large") is None
    assert cache.get_now("k") == ENTRY


def other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.execute("INSERT INTO mine VALUES (1)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("my notes"),
        lambda path: path.write_bytes(b"x"),
        lambda path: path.write_bytes(b"SQLite format 3\0"),
        lambda path: path.write_bytes(os.urandom(4096)),
        other_database,
    ],
    ids=["text", "a byte", "half a header", "noise", "another database"],
)
def test_a_file_that_is_no_cache_is_left_as_it_is(path: Path, make: object) -> None:
    assert callable(make)
    make(path)
    before, names = path.read_bytes(), sorted(path.parent.iterdir())
    with pytest.raises(ConfigError, match=r"answers\.db' is a file that is no cache .* left as it is"):
        opened(path)
    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == names


def test_a_cache_of_another_format_is_left_as_it_is(path: Path) -> None:
    opened(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"another version of llmkit \(format 99"):
        opened(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_cache(path: Path) -> None:
    path.touch()
    cache = opened(path)
    cache.put_now("k", ENTRY, keep_s=60)
    assert cache.get_now("k") == ENTRY


def test_a_new_file_and_its_directory_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    cache = opened(tmp_path / "new" / "answers.db")
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="is no file"):
            opened(path)


def test_a_path_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        opened(tmp_path / "file" / "answers.db")


@pytest.mark.parametrize("change", ["payload = x'ff00'", "stored_at = 'noon'"])
def test_an_entry_that_is_none_of_ours_is_a_miss(path: Path, change: str) -> None:
    cache = opened(path)
    cache.put_now("k", ENTRY, keep_s=60)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"UPDATE answer SET {change}")
    connection.close()
    assert cache.get_now("k") is None


def test_a_broken_file_is_a_miss_and_one_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = opened(path)
    for number in range(200):
        cache.put_now(str(number), Entry("x" * 500, 1000.0), keep_s=60)
    cache.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    cache = opened(path)
    with caplog.at_level(logging.WARNING, logger="llmkit.stores"):
        assert cache.get_now("7") is None
        assert cache.get_now("8") is None
        cache.put_now("k", ENTRY, keep_s=60)
    reads = [record.getMessage() for record in caplog.records if "could not be read" in record.getMessage()]
    assert len(reads) == 1
    assert "malformed" in reads[0]


def test_threads_write_and_read_at_once(path: Path) -> None:
    cache = opened(path)
    missing: list[str] = []

    def work(name: str) -> None:
        for number in range(50):
            cache.put_now(f"{name}{number}", ENTRY, keep_s=60)
            if cache.get_now(f"{name}{number}") is None:
                missing.append(f"{name}{number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not missing


WRITER = """
import sys
from llmkit.policies.cache import Entry
from llmkit.stores.sqlite import SQLiteCache

path, name, most_bytes = sys.argv[1:]
cache = SQLiteCache(path, most_bytes=int(most_bytes), clock=lambda: 1000.0)
print("ready", flush=True)
sys.stdin.readline()
for number in range(100):
    cache.put_now(f"{name}{number}", Entry("x" * 500, 1000.0), keep_s=60)
    assert cache.get_now(f"{name}{number}") is not None or int(most_bytes) < 10**6
"""


@pytest.mark.parametrize(("most_bytes", "kept"), [(1 << 30, 400), (50_000, 100)])
def test_processes_that_make_and_fill_one_file_at_once_lose_nothing(path: Path, most_bytes: int, kept: int) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name, str(most_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [(writer.communicate(timeout=60)[1], writer.returncode) for writer in writers] == [("", 0)] * 4
    connection = sqlite3.connect(path)
    (count, total) = connection.execute("SELECT count(*), sum(length(payload)) FROM answer").fetchone()
    assert connection.execute("SELECT bytes FROM size").fetchone() == (total,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert count == kept if kept == 400 else count <= kept


FORKING = """
import os, sys
from llmkit.policies.cache import Entry
from llmkit.stores.sqlite import SQLiteCache

entry = Entry("{}", 1000.0)
cache = SQLiteCache(sys.argv[1], clock=lambda: 1000.0)
cache.put_now("before", entry, keep_s=60)
of_the_parent = cache._opened
child = os.fork()
cache.put_now("parent" if child else "child", entry, keep_s=60)
assert cache.get_now("before") == entry
assert (cache._opened is of_the_parent) is bool(child)
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get_now("child") == cache.get_now("parent") == entry
"""


def test_a_forked_child_opens_the_file_for_itself(path: Path) -> None:
    program = [sys.executable, "-W", "error", "-c", FORKING, str(path)]
    ran = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stderr, ran.returncode) == ("", 0)


async def test_a_write_that_is_blocked_holds_up_neither_readers_nor_the_loop(path: Path) -> None:
    cache = opened(path)
    cache.put_now("k", ENTRY, keep_s=60)
    blocker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")
    done = threading.Event()

    def write() -> None:
        cache.put_now("late", ENTRY, keep_s=60)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert cache.get_now("k") == ENTRY
    assert not done.is_set()
    blocker.execute("COMMIT")
    blocker.close()
    thread.join()
    assert cache.get_now("late") == ENTRY
