"""A server in a process of its own: it streams 20 chunks at 50 ms each, and answers crowds last to first."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from aiohttp import web

CHUNKS, PAUSE_S = 20, 0.05
CROWD, STEP_S = 50, 0.003
_number = count()


@contextmanager
def running() -> Iterator[str]:
    """Run the server for the duration of a block, and give its URL."""
    command = [sys.executable, "-m", "tests.benchmarks.stream_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(CHUNKS):
        await asyncio.sleep(PAUSE_S)
        await response.write(_event(f"word{number} "))
    await response.write(b"data: [DONE]\n\n")
    return response


def _event(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


async def _backwards(_: web.Request) -> web.Response:
    number = next(_number)
    await asyncio.sleep((CROWD - number % CROWD) * STEP_S)
    return web.json_response({"number": number})


async def _main() -> None:
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", _stream), web.post("/backwards", _backwards)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print("http://{}:{}".format(*runner.addresses[0][:2]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
