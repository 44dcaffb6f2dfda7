"""What holds for every test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import settings

from tests.kinds import kind_of

ROOT = Path(__file__).parents[1]

# no deadline: CI machines are shared, and a slow run of a law is no failure; derandomized: a red build can be repeated
settings.register_profile("llmkit", deadline=None, derandomize=True)
settings.load_profile("llmkit")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark every test with its kind."""
    for item in items:
        if item.path.is_relative_to(ROOT):  # a run within a test has tests elsewhere
            item.add_marker(kind_of(item.path.relative_to(ROOT).as_posix()))
