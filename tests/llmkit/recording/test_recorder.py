"""Real clients record from a real server and replay without it."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import openai
import pytest
import requests
import vcr
from openai import DefaultAioHttpClient

from llmkit.recording import BrokenCassette, CassetteMiss, RecordingError, use_cassette
from llmkit.recording.cassette import load, save
from llmkit.recording.errors import SecretLeak
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.recorder import playing
from llmkit.recording.scrubbing.credentials import DUMMY_KEY
from llmkit.recording.tape import Tape
from tests.llmkit.recording.conftest import Upstream

STORY = "Grüße aus Bern 😀"
KEY = "sk-canary-0123456789abcdef"
Ask = Callable[[str], Any]


def question(content: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **more}


def sdk(url: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, **options)


def ask_sdk(url: str, content: str = "Hi") -> str:
    with sdk(url) as client:
        return client.chat.completions.create(**question(content)).choices[0].message.content or ""


def ask_sdk_stream(url: str) -> str:
    with sdk(url) as client:
        stream = client.chat.completions.create(**question(stream=True))
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def _async_client(url: str, http_client: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, http_client=http_client)


def ask_sdk_async(url: str, make_http_client: Callable[[], Any] = lambda: None) -> str:
    async def run() -> str:
        async with _async_client(url, make_http_client()) as client:
            return (await client.chat.completions.create(**question())).choices[0].message.content or ""

    return asyncio.run(run())


def ask_sdk_async_stream(url: str, make_http_client: Callable[[], Any] = lambda: None) -> str:
    async def run() -> str:
        async with _async_client(url, make_http_client()) as client:
            stream = await client.chat.completions.create(**question(stream=True))
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    return asyncio.run(run())


def ask_aiohttp(url: str) -> str:
    async def run() -> str:
        async with aiohttp.ClientSession(base_url=url) as session:
            async with session.post("/v1/chat/completions", json=question()) as reply:
                return str((await reply.json())["choices"][0]["message"]["content"])

    return asyncio.run(run())


def ask_urllib(url: str) -> str:
    asked = urllib.request.Request(f"{url}/v1/chat/completions", data=json.dumps(question()).encode(), method="POST")
    with urllib.request.urlopen(asked) as reply:
        return str(json.load(reply)["choices"][0]["message"]["content"])


def _content(reply: Any) -> str:
    return str(reply.json()["choices"][0]["message"]["content"])


CLIENTS: dict[str, Callable[[str], str]] = {
    "openai": ask_sdk,
    "openai stream": ask_sdk_stream,
    "openai async": ask_sdk_async,
    "openai async stream": ask_sdk_async_stream,
    "openai aiohttp": lambda url: ask_sdk_async(url, DefaultAioHttpClient),
    "openai aiohttp stream": lambda url: ask_sdk_async_stream(url, DefaultAioHttpClient),
    "httpx": lambda url: _content(httpx.post(f"{url}/v1/chat/completions", json=question())),
    "httpx2": lambda url: _content(httpx2.post(f"{url}/v1/chat/completions", json=question())),
    "requests": lambda url: _content(requests.post(f"{url}/v1/chat/completions", json=question(), timeout=10)),
    "aiohttp": ask_aiohttp,
    "urllib": ask_urllib,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.yaml"


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_what_a_client_recorded_it_gets_back_without_a_server(
    path: Path, upstream: Upstream, ask: Callable[[str], str]
) -> None:
    with use_cassette(path, record="new_episodes"):
        live = ask(upstream.url)
    upstream.shutdown()
    upstream.server_close()
    with use_cassette(path) as tape:
        replayed = ask(upstream.url)
    assert replayed == live.replace(KEY, "REDACTED")
    assert tape.ledger.replayed == 1
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_no_credential_reaches_the_file(path: Path, upstream: Upstream, ask: Callable[[str], str]) -> None:
    with use_cassette(path, record="new_episodes"):
        ask(upstream.url)
    text = path.read_text()
    assert "canary" not in text
    assert str(upstream.port) not in text


def test_one_client_replays_what_another_recorded(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"):
        ask_aiohttp(upstream.url)
    for name in ("httpx", "httpx2", "requests", "urllib", "openai", "openai async"):
        with use_cassette(path):
            assert CLIENTS[name]("http://localhost:1").startswith("answer 1"), name


def test_vanilla_vcrpy_replays_the_file(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"):
        ask_sdk_stream(upstream.url)
    with vcr.use_cassette(str(path), record_mode="none", match_on=["method", "path"]):
        assert ask_sdk_stream("https://api.openai.com") == STORY


def test_an_unrecorded_request_fails_at_once_past_the_sdks_retries(path: Path) -> None:
    with use_cassette(path), openai.OpenAI(api_key=KEY, max_retries=5) as client:
        with pytest.raises(CassetteMiss, match=r"no recording of this request(.|\n)*the last: 'Hi'"):
            client.chat.completions.create(**question())
    assert not path.exists()


@pytest.mark.parametrize("name", ["requests", "aiohttp", "urllib", "openai aiohttp"])
def test_an_unrecorded_request_of_any_client_is_a_miss(path: Path, name: str) -> None:
    with use_cassette(path), pytest.raises(CassetteMiss):
        CLIENTS[name]("http://localhost:1")


def test_new_episodes_replays_what_is_there_and_records_the_rest(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"):
        ask_sdk(upstream.url, "one")
    with use_cassette(path, record="new_episodes") as tape:
        ask_sdk(upstream.url, "one")
        ask_sdk(upstream.url, "two")
    assert (tape.ledger.replayed, tape.ledger.recorded) == (1, 1)
    assert [body["messages"][0]["content"] for body in upstream.seen] == ["one", "two"]


def test_all_records_anew_and_forgets_what_is_no_longer_asked(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"):
        ask_sdk(upstream.url, "one")
        ask_sdk(upstream.url, "two")
    with use_cassette(path, record="all"):
        assert ask_sdk(upstream.url, "two").startswith("answer 3")
    assert [json.loads(i.request.body)["messages"][0]["content"] for i in load(path)] == ["two"]


def test_all_keeps_the_old_recordings_when_the_block_fails(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"):
        ask_sdk(upstream.url, "one")
        ask_sdk(upstream.url, "two")
    with pytest.raises(ZeroDivisionError), use_cassette(path, record="all"):
        ask_sdk(upstream.url, "two")
        raise ZeroDivisionError
    assert sorted(json.loads(i.request.body)["messages"][0]["content"] for i in load(path)) == ["one", "two"]


def test_once_records_into_a_new_file_only(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="once"):
        ask_sdk(upstream.url, "one")
    with use_cassette(path, record="once"), pytest.raises(CassetteMiss):
        ask_sdk(upstream.url, "two")


def test_an_unknown_mode_is_refused_with_the_valid_ones(path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown record mode 'some': expected one of 'none', 'new_episodes'"):
        with use_cassette(path, record="some"):  # type: ignore[arg-type]  # that is the point
            pass


def test_what_was_recorded_before_an_error_is_kept(path: Path, upstream: Upstream) -> None:
    with pytest.raises(ZeroDivisionError), use_cassette(path, record="new_episodes"):
        ask_sdk(upstream.url)
        raise ZeroDivisionError
    assert len(load(path)) == 1


def test_a_broken_cassette_is_refused_and_not_overwritten(path: Path, upstream: Upstream) -> None:
    path.write_text("")
    with pytest.raises(BrokenCassette), use_cassette(path, record="all"):
        ask_sdk(upstream.url)
    assert path.read_bytes() == b""
    assert upstream.seen == []


def test_identical_requests_get_their_recordings_in_order_and_no_more(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"):
        live = [ask_sdk(upstream.url) for _ in range(3)]
    with use_cassette(path):
        assert [ask_sdk(upstream.url) for _ in range(3)] == [text.replace(KEY, "REDACTED") for text in live]
        with pytest.raises(CassetteMiss, match="already played 3 times"):
            ask_sdk(upstream.url)


def test_fifty_concurrent_requests_each_get_their_own_answer(path: Path, upstream: Upstream) -> None:
    async def ask_all() -> list[Any]:
        async with _async_client(upstream.url, None) as client:
            asked = [client.chat.completions.create(**question(f"number {n}")) for n in range(50)]
            return [reply.model_dump()["asked"]["messages"][0]["content"] for reply in await asyncio.gather(*asked)]

    with use_cassette(path, record="new_episodes"):
        assert asyncio.run(ask_all()) == [f"number {n}" for n in range(50)]
    with use_cassette(path):
        assert asyncio.run(ask_all()) == [f"number {n}" for n in range(50)]


def test_twenty_threads_share_a_tape_without_playing_anything_twice(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"), ThreadPoolExecutor(20) as pool:
        live = list(pool.map(lambda _: ask_sdk(upstream.url), range(40)))
    with use_cassette(path), ThreadPoolExecutor(20) as pool:
        replayed = list(pool.map(lambda _: ask_sdk(upstream.url), range(40)))
    assert sorted(replayed) == sorted(text.replace(KEY, "REDACTED") for text in live)
    assert len(set(replayed)) == 40


def test_the_inner_of_two_cassettes_takes_the_requests(path: Path, tmp_path: Path, upstream: Upstream) -> None:
    inner = tmp_path / "inner.yaml"
    with use_cassette(path, record="new_episodes"):
        ask_sdk(upstream.url, "outer")
        with use_cassette(inner, record="new_episodes"):
            ask_sdk(upstream.url, "inner")
            ask_aiohttp(upstream.url)
        ask_sdk(upstream.url, "outer again")
    assert [len(load(path)), len(load(inner))] == [2, 2]


def test_clients_are_left_as_they_were(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"):
        ask_sdk(upstream.url)
    assert ask_sdk(upstream.url).startswith("answer 2")
    assert len(load(path)) == 1


def test_what_a_tape_does_not_concern_streams_through_untouched(path: Path, upstream: Upstream) -> None:
    tape = Tape(path)
    with playing(tape), sdk(upstream.url) as client:
        stream = client.chat.completions.create(**question(stream=True, user="hold"))
        assert next(iter(stream)).choices[0].delta.content == "Grüße "
        upstream.proceed.set()
        assert len(list(stream)) == 3
        assert ask_aiohttp(upstream.url).startswith("answer")
        assert CLIENTS["requests"](upstream.url).startswith("answer")
        assert ask_sdk_async_stream(upstream.url) == STORY
    assert tape.interactions == []


def test_the_addresses_of_the_variables_are_recorded_also_on_loopback(
    path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{upstream.url}/v1")
    tape = Tape(path, mode="new_episodes")
    with playing(tape):
        for name in ("openai", "httpx", "requests", "aiohttp", "urllib"):
            CLIENTS[name](upstream.url)
    assert {i.request.uri for i in tape.interactions} == {"https://api.openai.com/v1/chat/completions"}
    assert len(tape.interactions) == 5


def test_a_recording_from_one_azure_resource_replays_on_another(
    path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(endpoint: str) -> str:
        with openai.AzureOpenAI(
            azure_endpoint=endpoint, api_key=KEY, api_version="2024-10-21", max_retries=0
        ) as client:
            return client.chat.completions.create(**question()).choices[0].message.content or ""

    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", upstream.url)
    with use_cassette(path, record="new_episodes"):
        ask(upstream.url)
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT")
    for endpoint in ("https://resource.openai.azure.com", "https://other.openai.azure.com", "https://llm.corp.example"):
        with use_cassette(path):
            assert ask(endpoint).startswith("answer 1")


def test_the_value_of_a_key_in_the_query_does_not_matter(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"):
        httpx.get(f"{upstream.url}/v1/models?api_key=sk-one-1234567890abcdef&subscription-key=two-2222222222&limit=3")
    assert "1234567890" not in path.read_text()
    with use_cassette(path):
        reply = httpx.get("http://localhost:1/v1/models?api_key=other&limit=3&subscription-key=another")
    assert reply.status_code == 200


def test_dummy_credentials_are_never_sent_away(path: Path) -> None:
    with use_cassette(path, record="new_episodes"), openai.OpenAI(api_key=DUMMY_KEY, max_retries=0) as client:
        with pytest.raises(RecordingError, match=r"can't record POST https://api\.openai\.com.*Set OPENAI_API_KEY"):
            client.chat.completions.create(**question())


def test_a_cassette_can_be_played_from_another_thread(path: Path, upstream: Upstream) -> None:
    answers: list[str] = []
    with use_cassette(path, record="new_episodes"):
        thread = threading.Thread(target=lambda: answers.append(ask_sdk(upstream.url)))
        thread.start()
        thread.join()
    assert len(load(path)) == len(answers) == 1


def test_form_data_of_aiohttp_is_told_apart_by_its_fields(path: Path, upstream: Upstream) -> None:
    async def post(value: str) -> str:
        form = aiohttp.FormData()
        form.add_field("file", value.encode(), filename="a.txt")
        async with aiohttp.ClientSession() as session, session.post(f"{upstream.url}/v1/files", data=form) as reply:
            return str((await reply.json())["asked"])

    async def post_mapping(value: str) -> str:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{upstream.url}/v1/form", data={"a": value}) as reply:
                return str((await reply.json())["asked"])

    with use_cassette(path, record="new_episodes"):
        live = [asyncio.run(post("one")), asyncio.run(post("two")), asyncio.run(post_mapping("three"))]
    with use_cassette(path):
        assert [asyncio.run(post("one")), asyncio.run(post("two")), asyncio.run(post_mapping("three"))] == live
    with use_cassette(path), pytest.raises(CassetteMiss):
        asyncio.run(post("other"))


@pytest.mark.parametrize("name", ["requests", "urllib", "httpx", "openai"])
def test_threads_of_any_client_record_everything_and_replay_it(path: Path, upstream: Upstream, name: str) -> None:
    with use_cassette(path, record="new_episodes"), ThreadPoolExecutor(8) as pool:
        live = list(pool.map(lambda _: CLIENTS[name](upstream.url), range(24)))
    assert len(load(path)) == 24
    upstream.shutdown()
    upstream.server_close()
    with use_cassette(path), ThreadPoolExecutor(8) as pool:
        replayed = list(pool.map(lambda _: CLIENTS[name](upstream.url), range(24)))
    assert sorted(replayed) == sorted(text.replace(KEY, "REDACTED") for text in live)


@pytest.mark.parametrize("name", ["requests", "urllib"])
def test_a_body_that_broke_off_breaks_off_again_in_clients_that_read_it_whole(
    path: Path, upstream: Upstream, name: str
) -> None:
    asked = question(stream=True, user="break")

    def ask() -> bytes:
        if name == "requests":
            with pytest.raises(requests.exceptions.ChunkedEncodingError) as broken:
                requests.post(f"{upstream.url}/v1/x", json=asked, timeout=10)
            return str(broken.type).encode()
        sent = urllib.request.Request(f"{upstream.url}/v1/x", data=json.dumps(asked).encode(), method="POST")
        with urllib.request.urlopen(sent) as reply, pytest.raises(http.client.IncompleteRead) as cut:
            reply.read()
        return bytes(cut.value.partial)

    with use_cassette(path, record="new_episodes"):
        live = ask()
    assert load(path)[0].response.ended.split(":")[0] == "aborted"
    with use_cassette(path):
        assert ask() == live


def test_a_decorated_function_replays_each_of_its_calls(path: Path, upstream: Upstream) -> None:
    @use_cassette(path, record="new_episodes")
    def ask() -> str:
        return ask_sdk(upstream.url)

    first, again = ask(), ask()
    assert again == first.replace(KEY, "REDACTED")
    assert len(upstream.seen) == 1


async def test_a_decorated_coroutine_function_is_recorded_while_it_runs(path: Path, upstream: Upstream) -> None:
    @use_cassette(path, record="new_episodes")
    async def ask() -> None:
        async with _async_client(upstream.url, None) as client:
            await client.chat.completions.create(**question())

    await ask()
    assert len(load(path)) == 1


async def test_a_cassette_can_be_opened_with_async_with(path: Path, upstream: Upstream) -> None:
    async with use_cassette(path, record="new_episodes"), _async_client(upstream.url, None) as client:
        await client.chat.completions.create(**question())
    assert len(load(path)) == 1


def test_a_generator_cannot_be_decorated(path: Path) -> None:
    with pytest.raises(TypeError, match=r"can't decorate the generator .*ask: open it inside"):

        @use_cassette(path)
        def ask() -> Iterator[str]:
            yield ""


def test_replay_outside_pytest_needs_no_key(path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    with use_cassette(path, record="new_episodes"):
        ask_sdk(upstream.url)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with use_cassette(path), openai.OpenAI() as client:
        client.chat.completions.create(**question())
    assert "OPENAI_API_KEY" not in os.environ


def test_cassettes_that_overlap_without_being_nested_keep_the_clients_whole(
    path: Path, tmp_path: Path, upstream: Upstream
) -> None:
    one, other = use_cassette(path, record="new_episodes"), use_cassette(tmp_path / "b.yaml", record="new_episodes")
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    ask_sdk(upstream.url)
    other.__exit__(None, None, None)
    ask_sdk(upstream.url, "no longer recorded")
    assert not path.exists()
    assert len(load(tmp_path / "b.yaml")) == 1


def test_what_respx_answers_is_not_asked_of_the_cassette(path: Path) -> None:
    respx = pytest.importorskip("respx")
    with use_cassette(path), respx.mock:
        respx.get("https://api.openai.com/v1/models").respond(json={"data": []})
        assert httpx.get("https://api.openai.com/v1/models").json() == {"data": []}


def test_a_redirect_is_recorded_hop_by_hop_without_its_signature(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"):
        live = requests.get(f"{upstream.url}/v1/redirect", timeout=10).json()
    assert "s3cret-0123456" not in path.read_text()
    with use_cassette(path):
        assert requests.get("http://localhost:1/v1/redirect", timeout=10).json()["path"].split("?")[0] == "/v1/landed"
    assert live["path"] == "/v1/landed?sig=s3cret-0123456"


def test_a_redirect_to_the_provider_leads_to_its_stable_name(
    path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{upstream.url}/v1")
    with use_cassette(path, record="new_episodes"):
        requests.get(f"{upstream.url}/v1/redirect", timeout=10)
    assert load(path)[0].response.headers["Location"] == ["https://api.openai.com/v1/landed?sig=REDACTED"]


def test_threads_that_share_a_session_of_requests_get_whole_answers(path: Path, upstream: Upstream) -> None:
    def ask(session: requests.Session, number: int) -> str:
        with session.post(f"{upstream.url}/v1/x", json=question(f"{number}"), stream=True, timeout=10) as reply:
            next(reply.iter_content(8))
        whole = session.post(f"{upstream.url}/v1/x", json=question(f"{number} again"), timeout=10).json()
        return str(whole["asked"]["messages"][0]["content"])

    for mode in ("new_episodes", "none"):
        with use_cassette(path, record=mode), requests.Session() as session, ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda number: ask(session, number), range(24)))
        assert answers == [f"{number} again" for number in range(24)]


def test_a_pool_of_one_connection_is_not_used_up(path: Path, upstream: Upstream) -> None:
    for mode in ("new_episodes", "none"):
        with use_cassette(path, record=mode), requests.Session() as session:
            session.mount("http://", requests.adapters.HTTPAdapter(1, 1, pool_block=True))
            for number in range(4):
                assert session.get(f"{upstream.url}/v1/{number}", timeout=5).json()["path"] == f"/v1/{number}"


def test_replay_needs_no_proxy(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Request(method="GET", uri="https://api.openai.com/v1/models")
    save(path, [Interaction(request=asked, response=Response(status=200, body=b"{}")) for _ in range(2)])
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with use_cassette(path):
        assert requests.get("https://api.openai.com/v1/models", timeout=5).json() == {}
        assert httpx.get("https://api.openai.com/v1/models").json() == {}


@pytest.mark.parametrize("body", [b"bytes", "é", bytearray(b"array")])
def test_http_client_sends_what_it_sends_without_a_recorder(path: Path, upstream: Upstream, body: Any) -> None:
    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)
        connection.request("POST", "/v1/x", body=body)
        connection.getresponse().read()
        connection.close()

    send()
    with use_cassette(path, record="new_episodes"):
        send()
    assert upstream.raw[0] == upstream.raw[1] != b""


@pytest.mark.parametrize("data", [iter([b"one, ", b"two"]), io.BytesIO(b"one, two")])
def test_an_upload_in_chunks_through_urllib_arrives_whole(path: Path, upstream: Upstream, data: Any) -> None:
    sent = urllib.request.Request(f"{upstream.url}/v1/x", data=data, method="POST")
    with use_cassette(path, record="new_episodes"), urllib.request.urlopen(sent, timeout=5) as reply:
        assert reply.status == 200
    assert upstream.raw == [b"one, two"]


@pytest.mark.parametrize("name", ["requests", "httpx", "urllib"])
def test_a_reply_to_head_keeps_the_length_it_tells_of(path: Path, upstream: Upstream, name: str) -> None:
    def length() -> str | None:
        url = f"{upstream.url}/v1/x"
        if name == "urllib":
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5) as reply:
                return str(reply.headers["Content-Length"])
        heads = requests.head(url, timeout=5) if name == "requests" else httpx.head(url)
        return heads.headers["Content-Length"]

    for mode in ("new_episodes", "none"):
        with use_cassette(path, record=mode):
            assert length() == "1234"


def test_a_vcr_cassette_inside_ours_is_left_to_vcrpy(path: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.yaml"
    asked = Request(method="GET", uri="https://example.org/a")
    save(theirs, [Interaction(request=asked, response=Response(status=200, body=b'{"of": "vcr"}'))])
    with use_cassette(path, record="new_episodes"), vcr.use_cassette(str(theirs), record_mode="none"):
        assert requests.get("https://example.org/a", timeout=5).json() == {"of": "vcr"}
    assert not path.exists()


def test_the_keys_of_forty_threads_are_all_scrubbed_from_the_echo(path: Path, upstream: Upstream) -> None:
    def ask(number: int) -> str:
        key = {"Authorization": f"Bearer sk-canary-{number:04}-abcdef"}
        reply = httpx.post(f"{upstream.url}/v1/x", json=question(f"{number}"), headers=key)
        return _content(reply)

    with use_cassette(path, record="new_episodes"), ThreadPoolExecutor(20) as pool:
        live = list(pool.map(ask, range(40)))
    assert all("canary" in text for text in live)
    assert "canary" not in path.read_text()


def test_verifying_fails_at_the_end_where_the_live_reply_lost_a_field(path: Path, upstream: Upstream) -> None:
    with use_cassette(path, record="new_episodes"):
        ask_sdk(upstream.url)
    before = path.read_bytes()
    path.write_bytes(
        before.replace(b'"object": "chat.completion"', b'"object": "chat.completion",\n          "gone": 1')
    )
    edited = path.read_bytes()
    with pytest.raises(RecordingError, match=r"no longer answers as .* has it recorded:\n.*gone"):
        with use_cassette(path, record="verify"):
            ask_sdk(upstream.url)
    assert len(upstream.seen) == 2
    assert path.read_bytes() == edited


def test_a_secret_in_a_reply_is_raised_at_the_end_and_leaves_no_file(path: Path, upstream: Upstream) -> None:
    secret = "ghp_" + "a1B2" * 9
    with pytest.raises(SecretLeak, match="GitHub token") as leak:
        with use_cassette(path, record="new_episodes"):
            ask_sdk(upstream.url)
            ask_sdk(upstream.url, f"say {secret}")
    assert secret not in str(leak.value)
    assert not path.exists()


@pytest.mark.parametrize(("speed", "seconds", "is_spared"), [(0.0, 30, True), (1.0, 0.3, False)])
def test_a_wait_after_a_refusal_takes_its_time_where_a_replay_takes_its_own(
    path: Path, speed: float, seconds: float, is_spared: bool
) -> None:
    refusal = Response(status=429, reason="Too Many Requests", headers={"retry-after": ["1"]})
    save(path, [Interaction(request=Request(method="GET", uri="https://api.example.com/"), response=refusal)])
    with use_cassette(path, replay_speed=speed):
        requests.get("https://api.example.com/", timeout=10)
        started = time.monotonic()
        time.sleep(seconds)
    assert (time.monotonic() - started < seconds) == is_spared
