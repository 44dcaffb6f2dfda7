"""A server of bytes: it says exactly what a test wants said, at the pace that it wants, however wrong."""

import asyncio
import json
import signal
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llmkit import AsyncClient, Client, Completion, Embedding, StreamEvent
from llmkit._streams import AsyncStream
from llmkit.client import Stream
from llmkit.config import AzureSettings, OpenAISettings

KEY = "sk-canary-5f3a9d"


@dataclass(frozen=True)
class Script:
    """Pieces of a reply, with a pause after each; after the last the connection stays open if `hang`."""

    pieces: Sequence[bytes]
    gap_s: float = 0.0
    hang: bool = False


class RawServer:
    """Answers requests with scripted bytes, the last script again and again."""

    event_stream = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_7\r\nconnection: close\r\n\r\n"
    )

    done = b"data: [DONE]\n\n"

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.scripts: list[Script] = []
        self._stopping = threading.Event()
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in self.requests]

    def say(self, *pieces: bytes, gap_s: float = 0.0, hang: bool = False) -> None:
        self.scripts.append(Script(pieces, gap_s=gap_s, hang=hang))

    @staticmethod
    def http(
        body: bytes | str, *, status: str = "200 OK", content_type: str = "application/json", **headers: str
    ) -> bytes:
        """A whole HTTP reply, after which the connection closes."""
        data = body.encode() if isinstance(body, str) else body
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(data)}\r\n{more}"
        return f"{head}connection: close\r\n\r\n".encode() + data

    @staticmethod
    def completion(text: object = "Hello", **choice: Any) -> str:
        """The JSON of a chat reply."""
        choices = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"} | choice]
        usage = {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}
        return json.dumps({"id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "choices": choices, "usage": usage})

    @staticmethod
    def frame(text: str | None = None, *, finish: str | None = None, **fields: Any) -> bytes:
        """One frame of a chat stream."""
        delta = {} if text is None else {"content": text}
        chunk = {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | fields
        return f"data: {json.dumps(chunk)}\n\n".encode()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> Callable[..., socketserver.StreamRequestHandler]:
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    server.answer(self)
                except OSError:
                    pass  # the client has gone, as it should

        return Handler

    def answer(self, connection: socketserver.StreamRequestHandler) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = connection.rfile.readline()
            if not line:
                return
            head += line
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.requests.append(head + connection.rfile.read(length))
        script = self.scripts[min(len(self.requests), len(self.scripts)) - 1]
        for piece in script.pieces:
            connection.wfile.write(piece)
            if script.gap_s and self._stopping.wait(script.gap_s):
                return
        if script.hang:
            self._stopping.wait()


@pytest.fixture
def raw() -> Iterator[RawServer]:
    server = RawServer()
    server.start()
    yield server
    server.stop()


class Sync:
    """Drives a Client."""

    def __init__(self, **settings: Any) -> None:
        self.client = Client(**settings)

    def chat(self, messages: Any = "Hi", **options: Any) -> Completion:
        return self.client.chat(messages, **options)

    def embed(self, texts: Any, **options: Any) -> Embedding:
        return self.client.embed(texts, **options)

    def complete(self, prompt: Any = "Hi", **options: Any) -> Completion:
        return self.client.complete(prompt, **options)

    def respond(self, question: Any = "Hi", **options: Any) -> Completion:
        return self.client.respond(question, **options)

    def stream(self, seen: list[StreamEvent], **options: Any) -> Completion:
        with self.client.stream("Hi", **options) as stream:
            return self._read(stream, seen)

    def stream_response(self, seen: list[StreamEvent], question: Any = "Hi", **options: Any) -> Completion:
        with self.client.stream_response(question, **options) as stream:
            return self._read(stream, seen)

    @staticmethod
    def _read(stream: Stream, seen: list[StreamEvent]) -> Completion:
        seen.extend(stream)  # those before a failure too
        return stream.reply

    def close(self) -> None:
        self.client.close()


class Async:
    """Drives an AsyncClient in the same words, each call in an event loop of its own."""

    def __init__(self, **settings: Any) -> None:
        self.client = AsyncClient(**settings)

    def chat(self, messages: Any = "Hi", **options: Any) -> Completion:
        return asyncio.run(self.client.chat(messages, **options))

    def embed(self, texts: Any, **options: Any) -> Embedding:
        return asyncio.run(self.client.embed(texts, **options))

    def complete(self, prompt: Any = "Hi", **options: Any) -> Completion:
        return asyncio.run(self.client.complete(prompt, **options))

    def respond(self, question: Any = "Hi", **options: Any) -> Completion:
        return asyncio.run(self.client.respond(question, **options))

    def stream(self, seen: list[StreamEvent], **options: Any) -> Completion:
        return asyncio.run(self._read(self.client.stream("Hi", **options), seen))

    def stream_response(self, seen: list[StreamEvent], question: Any = "Hi", **options: Any) -> Completion:
        return asyncio.run(self._read(self.client.stream_response(question, **options), seen))

    @staticmethod
    async def _read(opening: AsyncStream, seen: list[StreamEvent]) -> Completion:
        async with opening as stream:
            async for event in stream:
                seen.append(event)
            return stream.reply

    def close(self) -> None:
        asyncio.run(self.client.aclose())


Caller = Sync | Async
Open = Callable[..., Caller]


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Makes clients of either kind, which share one vocabulary here: what holds for one must hold for the other."""
    opened: list[Caller] = []

    def connect(base_url: str, **settings: Any) -> Caller:
        opened.append(
            request.param(**{"base_url": base_url, "api_key": KEY, "model": "gpt-4o", "deadline_s": 10} | settings)
        )
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, also where the test run was started in the background and inherited that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings anywhere, in an empty working directory."""
    for kind in (OpenAISettings, AzureSettings):
        for name in kind.model_fields:
            monkeypatch.delenv(kind.variable(name), raising=False)
    monkeypatch.chdir(tmp_path)
