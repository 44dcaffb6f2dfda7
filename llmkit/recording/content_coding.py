"""Undoing Content-Encoding, so that a cassette shows the text and not its compression.

See https://www.rfc-editor.org/rfc/rfc9110#name-content-codings. A body that broke off is decoded as far as it goes.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from llmkit.recording.interaction import Response

_GONE_WHEN_DECODED = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def decoded(response: Response) -> Response:
    """Return ``response`` with its body decoded and the headers that told of its coding and length gone.

    A coding that this installation can't undo is left as it is, with its headers.
    """
    if not response.body:
        return response  # a reply to HEAD, say, whose headers tell of the body that GET would bring
    codings = [coding.strip().lower() for coding in _header(response, "content-encoding").split(",") if coding.strip()]
    body = response.body
    for coding in reversed(codings):
        undo = _DECODERS.get(coding)
        plain = undo(body) if undo else None
        if plain is None:
            return response
        body = plain
    headers = {name: values for name, values in response.headers.items() if name.lower() not in _GONE_WHEN_DECODED}
    return replace(response, body=body, headers=headers)


def _header(response: Response, name: str) -> str:
    return ",".join(value for key, values in response.headers.items() if key.lower() == name for value in values)


def _gunzip(body: bytes) -> bytes | None:
    return _inflate(body, zlib.MAX_WBITS | 32)


def _inflate_deflate(body: bytes) -> bytes | None:
    plain = _inflate(body, zlib.MAX_WBITS)
    return _inflate(body, -zlib.MAX_WBITS) if plain is None else plain  # some servers leave out the zlib header


def _inflate(body: bytes, wbits: int) -> bytes | None:
    plain = b""
    try:
        while body:  # a gzip body may have several members
            decoder = zlib.decompressobj(wbits)
            plain += decoder.decompress(body)
            body = decoder.unused_data
    except zlib.error:
        return plain or None
    return plain


def _unbrotli(body: bytes) -> bytes | None:
    for name in ("brotli", "brotlicffi"):
        try:
            brotli = importlib.import_module(name)
        except ImportError:
            continue
        try:
            return bytes(brotli.decompress(body))
        except brotli.error:
            return None
    return None


def _unzstd(body: bytes) -> bytes | None:
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError:
        return None
    try:
        return bytes(zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(body))
    except zstandard.ZstdError:
        return None


_DECODERS: Mapping[str, Callable[[bytes], bytes | None]] = {
    "br": _unbrotli,
    "deflate": _inflate_deflate,
    "gzip": _gunzip,
    "identity": bytes,
    "x-gzip": _gunzip,
    "zstd": _unzstd,
}
