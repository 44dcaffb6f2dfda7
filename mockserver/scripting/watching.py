"""A script file that is read anew when it changes."""

import sys
import time
from pathlib import Path

from mockserver.scripting.reading import ScriptError, Written, from_yaml

_FRESH_S = 2.0  # clocks of file systems are coarse: a file as young as this may change and keep its time


class ScriptFile:
    """A script in a file, looked at whenever somebody asks for it.

    ScriptError at the start where it is no script. A later version that is none is reported on stderr and in `problem`,
    and the one before goes on.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.problem: str | None = None
        self._stamp, self._content = self._stat(), self._read()
        self.written = from_yaml(self._content.decode(), source=str(path))

    def changed(self) -> Written | None:
        """What the file says now, None if that is what it said before, or no script."""
        try:
            stamp = self._stat()
            if stamp == self._stamp and abs(time.time() - stamp[0] / 1e9) > _FRESH_S:
                return None
            content = self._read()
            is_same, self._stamp, self._content = content == self._content, stamp, content
            return None if is_same else self._parsed()
        except ScriptError as exc:
            self._complain(str(exc))
            return None

    def _parsed(self) -> Written:
        written = self.written = from_yaml(self._content.decode(), source=str(self.path))
        self.problem = None
        return written

    def _complain(self, problem: str) -> None:
        if problem != self.problem:
            sys.stderr.write(f"mockserver: the script was not reloaded: {problem}\n")
        self.problem = problem

    def _stat(self) -> tuple[int, int, int]:
        try:
            found = self.path.stat()
        except OSError as exc:
            raise self._unreadable(exc) from exc
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> bytes:
        try:
            content = self.path.read_bytes()
            content.decode()
        except (OSError, UnicodeDecodeError) as exc:
            raise self._unreadable(exc) from exc
        return content

    def _unreadable(self, exc: Exception) -> ScriptError:
        return ScriptError(f"cannot read the script {str(self.path)!r}: {exc}")
