"""Servers and clients of a test's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import openai
import pytest

from mockserver import MockServer

Serve = Callable[..., MockServer]
KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def serve(network_allowance: Any) -> Iterator[Serve]:
    """Start servers with options of the test's choice; all stop with the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> MockServer:
            server = stack.enter_context(MockServer(**options))
            network_allowance.allow(server.host, server.port)
            return server

        yield start


@pytest.fixture
def client(mockserver: MockServer) -> Iterator[openai.OpenAI]:
    """The official SDK, which does not retry by itself."""
    with openai.OpenAI(base_url=mockserver.openai_url, api_key=KEY, max_retries=0, timeout=10) as made:
        yield made


@pytest.fixture
def azure(mockserver: MockServer) -> Iterator[openai.AzureOpenAI]:
    """The official SDK for Azure."""
    with openai.AzureOpenAI(
        azure_endpoint=mockserver.azure_endpoint, api_key=KEY, api_version="2024-10-21", max_retries=0, timeout=10
    ) as made:
        yield made


@pytest.fixture
def http(mockserver: MockServer) -> Iterator[httpx.Client]:
    """Plain HTTP with a key that both dialects take."""
    headers = {"authorization": f"Bearer {KEY}", "api-key": KEY}
    with httpx.Client(base_url=mockserver.url, headers=headers, timeout=10) as made:
        yield made
