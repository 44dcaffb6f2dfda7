"""What can go wrong with a recording.

    LLMError
     └─ RecordingError          a recording can't be used or made
         └─ BrokenCassette      the file is not a whole, valid cassette
    BaseException
     └─ Unrecorded              the test asked for something that replay cannot give
         ├─ CassetteMiss        an HTTP request that the cassette doesn't hold
         └─ NetworkSealed       any other traffic that would have left the machine

``Unrecorded`` is no ``Exception`` on purpose: an application (or an SDK) that retries, wraps or logs every
``Exception`` would turn a missing recording into seconds of backoff and a "Connection error.".
"""

from __future__ import annotations

from pathlib import Path

from llmkit.errors import LLMError


class RecordingError(LLMError):
    """A recording can't be used or made; the message says why and what to do."""


class BrokenCassette(RecordingError):
    """A cassette file that is not whole or not valid; it is never overwritten and never taken for empty."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        self.path = path
        self.line = line
        self.problem = problem
        super().__init__(
            f"{path}:{line}: broken cassette: {problem}. "
            "Restore the file (git checkout), or delete it and record again: pytest --record"
        )

    def __reduce__(self) -> tuple[type[BrokenCassette], tuple[Path, int, str]]:
        return type(self), (self.path, self.line, self.problem)


class Unrecorded(BaseException):
    """Replay was asked for something that no cassette holds."""


class CassetteMiss(Unrecorded):
    """A request that the cassette doesn't hold; the message names the request and the nearest recording."""


class NetworkSealed(Unrecorded):
    """Traffic that would have left the machine while the network is sealed."""
