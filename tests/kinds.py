"""The kinds of tests that there are, by where they stand: `pytest -m unit`, `integration`, `performance`."""

from __future__ import annotations

# the first that fits: what stands nowhere else is a test of a unit, though many of those ask a real server too
PLACES = {
    "performance": ("tests/performance/",),
    "integration": ("tests/integration/", "tests/contract/", "tests/conformance/", "examples/"),
    "unit": ("",),
}


def kind_of(path: str) -> str:
    """Return the kind of the tests in the file ``path``, which is relative to the project."""
    return next(kind for kind, places in PLACES.items() if path.startswith(places))
