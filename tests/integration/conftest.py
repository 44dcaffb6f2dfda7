"""Each test runs with both clients, in both dialects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from mockserver import MockServer
from tests.integration.clients import Caller


@pytest.fixture(scope="module")
def module_server() -> Iterator[MockServer]:
    with MockServer(seed=1) as server:
        yield server


@pytest.fixture
def server(module_server: MockServer) -> MockServer:
    module_server.reset()
    return module_server


@pytest.fixture(params=["openai", "azure", "azure, dated"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sync", "async"])
def caller(
    request: pytest.FixtureRequest, server: MockServer, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Caller]:
    monkeypatch.delenv("OPENAI_API_VERSION", raising=False)
    is_async = request.param == "async"
    with closing(Caller(server, dialect=dialect, is_async=is_async, max_attempts=1, breaker=False)) as caller:
        yield caller
