"""Which tape plays: the innermost of those that are in.

The clients are patched once, to ask the deck; putting a tape in or taking it out costs nothing and may happen in any
order. Two tasks of one loop that have each put a tape in are kept apart by their context; a thread that was started
without one gets the tape that was put in last.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar

from llmkit.recording.tape import Tape

_of_context: ContextVar[tuple[Tape, ...]] = ContextVar("llmkit_tapes", default=())


class Deck:
    """The tapes that are in, the innermost last. Safe to use from several threads and tasks."""

    def __init__(self) -> None:
        self._tapes: tuple[Tape, ...] = ()
        self._lock = threading.Lock()

    @property
    def tape(self) -> Tape | None:
        """The tape that plays here."""
        tapes = self._tapes
        if not tapes:
            return None
        # a context may be older than the tapes that are in: a session's event loop has that of the first test
        own = (tape for tape in reversed(_of_context.get()) if tape in tapes)
        return next(own, tapes[-1])

    def tape_for(self, url: str) -> Tape | None:
        """Return the tape that plays if a request to ``url`` concerns it, else None: the request passes untouched."""
        tape = self.tape
        return tape if tape is not None and tape.scope.concerns(url) else None

    def put_in(self, tape: Tape) -> None:
        """Let ``tape`` play in this context."""
        _of_context.set((*_of_context.get(), tape))
        with self._lock:
            self._tapes = (*self._tapes, tape)

    def note_fork(self) -> None:
        """Let the tapes that are in know that this process was forked: its child plays them too, on copies."""
        for tape in self._tapes:
            tape.was_forked = True

    def take_out(self, tape: Tape) -> None:
        """Let the tape play that played before ``tape``."""
        _of_context.set(_without(_of_context.get(), tape))
        with self._lock:
            self._tapes = _without(self._tapes, tape)


def _without(tapes: tuple[Tape, ...], tape: Tape) -> tuple[Tape, ...]:
    """Return ``tapes`` without the last that is ``tape``."""
    last = max((place for place, one in enumerate(tapes) if one is tape), default=None)
    return tapes if last is None else tapes[:last] + tapes[last + 1 :]
