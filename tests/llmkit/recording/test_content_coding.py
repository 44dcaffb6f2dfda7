from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.content_coding import decoded
from llmkit.recording.interaction import Response


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "br": brotli.compress,
    "deflate": zlib.compress,
    "gzip": gzip.compress,
    "identity": bytes,
    "x-gzip": gzip.compress,
    "zstd": zstandard.compress,
}


@given(st.binary(min_size=1), st.sampled_from(sorted(CODERS)))
def test_a_coded_body_comes_back_plain(body: bytes, coding: str) -> None:
    headers = {"Content-Encoding": [coding], "Content-Length": ["1"], "x": ["y"]}
    assert decoded(Response(status=200, headers=headers, body=CODERS[coding](body))) == Response(
        status=200, headers={"x": ["y"]}, body=body
    )


def test_a_body_of_several_gzip_members_comes_back_whole() -> None:
    body = gzip.compress(b"first ") + gzip.compress(b"second")
    assert decoded(Response(status=200, headers={"content-encoding": ["gzip"]}, body=body)).body == b"first second"


def test_a_reply_without_a_body_keeps_what_its_headers_say_of_one() -> None:
    head = Response(status=200, headers={"Content-Encoding": ["gzip"], "Content-Length": ["1234"]})
    assert decoded(head) == head


def test_deflate_without_its_header_is_understood() -> None:
    response = Response(status=200, headers={"content-encoding": ["deflate"]}, body=_raw_deflate(b"hello"))
    assert decoded(response).body == b"hello"


def test_codings_are_undone_from_the_last_to_the_first() -> None:
    body = zlib.compress(gzip.compress(b"hello"))
    assert decoded(Response(status=200, headers={"content-encoding": ["gzip, deflate"]}, body=body)).body == b"hello"


def test_a_body_that_broke_off_is_decoded_as_far_as_it_goes() -> None:
    body = gzip.compress(b"a" * 100_000 + bytes(range(256)) * 40)
    plain = decoded(Response(status=200, headers={"content-encoding": ["gzip"]}, body=body[: len(body) // 2])).body
    assert plain
    assert set(plain[:50_000]) == {ord("a")}


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", b"not gzip"), ("deflate", b"\xff\xff"), ("br", b"\xff\xff"), ("zstd", b"no"), ("rot13", b"uryyb")],
)
def test_what_cannot_be_undone_stays_as_it_is(coding: str, body: bytes) -> None:
    response = Response(status=200, headers={"content-encoding": [coding]}, body=body)
    assert decoded(response) == response
