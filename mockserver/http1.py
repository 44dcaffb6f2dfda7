"""HTTP/1.1 of the plainest kind: requests that can be read at a glance, and answers that go out in one write.

What is not plain is for aiohttp to read: see `mockserver.front`. https://www.rfc-editor.org/rfc/rfc9112
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from aiohttp.helpers import rfc822_formatted_time

from mockserver.answers import Answer, chunk_of

_MOST_HEAD = 16 * 1024
_MOST_BODY = 1024 * 1024
_MOST_HEADS = 512  # remembered: clients whose heads are new each time must not fill the memory

_REQUEST_LINE = re.compile(rb"POST (/[!-$&->@-~]*)(?:\?([!-$&'-*,-~]*(?:&[!-$&'-*,-~]*)*))? HTTP/1\.1\r\n")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~]*?)[ \t]*\r\n")
_CONTENT_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength:[ \t]*([0-9]{1,7})[ \t]*\r\n")
# a second length, or one that is spelt in another way, is not plain
_UNUSUAL = frozenset(
    {"content-length", "transfer-encoding", "expect", "upgrade", "content-encoding", "connection", "trailer", "te"}
)
_BODILESS = frozenset({204, 304})
# what aiohttp writes by itself, unless an answer has its own word on it
_OWN = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection", "date"})
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Unusual(Exception):
    """A request that is not plain, or none at all."""


@dataclass(slots=True, eq=False)
class Head:
    """What stands before a body, but for its length; clients send the same again and again.

    `seen` is how often it came. `memory` is for whoever answers it.
    """

    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    seen: int = 0
    memory: dict[Any, Any] = field(default_factory=dict, repr=False)


Heads = dict[bytes, Head]


class Plain(NamedTuple):
    """A POST with a body of known length, all of it here; `size` is how many bytes it took."""

    head: Head
    body: bytes
    size: int

    @property
    def headers(self) -> dict[str, str]:
        """Its headers by their names in lower case, the body's length among them."""
        return {**self.head.headers, "content-length": str(len(self.body))}


def parse(data: bytes, known: Heads) -> Plain | None:
    """The request at the beginning of `data`, None if more of it is to come; Unusual for what is not plain.

    `known` are the heads that came before; this one is added.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > _MOST_HEAD or not data.startswith(b"POST /"[: len(data)]):
            raise Unusual
        return None
    stated = _CONTENT_LENGTH.search(data, 0, end + 2)
    if stated is None:
        raise Unusual
    begin, length = end + 4, int(stated[1])
    if length > _MOST_BODY:
        raise Unusual
    rest = data[: stated.start()] + data[stated.end() - 2 : end + 2]
    head = known.get(rest) or _remember(rest, known)
    if len(data) - begin < length:
        return None
    head.seen += 1
    return Plain(head, data[begin : begin + length], begin + length)


def _remember(raw: bytes, known: Heads) -> Head:
    """The head that `raw` spells; Unusual if it is not plain."""
    line = _REQUEST_LINE.match(raw)
    if line is None:
        raise Unusual
    head = Head(line[1].decode("ascii"), _query(line[2]), _headers(raw[line.end() :]))
    if len(known) >= _MOST_HEADS:
        known.clear()
    known[raw] = head
    return head


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
    length = None if answer.streamed else sum(len(data) for data, _ in answer.frames)
    head = spelt_head(answer.status, answer.safe_headers, date=date_now(), length=length)
    return head.encode("utf-8", "surrogateescape")


def date_now() -> str:
    """What the header Date says."""
    return rfc822_formatted_time()


def spelt_head(status: int, headers: Mapping[str, str], *, date: str, length: int | str | None) -> str:
    """Status line and headers; a body without a length comes in chunks."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
    lines.append(f"date: {date}\r\n")
    lines.append("transfer-encoding: chunked\r\n\r\n" if length is None else f"content-length: {length}\r\n\r\n")
    return "".join(lines)
