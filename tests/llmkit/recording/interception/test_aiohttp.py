"""aiohttp under the recorder: redirects, cookies, uploads, timeouts and middlewares are its own."""

from __future__ import annotations

import asyncio
import gzip
import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import pytest
from aiohttp.test_utils import TestServer

from llmkit.recording import CassetteMiss, use_cassette
from llmkit.recording.cassette import load, save
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.manner import Manner, Mode, Scope
from llmkit.recording.recorder import playing
from llmkit.recording.tape import Tape
from tests.llmkit.recording.conftest import GATE, STALL, Upstream

BOTH: tuple[Mode, ...] = ("new_episodes", "none")
URL = "https://api.openai.com/v1/a"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.yaml"


def _recorded(path: Path, *answers: Response) -> None:
    save(path, [Interaction(request=Request(method="GET", uri=URL), response=answer) for answer in answers])


async def test_a_redirect_is_followed_and_remembered(path: Path, upstream: Upstream) -> None:
    for mode in BOTH:
        with use_cassette(path, record=mode):
            async with aiohttp.ClientSession() as session, session.get(f"{upstream.url}/v1/redirect") as reply:
                assert (await reply.json())["path"].startswith("/v1/landed")
                assert [hop.status for hop in reply.history] == [302]
    assert len(load(path)) == 2


async def test_cookies_of_a_recorded_reply_reach_the_jar(path: Path) -> None:
    _recorded(path, Response(status=200, headers={"Set-Cookie": ["a=b; Path=/"]}))
    with use_cassette(path):
        async with aiohttp.ClientSession() as session, session.get(URL) as reply:
            assert reply.cookies["a"].value == "b"
            assert [cookie.key for cookie in session.cookie_jar] == ["a"]


async def test_a_recorded_refusal_is_raised_for(path: Path) -> None:
    _recorded(path, Response(status=429, reason="Too Many Requests", headers={"Retry-After": ["1"]}, body=b"{}"))
    with use_cassette(path), pytest.raises(aiohttp.ClientResponseError) as refused:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.get(URL)
    assert (refused.value.status, refused.value.message) == (429, "Too Many Requests")
    assert refused.value.headers is not None
    assert refused.value.headers["Retry-After"] == "1"


@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_a_reply_without_a_body_has_none(path: Path, status: int, method: str) -> None:
    answer = Response(status=status, headers={"X": ["y"]})
    save(path, [Interaction(request=Request(method=method, uri=URL), response=answer)])
    with use_cassette(path):
        async with aiohttp.ClientSession() as session, session.request(method, URL) as reply:
            assert (reply.status, reply.headers["X"], await reply.read()) == (status, "y", b"")


async def test_a_reply_to_head_is_recorded_whole(path: Path, upstream: Upstream) -> None:
    for mode in BOTH:
        with use_cassette(path, record=mode):
            async with aiohttp.ClientSession() as session, session.head(f"{upstream.url}/v1/x") as reply:
                assert reply.headers["Content-Length"] == "1234"
    assert load(path)[0].response.ended == ""


@pytest.mark.parametrize("is_decompressed", [True, False])
async def test_a_compressed_reply_is_recorded_plain_whoever_decompresses_it(
    path: Path, upstream: Upstream, is_decompressed: bool
) -> None:
    with use_cassette(path, record="new_episodes"):
        async with aiohttp.ClientSession(auto_decompress=is_decompressed) as session:
            async with session.get(f"{upstream.url}/v1/a") as reply:
                live = await reply.read()
    plain = live if is_decompressed else gzip.decompress(live)
    assert load(path)[0].response.body.split() == plain.split()
    with use_cassette(path):
        async with aiohttp.ClientSession(auto_decompress=is_decompressed) as session:
            async with session.get(f"{upstream.url}/v1/a") as reply:
                assert await reply.read() == plain


async def _generated() -> AsyncIterator[bytes]:
    yield b"one, "
    yield b"two"


@pytest.mark.parametrize("data", [_generated, lambda: io.BytesIO(b"one, two"), lambda: b"one, two"])
async def test_an_upload_arrives_whole_and_is_recorded(path: Path, upstream: Upstream, data: Callable[[], Any]) -> None:
    for mode in BOTH:
        with use_cassette(path, record=mode):
            async with aiohttp.ClientSession() as session:
                async with session.post(f"{upstream.url}/v1/x", data=data()) as reply:
                    assert reply.status == 200
    assert upstream.raw == [b"one, two"]
    assert load(path)[0].request.body == b"one, two"


async def test_a_chunk_that_adds_nothing_to_the_text_holds_nothing_up(path: Path) -> None:
    coded = gzip.compress(b"hello")
    headers = {"Content-Encoding": ["gzip"], "Content-Type": ["text/event-stream"]}
    chunks = tuple((0, 1) for _ in coded)  # the first ten are gzip's header
    _recorded(path, Response(status=200, headers=headers, body=coded, chunks=chunks))
    with use_cassette(path):
        async with asyncio.timeout(10), aiohttp.ClientSession() as session, session.get(URL) as reply:
            assert await reply.read() == b"hello"


async def test_a_middleware_sees_the_replay(path: Path) -> None:
    _recorded(path, Response(status=503), Response(status=200, body=b"ok"))

    async def again(
        req: aiohttp.ClientRequest, handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
    ) -> aiohttp.ClientResponse:
        reply = await handler(req)
        return await handler(req) if reply.status == 503 else reply

    with use_cassette(path):
        async with aiohttp.ClientSession(middlewares=(again,)) as session, session.get(URL) as reply:
            assert await reply.read() == b"ok"


async def test_requests_of_one_moment_are_kept_in_the_order_of_asking(path: Path, upstream: Upstream) -> None:
    async def ask(session: aiohttp.ClientSession) -> str:
        async with session.post(f"{upstream.url}/v1/x", json={"model": "m"}) as reply:
            return str((await reply.json())["id"])

    answers = []
    for mode in BOTH:
        with use_cassette(path, record=mode):
            async with aiohttp.ClientSession() as session:
                answers.append(await asyncio.gather(*(ask(session) for _ in range(20))))
    assert answers[0] == answers[1]


async def test_a_connection_is_used_again_while_it_is_recorded(path: Path, upstream: Upstream) -> None:
    reused = []
    trace = aiohttp.TraceConfig()

    async def note(*_: object) -> None:
        reused.append(1)

    trace.on_connection_reuseconn.append(note)
    with use_cassette(path, record="new_episodes"):
        async with aiohttp.ClientSession(trace_configs=[trace]) as session:
            for number in range(3):
                async with session.get(f"{upstream.url}/v1/{number}") as reply:
                    await reply.read()
    assert len(reused) == 2
    assert [one.response.ended for one in load(path)] == ["", "", ""]


async def test_a_live_connection_is_overheard_no_longer_than_its_reply(path: Path, upstream: Upstream) -> None:
    upstream.script = [b"a", GATE, b"b"]
    with use_cassette(path, record="new_episodes"):
        async with aiohttp.ClientSession() as session, session.post(f"{upstream.url}/v1/x") as reply:
            assert reply.connection is not None
            transport, protocol = reply.connection.transport, reply.connection.protocol
            assert transport is not None
            before = transport.get_protocol()
            upstream.gate.release()
            await reply.read()
            assert before is not protocol
            assert transport.get_protocol() is protocol


async def test_a_websocket_passes_untouched(path: Path) -> None:
    async def echo(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    app = aiohttp.web.Application()
    app.router.add_get("/", echo)
    with use_cassette(path):
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            async with session.ws_connect(server.make_url("/")) as socket:
                await socket.send_str("hello")
                assert await socket.receive_str() == "hello"


async def test_what_is_replayed_never_goes_to_the_pool(path: Path, upstream: Upstream) -> None:
    async with aiohttp.ClientSession() as session:
        with use_cassette(path, record="new_episodes"):
            async with session.get(f"{upstream.url}/v1/a") as reply:
                await reply.read()
        with use_cassette(path):
            async with session.get(f"{upstream.url}/v1/a") as reply:
                await reply.read()
        async with session.get(f"{upstream.url}/v1/other") as reply:
            assert (await reply.json())["path"] == "/v1/other"


async def test_the_total_time_of_a_session_runs_out_again(path: Path, upstream: Upstream) -> None:
    upstream.script = [b"a", STALL]
    for mode in BOTH:
        with use_cassette(path, record=mode), pytest.raises(TimeoutError):
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.4)) as session:
                async with session.post(f"{upstream.url}/v1/x") as reply:
                    assert await reply.content.readany() == b"a"
                    await reply.read()
    assert load(path)[0].response.ended.startswith(("timeout: ", "cancelled"))


async def test_a_miss_leaves_no_connection_behind(path: Path) -> None:
    with use_cassette(path), pytest.raises(CassetteMiss):
        async with aiohttp.ClientSession() as session:
            await session.get(URL)


async def test_what_a_tape_does_not_concern_is_not_touched(path: Path, upstream: Upstream) -> None:
    upstream.script = [b"a", GATE, b"b"]
    with playing(Tape(path, manner=Manner(scope=Scope()))):
        async with aiohttp.ClientSession() as session, session.post(f"{upstream.url}/v1/x") as reply:
            assert await reply.content.readany() == b"a"
            upstream.gate.release()
            assert await reply.read() == b"b"


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
def test_uvloop_records_and_replays_chunk_by_chunk(path: Path, upstream: Upstream) -> None:
    uvloop = pytest.importorskip("uvloop")
    upstream.script = [b"one", GATE, b"two", GATE]

    async def read() -> list[bytes]:
        found = []
        async with aiohttp.ClientSession() as session, session.post(f"{upstream.url}/v1/x") as reply:
            async for chunk in reply.content.iter_any():
                found.append(chunk)
                upstream.gate.release()
        return found

    def run(main: Coroutine[Any, Any, list[bytes]]) -> list[bytes]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)

    for mode in BOTH:
        with use_cassette(path, record=mode):
            assert run(read()) == [b"one", b"two"]
