"""A pytest plugin for the demo: runs each test once under every scripted fault, and notes how it ended."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import openai
import pytest

FAULTS: dict[str, list[dict[str, Any]]] = {
    "429 once, Retry-After: 1": [{"fault": "rate_limited", "retry_after_s": 1}],
    "503 once": [{"fault": "server_error", "status": 503}],
    "503 for good": [{"fault": "server_error", "status": 503, "times": "forever"}],
    "no answer once": [{"fault": "hang"}],
    "malformed JSON": [{"fault": "malformed_json"}],
    "reply cut off": [{"fault": "cut", "at": {"frame": 2}, "how": "eof"}],
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each fault."""
    metafunc.fixturenames.append("fault")
    metafunc.parametrize("fault", FAULTS, scope="function")


class Witness:
    """Scripts the server before each test, and writes down what became of the test."""

    def __init__(self, server: str, report: Path) -> None:
        self._server = server
        self._report = report
        self._outcomes: list[dict[str, str]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Build what a wider fixture holds before anything goes wrong: it is not what is tested."""
        if fixturedef.scope != "function":
            self._script([])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Function) -> Generator[None, None, None]:
        """Let the fault happen to the test, not to its fixtures."""
        fault = str(item.callspec.params["fault"])
        self._script(FAULTS[fault])
        try:
            yield
        except BaseException as error:
            self._note(item, fault, _judged(error))
            raise
        self._note(item, fault, "survives")

    def pytest_sessionfinish(self) -> None:
        """Write the report."""
        self._report.write_text(json.dumps(self._outcomes))

    def _script(self, steps: list[dict[str, Any]]) -> None:
        data = json.dumps({"steps": steps}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._server}/__admin/script", data=data, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=5):
                pass
        except OSError as error:
            pytest.exit(f"the mock server at {self._server} does not answer: {error}", returncode=3)

    def _note(self, item: pytest.Item, fault: str, outcome: str) -> None:
        self._outcomes.append({"application": item.path.parent.name, "fault": fault, "outcome": outcome})


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch."""
    config.pluginmanager.register(Witness(os.environ["DEMO_SERVER"], Path(os.environ["DEMO_REPORT"])))


def _judged(error: BaseException) -> str:
    """Say how a test failed: by an error that the application or the SDK made for it, or by anything else."""
    name = type(error).__name__
    if isinstance(error, openai.OpenAIError) or type(error).__module__.startswith("examples."):
        return f"fails cleanly: {name}"
    return "WRONG ANSWER" if isinstance(error, AssertionError) else f"CRASHES: {name}"
