from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmkit.recording.sealing.seal import Seal


@pytest.fixture
def seal() -> Iterator[Seal]:
    """A closed seal that lets one host through."""
    seal = Seal(allowed_hosts=frozenset({"192.0.2.9"}))
    seal.close()
    yield seal
    seal.open()
