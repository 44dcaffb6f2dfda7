"""A mock server, and clients of it."""

from collections.abc import Iterator

import pytest

from llmkit import Client
from mockserver import MockServer

KEY = "sk-bulk-0123456789"


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(seed=1) as made:
        yield made


@pytest.fixture
def client(server: MockServer) -> Iterator[Client]:
    with Client(base_url=f"{server.url}/v1", api_key=KEY, model="gpt-4o", deadline_s=10) as made:
        yield made


def asked(server: MockServer) -> list[str]:
    """What the server was asked, in the order of arrival."""
    return [exchange.request["messages"][-1]["content"] for exchange in server.journal]
