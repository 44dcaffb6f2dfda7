"""A real `redis-server` on a port of its own, for tests that share state."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

BINARY = shutil.which("redis-server") or shutil.which("valkey-server")
ABSENT = "there is no redis-server on PATH: install it (Debian: apt-get install redis-server) to test shared state"


class RedisProcess:
    """A server without persistence, with a password where one is given; it can be killed, frozen and started again."""

    def __init__(self, directory: Path, *, password: str = "") -> None:
        self.password = password
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._directory}
        if self.password:
            options["requirepass"] = self.password
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        assert BINARY is not None, ABSENT
        self._process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < until, "redis-server does not come up"
            assert self._process.poll() is None, "redis-server has ended"
            time.sleep(0.01)

    def command(self, *words: bytes) -> bytes:
        """What the server says to a command, as it says it."""
        said = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            if self.password:
                connection.sendall(b"AUTH %b\r\n" % self.password.encode())
                connection.recv(100)
            connection.sendall(said)
            return connection.recv(1 << 20)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections and takes new ones, and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            return self.command(b"PING") == b"+PONG\r\n"
        except OSError:
            return False
