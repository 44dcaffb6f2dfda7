"""Which tape plays: the innermost of those that are in.

The clients are patched once, to ask the deck; putting a tape in or taking it out costs nothing and may happen in any
order, also from tasks that overlap.
"""

from __future__ import annotations

import threading

from llmkit.recording.tape import Tape


class Deck:
    """The tapes that are in, the innermost last. Safe to use from several threads."""

    def __init__(self) -> None:
        self._tapes: list[Tape] = []
        self._lock = threading.Lock()

    @property
    def tape(self) -> Tape | None:
        """The tape that plays."""
        tapes = self._tapes
        return tapes[-1] if tapes else None

    def tape_for(self, url: str) -> Tape | None:
        """Return the tape that plays if a request to ``url`` concerns it, else None: the request passes untouched."""
        tape = self.tape
        return tape if tape is not None and tape.scope.concerns(url) else None

    def put_in(self, tape: Tape) -> None:
        """Let ``tape`` play."""
        with self._lock:
            self._tapes = [*self._tapes, tape]

    def take_out(self, tape: Tape) -> None:
        """Let the tape play that played before ``tape``."""
        with self._lock:
            last = max(place for place, one in enumerate(self._tapes) if one is tape)
            self._tapes = self._tapes[:last] + self._tapes[last + 1 :]
