"""HTTP interactions on disk: record them once, replay them offline.

>>> import llmkit
>>> with llmkit.recording.use_cassette("cassettes/greeting.yaml", record="new_episodes"):  # doctest: +SKIP
...     greet()

It records any HTTP client of the process and knows nothing of `llmkit.Client`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.recording.errors import BrokenCassette, CassetteMiss, NetworkSealed, RecordingError, Unrecorded

if TYPE_CHECKING:
    from llmkit.recording.recorder import use_cassette

__all__ = ["BrokenCassette", "CassetteMiss", "NetworkSealed", "RecordingError", "Unrecorded", "use_cassette"]


def __getattr__(name: str) -> object:
    if name != "use_cassette":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from llmkit.recording import recorder  # imports vcrpy, which not everyone who imports this needs
    except ModuleNotFoundError as error:
        raise RecordingError(f"recording needs the package {error.name!r}: pip install 'llmkit[testing]'") from error
    return recorder.use_cassette
