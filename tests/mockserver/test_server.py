"""Starting, stopping, and what the package exports."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest

import mockserver as package
from mockserver import MockServer, reply
from tests.mockserver.asking import CHAT, chat
from tests.mockserver.conftest import Serve


def test_urls_for_every_client(serve: Serve) -> None:
    server = serve()
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.openai_url == f"{server.url}/v1"
    assert server.azure_endpoint == server.url


def test_servers_do_not_share_anything(serve: Serve) -> None:
    one, other = serve(script=[reply("one")]), serve()
    assert one.port != other.port
    httpx.post(other.url + CHAT, headers={"authorization": "Bearer any"}, json=chat())
    assert (len(one.journal), len(other.journal)) == (0, 1)


def test_a_taken_port_is_an_os_error(serve: Serve) -> None:
    with pytest.raises(OSError, match="address already in use"), MockServer(port=serve().port):
        pass


def test_a_port_that_is_none_is_named_at_once() -> None:
    with pytest.raises(OverflowError, match="0-65535"), MockServer(port=70_000):
        pass


async def test_also_in_a_running_loop(serve: Serve) -> None:
    with pytest.raises(OSError, match="address already in use"):
        async with MockServer(port=serve().port):
            pass


def test_before_the_start_there_is_no_port() -> None:
    with pytest.raises(RuntimeError, match="the server is not running; start it with"):
        _ = MockServer().url


def test_a_server_can_start_again(network_allowance: Any) -> None:
    server = MockServer(script=[reply("once")])
    for _ in range(2):
        with server:
            network_allowance.allow(server.host, server.port)
            response = httpx.post(server.url + CHAT, headers={"authorization": "Bearer any"}, json=chat())
            assert response.status_code == 200
    assert [exchange.outcome for exchange in server.journal] == ["reply", "generated"]


def test_a_running_server_does_not_start_again(serve: Serve) -> None:
    server = serve()
    port, threads = server.port, threading.active_count()
    with pytest.raises(RuntimeError, match=rf"already running at http://127.0.0.1:{port}; leave its `with` first"):
        server.__enter__()
    assert (server.port, threading.active_count()) == (port, threads)


async def test_nor_does_it_in_a_running_loop(serve: Serve) -> None:
    with pytest.raises(RuntimeError, match="already running at"):
        await serve().__aenter__()


def test_a_server_that_could_not_start_may_try_again(serve: Serve) -> None:
    server = MockServer(port=serve().port)
    for _ in range(2):
        with pytest.raises(OSError, match="address already in use"), server:
            pass


def test_what_is_left_of_the_script_can_be_asked_for(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("one"), reply("two").times(3), reply("for embeddings").match(surface="embeddings"))
    for _ in range(2):
        http.post(CHAT, json=chat())
    assert [step.spec() for step in mockserver.script_left] == [
        {"reply": "two", "times": 2},
        {"reply": "for embeddings", "match": {"surface": "embeddings"}},
    ]


async def test_many_requests_at_once_are_all_answered(network_allowance: Any) -> None:
    async with MockServer() as server:
        network_allowance.allow(server.host, server.port)
        headers = {"authorization": "Bearer any"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as http:
            responses = await asyncio.gather(*(http.post(CHAT, json=chat(stream=bool(n % 2))) for n in range(40)))
    assert {response.status_code for response in responses} == {200}
    assert len(server.journal) == 40
    assert all(exchange.frames for exchange in server.journal)


def test_the_namespace_is_what_it_says() -> None:
    assert dir(package) == package.__all__ == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Mock'; it has MockServer"):
        package.Mock  # noqa: B018


def test_importing_the_package_imports_no_server() -> None:
    code = "import sys, mockserver, mockserver.pytest_plugin; print('aiohttp' in sys.modules, 'yaml' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_the_server_shares_no_code_with_the_client_but_the_tokenizer() -> None:
    code = (
        "import sys, mockserver.cli, mockserver.faults.streams;"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('llmkit', 'openai')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(eval(run.stdout))
    assert "openai" not in loaded
    assert not {"llmkit.client", "llmkit.recording", "llmkit.policies"} & loaded
