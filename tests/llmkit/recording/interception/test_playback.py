from __future__ import annotations

import aiohttp
import httpx
import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.interaction import Response
from llmkit.recording.interception.playback import end_delay_s, ended_as, error_of, head_delay_s, kind_of, pieces

bodies = st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=20)), max_size=8)


def _response(arrived: list[tuple[int, bytes]], *, rest: bytes = b"", ended: str = "") -> Response:
    arrived = sorted(arrived, key=lambda one: one[0])
    body = b"".join(piece for _, piece in arrived) + rest
    chunks = tuple((at_ms, len(piece)) for at_ms, piece in arrived)
    return Response(status=200, body=body, chunks=chunks, headers_ms=7, ended=ended)


@given(bodies, st.binary(max_size=5), st.sampled_from([0.0, 0.5, 1.0, 100.0]))
def test_the_pieces_are_the_body_and_never_empty(arrived: list[tuple[int, bytes]], rest: bytes, speed: float) -> None:
    response = _response(arrived, rest=rest)
    played = list(pieces(response, speed))
    assert b"".join(piece for _, piece in played) == response.body
    assert all(delay_s >= 0 and piece for delay_s, piece in played)


@given(bodies)
def test_twice_the_speed_is_half_the_wait_and_none_is_no_wait(arrived: list[tuple[int, bytes]]) -> None:
    response = _response(arrived)
    waits = {speed: sum(delay_s for delay_s, _ in pieces(response, speed)) for speed in (0.0, 1.0, 2.0)}
    assert waits[0.0] == 0
    assert waits[2.0] == pytest.approx(waits[1.0] / 2)


def test_each_piece_comes_when_it_came() -> None:
    response = _response([(10, b"a"), (30, b"bc")])
    assert [piece for _, piece in pieces(response, 1.0)] == [b"a", b"bc"]
    assert [delay_s for delay_s, _ in pieces(response, 1.0)] == pytest.approx([0.003, 0.02])
    assert head_delay_s(response, 1.0) == pytest.approx(0.007)
    assert head_delay_s(response, 0.0) == 0


def test_a_body_without_chunks_is_one_piece() -> None:
    assert list(pieces(Response(status=200, body=b"all"), 1.0)) == [(0.0, b"all")]


def test_a_chunk_longer_than_the_body_brings_what_there_is() -> None:
    assert list(pieces(Response(status=200, body=b"abc", chunks=((1, 2), (2, 9), (3, 4))), 0.0)) == [
        (0.0, b"ab"),
        (0.0, b"c"),
    ]


def test_the_end_comes_when_it_came() -> None:
    broken = _response([(10, b"a"), (30, b"")], ended="reset: ReadError: x")
    assert end_delay_s(broken, 2.0) == pytest.approx(0.01)
    assert end_delay_s(broken, 0.0) == 0
    assert end_delay_s(_response([(10, b"a")]), 1.0) == 0


def test_a_wait_that_was_cancelled_is_long_enough_to_be_cancelled_again_at_any_speed() -> None:
    cancelled = _response([(10, b"a"), (3000, b"")], ended="cancelled")
    assert end_delay_s(cancelled, 0.0) == end_delay_s(cancelled, 100.0) == 7.0
    assert end_delay_s(Response(status=200, ended="cancelled"), 0.0) == 1.0


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (httpx.RemoteProtocolError("peer closed"), "aborted: RemoteProtocolError: peer closed"),
        (httpx.ReadError("gone"), "reset: ReadError: gone"),
        (httpx.ReadTimeout("slow"), "timeout: ReadTimeout: slow"),
        (ConnectionResetError(104, "by peer"), "reset: ConnectionResetError: [Errno 104] by peer"),
        (TimeoutError("timed out"), "timeout: TimeoutError: timed out"),
        (aiohttp.SocketTimeoutError("slow"), "timeout: SocketTimeoutError: slow"),
        (aiohttp.ClientPayloadError("cut"), "aborted: ClientPayloadError: cut"),
        (urllib3.exceptions.ProtocolError("cut"), "aborted: ProtocolError: cut"),
    ],
)
def test_an_error_of_any_client_is_written_with_its_kind(error: Exception, ended: str) -> None:
    response = Response(status=200, ended=ended)
    assert ended_as(error) == ended
    assert kind_of(response) == ended.split(":")[0]
    assert error_of(response) == (type(error).__name__, str(error))


def test_what_caused_an_error_tells_its_kind() -> None:
    error = urllib3.exceptions.ProtocolError("Connection broken")
    error.__cause__ = ConnectionResetError()
    assert ended_as(error).startswith("reset: ProtocolError: ")


@pytest.mark.parametrize("ended", ["", "closed", "cancelled"])
def test_an_end_without_an_error_is_its_own_kind(ended: str) -> None:
    assert kind_of(Response(status=200, ended=ended)) == ended


def test_an_error_written_without_a_kind_is_an_abort() -> None:
    old = Response(status=200, ended="RemoteProtocolError: peer closed: early")
    assert kind_of(old) == "aborted"
    assert error_of(old) == ("RemoteProtocolError", "peer closed: early")
