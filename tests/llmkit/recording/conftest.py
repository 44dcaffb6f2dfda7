"""A real HTTP server with which recordings are made: it counts, echoes, streams and breaks off on request."""

from __future__ import annotations

import gzip
import json
import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llmkit.pytest_plugin import NetworkAllowance

GATE, ABORT, RESET, STALL = "gate", "abort", "reset", "stall"
"""Steps of `Upstream.script` that are no chunks: wait until the test lets one more pass; hang up; break the connection;
say nothing more."""


class Upstream(ThreadingHTTPServer):
    """Stands for the real API; ``seen`` and ``raw`` are the bodies it got, ``proceed`` releases a held stream.

    Where it has a ``script``, that is how it answers every POST, in HTTP chunks with ``script_headers``. ``gate`` lets
    steps pass; ``gave_up`` tells that one waited in vain.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Any] = []
        self.raw: list[bytes] = []
        self.proceed = threading.Event()
        self.script: Iterable[bytes | str] = ()
        self.script_headers = {"Content-Type": "text/event-stream"}
        self.gate = threading.Semaphore(0)
        self.gave_up = False

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        if self.path == "/v1/redirect":
            self.send_response(302)
            self.send_header("Location", f"{self.server.url}/v1/landed?sig=s3cret-0123456")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._answer({"path": self.path})

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1234")
        self.end_headers()

    def do_POST(self) -> None:
        raw = self._body()
        self.server.raw.append(raw)
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw.decode("utf-8", "replace")
        self.server.seen.append(body)
        if self.server.script:
            self._follow_script()
        elif isinstance(body, dict) and body.get("stream"):
            self._stream(body)
        else:
            self._answer(_completion(len(self.server.seen), body, self.headers.get("Authorization", "")))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, reply: dict[str, Any]) -> None:
        payload = json.dumps(reply, ensure_ascii=False).encode("utf-8")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Set-Cookie", "session=canary-cookie")
        self.send_header("OpenAI-Organization", "org-canary")
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            payload = gzip.compress(payload)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, word in enumerate(["Grüße ", "aus ", "Bern 😀"]):
            self._frame(_chunk(body["model"], {"content": word}, None))
            if number == 0 and body.get("user") == "hold":
                self.server.proceed.wait(10)
            if number == 1 and body.get("user") == "break":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
        self._frame(_chunk(body["model"], {}, "stop"))
        self._write(b"data: [DONE]\n\n")
        self._write(b"")

    def _follow_script(self) -> None:
        is_chunked = "Content-Length" not in self.server.script_headers
        self.send_response(200)
        for name, value in self.server.script_headers.items():
            self.send_header(name, value)
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for step in self.server.script:
            try:
                if isinstance(step, bytes):
                    self._write(step) if is_chunked else self.wfile.write(step)
                elif self._is_last(step):
                    return
            except OSError:
                return  # the client has left
        if is_chunked:
            self._write(b"")

    def _is_last(self, step: str) -> bool:
        if step == GATE:
            self.server.gave_up |= not self.server.gate.acquire(timeout=20)
            return False
        self.close_connection = True
        if step == ABORT:
            self.connection.shutdown(socket.SHUT_RDWR)
        elif step == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
        else:
            self.server.proceed.wait(20)
        return True

    def _frame(self, event: dict[str, Any]) -> None:
        self._write(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())

    def _write(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


def _completion(number: int, body: Any, authorization: str) -> dict[str, Any]:
    model = body.get("model", "none") if isinstance(body, dict) else "none"
    message = {"role": "assistant", "content": f"answer {number} for {authorization}"}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        "asked": body,
    }


def _chunk(model: str, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}


@pytest.fixture
def upstream(network_allowance: NetworkAllowance) -> Iterator[Upstream]:
    """A server in a thread; stop it with ``upstream.shutdown()`` to prove that a replay needs none."""
    server = Upstream()
    network_allowance.allow("127.0.0.1", server.port)  # some tests name it in OPENAI_BASE_URL
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.proceed.set()
    server.shutdown()
    server.server_close()
    thread.join()
