"""Multipart forms, as uploads of files and audio come in: fields as JSON has them, files apart."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.multipart import BodyPartReader
from multidict import CIMultiDict

from mockserver.wire import readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file of a form."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Form:
    """Fields by name (`a[b]` is a key of `a`, `a[]` an item of it; values are texts), and files by name, in order."""

    fields: dict[str, Any]
    files: Mapping[str, tuple[Upload, ...]]


def is_form(content_type: str) -> bool:
    """Whether a body of this Content-Type is a multipart form."""
    return content_type.lower().startswith("multipart/form-data")


async def parse_form(raw: bytes, content_type: str) -> Form:
    """The form in `raw`; ValueError for what is none."""
    fields: dict[str, Any] = {}
    files: dict[str, tuple[Upload, ...]] = {}
    async for part, content in _parts(raw, content_type):
        name = readable(part.name or "")
        if part.filename is None:
            _put(fields, name, content.decode("utf-8"))
        else:
            kind = part.headers.get("content-type", "application/octet-stream")
            upload = Upload(filename=readable(part.filename), content_type=readable(kind), content=content)
            name = name.removesuffix("[]")
            files[name] = (*files.get(name, ()), upload)
    return Form(fields, files)


async def _parts(raw: bytes, content_type: str) -> AsyncIterator[tuple[BodyPartReader, bytes]]:
    # all of it is fed at once: a stream that is over its limit wants to pause a connection, and there is none
    stream = aiohttp.StreamReader(BaseProtocol(asyncio.get_running_loop()), limit=max(len(raw), 2**16))
    stream.feed_data(raw)
    stream.feed_eof()
    try:
        reader = aiohttp.MultipartReader(CIMultiDict({"content-type": content_type}), stream)
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise ValueError("a form in a form")  # noqa: TRY004 - a body of the wrong kind is a wrong value
            yield part, bytes(await part.read(decode=False))
    except (AssertionError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError) as exc:
        raise ValueError(f"this is no multipart form: {exc}") from exc


def _put(fields: dict[str, Any], name: str, value: str) -> None:
    """Enter one field: `a`, `a[]` or `a[b]`, one level deep as the SDKs write them."""
    base, bracket, rest = name.partition("[")
    key = rest.removesuffix("]")
    if not bracket:
        fields[name] = value
    elif not key:
        items = fields.setdefault(base, [])
        if isinstance(items, list):
            items.append(value)
    else:
        entries = fields.setdefault(base, {})
        if isinstance(entries, dict):
            entries[key] = value
