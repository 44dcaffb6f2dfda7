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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SDK_TYPES = "openai.types."
_WHAT_TO_DO = "Move it away to start a new cache, or name another file as CACHE_FILE_NAME in config.ini"


class CacheRefused(ValueError):
    """The file is no cache of replies: it is neither read nor overwritten."""


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Every entry of the file; empty where there is none. CacheRefused if it holds anything but plain data."""
    try:
        return loads(Path(path).read_bytes())
    except FileNotFoundError:
        return {}
    except Exception as exc:  # a broken pickle raises nearly anything
        raise CacheRefused(f"The cache file {os.fspath(path)!r} is not read: {_reason(exc)}. {_WHAT_TO_DO}") from exc


def write(path: str | os.PathLike[str], cache: dict[str, Any]) -> None:
    """Put `cache` in the place of the whole file, in one step; CacheRefused if what is there is no cache.

    What can't be pickled, or could not be read again, raises before anything is written.
    """
    read(path)
    data = pickle.dumps(cache)
    loads(data)
    with _replacement(Path(path).resolve()) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def loads(data: bytes) -> dict[str, Any]:
    """The cache that these bytes hold; raises whatever pickle does if it is none."""
    cache = _Reader(io.BytesIO(data)).load()
    if not isinstance(cache, dict):
        raise pickle.UnpicklingError(f"it holds a {type(cache).__name__}, not a dict of replies")
    return {key: _reply(value) if isinstance(value, _Inert) else value for key, value in cache.items()}


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


class _Reader(pickle._Unpickler):  # noqa: SLF001 - it has no other name
    """The unpickler in Python, for the one in C takes gigabytes where a file of ten bytes says so."""

    def find_class(self, module: str, name: str) -> type[_Inert]:
        if module.startswith(_SDK_TYPES):
            return _Inert
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and a cache has only plain data")


def _reply(completion: _Inert) -> Any:
    """The message of a completion, as `message.to_dict()` has it."""
    return _plain(completion.fields()["choices"][0].fields()["message"])


def _plain(value: object) -> Any:
    if isinstance(value, _Inert):
        return {name: _plain(held) for name, held in value.fields().items()}
    return [_plain(held) for held in value] if isinstance(value, list) else value


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
