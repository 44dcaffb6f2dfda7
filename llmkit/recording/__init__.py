"""HTTP interactions on disk: record them once, replay them offline.

>>> import llmkit
>>> with llmkit.recording.use_cassette("cassettes/greeting.yaml", record="new_episodes"):  # doctest: +SKIP
...     greet()

It records any HTTP client of the process and knows nothing of `llmkit.Client`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from llmkit.recording.errors import (
    BrokenCassette,
    CassetteMiss,
    NetworkSealed,
    RecordingError,
    SecretLeak,
    Unrecorded,
)

if TYPE_CHECKING:
    from llmkit.recording.library.library import Library, diff
    from llmkit.recording.recorder import use_cassette

__all__ = [
    "BrokenCassette",
    "CassetteMiss",
    "Library",
    "NetworkSealed",
    "RecordingError",
    "SecretLeak",
    "Unrecorded",
    "diff",
    "use_cassette",
]

# imported when they are asked for: they need packages that not everyone has who imports this
_LAZY = {
    "Library": "llmkit.recording.library.library",
    "diff": "llmkit.recording.library.library",
    "use_cassette": "llmkit.recording.recorder",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_LAZY[name]), name)
    except ModuleNotFoundError as error:
        raise RecordingError(f"recording needs the package {error.name!r}: pip install 'llmkit[testing]'") from error
