"""A mock server, clients of it, and what they log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmkit import Client
from mockserver import MockServer

KEY = "sk-canary-5f3a9d77"
Open = Callable[..., Client]


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(seed=1) as made:
        yield made


@pytest.fixture
def connect(server: MockServer) -> Iterator[Open]:
    """Makes clients of the server."""
    made: list[Client] = []

    def opened(**settings: Any) -> Client:
        given: dict[str, Any] = {
            "base_url": f"{server.url}/v1",
            "api_key": KEY,
            "model": "gpt-4o",
            "deadline_s": 10,
        } | settings
        made.append(Client(**given))
        return made[-1]

    yield opened
    for client in made:
        client.close()


class Lines(logging.Handler):
    """Keeps records as they come, each with the line that a plain formatter makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.lines.append(self.format(record))

    @property
    def all(self) -> str:
        """All that was written: lines, and fields that a formatter might show."""
        return "\n".join([*self.lines, *(repr(vars(record)) for record in self.records)])

    def of(self, name: str) -> list[logging.LogRecord]:
        return [record for record in self.records if record.name == name]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged below `llmkit`, from DEBUG on."""
    logger, handler = logging.getLogger("llmkit"), Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.setLevel(before)
    logger.removeHandler(handler)
