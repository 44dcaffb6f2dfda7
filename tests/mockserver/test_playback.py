"""Recorded cassettes, served to clients that know nothing of them."""

import asyncio
import gzip
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording import BrokenCassette, cassette
from llmkit.recording.cassette import vcr_format
from llmkit.recording.interaction import Interaction, Request, Response
from mockserver import MockServer, fault, reply
from mockserver.answers import Frame
from mockserver.cassettes.replaying import answer_of, events
from tests.mockserver.asking import CHAT, chat, user
from tests.mockserver.conftest import KEY, Serve
from tests.mockserver.sockets import ask

OPENAI = "https://api.openai.com"
AZURE = "https://eastus.openai.azure.com"
GATEWAY = "https://gateway.example.com/openai-proxy"
DEPLOYMENT = "/openai/deployments/chat/chat/completions?api-version=2024-10-21"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "cassettes"

Play = Callable[..., MockServer]


@pytest.fixture
def play(serve: Serve, tmp_path: Path) -> Play:
    """A server that plays these interactions, out of one cassette or, by their names, several."""

    def start(*interactions: Interaction, named: dict[str, Sequence[Interaction]] | None = None, **options: Any) -> Any:
        for name, ones in (named or {"one": interactions}).items():
            cassette.save(tmp_path / f"{name}.yaml", ones)
        return serve(cassettes=tmp_path, **options)

    return start


def completion(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [choice]}
    return json.dumps(body).encode()


def chunk(text: str | None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


EVENTS = [chunk("Sea "), chunk("ötters"), chunk(" swim"), chunk(None, "stop"), b"data: [DONE]\n\n"]


def recorded(
    body: bytes = b"{}",
    *,
    asked: Any = None,
    uri: str = OPENAI + CHAT,
    method: str = "POST",
    status: int = 200,
    headers: dict[str, list[str]] | None = None,
    **facts: Any,
) -> Interaction:
    given = {"content-type": ["application/json"]} if headers is None else headers
    request = Request(method=method, uri=uri, body=b"" if method == "GET" else json.dumps(asked or chat()).encode())
    return Interaction(request=request, response=Response(status=status, headers=given, body=body, **facts))


def streamed(pieces: Sequence[bytes] = EVENTS, *, step_ms: int = 100, **facts: Any) -> Interaction:
    chunks = tuple((step_ms * number, len(piece)) for number, piece in enumerate(pieces, 1))
    headers = {"content-type": ["text/event-stream; charset=utf-8"], "transfer-encoding": ["chunked"]}
    stream = chat(stream=True)
    return recorded(b"".join(pieces), asked=stream, headers=headers, chunks=chunks, headers_ms=50, **facts)


def sdk(server: MockServer, *, max_retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.openai_url, api_key=KEY, max_retries=max_retries, timeout=10)


def said(server: MockServer) -> str:
    with sdk(server) as client:
        return client.chat.completions.create(model="gpt-4o", messages=user()).choices[0].message.content or ""


def post(server: MockServer, path: str = CHAT, asked: Any = None, **headers: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {KEY}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.post(server.url + path, json=asked or chat(), headers=headers, timeout=10)


@pytest.mark.parametrize("root", [OPENAI, GATEWAY, "https://other.example.com"])
def test_a_request_is_answered_whichever_host_was_asked_while_recording(play: Play, root: str) -> None:
    assert said(play(recorded(completion("as recorded"), uri=root + CHAT))) == "as recorded"


def test_azure_asks_for_what_was_recorded_of_another_resource(play: Play) -> None:
    server = play(recorded(completion("as recorded"), uri=AZURE + DEPLOYMENT))
    with openai.AzureOpenAI(azure_endpoint=server.url, api_key=KEY, api_version="2024-10-21", max_retries=0) as client:
        answer = client.chat.completions.create(model="chat", messages=user(), extra_body={"model": "gpt-4o"})
    assert answer.choices[0].message.content == "as recorded"
    assert server.journal[0].deployment == "chat"


def test_of_several_hosts_the_provider_of_the_path_goes_first(play: Play) -> None:
    server = play(
        recorded(completion("gateway"), uri=GATEWAY + CHAT), recorded(completion("provider"), uri=OPENAI + CHAT)
    )
    assert [said(server), said(server)] == ["provider", "gateway"]


def test_the_same_request_gets_its_recordings_in_order_and_then_none(play: Play) -> None:
    server = play(recorded(completion("first")), recorded(completion("second")))
    assert [said(server), said(server)] == ["first", "second"]
    with pytest.raises(openai.NotFoundError, match="already played 2 times"):
        said(server)
    server.reset()
    assert said(server) == "first"


def test_a_lenient_server_plays_the_last_recording_again(play: Play) -> None:
    server = play(recorded(completion("first")), recorded(completion("last")), lenient=True)
    assert [said(server) for _ in range(4)] == ["first", "last", "last", "last"]


async def test_recordings_are_each_played_once_to_clients_that_ask_at_once(play: Play) -> None:
    server = play(*(recorded(completion(str(number))) for number in range(50)))
    async with openai.AsyncOpenAI(base_url=server.openai_url, api_key=KEY, max_retries=0) as client:
        asking = (client.chat.completions.create(model="gpt-4o", messages=user()) for _ in range(50))
        answers = await asyncio.gather(*asking)
    assert sorted(int(answer.choices[0].message.content or "") for answer in answers) == list(range(50))


def test_what_is_not_recorded_is_an_error_that_names_the_nearest_and_is_asked_only_once(play: Play) -> None:
    server = play(recorded(completion("Hi"), asked=chat(temperature=0)))
    with sdk(server, max_retries=3) as client, pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=user(), temperature=1)
    assert caught.value.type == "mockserver_miss"
    assert caught.value.code == "no_recording"
    for part in ("value changed: temperature", "interaction 1 of 1 differs in", "--record"):
        assert part in caught.value.message
    (exchange,) = server.journal
    assert (exchange.status, exchange.outcome) == (404, "missed")


def test_status_and_headers_are_those_recorded_except_for_what_no_longer_holds(play: Play) -> None:
    headers = {
        "content-type": ["application/json"],
        "retry-after": ["7"],
        "x-request-id": ["req_recorded"],
        "connection": ["close, X-Hop"],
        "x-hop": ["1"],
        "transfer-encoding": ["chunked"],
        "content-length": ["9999"],
        "content-encoding": ["gzip"],
    }
    server = play(recorded(b'{"error": {"message": "slow down"}}', status=429, headers=headers))
    answer = post(server)
    assert (answer.status_code, answer.json()) == (429, {"error": {"message": "slow down"}})
    assert (answer.headers["retry-after"], answer.headers["x-request-id"]) == ("7", "req_recorded")
    assert not answer.headers.keys() & {"content-encoding", "x-hop", "connection", "transfer-encoding"}
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/threads/thread_1?limit=2"), ("POST", "/v1/nothing/known"), ("DELETE", "/x")]
)
def test_paths_that_no_surface_serves_are_played_as_well(play: Play, method: str, path: str) -> None:
    server = play(recorded(b'{"id": "thread_1"}', method=method, uri=OPENAI + path))
    content = None if method == "GET" else json.dumps(chat())
    answer = httpx.request(method, server.url + path, content=content)
    assert (answer.status_code, answer.json()) == (200, {"id": "thread_1"})


def test_bodies_that_are_no_json_compare_by_their_bytes(play: Play) -> None:
    request = Request(method="POST", uri=f"{OPENAI}/v1/odd", body=b"\xff\x00odd")
    server = play(Interaction(request=request, response=Response(status=200, body=b"\x00\xff")))
    assert httpx.post(f"{server.url}/v1/odd", content=b"\xff\x00odd").content == b"\x00\xff"
    assert httpx.post(f"{server.url}/v1/odd", content=b"\xff\x00even").status_code == 404


def test_a_stream_comes_in_the_pieces_in_which_it_was_recorded(play: Play) -> None:
    whole = b"".join(EVENTS)
    torn = [whole[start:end] for start, end in pairwise([0, 10, 90, 91, 300, len(whole)])]
    server = play(streamed(torn))
    seen = ask(server, chat(stream=True))
    assert (seen.body, seen.is_whole) == (whole, True)
    assert [piece.size for piece in server.journal[0].chunks] == [len(piece) for piece in torn]


def test_the_sdk_reads_a_recorded_stream(play: Play) -> None:
    with sdk(play(streamed())) as client:
        chunks = list(client.chat.completions.create(model="gpt-4o", messages=user(), stream=True))
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == "Sea ötters swim"


def test_recorded_times_pass_on_the_clock_of_the_server(play: Play) -> None:
    answer = answer_of(streamed().response, speed=2)
    assert answer.delay_s == 0.025
    assert [frame.wait_s for frame in answer.frames] == [0.025, 0.05, 0.05, 0.05, 0.05]
    assert sum(frame.wait_s for frame in answer_of(streamed().response).frames) == 0
    slow = answer_of(recorded(b"{}", headers_ms=300, chunks=((500, 2),)).response, speed=1)
    assert (slow.delay_s, slow.streamed) == (0.5, False)


def test_a_server_told_to_replays_as_slowly_as_was_recorded(play: Play) -> None:
    server = play(streamed(step_ms=3_600_000), replay_speed=1)
    server.clock.stop()

    async def read() -> list[float]:
        async with openai.AsyncOpenAI(base_url=server.openai_url, api_key=KEY, timeout=10) as client:
            begun = server.clock.now()
            asking = asyncio.create_task(_all(client))
            while not asking.done():
                server.clock.advance(600)
                await asyncio.sleep(0)
            return [server.clock.now() - begun, len(await asking)]

    async def _all(client: openai.AsyncOpenAI) -> list[Any]:
        stream = await client.chat.completions.create(model="gpt-4o", messages=user(), stream=True)
        return [each async for each in stream]

    took_s, count = asyncio.run(read())
    assert took_s >= 5 * 3600
    assert count == len(EVENTS) - 1


@given(cuts=st.lists(st.integers(0, 400), max_size=8), waits=st.lists(st.floats(0, 5), min_size=9, max_size=9))
def test_by_event_the_bytes_and_the_time_of_the_last_are_the_same(cuts: list[int], waits: list[float]) -> None:
    whole = b"".join(EVENTS)
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    frames = [Frame(whole[a:b], wait_s) for (a, b), wait_s in zip(pairwise(places), waits, strict=False)]
    cut = list(events(frames))
    assert [frame.data for frame in cut] == EVENTS
    assert sum(frame.wait_s for frame in cut) == pytest.approx(sum(frame.wait_s for frame in frames))


def test_a_fault_acts_on_the_recorded_stream_by_its_frames(play: Play) -> None:
    whole = b"".join(EVENTS)
    server = play(streamed([whole[:100], whole[100:]]), script=[fault.cut(at="finish", how="fin")])
    seen = ask(server, chat(stream=True))
    assert (seen.body, seen.is_whole) == (b"".join(EVENTS[:3]), False)
    assert server.journal[0].fault == "cut"


def test_a_fault_in_place_of_the_answer_leaves_the_recording_for_the_next_request(play: Play) -> None:
    server = play(recorded(completion("as recorded")), script=[fault.rate_limited(retry_after_s=1)])
    assert post(server).status_code == 429
    assert said(server) == "as recorded"


def test_a_fault_bends_a_plain_recorded_answer(play: Play) -> None:
    server = play(recorded(completion("as recorded")), script=[fault.malformed_json()])
    with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
        post(server).json()


def test_steps_match_recorded_calls_by_model_and_body(play: Play) -> None:
    step = fault.server_error(status=503).match(model="gpt-4o", body={"temperature": 1})
    server = play(recorded(completion("zero"), asked=chat(temperature=0)), script=[step])
    assert post(server, asked=chat(temperature=0)).status_code == 200
    assert post(server, asked=chat(temperature=1)).status_code == 503


def test_a_scripted_reply_is_said_instead_of_the_recorded_one(play: Play) -> None:
    server = play(recorded(completion("as recorded")), script=[reply("scripted")])
    assert [said(server), said(server)] == ["scripted", "as recorded"]


@pytest.mark.parametrize(
    ("ended", "end"),
    [
        ("aborted: IncompleteRead: gone", "fin"),
        ("reset: ReadError: [Errno 104] reset", "rst"),
        ("timeout: ReadTimeout: ", "silence"),
        ("cancelled", "silence"),
        ("closed", "fin"),
    ],
)
def test_a_reply_that_broke_off_breaks_off_in_the_same_way(play: Play, ended: str, end: str) -> None:
    patience_s = 0.3 if end == "silence" else 5
    stream = ask(play(streamed(EVENTS[:2], ended=ended)), chat(stream=True), patience_s=patience_s)
    assert (stream.body, stream.is_whole, stream.end) == (b"".join(EVENTS[:2]), False, end)
    plain = ask(play(recorded(b'{"id": ', ended=ended)), chat(), patience_s=patience_s)
    assert (plain.body, plain.is_whole, plain.end) == (b'{"id": ', False, end)


@pytest.mark.parametrize(
    ("ended", "end"),
    [
        ("connect: ConnectError: [Errno 111] refused", "rst"),
        ("reset: ReadError: ", "rst"),
        ("aborted: RemoteProtocolError: ", "fin"),
        ("timeout: ReadTimeout: ", "silence"),
    ],
)
def test_what_got_no_reply_gets_none_again(play: Play, ended: str, end: str) -> None:
    server = play(recorded(b"", status=599, headers={}, ended=ended))
    seen = ask(server, chat(), patience_s=0.3 if end == "silence" else 5)
    assert (seen.raw, seen.end) == (b"", end)


def test_vcrpys_cassettes_are_played_compressed_or_as_json(serve: Serve, tmp_path: Path) -> None:
    headers = {"Content-Type": ["application/json"], "Content-Encoding": ["gzip"], "Content-Length": ["77"]}
    packed = recorded(gzip.compress(completion("packed")), headers=headers, uri=OPENAI + CHAT)
    (tmp_path / "packed.yaml").write_text(vcr_format.dump([packed]))
    plain = recorded(completion("plain"), asked=chat(seed=1))
    (tmp_path / "plain.json").write_text(vcr_format.dump([plain], "json"))
    (tmp_path / ".recording.yaml.1.tmp").write_text("half of a cassette")
    server = serve(cassettes=tmp_path)
    answer = post(server)
    assert answer.json()["choices"][0]["message"]["content"] == "packed"
    assert "content-encoding" not in answer.headers
    assert post(server, asked=chat(seed=1)).json()["choices"][0]["message"]["content"] == "plain"


def test_a_single_file_is_played_too(serve: Serve, tmp_path: Path) -> None:
    cassette.save(tmp_path / "alone.yaml", [recorded(completion("alone"))])
    assert said(serve(cassettes=tmp_path / "alone.yaml")) == "alone"


def test_a_header_names_the_cassette_to_play(play: Play) -> None:
    server = play(named={"a": [recorded(completion("a"))], "tests/b": [recorded(completion("b"))]})
    assert b'"content": "b"' in post(server, x_cassette_name="tests/b").content
    assert "already played" in post(server, x_cassette_name="tests/b").text
    assert "there is no cassette 'c'" in post(server, x_cassette_name="c").text
    assert post(server, x_cassette_name="../a").status_code == 400
    assert b'"content": "a"' in post(server).content


def test_a_suite_names_the_cassette_of_each_test_and_begins_it_anew(play: Play) -> None:
    server = play(named={"a": [recorded(completion("a"))], "b": [recorded(completion("b"))]})
    with httpx.Client(base_url=server.url) as admin:
        for name in ("b", "a", "b"):
            shown = admin.put("/__admin/cassette", json={"name": name}).json()
            assert (shown["name"], shown["cassettes"]) == (name, ["a", "b"])
            assert said(server) == name
        assert admin.delete("/__admin/cassette").json()["name"] is None
        wrong: list[Any] = [{"name": "../x"}, {"name": 1}, {}, [], {"name": "a", "more": 1}]
        for body in wrong:
            assert admin.put("/__admin/cassette", json=body).status_code == 400
        assert admin.put("/__admin/cassette", content=b"{").status_code == 400


def test_keys_are_told_apart_where_only_some_pass(play: Play) -> None:
    server = play(recorded(completion("as recorded")), api_keys=["sk-the-only-one"])
    assert post(server).status_code == 401
    assert post(server, authorization="Bearer sk-the-only-one").status_code == 200


def test_a_cassette_that_is_none_keeps_the_server_from_starting(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("version: 1\ninteractions:\n- request: {")
    with pytest.raises(BrokenCassette, match=r"broken\.yaml"):
        MockServer(cassettes=tmp_path)
    with pytest.raises(FileNotFoundError):
        MockServer(cassettes=tmp_path / "absent")


def test_a_body_over_the_limit_is_refused(play: Play) -> None:
    server = play(recorded())
    assert post(server, asked={"input": "x" * (33 * 1024 * 1024)}).status_code == 413


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data, the recorded traffic of public projects")
def test_public_cassettes_answer_their_own_requests(serve: Serve, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(SHARED.rglob("*.yaml"))):
        (tmp_path / f"{number:03}.yaml").write_bytes(path.read_bytes())
    server = serve(cassettes=tmp_path)
    ours = server._state.recordings
    assert ours is not None
    asked = [one for one in ours.all if int(one.cassette) % 4 == 0]
    assert len(asked) > 50
    with httpx.Client(base_url=server.url, timeout=10) as http:
        for one in asked:
            request, response = one.interaction.request, one.interaction.response
            kept = {"content-type": (request.headers.get("content-type") or ["application/json"])[0]}
            rest = request.uri.split("/", 3)[3]
            answer = http.request(
                request.method, f"/{rest}", content=request.body, headers={**kept, "x-cassette-name": one.cassette}
            )
            assert (answer.status_code, "mockserver_miss" in answer.text) == (response.status, False), request.uri


def test_a_recording_that_a_fault_has_broken_is_there_for_the_next_attempt(
    tmp_path: Path, serve: Serve, network_allowance: Any
) -> None:
    recorded, headers = tmp_path / "cassettes", {"authorization": f"Bearer {KEY}"}
    upstream = serve(script=[reply("from the real one")])
    with MockServer(upstream=upstream.url, record=recorded) as proxy:
        network_allowance.allow(proxy.host, proxy.port)
        first = httpx.post(proxy.url + CHAT, headers=headers, json=chat())
    server = serve(cassettes=recorded, script=[fault.truncated_body()])
    with httpx.Client(headers=headers) as http:
        with pytest.raises(httpx.TransportError):
            http.post(server.url + CHAT, json=chat())
        assert http.post(server.url + CHAT, json=chat()).json() == first.json()
        assert http.post(server.url + CHAT, json=chat()).status_code == 404
