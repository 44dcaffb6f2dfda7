"""What the recorder uses of HTTP clients that is promised to no one: a release that moves it fails here first."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import inspect
import io
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import urllib3
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import BaseConnector, Connection

WHERE = "llmkit/recording/interception/"


def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("_send_request", ["self", "method", "url", "body", "headers", "encode_chunked"]),
        ("putrequest", ["self", "method", "url", "skip_host", "skip_accept_encoding"]),
        ("getresponse", ["self"]),
    ],
)
def test_http_client_sends_and_answers_where_we_patch_it(function: str, expected: list[str]) -> None:
    found = _parameters(getattr(http.client.HTTPConnection, function))
    assert found == expected, f"http.client.HTTPConnection.{function} changed: see {WHERE}http_client.py"


def test_http_client_sends_to_the_socket_of_the_connection_and_reads_from_its_file() -> None:
    class Socket:
        sent = b""

        def sendall(self, data: bytes) -> None:
            self.sent += data

        def makefile(self, mode: str) -> Any:
            return io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    connection: Any = http.client.HTTPConnection("localhost")
    connection.sock = Socket()
    connection.request("GET", "/a")
    assert connection.sock.sent.startswith(b"GET /a HTTP/1.1\r\n"), f"see {WHERE}sockets.py"
    reply = connection.getresponse()
    assert reply.fp is not None, f"what {WHERE}http_client.py overhears, http.client reads from `fp`"
    assert (reply.chunked, reply.length, reply.read()) == (False, 2, b"hi")


def test_urllib3_makes_one_request_on_one_connection_where_we_patch_it() -> None:
    pool: Any = urllib3.connectionpool.HTTPConnectionPool
    used = {"self", "conn", "method", "url", "body", "headers", "response_conn", "preload_content"}
    missing = used - set(_parameters(pool._make_request))
    assert not missing, f"HTTPConnectionPool._make_request takes no {missing}: see {WHERE}urllib3_client.py"
    prepare = _parameters(urllib3.connectionpool.HTTPSConnectionPool._prepare_proxy)
    assert prepare == ["self", "conn"], f"HTTPSConnectionPool._prepare_proxy changed: see {WHERE}urllib3_client.py"


def test_urllib3s_connections_are_http_clients_and_take_our_socket() -> None:
    kind: Any = urllib3.connection.HTTPConnection
    assert issubclass(kind, http.client.HTTPConnection), f"see {WHERE}urllib3_client.py"
    connection = kind("localhost")
    connection.sock = object()
    assert not connection.is_closed, f"a socket of ours no longer makes a connection: see {WHERE}urllib3_client.py"
    connection.sock = None


def test_aiohttps_connector_connects_where_we_patch_it() -> None:
    found = _parameters(BaseConnector.connect)
    assert found == ["self", "req", "traces", "timeout"], f"BaseConnector.connect changed: see {WHERE}aiohttp_client.py"
    assert _parameters(Connection) == ["connector", "key", "protocol", "loop"], f"see {WHERE}aiohttp_replay.py"


async def test_aiohttps_requests_have_what_we_read_of_them() -> None:
    request = aiohttp.ClientRequest(
        "POST", importlib.import_module("yarl").URL("http://localhost/"), data=b"x", loop=asyncio.get_running_loop()
    )
    body: Any = request.body
    message = f"a request of aiohttp is no longer read as {WHERE}aiohttp_client.py does"
    assert await body.as_bytes() == b"x", message
    assert (request.method, str(request.url)) == ("POST", "http://localhost/"), message
    assert request.connection_key is not None, message


async def test_a_reader_of_aiohttp_asks_whether_it_is_connected_before_it_waits() -> None:
    asked = asyncio.Event()

    class Protocol(ResponseHandler):
        @property
        def connected(self) -> bool:
            asked.set()
            return True

    stream = aiohttp.StreamReader(Protocol(asyncio.get_running_loop()), 2**16, loop=asyncio.get_running_loop())
    reading = asyncio.create_task(stream.read(1))
    async with asyncio.timeout(10):
        await asyncio.wait({reading, asyncio.create_task(asked.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert asked.is_set(), f"{WHERE}aiohttp_replay.py gives the next piece when a reader asks for `connected`"
    stream.feed_data(b"x")
    assert await reading == b"x"


def test_aiohttps_protocol_has_what_our_replay_overrides_and_calls() -> None:
    names = {"connected", "connection_lost", "data_received", "exception", "feed_data", "force_close", "read"}
    missing = [name for name in sorted(names) if not hasattr(ResponseHandler, name)]
    assert not missing, f"ResponseHandler has no {missing}: see {WHERE}aiohttp_replay.py"


@pytest.mark.parametrize(("name", "core"), [("httpx", "httpcore"), ("httpx2", "httpcore2")])
def test_httpxs_transports_and_pools_are_where_we_patch_and_look(name: str, core: str) -> None:
    module, pools = importlib.import_module(name), importlib.import_module(core)
    message = f"{name} changed: see {WHERE}httpx_clients.py"
    assert _parameters(module.HTTPTransport.handle_request) == ["self", "request"], message
    assert _parameters(module.AsyncHTTPTransport.handle_async_request) == ["self", "request"], message
    for error in ("ReadError", "ReadTimeout", "RemoteProtocolError"):
        assert issubclass(getattr(module, error), module.TransportError), message
        assert hasattr(pools, error), message
    assert hasattr(pools.ConnectionPool, "handle_request"), message
    assert hasattr(pools.AsyncConnectionPool, "handle_async_request"), message
