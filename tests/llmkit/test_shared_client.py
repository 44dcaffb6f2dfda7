"""The client of the process: one for all threads, built when it is asked for, in the hands of tests.

Row 1.I6.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import llmkit
from llmkit import Client, ConfigError
from mockserver import MockServer, reply

KEY = "sk-canary-5f3a9d"


@pytest.fixture(autouse=True)
def alone(bare: None) -> Iterator[None]:
    """No settings and no client, before and after."""
    llmkit.reset_default_client()
    yield
    llmkit.reset_default_client()


def test_every_thread_gets_the_same_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    start = threading.Barrier(8)

    def ask() -> Client:
        start.wait(10)
        return llmkit.default_client()

    with ThreadPoolExecutor(8) as pool:
        found = [future.result() for future in [pool.submit(ask) for _ in range(8)]]
    assert len({id(client) for client in found}) == 1


def test_it_answers() -> None:
    with MockServer(script=[reply("Hello")]) as server:
        Path("llmkit.toml").write_text(f'api_key = "{KEY}"\nbase_url = "{server.openai_url}"\nmodel = "gpt-4.1"\n')
        assert llmkit.default_client().chat("Hi").text == "Hello"
        llmkit.reset_default_client()


def test_the_provider_that_is_set_up_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com")
    assert "https://me.openai.azure.com" in repr(llmkit.default_client())


def test_a_missing_setting_is_told_and_can_be_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        llmkit.default_client()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert isinstance(llmkit.default_client(), Client)


def test_another_client_can_be_put_in_its_place() -> None:
    own = Client(api_key=KEY)
    assert llmkit.set_default_client(own) is None
    assert llmkit.default_client() is own
    another = Client(api_key=KEY)
    assert llmkit.set_default_client(another) is own


def test_a_reset_makes_the_next_one_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    before = llmkit.default_client()
    llmkit.reset_default_client()
    assert llmkit.default_client() is not before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_process_builds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    before = llmkit.default_client()
    child = os.fork()
    if child == 0:
        os._exit(0 if llmkit.default_client() is not before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
