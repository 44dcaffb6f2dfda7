from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.interaction import Response
from llmkit.recording.replies.content_coding import decoded


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


def _in_chunks(body: bytes, cuts: list[int]) -> tuple[tuple[int, int], ...]:
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return tuple((at, end - start) for at, (start, end) in enumerate(pairwise(places)))


@given(st.binary(min_size=1), st.sampled_from(sorted(CODERS)), st.lists(st.integers(min_value=0)), st.booleans())
def test_chunks_become_what_they_add_to_the_body(body: bytes, coding: str, cuts: list[int], is_cut: bool) -> None:
    coded = CODERS[coding](body)
    coded = coded[: len(coded) * 2 // 3] if is_cut else coded
    response = Response(status=200, headers={"content-encoding": [coding]}, body=coded, chunks=_in_chunks(coded, cuts))
    plain = decoded(response)
    assert plain.body == decoded(replace(response, chunks=())).body
    assert sum(length for _, length in plain.chunks) == len(plain.body)
    assert {at for at, _ in plain.chunks} <= {at for at, _ in response.chunks}
    assert "content-encoding" in plain.headers or all(length for _, length in plain.chunks)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_chunks_that_were_flushed_keep_their_boundaries_in_the_text(coding: str) -> None:
    coder: Any = {
        "gzip": zlib.compressobj(wbits=31),
        "deflate": zlib.compressobj(),
        "br": _Flushing(brotli.Compressor()),
        "zstd": _Flushing(zstandard.ZstdCompressor().compressobj()),
    }[coding]
    flush = {"zstd": (zstandard.COMPRESSOBJ_FLUSH_BLOCK,), "br": ()}.get(coding, (zlib.Z_SYNC_FLUSH,))
    texts = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"]
    pieces = [coder.compress(text) + coder.flush(*flush) for text in texts]
    chunks = tuple((at, len(piece)) for at, piece in enumerate(pieces))
    plain = decoded(Response(status=200, headers={"content-encoding": [coding]}, body=b"".join(pieces), chunks=chunks))
    assert plain.chunks == tuple((at, len(text)) for at, text in enumerate(texts))


class _Flushing:
    def __init__(self, coder: Any) -> None:
        self.compress = coder.compress if hasattr(coder, "compress") else coder.process
        self.flush = coder.flush


def test_when_a_body_broke_off_is_kept_as_a_chunk_of_nothing() -> None:
    body = gzip.compress(b"hello")
    plain = decoded(
        Response(
            status=200,
            headers={"content-encoding": ["gzip"]},
            body=body,
            ended="cancelled",
            chunks=((5, len(body)), (9, 0)),
        )
    )
    assert plain.chunks == ((5, 5), (9, 0))


@given(st.binary(min_size=1, max_size=300), st.integers(0, 30), st.lists(st.integers(min_value=0)))
def test_a_damaged_body_is_never_half_decoded_for_its_chunks(body: bytes, place: int, cuts: list[int]) -> None:
    coded = bytearray(gzip.compress(body))
    coded[place % len(coded)] ^= 0xFF
    response = Response(status=200, headers={"content-encoding": ["gzip"]}, body=bytes(coded))
    whole = decoded(response)
    assert decoded(replace(response, chunks=_in_chunks(bytes(coded), cuts))).body == whole.body


def test_what_tells_that_a_reply_came_in_chunks_stays() -> None:
    response = Response(status=200, headers={"Transfer-Encoding": ["chunked"], "Content-Length": ["5"]}, body=b"hello")
    assert decoded(response).headers == {"Transfer-Encoding": ["chunked"]}
