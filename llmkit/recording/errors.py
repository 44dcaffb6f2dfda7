"""What can go wrong with a recording.

    LLMError
     └─ RecordingError          a recording can't be used or made
         ├─ BrokenCassette      the file is not a whole, valid cassette
         └─ SecretLeak          what was about to be written holds what looks like a secret
    BaseException
     └─ Unrecorded              the test asked for something that replay cannot give
         ├─ CassetteMiss        an HTTP request that the cassette doesn't hold
         │   └─ CassetteMissInPool   the same, where only an Exception gets out
         └─ NetworkSealed       any other traffic that would have left the machine

``Unrecorded`` is no ``Exception`` on purpose: an application (or an SDK) that retries, wraps or logs every
``Exception`` would turn a missing recording into seconds of backoff and a "Connection error.".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.errors import LLMError

if TYPE_CHECKING:
    from llmkit.recording.scrubbing.leaks import Leak


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


class CassetteMissInPool(CassetteMiss, Exception):
    """A miss in a worker of a `multiprocessing.pool`, which any error but an ``Exception`` hangs for ever."""


class NetworkSealed(Unrecorded):
    """Traffic that would have left the machine while the network is sealed."""


class SecretLeak(RecordingError):
    """What was about to be written to ``path`` holds ``leaks``; nothing was written. The message shows no secret."""

    def __init__(self, leaks: Sequence[Leak], path: Path | None = None) -> None:
        self.leaks = tuple(leaks)
        self.path = path
        listed = "".join(f"\n  {leak}" for leak in self.leaks)
        super().__init__(
            f"{len(self.leaks)} secret{'s' * (len(self.leaks) != 1)} found, nothing was written"
            f"{f' to {path}' if path else ''}:{listed}\n"
            "Keep it out of the prompt or the reply; or put it into an environment variable whose name ends in _KEY, "
            "_TOKEN or _SECRET, so that it is known and scrubbed; or, if it is none, allow it: "
            "llmkit_allowed_secrets = <digest>: <reason>"
        )

    def __reduce__(self) -> tuple[type[SecretLeak], tuple[tuple[Leak, ...], Path | None]]:
        return type(self), (self.leaks, self.path)
