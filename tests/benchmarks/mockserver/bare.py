"""What the mock server is compared with, in a process of its own: `python -m tests.benchmarks.mockserver.bare KIND`.

`aiohttp` parses the JSON of a request and returns bytes that it was given, the frames of a stream one by one; `raw`
does no more than reply, and so shows what the load can do.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

from aiohttp import web
from typing_extensions import override


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["aiohttp", "raw"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--body", type=Path, help="a file with the body of a plain reply")
    parser.add_argument("--stream", type=Path, help="a file with the events of a stream")
    parser.add_argument("--delay-s", type=float, default=0.0, help="what passes between two frames of a stream")
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop")
    options = parser.parse_args()
    body = options.body.read_bytes() if options.body else b"{}"
    frames = split(options.stream.read_bytes()) if options.stream else []
    with asyncio.Runner(loop_factory=_uvloop if options.uvloop else None) as runner:
        work = _raw(options.port, body) if options.kind == "raw" else _aiohttp(options, body, frames)
        runner.run(work)


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def split(events: bytes) -> list[bytes]:
    """The frames of a stream."""
    return [event + b"\n\n" for event in events.split(b"\n\n") if event]


async def _aiohttp(options: argparse.Namespace, body: bytes, frames: list[bytes]) -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _handler(body, frames, options.delay_s))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port).start()
    await asyncio.Event().wait()


def _handler(
    body: bytes, frames: list[bytes], delay_s: float
) -> Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if not asked.get("stream"):
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for index, frame in enumerate(frames):
            if index and delay_s:
                await asyncio.sleep(delay_s)
            await response.write(frame)
        await response.write_eof()
        return response

    return handler


class _Raw(asyncio.Protocol):
    def __init__(self, reply: bytes) -> None:
        self._reply = reply

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        if data.endswith(b"}"):
            self._transport.write(self._reply)


async def _raw(port: int, body: bytes) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    server = await asyncio.get_running_loop().create_server(lambda: _Raw(reply), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    main()
