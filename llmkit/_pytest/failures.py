"""The errors of replay as outcomes of pytest: it reports them as failures, and keeps them for a fixture's other tests.

Other plugins that run tests in a loop of their own (anyio's) let nothing pass but an `Exception` or an outcome.
"""

from __future__ import annotations

import pytest

from llmkit.recording import errors

_Failed: type[BaseException] = pytest.fail.Exception


class _Brief(BaseException):
    """Gives an error a short name, which leaves room for its message in pytest's short summary; it still pickles."""

    def __init_subclass__(cls) -> None:
        cls.__module__ = "llmkit"

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self).__name__, self.args)


class CassetteMiss(_Brief, errors.CassetteMiss, _Failed):  # type: ignore[misc,valid-type]  # known at run time only
    """A request that the cassette doesn't hold."""


class CassetteMissInPool(CassetteMiss, errors.CassetteMissInPool):
    """A miss in a worker of a pool."""


class NetworkSealed(_Brief, errors.NetworkSealed, _Failed):  # type: ignore[misc,valid-type]  # as above
    """Traffic that would have left the machine."""


class Broken(_Failed):  # type: ignore[misc,valid-type]  # as above
    """A cassette that is not whole."""

    def __init__(self, error: errors.BrokenCassette) -> None:
        super().__init__(str(error), pytrace=False)


class BudgetReached(_Brief, errors.Unrecorded, _Failed):  # type: ignore[misc,valid-type]  # as above
    """A request that was not sent, because it could cost more than is left."""


class Leaked(_Failed):  # type: ignore[misc,valid-type]  # as above
    """A reply that would have taken a secret into a cassette."""

    def __init__(self, error: errors.SecretLeak) -> None:
        super().__init__(str(error), pytrace=False)


def _again(name: str, args: tuple[object, ...]) -> BaseException:
    made: BaseException = globals()[name](*args)
    return made
