"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
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


@pytest.fixture(scope="module")
def unmeasured_children() -> Iterator[None]:
    """Processes that are started are not measured: for tests of documents, since other tests run the same code.

    Coverage takes as long as all else that such a process does.
    """
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith("COVERAGE_"):
                environment.delenv(name)
        yield
