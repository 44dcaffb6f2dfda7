"""A cassette's interactions in a form that loads ten times as fast as its YAML, derived from it and safe to delete.

Each file lies in the user's cache directory (``LLMKIT_CACHE_DIR``, else below ``XDG_CACHE_HOME`` or ``~/.cache``),
under a hash of the cassette's bytes and of all that its contents were made with, so that a stale one is never found. It
is JSON: what someone else put there can be wrong, but runs no code.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from llmkit.recording.interaction import Interaction, Request, Response

Keyed = tuple[str, Interaction]
"""An interaction as it is compared and played, and the key of its request."""

_TEMPORARY = "index-"
_OURS = re.compile(rf"[0-9a-f]{{40}}\.json|{_TEMPORARY}.*\.tmp")
_KEPT_S = 30 * 24 * 3600.0
_FORMAT = "index/3"  # to be raised whenever a cassette is read, or a request scrubbed or compared, in another way


def keyed(
    raw: bytes,
    made_with: Sequence[str],
    make: Callable[[], list[Keyed]],
    *,
    may_keep: Callable[[list[Keyed]], bool] = lambda _: True,
) -> list[Keyed]:
    """Return what ``make`` returns for the cassette whose bytes are ``raw``, from the index if it is there.

    ``made_with`` is all else that the result depends on; ``may_keep`` forbids to copy what must not be. A directory
    that can't be had or written costs only time.
    """
    directory = _directory()
    if directory is None:
        return make()
    place = directory / f"{_digest(raw, made_with)}.json"
    found = _read(place)
    if found is None:
        found = make()
        if may_keep(found):
            with contextlib.suppress(OSError):
                _write(place, found)
    return found


def _digest(raw: bytes, made_with: Sequence[str]) -> str:
    digest = hashlib.blake2b(raw, digest_size=20)
    digest.update(json.dumps([_FORMAT, *made_with]).encode())
    return digest.hexdigest()


def _directory() -> Path | None:
    if named := os.environ.get("LLMKIT_CACHE_DIR"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return (Path(base) if base else Path("~/.cache").expanduser()) / "llmkit" / "cassettes"
    except RuntimeError:  # no HOME, and a user id that the system has no entry for, as in many containers
        return None


def _read(place: Path) -> list[Keyed] | None:
    try:
        checksum, _, rows = place.read_bytes().partition(b"\n")
        return [_from_row(row) for row in json.loads(rows)] if checksum == _checksum(rows) else None
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None


def _write(place: Path, found: list[Keyed]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _forget_old(place.parent)
    rows = json.dumps([_row(*one) for one in found], separators=(",", ":")).encode("ascii")
    descriptor, temporary = tempfile.mkstemp(dir=place.parent, prefix=_TEMPORARY, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_checksum(rows) + b"\n" + rows)
        Path(temporary).replace(place)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _checksum(rows: bytes) -> bytes:
    """Return what shows that ``rows`` are as they were written: what is damaged is read as if it were not there."""
    return hashlib.blake2b(rows, digest_size=16).hexdigest().encode("ascii")


@lru_cache(maxsize=1)  # once a process: a directory of thousands is not gone through for each of them
def _forget_old(directory: Path) -> None:
    """Delete what was derived a month ago: the cassettes it was derived from may be long gone."""
    oldest = time.time() - _KEPT_S
    for place in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process forgets it, too
            if _OURS.fullmatch(place.name) and place.stat().st_mtime < oldest:
                place.unlink()


def _row(key: str, interaction: Interaction) -> list[Any]:
    request, response = interaction.request, interaction.response
    asked = [request.method, request.uri, request.headers, _text(request.body)]
    head = [response.status, response.reason, response.headers, _text(response.body), response.ended]
    return [key, *asked, *head, response.headers_ms, response.chunks, interaction.recorded_at, interaction.test]


def _from_row(row: list[Any]) -> Keyed:
    key, method, uri, asked_headers, asked_body, *reply = row
    status, reason, headers, body, ended, headers_ms, chunks, recorded_at, test = reply
    request = Request(method=method, uri=uri, headers=asked_headers, body=_bytes(asked_body))
    response = Response(
        status=status,
        reason=reason,
        headers=headers,
        body=_bytes(body),
        ended=ended,
        headers_ms=headers_ms,
        chunks=tuple((at_ms, length) for at_ms, length in chunks),
    )
    return key, Interaction(request=request, response=response, recorded_at=recorded_at, test=test)


def _text(body: bytes) -> str | list[str]:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return [base64.b64encode(body).decode("ascii")]


def _bytes(text: str | list[str]) -> bytes:
    return text.encode("utf-8") if isinstance(text, str) else base64.b64decode(text[0])
