"""uvloop's loops, of whose traffic no audit event tells, are sealed too."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httpx
import pytest

from llmkit.recording import NetworkSealed
from llmkit.recording.addresses import Address
from llmkit.recording.sealing.policy import Policy
from llmkit.recording.sealing.seal import Seal
from llmkit.recording.sealing.watch import Watch

uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

ELSEWHERE = ("192.0.2.1", 80)  # reserved for documentation: no one is there, should the seal leak


class Echo(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Future[tuple[bytes, Any]] = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.set_result((data, addr))


async def _sendto() -> None:
    transport, protocol = await _endpoint(local_addr=("0.0.0.0", 0))
    try:
        protocol.transport.sendto(b"x", ELSEWHERE)
    finally:
        transport.close()


async def _endpoint(**options: Any) -> tuple[Any, Echo]:
    return await asyncio.get_running_loop().create_datagram_endpoint(Echo, **options)


async def _sock_connect() -> None:
    with socket.socket() as tcp:
        tcp.setblocking(False)
        await asyncio.get_running_loop().sock_connect(tcp, ELSEWHERE)


async def _aiohttp() -> None:
    async with aiohttp.ClientSession() as session:
        await session.get("http://192.0.2.1/")


async def _httpx() -> None:
    try:
        async with httpx.AsyncClient() as client:
            await client.get("http://192.0.2.1/")
    except BaseExceptionGroup as group:  # anyio's, on any loop
        raise group.exceptions[0] from None


WAYS_OUT: list[Any] = [
    _sendto, _sock_connect,
    *(pytest.param(way, marks=pytest.mark.live) for way in (_aiohttp, _httpx)),  # by no cassette of this very test
    lambda: asyncio.open_connection(*ELSEWHERE),
    lambda: asyncio.open_connection("2001:db8::1", "http"),
    lambda: asyncio.open_connection("example.com", 443, ssl=True),
    lambda: asyncio.open_connection("127.0.0.1", 9, local_addr=("example.com", 0)),
    lambda: _endpoint(remote_addr=ELSEWHERE),
    lambda: _endpoint(local_addr=("example.com", 0)),
    lambda: asyncio.get_running_loop().getaddrinfo("example.com", 443),
    lambda: asyncio.get_running_loop().getnameinfo(ELSEWHERE),
]  # fmt: skip


def _run(way: Callable[[], Awaitable[object]]) -> object:
    async def main() -> object:
        return await way()

    return uvloop.run(main())


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_every_way_out_is_closed(seal: Seal, way_out: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(NetworkSealed, match=r"the network is sealed: (traffic to|looking up)"):
        _run(way_out)
    assert len(seal.refused) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_can_be_reached(seal: Seal, host: str) -> None:
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()

    async def main() -> bytes:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(host, server.sockets[0].getsockname()[1])
            writer.close()
            return await reader.read()

    assert _run(main) == b"here"
    assert seal.refused == []


def test_datagrams_of_this_machine_arrive(seal: Seal) -> None:
    async def main() -> None:
        here, echo = await _endpoint(local_addr=("127.0.0.1", 0))
        address = here.get_extra_info("sockname")
        free, _ = await _endpoint(local_addr=("127.0.0.1", 0))
        free.sendto(b"x", address)
        assert await echo.received == (b"x", free.get_extra_info("sockname"))
        assert free.get_protocol() is not echo
        echo.received = asyncio.get_running_loop().create_future()
        bound, _ = await _endpoint(remote_addr=address)
        bound.sendto(b"y")
        assert (await echo.received)[0] == b"y"
        for transport in (here, free, bound):
            transport.close()
        await asyncio.sleep(0)

    _run(main)
    assert seal.refused == []


def test_an_allowed_host_passes(seal: Seal) -> None:
    async def main() -> None:
        transport, _ = await _endpoint(remote_addr=("192.0.2.9", 9))  # nothing is sent
        transport.close()

    _run(main)


def test_a_local_address_can_be_refused_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        seal = Seal(is_allowed=lambda address: address != Address("localhost", port))
        seal.close()
        try:
            with pytest.raises(NetworkSealed, match=f"the provider at localhost port {port}"):
                _run(lambda: asyncio.open_connection("127.0.0.1", port))
        finally:
            seal.open()


def test_uvloop_is_sealed_also_where_it_is_imported_later_and_as_before_when_all_is_open() -> None:
    code = """
import asyncio, sys
from llmkit.recording.sealing import seal
while (inherited := seal.inherited()) is not None and inherited.is_closed: inherited.open()
closed = seal.Seal()
closed.close()
import importlib
uvloop = importlib.import_module("uvloop")
try:
    uvloop.run(asyncio.open_connection("192.0.2.1", 80))
except seal.NetworkSealed:
    pass
assert len(closed.refused) == 1
assert "create_connection" in vars(uvloop.Loop)
closed.open()
assert not {"create_connection", "getaddrinfo", "subprocess_exec"} & set(vars(uvloop.Loop))
assert not [finder for finder in sys.meta_path if "llmkit" in type(finder).__module__]
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_watch_sees_what_uvloop_reaches() -> None:
    watch = Watch(Policy(is_allowed=lambda _: False, allowed_hosts=frozenset()))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        watch.start()
        _run(lambda: _connected(port))
        watch.stop()
        _run(lambda: _connected(port))
    assert watch.reached == {Address("localhost", port): 1}


async def _connected(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
