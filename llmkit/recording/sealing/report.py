"""What child processes were refused, told to the process that sealed them by a file of lines."""

from __future__ import annotations

import os
import weakref
from pathlib import Path


class Report:
    """A file to which any process adds lines, one write each; the process that made it removes it.

    ``path`` is that of another process's report; without it a file of our own is made.
    """

    def __init__(self, path: str = "") -> None:
        self.path = path or self._made()
        self._read = 0

    def add(self, what: str) -> None:
        """Tell that this process was refused ``what``."""
        line = f"{os.getpid()} {' '.join(what.split())}\n"
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        except OSError:
            return  # the test is over, or another user's: the error itself still says it
        try:
            os.write(file, line.encode("utf-8", "replace"))
        finally:
            os.close(file)

    def unread(self) -> list[tuple[int, str]]:
        """Return the process id and the refusal of each line that was added since this was last asked."""
        path = Path(self.path)
        try:
            if path.stat().st_size == self._read:
                return []  # each test asks several times, and to open the file takes six times as long
            with path.open("rb") as file:
                file.seek(self._read)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []  # someone has tidied up
        self._read += len(whole + newline)
        lines = (line.decode().partition(" ") for line in whole.splitlines())
        return [(int(pid), what) for pid, _, what in lines]

    def _made(self) -> str:
        import tempfile  # children have no need of it

        file, path = tempfile.mkstemp(prefix="llmkit-seal-")
        os.close(file)
        weakref.finalize(self, _remove, path, os.getpid())
        return path


def _remove(path: str, process: int) -> None:
    if os.getpid() == process:  # not a child that was forked
        Path(path).unlink(missing_ok=True)
