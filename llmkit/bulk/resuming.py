"""The file that bulk calls resume from: one line of JSON for each answer, written as soon as it has come.

A process that is killed loses no answer that it had. The line that it was writing, if any, has no end; it is cut off
before the next is written. One process at a time may write.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

from llmkit.errors import ConfigError

if sys.platform != "win32":
    import fcntl

_HEADER = {"llmkit": "bulk", "version": 1}
_SYNC_S = 1.0  # what a machine without power may lose; a killed process loses nothing


class ResumeFile:
    """Answers by key, on disk; `with ResumeFile(path) as answers` opens and locks it.

    Raises ConfigError for a file that another process writes, and for one that is something else, which is left as it
    is.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._places: dict[str, tuple[int, int]] = {}  # where each answer stands, and how long its line is
        self._synced = 0.0

    def __enter__(self) -> Self:
        self._file = self._opened()
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The answer of this key, None if there is none."""
        place = self._places.get(key)
        if place is None:
            return None
        self._file.seek(place[0])
        payload: Mapping[str, Any] = json.loads(self._file.read(place[1]))["payload"]
        return payload

    def add(self, key: str, payload: Mapping[str, Any]) -> None:
        """Keep an answer."""
        line = json.dumps({"key": key, "payload": payload}, separators=(",", ":")).encode() + b"\n"
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(line)
        self._file.flush()
        self._places[key] = (start, len(line))
        if time.monotonic() - self._synced > _SYNC_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def _opened(self) -> BinaryIO:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)  # answers are the caller's own business
        except OSError as error:
            raise ConfigError(f"resume = {str(self.path)!r} cannot be opened: {error.strerror}") from None
        return os.fdopen(descriptor, "r+b")

    def _lock(self) -> None:
        if sys.platform == "win32":  # it has no such locks
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"resume = {str(self.path)!r} is in use by another process: wait for its end, or name another file"
            ) from None

    def _read(self) -> None:
        """Find the answers, and cut off a last line that was not finished."""
        end = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n") and number > 1:
                break
            self._take(line, number, end)
            end += len(line)
        if end == 0:
            self._file.write(json.dumps(_HEADER).encode() + b"\n")
            self._file.flush()
        else:
            self._file.truncate(end)

    def _take(self, line: bytes, number: int, start: int) -> None:
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if number == 1:
            if row != _HEADER:
                raise ConfigError(
                    f"resume = {str(self.path)!r} is no file of bulk answers, and is left as it is: name another one"
                )
        elif isinstance(row, dict) and isinstance(row.get("payload"), dict) and isinstance(row.get("key"), str):
            self._places[row["key"]] = (start, len(line))
        else:
            raise ConfigError(
                f"{self.path}, line {number}, is no answer: was the file edited? Take the line out, or name another one"
            )
