"""One line that tells, while a run goes on, what it has recorded so far.

On a terminal it stands below pytest's own line, which stays as it is; elsewhere, as in the log of a build, it is a line
of its own now and then.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import IO

import pytest

_EVERY_S = 10.0
# down one line, scrolling if need be, and up again; then, with the place of the cursor kept: write below, and return
_BELOW = "\x1bD\x1b[A\x1b7\x1b[B\r\x1b[2K{}\x1b8"
_ERASE_BELOW = "\x1b[J"


class LiveLine:
    """Writes to the terminal of ``config``, if there is one, also while pytest captures what is written."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._screen: IO[str] | None = None
        self._lock = threading.Lock()
        self._is_shown = False
        self._next_at = 0.0
        self._logged = ""

    def open(self) -> None:
        """Find the terminal, before pytest begins to capture what tests write."""
        self._screen = _screen() if self._reporter is not None else None

    def show(self, text: str) -> None:
        """Show ``text`` below pytest's own line, in the place of what was shown there before."""
        if text and self._screen is not None:
            width = self._config.get_terminal_writer().fullwidth - 1
            with self._lock:
                self._is_shown = True
                self._write(_BELOW.format(text[:width]))

    def erase(self) -> None:
        """Take the line away."""
        with self._lock:
            if self._is_shown:
                self._is_shown = False
                self._write(_ERASE_BELOW)

    def log(self, text: str) -> None:
        """Where no line can stand, write ``text`` if it is news and the last was written ten seconds ago or more."""
        is_news = bool(text) and text != self._logged
        if not is_news or self._reporter is None or self._screen is not None or time.monotonic() < self._next_at:
            return
        self._logged = text
        self._next_at = time.monotonic() + _EVERY_S
        self._reporter.ensure_newline()
        writer = self._config.get_terminal_writer()
        if writer.width_of_current_line:
            writer.line()
        if self._reporter.showfspath:
            self._reporter.write(text, flush=True)  # pytest begins a new line of its own
        else:
            self._reporter.write_line(text)

    def close(self) -> None:
        """Let go of the terminal."""
        if self._screen is not None:
            self.erase()
            self._screen.close()
            self._screen = None

    def _write(self, text: str) -> None:
        if self._screen is not None:
            with contextlib.suppress(OSError):  # the terminal was closed, and the run goes on without it
                self._screen.write(text)
                self._screen.flush()

    @property
    def _reporter(self) -> pytest.TerminalReporter | None:
        return self._config.pluginmanager.get_plugin("terminalreporter")


def _screen() -> IO[str] | None:
    """Return the terminal that this process writes to now, by a way that no capturing of its output closes."""
    if os.environ.get("TERM", "") in ("", "dumb"):
        return None
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return None
    if not os.isatty(descriptor):
        return None
    return os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="replace")
