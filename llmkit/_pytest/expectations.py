"""Whether a test expects a refusal: it is asked for inside of ``pytest.raises`` or unittest's ``assertRaises``."""

from __future__ import annotations

import functools
import unittest.case
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import pytest


class Expectations:
    """Counts the blocks that expect an error, in any thread: one test runs at a time."""

    def __init__(self) -> None:
        self._open = 0

    def is_any(self) -> bool:
        """Tell whether an error is expected now."""
        return self._open > 0

    def forget(self) -> None:
        """Begin anew with the next test."""
        self._open = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notice such blocks for the duration of this one."""
        unittests = unittest.case._AssertRaisesContext  # noqa: SLF001 - it has no public name
        with ExitStack() as stack:
            for block in (pytest.RaisesExc, unittests):
                for name, step in (("__enter__", 1), ("__exit__", -1)):
                    stack.enter_context(patch.object(block, name, self._stepping(getattr(block, name), step)))
            yield

    def _stepping(self, real: Callable[..., Any], step: int) -> Callable[..., Any]:
        @functools.wraps(real)
        def stepped(*args: Any) -> Any:
            self._open += step
            return real(*args)

        return stepped
