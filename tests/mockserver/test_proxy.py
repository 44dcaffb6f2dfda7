"""A real API behind the mock server, recorded for clients that know nothing of it."""

import asyncio
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from llmkit.recording import SecretLeak, cassette, use_cassette
from llmkit.recording.interaction import Interaction
from mockserver import MockServer, fault, reply
from mockserver.tls import context_of
from tests.mockserver.asking import AZURE_CHAT, CHAT, EMBEDDINGS, chat, user
from tests.mockserver.conftest import KEY, Serve
from tests.mockserver.sockets import ask
from tests.mockserver.test_cli import process

AWAITED_S = 10.0


@dataclass(frozen=True, slots=True)
class Line:
    """A mock server that stands for the real API, and one before it that records it."""

    upstream: MockServer
    proxy: MockServer
    directory: Path

    def recorded(self, name: str = "recording") -> list[Interaction]:
        """What the cassette holds now."""
        path = self.directory / f"{name}.yaml"
        return cassette.load(path) if path.exists() else []


@pytest.fixture
def line(serve: Serve, tmp_path: Path) -> Line:
    upstream = serve(seed=1)
    return Line(upstream, serve(upstream=upstream.url, record=tmp_path), tmp_path)


def sdk(server: MockServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.openai_url, api_key=KEY, max_retries=0, timeout=20)


def converse(client: openai.OpenAI) -> list[Any]:
    """A plain answer, a streamed one, a vector and a refusal."""
    plain = client.chat.completions.create(model="gpt-4o", messages=user())
    stream = list(client.chat.completions.create(model="gpt-4o", messages=user(), stream=True))
    vector = client.embeddings.create(model="text-embedding-3-small", input="sea otters", dimensions=8)
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="no-such-model", messages=user())
    return [plain, stream, vector, refused.value.body]


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    end = time.monotonic() + AWAITED_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_goes_through_replays_with_pytest_and_from_a_server(line: Line, serve: Serve) -> None:
    with sdk(line.proxy) as client:
        live = converse(client)
    assert [exchange.status for exchange in line.upstream.journal] == [200, 200, 200, 404]
    assert [exchange.outcome for exchange in line.proxy.journal] == ["forwarded"] * 4
    with use_cassette(line.directory / "recording.yaml"), openai.OpenAI(max_retries=0) as client:
        assert converse(client) == live
    with sdk(serve(cassettes=line.directory)) as client:
        assert converse(client) == live
    assert len(line.upstream.journal) == 4


async def test_an_async_client_goes_through_too(line: Line, serve: Serve) -> None:
    async def converse(server: MockServer) -> list[Any]:
        async with openai.AsyncOpenAI(base_url=server.openai_url, api_key=KEY, max_retries=0) as client:
            plain = await client.chat.completions.create(model="gpt-4o", messages=user())
            stream = await client.chat.completions.create(model="gpt-4o", messages=user(), stream=True)
            return [plain, [each async for each in stream]]

    live = await converse(line.proxy)
    assert await converse(serve(cassettes=line.directory)) == live


def test_azure_goes_through_and_is_recorded_under_its_stable_name(line: Line, serve: Serve) -> None:
    def converse(server: MockServer) -> Any:
        with openai.AzureOpenAI(azure_endpoint=server.url, api_key=KEY, api_version="2024-10-21") as client:
            return client.chat.completions.create(model="gpt-4o", messages=user())

    live = converse(line.proxy)
    (one,) = line.recorded()
    assert one.request.uri.startswith("https://resource.openai.azure.com/openai/deployments/gpt-4o/")
    assert converse(serve(cassettes=line.directory)) == live


_NODE = """
const [url, key] = process.argv.slice(2);
const ask = (body) => fetch(url + '/v1/chat/completions', {
  method: 'POST',
  headers: {'content-type': 'application/json', authorization: 'Bearer ' + key, 'x-cassette-name': 'node/talks'},
  body: JSON.stringify({model: 'gpt-4o', messages: [{role: 'user', content: 'Tell me about otters'}], ...body}),
});
const plain = await (await ask({})).json();
let streamed = '';
for await (const piece of (await ask({stream: true})).body) streamed += new TextDecoder().decode(piece);
console.log(JSON.stringify([plain, streamed]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_a_node_program_records_and_replays_and_so_does_pytest(line: Line, serve: Serve, tmp_path: Path) -> None:
    script = tmp_path / "talk.mjs"
    script.write_text(_NODE)

    def run(server: MockServer) -> Any:
        command = ["node", str(script), server.url, KEY]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    plain, streamed = run(line.proxy)
    path = line.directory / "node" / "talks.yaml"
    assert KEY not in path.read_text()
    assert run(serve(cassettes=line.directory)) == [plain, streamed]
    with use_cassette(path), openai.OpenAI() as client:
        asked: list[Any] = [{"role": "user", "content": "Tell me about otters"}]
        again = client.chat.completions.create(model="gpt-4o", messages=asked)
    assert again.choices[0].message.content == plain["choices"][0]["message"]["content"]


def test_the_first_chunk_goes_on_while_upstream_still_writes(line: Line) -> None:
    line.upstream.clock.stop()
    line.upstream.script(reply("one two three", chunk_delay_s=60))
    with httpx.stream("POST", line.proxy.url + CHAT, json=chat(stream=True), headers=_headers(), timeout=20) as answer:
        pieces = answer.iter_raw()
        first = next(pieces)
        assert b'"role":"assistant"' in first
        assert line.recorded() == []
        rest = b""
        for _ in range(20):
            eventually(lambda: line.upstream.clock.next_wake() is not None or line.upstream.journal[0].delivered)
            line.upstream.clock.advance(60)
            if line.upstream.journal[0].delivered:
                break
        rest = b"".join(pieces)
    assert rest.endswith(b"data: [DONE]\n\n")
    (one,) = line.recorded()
    assert one.response.body == first + rest
    assert len(one.response.chunks) == line.upstream.journal[0].frames
    assert one.response.chunks[0][1] == len(first)


async def test_fifty_at_once_are_neither_lost_nor_swapped(line: Line) -> None:
    async with openai.AsyncOpenAI(base_url=line.proxy.openai_url, api_key=KEY, max_retries=0) as client:

        async def ask(number: int) -> int:
            made = await client.embeddings.create(
                model="text-embedding-3-small", input=["word"] * (number + 1), dimensions=2
            )
            return len(made.data)

        assert await asyncio.gather(*map(ask, range(50))) == [number + 1 for number in range(50)]
    found = {len(json.loads(one.request.body)["input"]): json.loads(one.response.body) for one in line.recorded()}
    assert {asked: len(body["data"]) for asked, body in found.items()} == {n: n for n in range(1, 51)}


def test_large_bodies_go_through_in_both_directions(line: Line) -> None:
    body = {"model": "text-embedding-3-large", "input": ["w" * 2500] * 600, "dimensions": 128}
    answer = httpx.post(line.proxy.url + EMBEDDINGS, json=body, headers=_headers(), timeout=60)
    assert len(answer.json()["data"]) == 600
    assert len(answer.content) > 1_000_000
    (one,) = line.recorded()
    assert json.loads(one.response.body) == answer.json()
    assert json.loads(one.request.body) == body


def test_a_refusal_is_in_the_file_when_the_client_sees_it(line: Line) -> None:
    line.upstream.script(fault.rate_limited(retry_after_s=7))
    answer = httpx.post(line.proxy.url + CHAT, json=chat(), headers=_headers())
    (one,) = line.recorded()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert (one.response.status, one.response.body) == (429, answer.content)
    eventually(lambda: line.proxy.journal[0].delivered)
    assert line.proxy.journal[0].status == 429


@pytest.mark.parametrize(
    ("how", "end", "kind"), [("rst", "rst", "reset"), ("fin", "fin", "aborted")], ids=["reset", "closed"]
)
def test_a_stream_that_breaks_off_does_so_for_the_client_and_on_replay(
    line: Line, serve: Serve, how: Any, end: str, kind: str
) -> None:
    line.upstream.script(reply("Hello there", fault=fault.cut(at="finish", how=how)))
    live = ask(line.proxy, chat(stream=True))
    assert (live.end, live.is_whole) == (end, False)
    eventually(lambda: len(line.recorded()) == 1)
    (one,) = line.recorded()
    assert one.response.ended.startswith(f"{kind}: ")
    again = ask(serve(cassettes=line.directory), chat(stream=True))
    assert (again.body, again.end, again.is_whole) == (one.response.body, end, False)
    with use_cassette(line.directory / "recording.yaml"), pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        httpx.post("https://api.openai.com" + CHAT, json=chat(stream=True))


def test_a_reset_in_place_of_a_reply_is_one_for_the_client(line: Line, serve: Serve) -> None:
    line.upstream.script(fault.reset())
    assert ask(line.proxy, chat()).end == "rst"
    (one,) = line.recorded()
    assert (one.response.status, one.response.ended.partition(":")[0]) == (599, "reset")
    assert ask(serve(cassettes=line.directory), chat()).end == "rst"


def test_where_nobody_listens_the_client_gets_a_connection_error(serve: Serve, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    proxy = serve(upstream=f"http://127.0.0.1:{port}", record=tmp_path)
    with sdk(proxy) as client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="gpt-4o", messages=user())
    (one,) = cassette.load(tmp_path / "recording.yaml")
    assert one.response.ended.startswith("connect: ")
    with use_cassette(tmp_path / "recording.yaml"), openai.OpenAI(max_retries=0) as client:
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(model="gpt-4o", messages=user())


def test_a_client_that_leaves_early_lets_upstream_go_and_is_recorded_as_far_as_it_read(line: Line) -> None:
    line.upstream.script(reply("one two three four", fault=fault.stall(at={"frame": 2}, stall_s=3600)))
    with httpx.stream("POST", line.proxy.url + CHAT, json=chat(stream=True), headers=_headers(), timeout=20) as answer:
        first = next(answer.iter_raw())
    eventually(lambda: line.upstream.journal[0].client_left)
    eventually(lambda: len(line.recorded()) == 1)
    (one,) = line.recorded()
    assert one.response.was_left
    assert one.response.body.startswith(first)
    assert line.proxy.journal[0].client_left


def test_no_credential_gets_into_a_cassette_and_the_clients_own_goes_upstream(line: Line, tmp_path: Path) -> None:
    headers = {"authorization": f"Bearer {KEY}", "openai-organization": "org-0123456789abcdefgh"}
    httpx.post(line.proxy.url + CHAT + f"?api-key={KEY}", json=chat(user=f"echo {KEY}"), headers=headers)
    written = (tmp_path / "recording.yaml").read_text()
    assert KEY not in written
    assert "org-0123456789abcdefgh" not in written
    assert line.upstream.journal[0].key == line.proxy.journal[0].key


def test_what_looks_like_a_secret_is_not_written_and_fails_the_run(serve: Serve, tmp_path: Path) -> None:
    unnamed = "sk-proj-" + "aB3dE6gH9jK2mN5pQ8sT1vW4xY7z"
    upstream = serve(seed=1, script=[reply("fine"), reply(f"use {unnamed}")])
    with pytest.raises(SecretLeak) as leaked:
        with MockServer(upstream=upstream.url, record=tmp_path) as proxy:
            for number in range(2):
                answer = httpx.post(proxy.url + CHAT, json=chat(seed=number), headers=_headers())
                assert answer.status_code == 200
            assert httpx.get(f"{proxy.url}/__admin/cassette").json()["leak"]
    assert unnamed not in str(leaked.value)
    assert list(tmp_path.iterdir()) == []


def test_a_later_session_replaces_what_it_records_again_and_keeps_the_rest(serve: Serve, tmp_path: Path) -> None:
    for texts in [("old", "kept"), ("new",)]:
        upstream = serve(script=[reply(text) for text in texts])
        with MockServer(upstream=upstream.url, record=tmp_path) as proxy:
            for seed, _ in enumerate(texts):
                httpx.post(proxy.url + CHAT, json=chat(seed=seed), headers=_headers())
    said = [json.loads(one.response.body) for one in cassette.load(tmp_path / "recording.yaml")]
    assert sorted(body["choices"][0]["message"]["content"] for body in said) == ["kept", "new"]


def test_each_test_of_a_suite_records_to_a_cassette_of_its_own(line: Line) -> None:
    with httpx.Client(base_url=line.proxy.url, headers=_headers()) as http:
        for name in ("chat/greets", "chat/asks", "chat/greets"):
            http.put("/__admin/cassette", json={"name": name})
            http.post(CHAT, json=chat(user=name))
        http.delete("/__admin/cassette")
        http.post(CHAT, json=chat(user="nobody"))
    files = sorted(path.relative_to(line.directory).as_posix() for path in line.directory.rglob("*.yaml"))
    assert files == ["chat/asks.yaml", "chat/greets.yaml", "recording.yaml"]
    assert len(line.recorded("chat/greets")) == 1


@pytest.mark.parametrize("name", ["../escapes", "/absolute", "a//b", ".."])
def test_no_name_of_a_cassette_leads_out_of_the_directory(line: Line, name: str) -> None:
    answer = httpx.post(line.proxy.url + CHAT, json=chat(), headers={**_headers(), "x-cassette-name": name})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "mockserver_cassette")
    assert len(line.upstream.journal) == 0


def test_a_broken_cassette_is_not_overwritten(line: Line) -> None:
    (line.directory / "recording.yaml").write_text("no cassette")
    answer = httpx.post(line.proxy.url + CHAT, json=chat(), headers=_headers())
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "mockserver_recording")
    assert (line.directory / "recording.yaml").read_text() == "no cassette"
    assert len(line.upstream.journal) == 0


def test_a_fault_acts_on_what_comes_and_the_cassette_has_it_whole(line: Line) -> None:
    line.proxy.script(fault.server_error(status=503), fault.cut(at="finish", how="fin"))
    assert ask(line.proxy, chat(stream=True)).status == 503
    assert len(line.upstream.journal) == 0
    cut = ask(line.proxy, chat(stream=True))
    whole = ask(line.proxy, chat(stream=True))
    assert not cut.is_whole
    assert whole.body.startswith(cut.body)
    assert [one.response.body for one in line.recorded()] == [whole.body, whole.body]


def test_what_is_recorded_is_played_and_only_the_rest_goes_upstream(serve: Serve, line: Line) -> None:
    httpx.post(line.proxy.url + CHAT, json=chat(seed=1), headers=_headers())
    both = serve(cassettes=line.directory, upstream=line.upstream.url)
    for seed in (1, 2):
        assert httpx.post(both.url + CHAT, json=chat(seed=seed), headers=_headers()).status_code == 200
    assert [exchange.outcome for exchange in both.journal] == ["played", "forwarded"]
    assert len(line.upstream.journal) == 2
    assert len(line.recorded()) == 1


class _Plain(BaseHTTPRequestHandler):
    """Tells what it was asked, compressed if the client takes that; has no body for HEAD and DELETE."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode("latin-1")
        told = {"path": self.path, "headers": {n.lower(): v for n, v in self.headers.items()}, "body": body}
        content = gzip.compress(json.dumps(told).encode())
        self.send_response(200)
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Keep-Alive": "timeout=5"}
        for name, value in {**headers, "Content-Length": str(len(content)), "X-Long": "x" * 20_000}.items():
            self.send_header(name, value)
        self.send_header("Set-Cookie", "one=1")
        self.send_header("Set-Cookie", "two=2")
        self.end_headers()
        self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1234")
        self.end_headers()

    def do_DELETE(self) -> None:
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def plain(network_allowance: Any) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Plain) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        network_allowance.allow("127.0.0.1", server.server_port)
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_headers_of_the_hop_stay_and_all_others_go_on(serve: Serve, plain: str, tmp_path: Path) -> None:
    proxy = serve(upstream=plain, record=tmp_path)
    sent = {"connection": "keep-alive, X-Hop", "x-hop": "1", "x-mine": "2", "x-cassette-name": "a", "te": "trailers"}
    answer = httpx.post(f"{proxy.url}/v1/odd%2Fp%41th?b=%20x&a=1", content=b"\xffraw", headers=_headers() | sent)
    told = answer.json()
    assert told["path"] == "/v1/odd%2Fp%41th?b=%20x&a=1"
    assert told["body"] == "\xffraw"
    assert told["headers"]["host"] == plain.removeprefix("http://")
    assert (told["headers"]["x-mine"], told["headers"]["authorization"]) == ("2", f"Bearer {KEY}")
    assert told["headers"]["user-agent"].startswith("python-httpx/")
    assert not told["headers"].keys() & {"x-hop", "x-cassette-name", "te", "content-type"}
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers.get_list("set-cookie") == ["one=1", "two=2"]
    assert len(answer.headers["x-long"]) == 20_000
    assert "keep-alive" not in answer.headers


def test_a_compressed_reply_is_plain_in_the_cassette(serve: Serve, plain: str, tmp_path: Path) -> None:
    proxy = serve(upstream=plain, record=tmp_path)
    live = httpx.post(f"{proxy.url}/v1/odd", content=b"{}", headers=_headers())
    (one,) = cassette.load(tmp_path / "recording.yaml")
    assert json.loads(one.response.body)["path"] == "/v1/odd"
    assert "set-cookie" not in {name.lower() for name in one.response.headers}
    again = httpx.post(f"{serve(cassettes=tmp_path).url}/v1/odd", content=b"{}", headers=_headers())
    assert again.json()["path"] == live.json()["path"]
    assert proxy.journal[0].response["path"] == "/v1/odd"


def test_replies_without_a_body_and_redirects_are_passed_on_as_they_are(serve: Serve, plain: str) -> None:
    proxy = serve(upstream=plain)
    with httpx.Client(base_url=proxy.url) as http:
        head, deleted, moved = http.head("/v1/a"), http.delete("/v1/a"), http.get("/v1/a")
    assert (head.status_code, head.headers["content-length"]) == (200, "1234")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (moved.status_code, moved.headers["location"]) == (302, "/elsewhere")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_upstream_may_speak_https(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(made), "-out", "-"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    certificate = subprocess.run([*command, *names], capture_output=True, text=True, check=True, timeout=60).stdout
    made.write_text(made.read_text() + certificate)
    upstream = serve(seed=1, tls=context_of((str(made), None)))
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    proxy = serve(upstream=upstream.url, record=tmp_path / "cassettes")
    answer = httpx.post(proxy.url + CHAT, json=chat(), headers=_headers(), timeout=20, trust_env=False)
    assert answer.status_code == 200
    (one,) = cassette.load(tmp_path / "cassettes" / "recording.yaml")
    assert one.request.uri == f"https://api.openai.com{CHAT}"


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        ("api.openai.com", "is no origin"),
        ("ftp://api.openai.com", "is no origin"),
        ("https://user:pw@api.openai.com", "is no origin"),
        ("https://api.openai.com/v1", "write https://api.openai.com"),
        ("https://x.openai.azure.com/openai/v1/", "write https://x.openai.azure.com"),
        (None, "nothing to record"),
    ],
)
def test_what_is_no_origin_is_refused_with_what_to_write(upstream: str | None, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        MockServer(upstream=upstream, record=tmp_path)


def test_a_process_that_is_ended_leaves_what_it_recorded(line: Line, network_allowance: Any, tmp_path: Path) -> None:
    options = ("--upstream", line.upstream.url, "--record", str(tmp_path / "made"))
    with process(*options) as (started, port):
        network_allowance.allow("127.0.0.1", port)
        url = f"http://127.0.0.1:{port}"
        assert httpx.post(url + CHAT, json=chat(), headers=_headers()).status_code == 200
        assert httpx.post(url + AZURE_CHAT, json=chat(), headers={"api-key": KEY}).status_code == 200
        os.kill(started.pid, signal.SIGTERM)
        assert started.wait(10) == 0
    assert len(cassette.load(tmp_path / "made" / "recording.yaml")) == 2


def _headers() -> dict[str, str]:
    return {"authorization": f"Bearer {KEY}"}
