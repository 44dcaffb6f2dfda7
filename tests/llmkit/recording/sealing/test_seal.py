from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from llmkit.recording import NetworkSealed
from llmkit.recording.addresses import Address
from llmkit.recording.sealing.policy import Policy
from llmkit.recording.sealing.seal import Seal
from llmkit.recording.sealing.watch import Watch

ELSEWHERE = ("192.0.2.1", 80)  # reserved for documentation: no one is there, should the seal leak


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


def test_a_process_knows_of_no_refused_children_before_there_are_any(seal: Seal) -> None:
    assert seal.refused_children() == []
    assert Seal().refused_children() == []


@pytest.fixture
def watch(seal: Seal) -> Iterator[Watch]:
    """A watch in a process that may reach some foreign addresses; a datagram socket that connects sends nothing."""
    open_to_all = Seal(allowed_hosts=frozenset({"192.0.2.1", "192.0.2.9"}))
    open_to_all.close()
    watch = Watch(seal.policy)
    watch.start()
    yield watch
    watch.stop()
    open_to_all.open()


def test_a_watch_counts_what_a_closed_seal_would_refuse(watch: Watch) -> None:
    for _ in range(2):
        with _udp() as udp:
            udp.connect(ELSEWHERE)
    assert watch.reached == {Address(*ELSEWHERE): 2}


def test_a_watch_takes_no_notice_of_allowed_hosts_this_machine_and_unix_sockets(watch: Watch) -> None:
    with _udp() as udp:
        udp.connect(("192.0.2.9", 9))
        udp.connect(("127.0.0.1", 9))
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
    socket.getaddrinfo("localhost", 80)
    assert not watch.reached


def test_a_watch_sees_nothing_before_it_starts_and_after_it_stops(watch: Watch) -> None:
    watch.stop()
    watch.stop()
    with _udp() as udp:
        udp.connect(ELSEWHERE)
    assert not watch.reached


def test_a_watch_that_starts_anew_has_seen_nothing(watch: Watch) -> None:
    with _udp() as udp:
        udp.connect(ELSEWHERE)
    watch.start()
    assert not watch.reached


def test_a_watch_counts_a_provider_on_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        provider = Address("localhost", server.getsockname()[1])
        watch = Watch(Policy(is_allowed=lambda address: address != provider, allowed_hosts=frozenset()))
        watch.start()
        socket.create_connection(("127.0.0.1", provider.port)).close()
        watch.stop()
    assert watch.reached == {provider: 1}
