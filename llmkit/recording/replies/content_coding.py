"""Undoing Content-Encoding, so that a cassette shows the text and not its compression.

See https://www.rfc-editor.org/rfc/rfc9110#name-content-codings. A body that broke off is decoded as far as it goes, and
each chunk becomes what it adds to the text.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from llmkit.recording.interaction import Chunk, Response

_GONE_WHEN_DECODED = frozenset({"content-encoding", "content-length"})


class _Decoder(Protocol):
    """Undoes one member (gzip's word) of a coding, fed piece by piece, as zlib's ``decompressobj`` does."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def decoded(response: Response) -> Response:
    """Return ``response`` with its body and chunks decoded, and the headers that told of its coding and length gone.

    A coding that this installation can't undo, or that the body is not in, is left as it is, with its headers.
    """
    if not response.body:
        return response  # a reply to HEAD, say, whose headers tell of the body that GET would bring
    codings = [coding.strip().lower() for coding in _header(response, "content-encoding").split(",") if coding.strip()]
    pieces = list(_pieces(response))
    for coding in reversed(codings):
        plain = _undone(coding, pieces)
        if plain is None:
            return response
        pieces = plain
    headers = {name: values for name, values in response.headers.items() if name.lower() not in _GONE_WHEN_DECODED}
    return replace(response, body=b"".join(pieces), headers=headers, chunks=_chunks(response, pieces))


def _pieces(response: Response) -> Iterator[bytes]:
    """Yield what each chunk brought; the last one, all that no chunk tells of."""
    start = 0
    for _, length in response.chunks[:-1]:
        yield response.body[start : start + length]
        start += length
    yield response.body[start:]


def _chunks(response: Response, pieces: Sequence[bytes]) -> tuple[Chunk, ...]:
    """Return the chunks that brought ``pieces``; one that added nothing is left out, unless it tells when it ended."""
    arrived = [(at_ms, len(piece)) for (at_ms, _), piece in zip(response.chunks, pieces, strict=False)]
    last = [(at_ms, 0) for at_ms, length in response.chunks[-1:] if length == 0 and arrived[-1][1] == 0]
    return (*(chunk for chunk in arrived if chunk[1]), *last)


def _header(response: Response, name: str) -> str:
    return ",".join(value for key, values in response.headers.items() if key.lower() == name for value in values)


def _undone(coding: str, pieces: Sequence[bytes]) -> list[bytes] | None:
    """Return what each of ``pieces`` adds when ``coding`` is undone; None where that can't be."""
    if coding == "identity":
        return list(pieces)
    for new_decoder in _DECODERS.get(coding, list)():
        plain = _decoded(new_decoder, pieces)
        if plain is not None:
            return plain
    return None


def _decoded(new_decoder: Callable[[], _Decoder], pieces: Sequence[bytes]) -> list[bytes] | None:
    """Decode one member after the other; what follows the last whole one and is none, is left out."""
    plain: list[bytes] = []
    whole: list[bytes] | None = None  # what there was when a member ended
    decoder = new_decoder()
    try:
        for piece in pieces:
            plain.append(b"")
            rest = piece
            while rest:
                if decoder.eof:
                    decoder = new_decoder()
                plain[-1] += decoder.decompress(rest)
                rest = decoder.unused_data if decoder.eof else b""
                whole = list(plain) if decoder.eof else whole
    except _errors():
        plain = whole or []
    if whole is None and not any(plain):
        return None
    return plain + [b""] * (len(pieces) - len(plain))


def _errors() -> tuple[type[Exception], ...]:
    brotli, zstandard = _brotli(), _installed("zstandard")
    return (zlib.error, *([brotli.error] if brotli else []), *([zstandard.ZstdError] if zstandard else []))


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _brotli() -> Any:
    return _installed("brotli") or _installed("brotlicffi")


class _Brotli:
    """One body in brotli, which knows no members."""

    unused_data = b""

    def __init__(self) -> None:
        self._decompressor = _brotli().Decompressor()

    @property
    def eof(self) -> bool:
        return bool(self._decompressor.is_finished())

    def decompress(self, data: bytes, /) -> bytes:
        return bytes(self._decompressor.process(data))


_Ways = Callable[[], list[Callable[[], _Decoder]]]


def _gunzip() -> list[Callable[[], _Decoder]]:
    return [lambda: zlib.decompressobj(zlib.MAX_WBITS | 32)]


def _inflate() -> list[Callable[[], _Decoder]]:
    # some servers leave out the zlib header
    return [lambda: zlib.decompressobj(zlib.MAX_WBITS), lambda: zlib.decompressobj(-zlib.MAX_WBITS)]


def _unbrotli() -> list[Callable[[], _Decoder]]:
    return [_Brotli] if _brotli() else []


def _unzstd() -> list[Callable[[], _Decoder]]:
    zstandard = _installed("zstandard")
    return [lambda: zstandard.ZstdDecompressor().decompressobj()] if zstandard else []


_DECODERS: Mapping[str, _Ways] = {
    "br": _unbrotli,
    "deflate": _inflate,
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "zstd": _unzstd,
}
