from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from llmkit.recording import NetworkSealed
from llmkit.recording.addresses import Address
from llmkit.recording.seal import Seal

ELSEWHERE = ("192.0.2.1", 80)  # reserved for documentation: no one is there, should the seal leak


@pytest.fixture
def seal() -> Iterator[Seal]:
    seal = Seal(allowed_hosts=frozenset({"192.0.2.9"}))
    seal.close()
    yield seal
    seal.open()


def _udp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _connect() -> None:
    with socket.socket() as tcp:
        tcp.connect(ELSEWHERE)


def _connect_ex() -> None:
    with socket.socket() as tcp:
        tcp.connect_ex(ELSEWHERE)


def _sendto() -> None:
    with _udp() as udp:
        udp.sendto(b"x", ELSEWHERE)


def _sendmsg() -> None:
    with _udp() as udp:
        udp.sendmsg([b"x"], [], 0, ELSEWHERE)


def _connect_v6() -> None:
    with socket.socket(socket.AF_INET6) as tcp:
        tcp.connect(("2001:db8::1", 80))


def _asyncio() -> None:
    asyncio.run(asyncio.open_connection(*ELSEWHERE))


WAYS_OUT: list[Callable[[], object]] = [
    _connect, _connect_ex, _connect_v6, _sendto, _sendmsg, _asyncio,
    lambda: socket.create_connection(ELSEWHERE, timeout=1),
    lambda: socket.getaddrinfo("example.com", 443),
    lambda: socket.gethostbyname("example.com"),
]  # fmt: skip


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_every_way_out_is_closed(seal: Seal, way_out: Callable[[], object]) -> None:
    with pytest.raises(NetworkSealed, match=r"the network is sealed: (traffic to|looking up)"):
        way_out()
    assert len(seal.refused) == 1


def test_threads_are_sealed_too(seal: Seal) -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            _connect()
        except NetworkSealed as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert caught == seal.refused != []


def test_this_machine_can_be_reached(seal: Seal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(("localhost", server.getsockname()[1])) as client:
            assert client.getpeername() == server.getsockname()
    assert seal.refused == []


def test_unix_sockets_can_be_used(seal: Seal) -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        assert other.recv(1) == b"x"


def test_an_allowed_host_passes(seal: Seal) -> None:
    with _udp() as udp:
        udp.connect(("192.0.2.9", 9))  # a datagram socket: nothing is sent
    assert seal.refused == []


def test_a_local_address_can_be_refused_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        seal = Seal(is_allowed=lambda address: address != Address("localhost", port))
        seal.close()
        try:
            with pytest.raises(NetworkSealed, match=f"the provider at localhost port {port}"):
                socket.create_connection(("127.0.0.1", port))
        finally:
            seal.open()


def test_an_open_seal_lets_traffic_through(seal: Seal) -> None:
    seal.open()
    assert not seal.is_closed
    with _udp() as udp:
        udp.connect(("127.0.0.1", 9))


def test_of_two_closed_seals_the_inner_one_decides_and_the_outer_one_stays(seal: Seal) -> None:
    inner = Seal(allowed_hosts=frozenset({ELSEWHERE[0]}))
    inner.close()
    with _udp() as udp:
        udp.connect(ELSEWHERE)
    inner.open()
    assert seal.is_closed
    with pytest.raises(NetworkSealed), _udp() as udp:
        udp.connect(ELSEWHERE)
