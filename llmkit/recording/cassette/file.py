"""The cassette file: read whole or refused, written in one step, by one process at a time.

Its text is made by `yaml_writer` and read by `yaml_reader`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from llmkit.recording.cassette.yaml_reader import parse
from llmkit.recording.cassette.yaml_writer import dump
from llmkit.recording.errors import BrokenCassette, RecordingError
from llmkit.recording.interaction import Interaction

try:
    import fcntl
except ImportError:  # Windows, where two processes that record into one file may lose a recording
    fcntl = None  # type: ignore[assignment]  # there is no such module


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
        raise BrokenCassette(path, 1, f"it can't be read: {error.strerror or error}") from None


def save(path: Path, interactions: Iterable[Interaction]) -> None:
    """Write the cassette at ``path`` in one step: whoever looks sees the old file or the new one, never a part."""
    write(path, dump(interactions))


def write(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step, safe on disk when this returns."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
    except OSError as error:
        raise RecordingError(f"can't write the cassette {path}: {error}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise RecordingError(f"can't write the cassette {path}: {error}") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes of this machine from changing the cassette at ``path`` for the duration of a block."""
    name = hashlib.sha256(str(path.absolute()).encode()).hexdigest()
    with (Path(tempfile.gettempdir()) / f"llmkit-{name[:32]}.lock").open("ab") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
