"""Every fault, as a bare socket sees it: byte by byte, beside the same answer without the fault."""

import json
import re
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from mockserver import MockServer, fault, faults, reply
from mockserver.scripting.steps import Step
from tests.mockserver.asking import chat, user
from tests.mockserver.conftest import Serve
from tests.mockserver.sockets import End, Seen, ask

# a text with letters of two and three bytes, and enough frames for every place
SAID = reply("Größe: 3 € für Otter im Seetang")
PLAIN = chat(messages=user("plain"))
STREAM = chat(messages=user("stream"), stream=True, stream_options={"include_usage": True})
SILENCE_S = 0.15


@pytest.fixture(scope="module")
def running() -> Iterator[MockServer]:
    with MockServer(seed=1) as server:
        yield server


@pytest.fixture
def server(running: MockServer, network_allowance: Any) -> MockServer:
    network_allowance.allow(running.host, running.port)
    running.reset()
    return running


class Row(NamedTuple):
    """A fault, and what becomes of the body of a plain or streamed answer; where a text is expected, it is in there."""

    step: Step
    body: Callable[[Seen], bytes] | str
    stream: bool = False
    end: End = "fin"
    whole: bool = True
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - only read


def same(seen: Seen) -> bytes:
    return seen.body


def nothing(_seen: Seen) -> bytes:
    return b""


def half(seen: Seen) -> bytes:
    return seen.body[: len(seen.body) // 2]


def of_frames(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Seen], bytes]:
    return lambda seen: b"".join(change(seen.frames))


def until(text: bytes) -> Callable[[Seen], bytes]:
    """The frames before the first with this text in it."""
    return of_frames(lambda frames: frames[: next(i for i, frame in enumerate(frames) if text in frame)])


def with_json(change: Callable[[dict[str, Any]], Any]) -> Callable[[Seen], bytes]:
    def changed(seen: Seen) -> bytes:
        body = json.loads(seen.body)
        change(body)
        return json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n"

    return changed


def without_deltas(frames: list[bytes]) -> list[bytes]:
    bodies = [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]
    for body in bodies:
        for choice in body["choices"]:
            del choice["delta"]
    spelt = (json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() for body in bodies)
    return [*(b"data: " + body + b"\n\n" for body in spelt), frames[-1]]


def in_the_middle(frames: list[bytes], change: Callable[[bytes], bytes]) -> list[bytes]:
    at = len(frames) // 2 - 1
    return [*frames[:at], change(frames[at]), *frames[at + 1 :]]


def broken(frame: bytes) -> bytes:
    return frame[: len(frame) * 2 // 3] + b"\n\n"


def with_ff(frame: bytes) -> bytes:
    start = frame.rfind(b'":"', 0, len(frame) // 2 + 1) + 3
    return frame[:start] + b"\xff" + frame[start:]


def told(start: bytes, *, behind: int = 2) -> Callable[[Seen], bytes]:
    """So many frames, and then the beginning of an error that is not called so."""
    return lambda seen: b"".join(seen.frames[:behind]) + start + b'{"type":"error","code":"server_error","message":"'


COMMENT = b": keep-alive\n\n"
ANNOTATION = (
    b'data: {"id":"","object":"","created":0,"model":"","choices":[{"finish_reason":null,"index":0,'
    b'"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},'
    b'"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},'
    b'"violence":{"filtered":false,"severity":"safe"}},'
    b'"content_filter_offsets":{"check_offset":20,"start_offset":20,"end_offset":40}}]}\n\n'
)
ROWS: dict[str, list[Row]] = {
    "rate_limited": [
        Row(
            fault.rate_limited(retry_after_s=1.5),
            '"code": "rate_limit_exceeded"',
            status=429,
            headers={"retry-after": "2", "retry-after-ms": "1500"},
        )
    ],
    "server_error": [
        Row(fault.server_error(status=503), "That model is currently overloaded", status=503),
        Row(fault.server_error(status=502), "<h1>502</h1>", status=502, headers={"content-type": "text/html"}),
        Row(fault.server_error(), "The server had an error", stream=True, status=500),
    ],
    "http_error": [
        Row(fault.http_error(status=401), '"code": "invalid_api_key"', status=401),
        Row(fault.http_error(status=403), '"unsupported_country_region_territory"', status=403),
        Row(fault.http_error(status=422), '"message": "Unprocessable Entity"', status=422),
    ],
    "insufficient_quota": [Row(fault.insufficient_quota(), '"code": "insufficient_quota"', status=429)],
    "content_filtered": [Row(fault.content_filtered(), '"finish_reason": "content_filter"')],
    "refused": [Row(fault.refused(status=409, message="No.", code="x"), '"message": "No."', status=409)],
    "malformed_json": [
        Row(fault.malformed_json(), lambda seen: seen.body[: len(seen.body) * 2 // 3]),
        Row(fault.malformed_json(), of_frames(lambda frames: in_the_middle(frames, broken)), stream=True),
    ],
    "truncated_body": [
        Row(fault.truncated_body(), half, whole=False),
        Row(fault.truncated_body(how="rst"), half, whole=False, end="rst"),
        Row(fault.truncated_body(how="eof"), half),
        Row(fault.truncated_body(), of_frames(lambda frames: frames[: len(frames) // 2]), stream=True, whole=False),
    ],
    "empty_body": [
        Row(fault.empty_body(), nothing, headers={"content-length": "0"}),
        Row(fault.empty_body(), nothing, stream=True, headers={"content-type": "text/event-stream; charset=utf-8"}),
    ],
    "trickle": [
        Row(fault.trickle(interval_s=0.001), same),
        Row(fault.trickle(pieces=3, interval_s=0.001), same, stream=True),
    ],
    "html": [Row(fault.html(), "<!DOCTYPE html>", headers={"content-type": "text/html; charset=utf-8"})],
    "missing_field": [
        Row(fault.missing_field(field="choices.0.message"), with_json(lambda body: body["choices"][0].pop("message"))),
        Row(fault.missing_field(field="choices[0].delta"), of_frames(without_deltas), stream=True),
    ],
    "null_field": [Row(fault.null_field(field="usage"), with_json(lambda body: body.update(usage=None)))],
    "wrong_content_length": [
        Row(fault.wrong_content_length(delta=5), same, whole=False),
        Row(fault.wrong_content_length(delta=-5), same, whole=False),
        Row(fault.wrong_content_length(delta=7), same, stream=True, whole=False),
    ],
    "invalid_utf8": [
        Row(fault.invalid_utf8(), lambda seen: b"\xff".join(halves(seen.body))),
        Row(fault.invalid_utf8(), of_frames(lambda frames: in_the_middle(frames, with_ff)), stream=True),
    ],
    "corrupt_gzip": [Row(fault.corrupt_gzip(), "\x1f\x8b", headers={"content-encoding": "gzip"})],
    "latency": [Row(fault.latency(delay_s=0.001), same), Row(fault.latency(delay_s=0.001), same, stream=True)],
    "cut": [
        Row(fault.cut(at={"frame": 3}, how="rst"), of_frames(lambda f: f[:3]), stream=True, end="rst", whole=False),
        Row(fault.cut(at={"frame": 3}, how="fin"), of_frames(lambda f: f[:3]), stream=True, whole=False),
        Row(fault.cut(at={"frame": 3}, how="eof"), of_frames(lambda f: f[:3]), stream=True),
        Row(fault.cut(at={"frame": 0}, how="fin"), nothing, stream=True, whole=False),
        Row(fault.cut(at={"frame": 2, "byte": 9}, how="eof"), of_frames(lambda f: [*f[:2], f[2][:9]]), stream=True),
        Row(fault.cut(at="finish", how="eof"), until(b'"finish_reason":"stop"'), stream=True),
        Row(fault.cut(at="usage", how="eof"), until(b'"usage":{'), stream=True),
        Row(fault.cut(at="done", how="eof"), of_frames(lambda f: f[:-1]), stream=True),
        Row(fault.cut(at="utf8", how="eof"), lambda s: s.body[: s.body.index("ö".encode()) + 1], stream=True),
    ],
    "bad_chunk": [Row(fault.bad_chunk(at={"frame": 2}), of_frames(lambda f: f[:2]), stream=True, whole=False)],
    "stall": [
        Row(fault.stall(at={"frame": 2}), of_frames(lambda f: f[:2]), stream=True, end="silence", whole=False),
        Row(fault.stall(at={"frame": 2, "byte": 9}, stall_s=0.001), same, stream=True),
        Row(fault.stall(at="done", stall_s=0.001), same, stream=True),
    ],
    "drip": [
        Row(fault.drip(interval_s=0.0001), same, stream=True),
        Row(fault.drip(interval_s=0, size=7), same, stream=True),
    ],
    "error_event": [
        Row(
            fault.error_event(at={"frame": 2}),
            lambda seen: b"".join(seen.frames[:2]) + b'data: {"error":{"message":"The server had an error',
            stream=True,
        )
    ],
    "bare_error": [
        Row(fault.bare_error(at={"frame": 2}), told(b"event: error\ndata: "), stream=True),
        Row(fault.bare_error(at={"frame": 2, "byte": 9}, named=False), told(b"data: ", behind=3), stream=True),
    ],
    "filter_chunk": [
        Row(fault.filter_chunk(at={"frame": 3}), of_frames(lambda f: [*f[:3], ANNOTATION, *f[3:]]), stream=True)
    ],
    "bad_frame": [
        Row(fault.bad_frame(at={"frame": 1}), of_frames(lambda f: [f[0], broken(f[1]), *f[2:]]), stream=True),
        Row(
            fault.bad_frame(at={"frame": 1, "byte": 20}),
            of_frames(lambda f: [f[0], f[1][:20] + b"\n\n", *f[2:]]),
            stream=True,
        ),
    ],
    "no_blank_line": [Row(fault.no_blank_line(), of_frames(lambda f: [*f[:2], f[2][:-1], *f[3:]]), stream=True)],
    "no_data": [Row(fault.no_data(), of_frames(lambda f: [*f[:2], b"event: ping\n\n", *f[2:]]), stream=True)],
    "no_done": [Row(fault.no_done(), of_frames(lambda f: f[:-1]), stream=True)],
    "crlf": [Row(fault.crlf(), lambda seen: seen.body.replace(b"\n", b"\r\n"), stream=True)],
    "split_utf8": [Row(fault.split_utf8(interval_s=0.001), same, stream=True)],
    "comments": [
        Row(fault.comments(), of_frames(lambda f: [each for one in f for each in (COMMENT, one)]), stream=True)
    ],
    "keepalives_only": [
        Row(fault.keepalives_only(interval_s=0.001), lambda _: COMMENT * 3, stream=True, end="silence", whole=False)
    ],
    "duplicate": [Row(fault.duplicate(at={"frame": 2}), of_frames(lambda f: [*f[:3], *f[2:]]), stream=True)],
    "drop": [
        Row(fault.drop(at={"frame": 2}), of_frames(lambda f: [*f[:2], *f[3:]]), stream=True),
        Row(fault.drop(at="utf8"), of_frames(lambda f: [one for one in f if "ö".encode() not in one]), stream=True),
    ],
    "reorder": [Row(fault.reorder(at={"frame": 2}), of_frames(lambda f: [*f[:2], f[3], f[2], *f[4:]]), stream=True)],
    "hang": [
        Row(fault.hang(), nothing, end="silence", whole=False, status=0),
        Row(fault.hang(seconds=0.001), same),
        Row(fault.hang(seconds=0.001, where="headers"), same),
        Row(fault.hang(seconds=0.001, where="headers"), same, stream=True),
    ],
    "reset": [Row(fault.reset(), nothing, end="rst", whole=False, status=0)],
    "refuse": [Row(fault.refuse(seconds=0), nothing, end="rst", whole=False, status=0)],
    "close": [Row(fault.close(), nothing, whole=False, status=0)],
    "garbage": [Row(fault.garbage(), nothing, whole=False, status=0)],
    "close_idle": [Row(fault.close_idle(), same), Row(fault.close_idle(), same, stream=True)],
}


def halves(body: bytes) -> tuple[bytes, bytes]:
    at = len(body) // 2
    while 0x80 <= body[at] < 0xC0:
        at += 1
    return body[:at], body[at:]


def seen_with(server: MockServer, step: Step, *, stream: bool) -> Seen:
    server.reset()
    server.script(SAID & step)
    return ask(
        server,
        STREAM if stream else PLAIN,
        keep_alive=step.fault == "close_idle",
        patience_s=SILENCE_S if _waits(step) else 5,
    )


def _waits(step: Step) -> bool:
    options = step.spec()
    return options["fault"] in ("hang", "stall", "keepalives_only") and not options.keys() & {"seconds", "stall_s"}


def test_every_fault_has_a_row() -> None:
    assert sorted(ROWS) == faults.names()


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{name}-{index}") for name, rows in ROWS.items() for index, row in enumerate(rows)]
)
def test_a_socket_sees_exactly_the_fault(server: MockServer, row: Row) -> None:
    server.script(SAID)
    usual = ask(server, STREAM if row.stream else PLAIN)
    seen = seen_with(server, row.step, stream=row.stream)
    if isinstance(row.body, str):
        assert row.body.encode("latin-1" if row.body < "\x20" else "utf-8") in seen.body
    elif row.status:
        expected = row.body(usual)
        assert seen.body[: len(expected)] == expected
        assert len(seen.body) == len(expected) or row.step.fault in ("error_event", "bare_error")
    assert (seen.status, seen.end) == (row.status, row.end)
    assert {name: seen.header(name) for name in row.headers} == row.headers
    assert not row.status or seen.is_whole == row.whole
    assert server.journal[-1].fault == row.step.fault
    assert not any("did nothing" in miss for miss in server.journal[-1].misses)


def test_a_wrong_length_is_off_by_its_delta(server: MockServer) -> None:
    for delta in (5, -5):
        seen = seen_with(server, fault.wrong_content_length(delta=delta), stream=False)
        assert int(seen.header("content-length") or 0) == len(seen.body) + delta


def test_a_corrupt_gzip_cannot_be_unpacked(server: MockServer) -> None:
    seen = seen_with(server, fault.corrupt_gzip(), stream=False)
    with pytest.raises(zlib.error):
        zlib.decompress(seen.body, wbits=31)


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models")])
def test_a_trickling_body_takes_its_time(server: MockServer, method: str, path: str) -> None:
    server.script(fault.trickle(pieces=3, interval_s=0.01))
    body = json.dumps(PLAIN) if method == "POST" else None
    answer = httpx.request(method, server.url + path, headers={"authorization": "Bearer any"}, content=body)
    assert len(answer.content) == int(answer.headers["content-length"])
    assert answer.elapsed.total_seconds() >= 0.03


def test_a_hang_in_the_headers_sends_half_of_them(server: MockServer) -> None:
    seen = seen_with(server, fault.hang(where="headers"), stream=False)
    assert seen.end == "silence"
    assert seen.raw.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: ")
    assert b"\r\n\r\n" not in seen.raw


def test_garbage_is_no_http(server: MockServer) -> None:
    assert seen_with(server, fault.garbage(), stream=False).raw == b"SSH-2.0-OpenSSH_9.6\r\n"


def test_a_bad_chunk_has_no_size(server: MockServer) -> None:
    assert seen_with(server, fault.bad_chunk(), stream=True).raw.endswith(b"\r\nzz\r\n")


def test_an_idle_connection_is_closed_though_keep_alive_was_promised(server: MockServer) -> None:
    seen = seen_with(server, fault.close_idle(), stream=False)
    assert (seen.header("connection") or "keep-alive") == "keep-alive"
    assert seen.end == "fin"


def test_split_letters_come_in_two_chunks(server: MockServer) -> None:
    seen = seen_with(server, fault.split_utf8(interval_s=0.001), stream=True)
    assert re.search(rb"\xc3\r\n[0-9a-f]+\r\n\xb6", seen.raw)


def test_refused_connections_find_nobody_until_the_time_is_over(serve: Serve) -> None:
    server = serve(script=[fault.refuse(seconds=3600), reply("back")])
    server.clock.stop()
    assert ask(server, PLAIN).end == "rst"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=5)
    server.clock.advance(3600)
    assert b"back" in asked_until_open(server).body


def asked_until_open(server: MockServer) -> Seen:
    """What is seen as soon as somebody listens again; the clock wakes the server, which runs in another thread."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return ask(server, PLAIN)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
