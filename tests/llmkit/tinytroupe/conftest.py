"""A clean place for every test: a directory, a configuration, no waits, and the module as it was imported."""

from __future__ import annotations

import configparser
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmkit import tinytroupe
from mockserver import MockServer

KEY = "sk-canary-5f3a9d"

# what the seeds' own configuration says
OPENAI = {
    "MODEL": "gpt-4",
    "MAX_TOKENS": "1024",
    "TEMPERATURE": "0.3",
    "TOP_P": "0",
    "FREQ_PENALTY": "0.0",
    "PRESENCE_PENALTY": "0.0",
    "TIMEOUT": "30.0",
    "MAX_ATTEMPTS": "3.0",
    "WAITING_TIME": "0.5",
    "EXPONENTIAL_BACKOFF_FACTOR": "5",
    "EMBEDDING_MODEL": "text-embedding-3-small",
    "CACHE_API_CALLS": "True",
    "CACHE_FILE_NAME": "test_cache.pickle",
    "API_TYPE": "openai",
    "AZURE_API_VERSION": "2024-10-21",
}
MESSAGES = [{"role": "user", "content": "test message"}]

Configure = Callable[..., configparser.ConfigParser]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A directory of the test's own, and afterwards the module as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    before = dict(tinytroupe.default)
    monkeypatch.setattr(tinytroupe, "_forced", {})
    monkeypatch.setattr(tinytroupe, "_api_type_override", None)
    monkeypatch.setattr(tinytroupe, "_api_type_to_client", {})
    monkeypatch.setattr(tinytroupe.utils, "_config", tinytroupe.utils._config)
    tinytroupe.register_client("openai", tinytroupe.OpenAIClient())
    tinytroupe.register_client("azure", tinytroupe.AzureClient())
    yield
    tinytroupe.default.clear()
    tinytroupe.default.update(before)


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Writes config.ini, by default the seeds' with some entries changed (None leaves one out), and has it read."""

    def write(**changed: str | None) -> configparser.ConfigParser:
        entries = {name: value for name, value in (OPENAI | changed).items() if value is not None}
        lines = [f"{name}={value}" for name, value in entries.items()]
        (tmp_path / "config.ini").write_text("\n".join(["[OpenAI]", *lines]))
        return tinytroupe.utils.read_config_file(use_cache=False)

    return write


@pytest.fixture
def configured(configure: Configure) -> configparser.ConfigParser:
    """The seeds' configuration, read."""
    return configure()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client has slept, none of which took any time."""
    slept: list[float] = []
    monkeypatch.setattr(tinytroupe, "time", SimpleNamespace(**vars(time) | {"sleep": slept.append}))
    return slept


@pytest.fixture
def server(mockserver: MockServer, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> MockServer:
    """The API, at the addresses that the environment names."""
    monkeypatch.setenv("OPENAI_BASE_URL", mockserver.openai_url)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", mockserver.azure_endpoint)
    monkeypatch.setenv("AZURE_OPENAI_KEY", KEY)
    return mockserver


def asked(server: MockServer) -> list[Any]:
    """The bodies of the requests that reached the server."""
    return [exchange.request for exchange in server.journal]
