"""Cached answers in one SQLite file, for any number of threads and processes.

The file is in WAL mode, so that whoever reads never waits for who writes. It is known by its `application_id`
(https://www.sqlite.org/fileformat.html, offset 68): a file without it is not ours, and is not opened at all.
"""

import asyncio
import atexit
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from llmkit.errors import ConfigError
from llmkit.policies.cache import Entry

APPLICATION_ID: Final = 0x4C4C4D4B  # "LLMK"
SCHEMA: Final = 1
MOST_BYTES: Final = 1 << 30
BUSY_S = 5.0  # how long a writer waits for other processes
READ_BUSY_S = 0.1  # a reader waits only while a file is made or mended

_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_TABLES = """
CREATE TABLE answer (key TEXT PRIMARY KEY, stored_at REAL NOT NULL, expires_at REAL NOT NULL, payload TEXT NOT NULL);
CREATE TABLE size (bytes INTEGER NOT NULL);
INSERT INTO size VALUES (0);
CREATE TRIGGER more AFTER INSERT ON answer BEGIN UPDATE size SET bytes = bytes + length(new.payload); END;
CREATE TRIGGER less AFTER DELETE ON answer BEGIN UPDATE size SET bytes = bytes - length(old.payload); END;
"""
_GET = "SELECT payload, stored_at FROM answer WHERE key = ? AND expires_at > ?"

log = logging.getLogger(__name__)


class SQLiteCache:
    """A `CacheStore` in the file at `path`, which is made where there is none, for its owner's eyes only.

    When the payloads exceed `most_bytes`, the oldest go. Raises ConfigError for a file that is no cache of ours, which
    is left as it is, and for a path that cannot be used. What fails later is a miss, and a warning in the log.
    """

    local = True

    def __init__(
        self, path: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self._most_bytes = most_bytes
        self._clock = clock
        self._warned: set[tuple[str, str]] = set()
        self._opened = self._open()
        self._finalizer = weakref.finalize(self, self._opened.close)

    def __repr__(self) -> str:
        return f"SQLiteCache({str(self.path)!r})"

    def __reduce__(self) -> tuple[type["SQLiteCache"], tuple[Path]]:
        return type(self), (self.path,)

    def get_now(self, key: str) -> Entry | None:
        """The entry, in a few microseconds."""
        try:
            row = self._connections().read(key, self._clock())
        except sqlite3.Error as error:
            self._warn("read", error)
            return None
        if row is None:
            return None
        payload, stored_at = row
        if not (isinstance(payload, str) and isinstance(stored_at, float)):  # `match` takes three times as long
            return None
        return Entry(payload, stored_at)

    def put_now(self, key: str, entry: Entry, *, keep_s: float) -> None:
        """Keeps the entry; waits up to 5 s for other processes that write."""
        if len(entry.payload) > self._most_bytes:
            return
        try:
            self._connections().write(key, entry, entry.stored_at + keep_s, self._most_bytes)
        except sqlite3.Error as error:
            self._warn("written", error)

    def delete_now(self, key: str) -> None:
        """Forgets the entry, if there is one."""
        try:
            self._connections().forget(key)
        except sqlite3.Error as error:
            self._warn("written", error)

    async def get(self, key: str) -> Entry | None:
        """The same as `get_now`."""
        return self.get_now(key)

    async def put(self, key: str, entry: Entry, *, keep_s: float) -> None:
        """Keeps the entry; the event loop does not wait for the disk."""
        await asyncio.to_thread(self.put_now, key, entry, keep_s=keep_s)

    async def delete(self, key: str) -> None:
        """Forgets the entry, if there is one."""
        await asyncio.to_thread(self.delete_now, key)

    async def aclose(self) -> None:
        """Closes the file; another call would open it again."""
        self.close()

    def close(self) -> None:
        """Closes the file; another call would open it again."""
        self._opened.close()

    def _connections(self) -> "_Connections":
        if self._opened.process != os.getpid() or self._opened.closed:
            self._opened = self._open()
            self._finalizer = weakref.finalize(self, self._opened.close)
        return self._opened

    def _open(self) -> "_Connections":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _check(self.path)
            return _Connections(self.path)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"cache = {str(self.path)!r} cannot be used: {error}. Name a path that can be written, or delete it"
            ) from None

    def _warn(self, done: str, error: sqlite3.Error) -> None:
        if (done, str(error)) not in self._warned:
            self._warned.add((done, str(error)))
            log.warning("The cache %s could not be %s, so answers come from the API: %s", self.path, done, error)


class _Connections:
    """The open file of one process: a connection that reads and one that writes.

    A forked child has those of its parent too, and must not touch them, not even to close them
    (https://www.sqlite.org/howtocorrupt.html, 2.6).
    """

    def __init__(self, path: Path) -> None:
        self.process = os.getpid()
        self.closed = False
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._writer = _connect(path, BUSY_S)
        try:
            _prepare(self._writer, path)
            self._reader = _connect(path, READ_BUSY_S)
        except BaseException:
            self._writer.close()
            raise

    def read(self, key: str, now: float) -> Any:
        with self._reading:
            return self._reader.execute(_GET, (key, now)).fetchone()

    def write(self, key: str, entry: Entry, expires_at: float, most_bytes: int) -> None:
        with self._writing, _Transaction(self._writer):
            self._writer.execute("DELETE FROM answer WHERE key = ?", (key,))
            self._writer.execute(
                "INSERT INTO answer VALUES (?, ?, ?, ?)", (key, entry.stored_at, expires_at, entry.payload)
            )
            self._make_room(most_bytes)

    def forget(self, key: str) -> None:
        with self._writing:
            self._writer.execute("DELETE FROM answer WHERE key = ?", (key,))

    def close(self) -> None:
        if self.process != os.getpid():
            _of_parents.append(self)
            return
        with self._reading, self._writing:
            self.let_go()

    def let_go(self) -> None:
        """Closes both, whoever uses them."""
        self.closed = True
        self._reader.close()
        self._writer.close()

    def _make_room(self, most_bytes: int) -> None:
        """Where there is too much, the oldest entries go until a tenth is free, so that it is not done each time."""
        (taken,) = self._writer.execute("SELECT bytes FROM size").fetchone()
        if taken <= most_bytes:
            return
        oldest = self._writer.execute("SELECT rowid, length(payload) FROM answer ORDER BY rowid")
        while taken > most_bytes * 0.9 and (row := oldest.fetchone()):
            last, length = row
            taken -= length
        self._writer.execute("DELETE FROM answer WHERE rowid <= ?", (last,))


_of_parents: list[_Connections] = []  # what a fork has brought here stays referenced, for forgetting it would close it


@atexit.register
def _let_go() -> None:
    """The interpreter would close them next, and warn of it."""
    for connections in _of_parents:
        connections.let_go()


class _Transaction:
    """`BEGIN IMMEDIATE` … `COMMIT`, or `ROLLBACK` after an error: no upgrade of a lock, so no deadlock."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def _connect(path: Path, busy_s: float) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)


def _check(path: Path) -> None:
    """Raises ConfigError for a file that is no cache; it is only read, for SQLite itself might mend it."""
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    if not path.is_file():  # to open a pipe would wait for ever
        raise ConfigError(f"cache = {str(path)!r} is no file: name one, or a path where one can be made")
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if header and (not header.startswith(_MAGIC) or header[68:72] != APPLICATION_ID.to_bytes(4, "big")):
        raise ConfigError(
            f"cache = {str(path)!r} is a file that is no cache of llmkit: it is left as it is. Name another path, or "
            "move the file away"
        )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Makes the tables in a new file; one process does, and others wait for it."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        with _Transaction(connection):
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                _make_tables(connection)
                version = SCHEMA
    if version != SCHEMA:
        raise ConfigError(
            f"cache = {str(path)!r} was made by another version of llmkit (format {version}, this is {SCHEMA}): name "
            "another path, or delete the file"
        )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError:
        pass  # another process has just made the file, and does it; the mode is the file's, not the connection's
    connection.execute("PRAGMA synchronous = NORMAL")


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    for line in _TABLES.strip().splitlines():
        connection.execute(line)
