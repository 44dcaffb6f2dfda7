"""Which hooks a process of the run gets: all of them, or as a worker of a distributed run only those of the tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from llmkit._pytest.budget import Budget, Till
from llmkit._pytest.collection import Collection
from llmkit._pytest.harness import Harness
from llmkit._pytest.report import Report
from llmkit._pytest.review import Review

_TILL = "llmkit_till"


def register(config: pytest.Config, harness: Harness) -> None:
    """Register the hooks of ``harness`` and those that go with it."""
    config.pluginmanager.register(harness, "llmkit-harness")
    config.pluginmanager.register(Collection(harness.settings, harness.inventory), "llmkit-collection")
    _share_budget(config, harness)
    if hasattr(config, "workerinput"):
        return
    if harness.settings.record == "review":
        if _is_distributed(config):
            raise pytest.UsageError("--record=review asks questions, which workers can't: run it without -n")
        config.pluginmanager.register(Review(config, harness.settings), "llmkit-review")
    config.pluginmanager.register(Report(config, harness), "llmkit-report")


def _share_budget(config: pytest.Config, harness: Harness) -> None:
    settings = harness.settings
    if settings.budget is None:
        return
    if not settings.sends:
        raise pytest.UsageError("--record-budget limits what --record spends: give --record as well")
    given = getattr(config, "workerinput", {}).get(_TILL)
    path = Path(given or tempfile.mkdtemp(prefix="llmkit-")) / "till.json"
    budget = Budget(limit=settings.budget, price=settings.prices.cost, till=Till(path=path))
    harness.tapes.before_sending.append(budget.reserve)
    harness.tapes.after_recording.append(budget.enter)
    config.pluginmanager.register(_Stopping(config, harness), "llmkit-stopping")
    if not given:
        config.pluginmanager.register(_Sharing(path), "llmkit-till")


class _Stopping:
    """Ends the run with the test that reached the budget."""

    def __init__(self, config: pytest.Config, harness: Harness) -> None:
        self._config = config
        self._harness = harness
        self._session: Any = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remember what can be stopped."""
        self._session = session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Stop this process and, where it sums up those of a distributed run, all of them."""
        facts = getattr(report, "llmkit", None) or {}
        if self._harness.tapes.is_budget_reached or facts.get("is_budget_reached"):
            for session in filter(None, (self._session, self._config.pluginmanager.get_plugin("dsession"))):
                session.shouldstop = "the budget of the recording is reached"


class _Sharing:
    """Tells the workers of a distributed run where the till is, and takes it away in the end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Called by xdist for each worker."""
        node.workerinput[_TILL] = str(self._path.parent)

    def pytest_unconfigure(self) -> None:
        """Take the till away."""
        self._path.unlink(missing_ok=True)
        self._path.parent.rmdir()


def _is_distributed(config: pytest.Config) -> bool:
    return bool(getattr(config.option, "numprocesses", None) or getattr(config.option, "tx", None))
