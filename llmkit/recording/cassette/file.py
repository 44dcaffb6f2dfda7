"""The cassette file: read whole or refused, written in one step, by one process at a time.

Its text is made by `yaml_writer` and read by `yaml_reader`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from llmkit.recording.cassette.yaml_reader import parse
from llmkit.recording.cassette.yaml_writer import dump
from llmkit.recording.errors import BrokenCassette, RecordingError
from llmkit.recording.interaction import Interaction

try:
    import fcntl
except ImportError:  # Windows, where two processes that record into one file may lose a recording
    fcntl = None  # type: ignore[assignment]  # there is no such module

_LONG_NAME = 40
_STALE_S = 3600.0


def load(path: Path) -> list[Interaction]:
    """Read the interactions of the cassette at ``path``.

    Raises `BrokenCassette`, with the line, for a file that is empty, truncated, no YAML or no cassette, and
    FileNotFoundError if there is none.
    """
    return parse(path, read(path))


def read(path: Path) -> bytes:
    """Return the bytes of the file; `BrokenCassette` if it can't be read, FileNotFoundError if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> BrokenCassette:
    """Return what to raise where the system refuses to show ``path``."""
    return BrokenCassette(path, 1, f"it can't be read: {_reason(path, error)}")


def _reason(path: Path, error: OSError) -> str:
    said = error.strerror or str(error)
    if isinstance(error, NotADirectoryError | FileExistsError):
        blocking = next((one for one in path.parents if one.is_file()), None)
        return f"{blocking} is a file where a directory is needed: move it away" if blocking else said
    if isinstance(error, PermissionError):
        return f"{said}: let this user read and write it (chmod u+rw) and enter its directory (chmod u+rwx)"
    return said


def save(path: Path, interactions: Iterable[Interaction]) -> None:
    """Write the cassette at ``path`` in one step: whoever looks sees the old file or the new one, never a part."""
    write(path, dump(interactions))


def write(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step, safe on disk when this returns.

    A file that holds just that stays as it is. Of a symbolic link, the file that it leads to is written. A file that
    was there keeps its mode, and a new one has that of the umask. Raises `RecordingError`.
    """
    content = text.encode("utf-8")
    with _as_recording_error(path, "write"):
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        _forget_leftovers(target)
        if not _holds(target, content):
            _replace(target, content)


def remove(path: Path) -> None:
    """Delete the cassette at ``path``, if there is one; of a symbolic link, what it leads to. May raise as `write`."""
    with _as_recording_error(path, "delete"):
        path.resolve().unlink(missing_ok=True)


@contextlib.contextmanager
def _as_recording_error(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordingError(f"can't {what} the cassette {path}: {_reason(path, error)}") from error
    except RuntimeError as error:  # of links that lead to each other
        raise RecordingError(f"can't {what} the cassette {path}: {error}: delete the link") from error


def _holds(target: Path, content: bytes) -> bool:
    try:
        return target.stat().st_size == len(content) and target.read_bytes() == content
    except OSError:
        return False  # the write tells what is wrong, if it is wrong then, too


def _replace(target: Path, content: bytes) -> None:
    temporary = target.with_name(f"{_leftover_prefix(target)}{secrets.token_hex(4)}.tmp")
    try:
        mode = target.stat().st_mode & 0o7777
    except FileNotFoundError:
        mode = None
    # the system takes the umask off, which can't be asked for without changing it for the other threads
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError), _opened(target.parent) as directory:  # not all systems can
        os.fsync(directory)


def _leftover_prefix(target: Path) -> str:
    """Return how the names begin of what is written on the way to ``target``."""
    name = target.name
    short = name if len(name) <= _LONG_NAME else hashlib.sha256(os.fsencode(name)).hexdigest()[:_LONG_NAME]
    return f".{short}."


@lru_cache(maxsize=1024)  # once a process: each reply is written, and a directory may hold thousands of files
def _forget_leftovers(target: Path) -> None:
    """Delete what writes of this cassette that were killed an hour ago or before have left."""
    prefix, oldest = _leftover_prefix(target), time.time() - _STALE_S
    with contextlib.suppress(OSError):  # another process deletes one, too, or it is another user's
        for one in target.parent.iterdir():
            middle = one.name.removeprefix(prefix).removesuffix(".tmp")
            is_leftover = one.name == f"{prefix}{middle}.tmp" and "." not in middle
            if is_leftover and one.lstat().st_mtime < oldest:
                one.unlink()


@contextlib.contextmanager
def _opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes of this machine from changing the cassette at ``path`` for the duration of a block.

    Not to be nested. The lock is on the directory of the file that ``path`` leads to, not on a file of its own: so it
    is the same one for all users, for all spellings of the path and whatever TMPDIR says, and nothing is left lying
    about. The writers of one directory wait for each other; each takes milliseconds. A file system that locks no
    directories (NFS) gets a hidden file beside the cassette. Raises `RecordingError`.
    """
    with contextlib.ExitStack() as held:
        if fcntl is not None:
            with _as_recording_error(path, "lock"):
                target = path.resolve()
                target.parent.mkdir(parents=True, exist_ok=True)
                _lock(held, target)
        yield


def _lock(held: contextlib.ExitStack, target: Path) -> None:
    try:
        _flock(held, target.parent, os.O_RDONLY)
    except OSError:
        _flock(held, target.with_name(f"{_leftover_prefix(target)}lock"), os.O_RDWR | os.O_CREAT)


def _flock(held: contextlib.ExitStack, path: Path, flags: int) -> None:
    descriptor = held.enter_context(_opened(path, flags))
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    held.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)  # closing is not enough if a child was forked meanwhile
