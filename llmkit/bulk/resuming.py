"""The file that bulk calls resume from: one line of JSON for each answer, written as soon as it has come.

A process that is killed loses no answer that it had. The line that it was writing, if any, has no end; it is cut off
before the next is written. One process at a time may write.
"""

import io
import json
import logging
import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from llmkit.errors import ConfigError, excerpt

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

_HEADER = json.dumps({"llmkit": "bulk", "version": 1}).encode() + b"\n"
_SYNC_S = 1.0  # what a machine without power may lose; a killed process loses nothing


class ResumeFile:
    """Answers by key, on disk; `with ResumeFile(path) as answers` opens and locks it.

    Raises ConfigError for a file that another process writes, for one that is something else, which is left as it is,
    and where the disk is full.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _path(path)
        self.size = 0  # bytes that are whole lines
        self._places: dict[str, tuple[int, int]] = {}  # where each answer stands, and how long its line is
        self._held: dict[str, tuple[str, int]] = {}  # what each text was answered by, and as which of its texts
        self._texts: dict[str, int] = {}  # how many texts an answer is to, if to several
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
        try:
            os.fsync(self._file.fileno())
        except OSError as error:  # every answer is in memory still, and an error would take them away
            log.warning("%s may not be on the disk: %s", self.path, error.strerror)
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

    def add(self, key: str, payload: Mapping[str, Any], *, texts: Sequence[str] = ()) -> None:
        """Keep an answer, with keys for each of several texts that it answers.

        Raises ConfigError where the disk does not take it, and leaves no part of it.
        """
        row = {"key": key, **({"texts": list(texts)} if texts else {}), "payload": payload}
        line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        start = self.size
        self._append(line)
        self._places[key] = (start, len(line))
        self._hold(key, texts)

    def holder(self, text: str) -> tuple[str, int] | None:
        """The key of the answer that has this text, and which of its texts it is; None if none has it."""
        return self._held.get(text)

    def texts_of(self, key: str) -> int:
        """To how many texts the answer is."""
        return self._texts[key]

    def _hold(self, key: str, texts: Sequence[str]) -> None:
        self._held |= {text: (key, index) for index, text in enumerate(texts)}
        if texts:
            self._texts[key] = len(texts)

    def _append(self, line: bytes) -> None:
        try:
            self._file.truncate(self.size)  # what a write before could not end
            self._file.seek(self.size)
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
            if time.monotonic() - self._synced > _SYNC_S:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            reason = error.strerror
        else:
            self.size += len(line)
            return
        raise ConfigError(f"resume = {str(self.path)!r} cannot be written: {reason}")

    def _opened(self) -> io.FileIO:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)  # answers are the caller's own business
        except OSError as error:
            raise ConfigError(f"resume = {str(self.path)!r} cannot be opened: {error.strerror}") from None
        file = io.FileIO(descriptor, "r+")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            file.close()
            raise ConfigError(f"resume = {str(self.path)!r} is no regular file: name another one")
        return file

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
        """Find the answers; a last line that was not finished gives way to the next."""
        found = self._file.read(len(_HEADER))
        if found != _HEADER:
            self._begin(found)
            return
        self.size = len(_HEADER)
        for number, line in enumerate(io.BufferedReader(io.FileIO(self._file.fileno(), closefd=False)), start=2):
            if not line.endswith(b"\n"):
                break
            self._take(line, number)
            self.size += len(line)

    def _begin(self, found: bytes) -> None:
        """Write the first line, where there is none or a part of it; leave any other file as it is."""
        if not _HEADER.startswith(found):
            raise ConfigError(
                f"resume = {str(self.path)!r} is no file of bulk answers, and is left as it is: name another one"
            )
        self._append(_HEADER)

    def _take(self, line: bytes, number: int) -> None:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict) and isinstance(row.get("payload"), dict) and isinstance(row.get("key"), str):
            self._places[row["key"]] = (self.size, len(line))
            texts = row.get("texts", [])
            self._hold(row["key"], [str(text) for text in texts] if isinstance(texts, list) else [])
        else:
            raise ConfigError(
                f"{self.path}, line {number}, is no answer: was the file edited? Take the line out, or name another one"
            )


def _path(path: object) -> Path:
    if isinstance(path, str | os.PathLike) and "\0" not in os.fspath(path):
        return Path(path)
    raise ConfigError(f"resume = {excerpt(path)}: it has to be the path of a file")
