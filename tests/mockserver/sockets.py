"""What comes over a bare socket, byte by byte."""

import json
import socket
from dataclasses import dataclass
from typing import Any, Literal

from mockserver import MockServer
from tests.mockserver.asking import CHAT
from tests.mockserver.conftest import KEY

End = Literal["fin", "rst", "silence"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that came, and how it ended: closed, reset, or nothing more for `patience_s`."""

    raw: bytes
    end: End

    @property
    def head(self) -> bytes:
        """Status line and headers."""
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def status(self) -> int:
        """The status, 0 if none came."""
        return int(self.raw.split(b" ")[1]) if self.raw.startswith(b"HTTP/1.1 ") else 0

    def header(self, name: str) -> str | None:
        """One header, None if there is none."""
        for line in self.head.decode().split("\r\n")[1:]:
            if line.lower().startswith(f"{name}:"):
                return line.partition(":")[2].strip()
        return None

    @property
    def body(self) -> bytes:
        """What follows the head, without the sizes of its chunks."""
        body = self.raw.partition(b"\r\n\r\n")[2]
        return body if self.header("transfer-encoding") != "chunked" else self._chunks()[0]

    @property
    def is_whole(self) -> bool:
        """Whether the body ended as its head said."""
        length = self.header("content-length")
        return self._chunks()[1] if length is None else len(self.body) == int(length)

    @property
    def frames(self) -> list[bytes]:
        """The events of the body."""
        return [frame + b"\n\n" for frame in self.body.split(b"\n\n") if frame]

    def _chunks(self) -> tuple[bytes, bool]:
        rest, body = self.raw.partition(b"\r\n\r\n")[2], b""
        while rest:
            line, _, rest = rest.partition(b"\r\n")
            try:
                size = int(line, 16)
            except ValueError:
                return body, False
            if size == 0:
                return body, True
            body, rest = body + rest[:size], rest[size + 2 :]
        return body, False


def ask(
    server: MockServer, body: dict[str, Any], *, path: str = CHAT, keep_alive: bool = False, patience_s: float = 5
) -> Seen:
    """Send a request over a socket of its own, and read until it ends."""
    content = json.dumps(body).encode()
    connection = "keep-alive" if keep_alive else "close"
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}", f"Content-Length: {len(content)}"]
    head = "\r\n".join([*lines, f"Connection: {connection}", "", ""]).encode()
    received = b""
    with socket.create_connection((server.host, server.port), timeout=5) as opened:
        opened.sendall(head + content)
        opened.settimeout(patience_s)
        try:
            while piece := opened.recv(65536):
                received += piece
        except ConnectionResetError:
            return Seen(received, "rst")
        except TimeoutError:
            return Seen(received, "silence")
    return Seen(received, "fin")
