from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.interaction import Response
from llmkit.recording.interception.wire import Heard, Overheard, as_sent, framed

pieces = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
CUT_OFF = "aborted: IncompleteRead: the connection ended after 5 bytes of the body"
CHUNKED = {"Transfer-Encoding": ["chunked"]}


class _Pieces(Heard):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        super().add(piece)
        self.pieces.append(piece)


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def _wire(response: Response) -> bytes:
    return b"".join(data for _, data in as_sent(response, "POST", 0.0)).partition(b"\r\n\r\n")[2]


@given(pieces, st.lists(st.integers(min_value=0)))
def test_chunks_are_heard_as_they_were_sent_however_they_arrive(sent: list[bytes], cuts: list[int]) -> None:
    body = b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in sent) + b"0\r\nTrailer: x\r\n\r\n"
    overheard = Overheard(heard := _Pieces(), is_chunked=True, length=None)
    for data in _cut(body, cuts):
        overheard.feed(data)
    assert heard.pieces == sent
    assert overheard.is_over
    assert heard.response.ended == ""


@given(pieces.filter(bool), st.lists(st.integers(min_value=0)), st.booleans())
def test_what_is_replayed_is_heard_as_it_was_recorded(sent: list[bytes], cuts: list[int], is_broken: bool) -> None:
    response = Response(
        status=200,
        headers=CHUNKED,
        body=b"".join(sent),
        chunks=tuple((0, len(piece)) for piece in sent),
        ended="aborted: X: y" if is_broken else "",
    )
    overheard = Overheard(heard := _Pieces(), is_chunked=True, length=None)
    for data in _cut(_wire(response), cuts):
        overheard.feed(data)
    overheard.end()
    assert heard.pieces == sent
    assert heard.response.ended.startswith("aborted") is is_broken


def test_a_body_with_a_length_is_over_with_its_last_byte() -> None:
    overheard = Overheard(heard := Heard(), is_chunked=False, length=5)
    overheard.feed(b"hel")
    before = overheard.is_over
    overheard.feed(b"lo")
    assert [before, overheard.is_over] == [False, True]
    assert heard.response.body == b"hello"


def test_a_body_without_a_length_is_over_with_the_connection() -> None:
    overheard = Overheard(heard := Heard(), is_chunked=False, length=None)
    overheard.feed(b"hello")
    overheard.end()
    assert heard.response.ended == ""


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (None, f"{CUT_OFF}, 2 bytes before the end of a chunk"),
        (TimeoutError("slow"), "timeout: TimeoutError: slow"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
def test_a_body_that_breaks_off_keeps_what_came_of_its_last_chunk(error: BaseException | None, ended: str) -> None:
    overheard = Overheard(heard := Heard(), is_chunked=True, length=None)
    overheard.feed(b"2\r\nab\r\n5\r\ncde")
    overheard.end(error)
    assert (heard.response.body, heard.response.ended) == (b"abcde", ended)


def test_a_client_that_hangs_up_inside_a_chunk_keeps_what_came_of_it() -> None:
    overheard = Overheard(heard := Heard(), is_chunked=True, length=None)
    overheard.feed(b"5\r\nabc")
    overheard.leave()
    assert (heard.response.body, heard.response.ended) == (b"abc", "closed")


def test_a_chunk_without_a_size_breaks_the_body_off() -> None:
    overheard = Overheard(heard := Heard(), is_chunked=True, length=None)
    overheard.feed(b"2\r\nab\r\nno size\r\n")
    assert overheard.is_over
    assert heard.response.ended.startswith("aborted: ValueError: ")


@pytest.mark.parametrize(
    ("response", "method", "expected"),
    [
        (Response(status=200, body=b"hello"), "GET", [("Content-Length", "5")]),
        (Response(status=200, body=b"hello", ended="closed"), "GET", [("Content-Length", "6")]),
        (Response(status=200, body=b"hello", headers=CHUNKED), "GET", [("Transfer-Encoding", "chunked")]),
        (Response(status=200), "GET", [("Content-Length", "0")]),
        (Response(status=204), "GET", []),
        (Response(status=200), "HEAD", []),
        (Response(status=200, headers={"Content-Length": ["9"]}), "HEAD", [("Content-Length", "9")]),
        (Response(status=200, headers=CHUNKED), "HEAD", []),
    ],
)
def test_the_headers_go_with_the_body_as_it_is_now(
    response: Response, method: str, expected: list[tuple[str, str]]
) -> None:
    assert framed(response, method) == expected


def test_a_chunk_that_was_cut_off_is_cut_off_again() -> None:
    sent = b"2\r\nab\r\n5\r\ncde"
    overheard = Overheard(heard := _Pieces(), is_chunked=True, length=None)
    overheard.feed(sent)
    overheard.end()
    chunks = tuple((0, len(piece)) for piece in heard.pieces)
    assert _wire(replace(heard.response, headers=CHUNKED, chunks=chunks)) == sent


STREAM = {"Content-Type": ["text/event-stream; charset=utf-8"]}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, ("Transfer-Encoding", "chunked")),
        ({"Connection": ["keep-alive"]}, ("Transfer-Encoding", "chunked")),
        ({"Transfer-Encoding": ["chunked"], "Connection": ["close"]}, ("Transfer-Encoding", "chunked")),
        ({"Content-Length": ["9"]}, ("Content-Length", "9")),
        ({"Connection": ["close"]}, None),
    ],
)
@pytest.mark.parametrize("ended", ["", "reset: ReadError: "])
def test_events_are_framed_as_they_were_and_in_chunks_where_nothing_says(
    said: dict[str, list[str]], expected: tuple[str, str] | None, ended: str
) -> None:
    response = Response(status=200, body=b"data: x\n\n", headers={**STREAM, **said}, ended=ended)
    framing = [one for one in framed(response, "POST") if one[0] in ("Transfer-Encoding", "Content-Length")]
    if ended and expected == ("Content-Length", "9"):
        expected = ("Content-Length", "10")
    assert framing == ([expected] if expected else [])
