"""HTTP/1.1 of the plainest kind: requests that can be read at a glance, and answers that go out in one write.

What is not plain is for aiohttp to read: see `mockserver.front`. https://www.rfc-editor.org/rfc/rfc9112
"""

import re
from http import HTTPStatus
from typing import NamedTuple

from aiohttp.helpers import rfc822_formatted_time

from mockserver.answers import Answer, chunk_of

_MOST_HEAD = 16 * 1024
_MOST_BODY = 1024 * 1024

_REQUEST_LINE = re.compile(rb"POST (/[!-$&->@-~]*)(?:\?([!-$&'-*,-~]*(?:&[!-$&'-*,-~]*)*))? HTTP/1\.1\r\n")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~]*?)[ \t]*\r\n")
_UNUSUAL = frozenset({"transfer-encoding", "expect", "upgrade", "content-encoding", "connection", "trailer", "te"})
_BODILESS = frozenset({204, 304})
# what aiohttp writes by itself, unless an answer has its own word on it
_OWN = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection", "date"})
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Unusual(Exception):
    """A request that is not plain, or none at all."""


class Plain(NamedTuple):
    """A POST with a body of known length, all of it here; `size` is how many bytes it took."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    size: int


def parse(data: bytes) -> Plain | None:
    """The request at the beginning of `data`, None if more of it is to come; Unusual for what is not plain."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > _MOST_HEAD or not data.startswith(b"POST /"[: len(data)]):
            raise Unusual
        return None
    line = _REQUEST_LINE.match(data)
    if line is None:
        raise Unusual
    headers = _headers(data[line.end() : end + 2])
    begin, length = end + 4, _length(headers)
    if len(data) - begin < length:
        return None
    body = data[begin : begin + length]
    return Plain(line[1].decode("ascii"), _query(line[2]), headers, body, begin + length)


def _headers(raw: bytes) -> dict[str, str]:
    """The headers by their names in lower case; none may come twice, and none may ask for something unusual."""
    headers: dict[str, str] = {}
    position = 0
    for found in _HEADER.finditer(raw):
        name = found[1].decode("ascii").lower()
        if found.start() != position or name in headers or name in _UNUSUAL:
            if name == "connection" and found[2].lower() == b"keep-alive":
                position = found.end()
                continue
            raise Unusual
        headers[name] = found[2].decode("ascii")
        position = found.end()
    if position != len(raw) or "host" not in headers:
        raise Unusual
    return headers


def _length(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "")
    if not (text.isascii() and text.isdigit()) or len(text) > 7 or int(text) > _MOST_BODY:
        raise Unusual
    return int(text)


def _query(raw: bytes | None) -> dict[str, str]:
    """The parameters of a query in which nothing is escaped."""
    query: dict[str, str] = {}
    for part in raw.decode("ascii").split("&") if raw else ():
        name, _, value = part.partition("=")
        if name in query or not name:
            raise Unusual
        query[name] = value
    return query


def is_plain(answer: Answer) -> bool:
    """Whether `answer` is HTTP of the plainest kind: it may wait, but nothing breaks, and no header is about HTTP."""
    breaks = answer.headless or answer.ending != "whole" or answer.full_length is not None
    acts_on_more = answer.idle_close_s is not None or answer.shut_s is not None
    has_body = answer.status >= 200 and answer.status not in _BODILESS
    has_own = "content-type" not in answer.headers or not _OWN.isdisjoint(map(str.lower, answer.headers))
    return has_body and not breaks and not acts_on_more and not has_own


def waits(answer: Answer) -> bool:
    """Whether `answer` takes its time."""
    return bool(answer.delay_s) or any(frame.wait_s for frame in answer.frames)


def render(answer: Answer) -> bytes:
    """A plain answer as it goes over the socket, without its waits; the events of a stream are a chunk each."""
    if answer.streamed:
        chunks = [b"%x\r\n%b\r\n" % (len(data), data) for data, _ in answer.frames if data]
        return plain_head(answer) + b"".join(chunks) + chunk_of(b"")
    return plain_head(answer) + answer.body


def plain_head(answer: Answer) -> bytes:
    """Status line and headers of a plain answer."""
    status = answer.status
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in answer.safe_headers.items()]
    lines.append(f"date: {rfc822_formatted_time()}\r\n")
    if answer.streamed:
        lines.append("transfer-encoding: chunked\r\n\r\n")
    else:
        lines.append(f"content-length: {sum(len(data) for data, _ in answer.frames)}\r\n\r\n")
    return "".join(lines).encode("utf-8", "surrogateescape")
