"""Clients that vanish, at any point: nothing of them stays behind."""

import asyncio
import json
import random
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from mockserver import MockServer, fault, reply
from tests.mockserver.asking import CHAT, chat
from tests.mockserver.conftest import KEY, Serve

FILES = Path("/proc/self/fd")


def request(body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def vanish(server: MockServer, raw: bytes, reads: int, *, abruptly: bool) -> None:
    """Send `raw`, read so many bytes of what comes, and be gone."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(raw)
        while reads > 0 and (piece := connection.recv(min(reads, 4096))):
            reads -= len(piece)
        if abruptly:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def held(server: MockServer) -> tuple[int, int]:
    """Tasks of the server's loop, and sockets of this process."""
    running: Any = server._running
    return len(asyncio.all_tasks(running._loop)), sum(_is_socket(number) for number in FILES.iterdir())


def _is_socket(number: Path) -> bool:
    try:
        return str(number.readlink()).startswith("socket:")
    except FileNotFoundError:  # closed meanwhile
        return False


def wait_until_as_before(server: MockServer, before: tuple[int, int]) -> None:
    deadline = time.monotonic() + 20
    while (now := held(server)) > before or now[1] > before[1]:
        assert time.monotonic() < deadline, f"tasks and sockets before {before}, now {now}"
        time.sleep(0.01)


@pytest.mark.skipif(not FILES.is_dir(), reason="open sockets are counted in /proc")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param([], id="generated"),
        pytest.param([reply("one two three four five six", chunk_delay_s=0.05, times="forever")], id="slow"),
        pytest.param([fault.hang(times="forever")], id="silent"),
        pytest.param([fault.keepalives_only(times="forever")], id="keepalives"),
    ],
)
def test_clients_that_vanish_leave_no_tasks_and_no_sockets(serve: Serve, script: list[Any]) -> None:
    server = serve(script=script)
    chance = random.Random(7)
    vanish(server, request(chat(stream=True)), 0, abruptly=False)
    wait_until_as_before(server, (held(server)[0], held(server)[1]))
    before = held(server)
    for _ in range(120):
        raw = request(chat(stream=chance.random() < 0.8))
        sent = raw[: chance.randrange(1, len(raw) + 1)] if chance.random() < 0.3 else raw
        reads = chance.choice((0, 0, 1, 200, 700)) if sent == raw and not script else 0
        vanish(server, sent, reads, abruptly=chance.random() < 0.5)
    wait_until_as_before(server, before)
