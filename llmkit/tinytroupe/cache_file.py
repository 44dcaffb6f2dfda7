"""The cache file: one pickled dict of replies by request, read without running anything that is in it.

A pickle is a program. The reader here builds dicts, lists, strings and numbers, and refuses a file that asks for more.
One thing more it understands: TinyTroupe itself pickles the SDK's own reply objects. What such an object holds is taken
as data, without importing the class that the file names.
"""

import io
import os
import pickle
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

_SDK_TYPES = "openai.types."
_DEEPEST = 100  # levels of a reply; the API nests no deeper than tens
_WHAT_TO_DO = "Move it away to start a new cache, or name another file as CACHE_FILE_NAME in config.ini"


class CacheRefused(ValueError):
    """The file is no cache of replies: it is neither read nor overwritten."""


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Every entry of the file; empty where there is none. CacheRefused if it holds anything but plain data."""
    try:
        return loads(_bytes(Path(path)))
    except FileNotFoundError:
        return {}
    except Exception as exc:  # a broken pickle raises nearly anything
        raise CacheRefused(f"The cache file {os.fspath(path)!r} is not read: {_reason(exc)}. {_WHAT_TO_DO}") from exc


def write(path: str | os.PathLike[str], cache: dict[str, Any]) -> None:
    """Put `cache` in the place of the whole file, in one step; CacheRefused if what is there is no cache.

    What can't be pickled, or could not be read again, raises before anything is written.
    """
    read(path)
    _write(path, cache)


class Watched:
    """A cache file that is read again only when somebody else has written it; with each reply it may be megabytes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._held: dict[str, Any] = {}
        self._as_of: _State | None = None

    def read(self) -> dict[str, Any]:
        """As `read`."""
        as_of = _state(self.path)  # before reading: a change in between is seen next time
        if as_of is None or as_of != self._as_of:
            self._held, self._as_of = read(self.path), as_of
        return dict(self._held)

    def write(self, cache: dict[str, Any]) -> None:
        """As `write`."""
        self.read()
        self._as_of = _write(self.path, cache)
        self._held = dict(cache)


# the file itself, its size, and when it was last written
_State = tuple[int, int, int, int]


def _state(path: str | os.PathLike[str]) -> _State | None:
    try:
        return _state_of(Path(path).stat())
    except (OSError, ValueError):  # whoever reads it will be told
        return None


def _state_of(found: os.stat_result) -> _State:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _write(path: str | os.PathLike[str], cache: dict[str, Any]) -> _State:
    data = pickle.dumps(cache)
    loads(data)
    with _replacement(Path(path).resolve()) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return _state_of(os.fstat(file.fileno()))


def loads(data: bytes) -> dict[str, Any]:
    """The cache that these bytes hold; raises whatever pickle does if it is none."""
    cache = _Reader(io.BytesIO(data)).load()
    if not isinstance(cache, dict):
        raise pickle.UnpicklingError(f"it holds a {type(cache).__name__}, not a dict of replies")
    plain = _Plain(most=1000 + 10 * len(data))
    return {key: plain.entry(value) for key, value in cache.items()}


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Meanwhile nobody else who asks for the lock has it, thread or process; it is one on the folder of the file.

    Where there are no such locks (Windows, some network disks) two writers may lose what the other wrote.
    """
    try:
        folder = os.open(Path(path).resolve().parent, os.O_RDONLY)
    except OSError:  # there is no folder to write into, as the writer will be told
        yield
        return
    try:
        if sys.platform != "win32":
            with suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise pickle.UnpicklingError("it is no regular file")
    return path.read_bytes()


class _Inert:
    """What a pickled object of the SDK held, and nothing that it could do."""

    state: dict[str, Any]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def fields(self) -> dict[str, Any]:
        """The fields that the API sent, as pydantic keeps them."""
        said = self.state["__pydantic_fields_set__"]
        sent = {name: value for name, value in self.state["__dict__"].items() if name in said}
        return sent | (self.state.get("__pydantic_extra__") or {})


_UNUSED = frozenset(
    {
        pickle.BYTEARRAY8,
        pickle.NEXT_BUFFER,
        pickle.READONLY_BUFFER,
        pickle.EXT1,
        pickle.EXT2,
        pickle.EXT4,
        pickle.PERSID,
        pickle.BINPERSID,
    }
)


class _Reader(pickle._Unpickler):  # noqa: SLF001 - it has no other name
    """The unpickler in Python, for the one in C takes gigabytes where a file of ten bytes says so."""

    # what sets a size aside before it is there, and what asks the program that reads for more than the file has
    dispatch = {code: load for code, load in pickle._Unpickler.dispatch.items() if bytes([code]) not in _UNUSED}  # noqa: SLF001, RUF012

    def find_class(self, module: str, name: str) -> type[_Inert]:
        if module.startswith(_SDK_TYPES):
            return _Inert
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and a cache has only plain data")


class _Plain:
    """Makes plain data of what was read: at most so much, for a file may name one thing in two places, again and again.

    A list of twice the same list of twice the same … says gigabytes in a hundred bytes.
    """

    def __init__(self, *, most: int) -> None:
        self._left = most

    def entry(self, value: object) -> Any:
        """A reply; of a completion its message, as `message.to_dict()` has it."""
        if isinstance(value, _Inert):
            return self._fields(value.fields()["choices"][0].fields()["message"], 1)
        return self._value(value, 1)

    def _value(self, value: object, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise pickle.UnpicklingError("it holds replies without end")
        if isinstance(value, dict):
            return {name: self._value(held, depth + 1) for name, held in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._value(held, depth + 1) for held in value)
        if value is None or isinstance(value, str | int | float | bytes):
            return value
        raise pickle.UnpicklingError(f"it holds a {type(value).__name__}, and a cache has only plain data")

    def _fields(self, value: object, depth: int) -> Any:
        """The same, of an object of the SDK or of a list of those."""
        if isinstance(value, _Inert):
            self._value(None, depth)
            return {name: self._fields(held, depth + 1) for name, held in value.fields().items()}
        if isinstance(value, list):
            self._value(None, depth)
            return [self._fields(held, depth + 1) for held in value]
        return self._value(value, depth)


@contextmanager
def _replacement(path: Path) -> Iterator[io.BufferedWriter]:
    """A new file beside `path` that takes its place, with its permissions, if all goes well."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            yield file
        if path.exists():
            beside.chmod(stat.S_IMODE(path.stat().st_mode))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _reason(exc: Exception) -> str:
    return str(exc).strip().rstrip(".") or type(exc).__name__
