"""A provider that answers each question with what a test has put there for it, byte for byte."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast

_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


class Upstream:
    """``answers`` are bodies by the text of the last message; what has none gets ``completion()``."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.openai_url = f"{self.url}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def completion(content: str = "Hello", **changes: Any) -> bytes:
    """Return a chat completion; of the ``changes``, ``choice`` goes into its choice, and None takes a field away."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06"}
    body |= {"choices": [choice | changes.pop("choice", {})], "usage": _USAGE} | changes
    return json.dumps({key: value for key, value in body.items() if value is not None}).encode()


def stream(*pieces: str, ending: str = "data: [DONE]\n\n", **changes: Any) -> bytes:
    """Return a chat completion as a stream of events."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024-08-06"} | changes
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": one} for one in pieces), {}]
    choices = [
        {"index": 0, "delta": delta, "finish_reason": "stop" if number == len(deltas) - 1 else None}
        for number, delta in enumerate(deltas)
    ]
    return "".join(f"data: {json.dumps(head | {'choices': [one]})}\n\n" for one in choices).encode() + ending.encode()


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked = cast("dict[str, Any]", json.loads(self.rfile.read(length)))["messages"][-1]["content"]
            upstream.asked.append(asked)
            body = upstream.answers.get(asked, completion())
            kind = "text/event-stream" if body.startswith(b"data:") else "application/json"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
