"""One request and what became of it, as the journal shows it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, NamedTuple

from mockserver.surfaces import Spent
from mockserver.truth.record import HEADERS, Record
from mockserver.truth.soundness import Oddity, Soundness

Raw = bytes

_FACTS = (
    *("started_at", "method", "path", "query", "surface", "dialect", "deployment", "model", "key", "stream"),
    *("request_id", "operation", "status", "outcome", "fault", "step", "spent", "frames", "client_left", "misses"),
    *("answered_at", "ended_at", "attempt", "call", "worker", "retry_count", "delivered", "soundness", "complete"),
    *("ending", "streamed", "fingerprint", "is_form", "response_headers", "oddity"),
)
_OWN = (
    "is_form",
    "streamed",
    "response_headers",
    "fingerprint",
    "misses",
    "query",
    "oddity",
)  # what JSON shows elsewhere or not


class Chunk(NamedTuple):
    """A piece of an answer that went out `at_s` seconds after the request had come."""

    at_s: float
    size: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and what became of it; credentials are replaced everywhere.

    `headers` are those of the request that matter; `key` is the digest of its API key. `outcome` is the step applied,
    or "generated" or "refused"; `frames` and `bytes` are what has been sent of the body. `attempt` counts the requests
    of one call from 1, and `call` is the number of the first; `retry_count` is what the client says of it, as the
    official SDKs do. `client_left`: the client was seen to hang up before it had all. `delivered`: all that was planned
    has reached the socket. `ending`: "whole" as HTTP has it, "rst", "fin", "hang" or "headless". `complete`: the client
    has got a whole answer that is no refusal. `oddity`: "unmarked" where a stream lacks its `[DONE]` and no word,
    "altered" where it is whole in form but not what was made. `misses` tell why steps of the script left the request
    alone. Times are seconds of the server's clock; a `status` of 0 means that nothing is decided yet, or that no head
    was sent.
    """

    number: int
    started_at: float = 0.0
    method: str = ""
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    surface: str | None = None
    dialect: str | None = None
    deployment: str | None = None
    model: str | None = None
    key: str = ""
    stream: bool = False
    request_id: str = ""
    operation: str | None = None
    status: int = 0
    outcome: str = ""
    fault: str | None = None
    step: int | None = None
    spent: Spent | None = None
    frames: int = 0
    bytes: int = 0
    client_left: bool = False
    misses: tuple[str, ...] = ()
    answered_at: float | None = None
    ended_at: float | None = None
    attempt: int = 1
    call: int = 0
    worker: str = ""
    retry_count: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delivered: bool = False
    soundness: Soundness = "broken"
    complete: bool = False
    oddity: Oddity = ""
    ending: str = ""
    streamed: bool = False
    is_form: bool = False
    is_bare: bool = False
    fingerprint: str = ""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    raw_request: Raw = field(default=b"", repr=False)
    pieces: tuple[Raw, ...] = field(default=(), repr=False)
    marks: tuple[float, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, record: Record) -> "Exchange":
        """What a record says by now."""
        facts = {name: getattr(record, name) for name in _FACTS}
        return cls(
            number=record.number,
            bytes=record.octets,
            headers={name: value for name, value in zip(HEADERS, record.headers, strict=False) if value},
            raw_request=record.body,
            pieces=tuple(frame.data for frame in record.planned[: record.frames]),
            marks=tuple(record.marks or ()),
            is_bare=record.is_bare,
            **facts,
        )

    @cached_property
    def request(self) -> Any:
        """The body of the request: JSON, the fields of a form, or text; None without one, or if it was dropped."""
        if not self.raw_request:
            return None
        body = _read(self.raw_request)
        return body["fields"] if self.is_form else body

    @cached_property
    def files(self) -> Any:
        """The files of a form by name: file name, content type, size in bytes and a digest of each."""
        return _read(self.raw_request)["files"] if self.is_form and self.raw_request else {}

    @cached_property
    def response(self) -> Any:
        """The body that was sent: JSON, or text; of a stream the text of all its events; None if nothing was sent."""
        sent = b"".join(self.pieces)
        if not sent:
            return None
        content_type = self.response_header("content-type")
        if content_type.startswith(("audio/", "image/", "application/octet-stream")):
            return f"({len(sent):,} bytes of {content_type})"
        return sent.decode(errors="replace") if self.streamed else _read(sent)

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """The pieces of a stream as they went out, each with its time."""
        chunks, gone = [], 0
        for frames, at_s in zip(self.marks[::2], self.marks[1::2], strict=True):
            data = b"".join(self.pieces[gone : int(frames)])
            gone = int(frames)
            chunks.append(Chunk(at_s, len(data), data.decode(errors="replace")))
        return tuple(chunks)

    @cached_property
    def retry_after_s(self) -> float | None:
        """The shortest wait that the answer has told; None if it has told none.

        Retry-After may be a date (RFC 9110, 10.2.3); `retry-after-ms` is what OpenAI and Azure add.
        """
        told = [_seconds(self.response_header("retry-after"), self.answered_at or self.started_at)]
        told.append(_number(self.response_header("retry-after-ms"), 1000))
        return min((wait for wait in told if wait is not None), default=None)

    @property
    def error_code(self) -> str:
        """The code of a refusal, or else its type; empty if it has none."""
        error = self.response.get("error") if isinstance(self.response, dict) else None
        if not isinstance(error, dict):
            return ""
        return str(error.get("code") or error.get("type") or "")

    def response_header(self, name: str) -> str:
        """A header of the answer, empty if it has none."""
        return next((value for each, value in self.response_headers.items() if each.lower() == name), "")

    def as_json(self, *, bodies: bool = True) -> dict[str, Any]:
        """The exchange as the admin API shows it; without `bodies` no more than a line of a list needs."""
        facts = {name: getattr(self, name) for name in ("number", "bytes", *_FACTS) if name not in _OWN}
        facts |= {
            "query": dict(self.query),
            "misses": list(self.misses),
            "spent": asdict(self.spent) if self.spent else None,
            "headers": dict(self.headers),
            "retry_after_s": self.retry_after_s,
        }
        return facts | self._bodies() if bodies else facts

    def _bodies(self) -> dict[str, Any]:
        response: dict[str, Any] = {
            "status": self.status,
            "headers": dict(self.response_headers),
            "body": self.response,
            "chunks": [chunk._asdict() for chunk in self.chunks],
        }
        return {"request": self.request, "files": self.files, "response": response, "bodies_dropped": self.is_bare}


def _read(data: Raw) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data.decode(errors="replace")


def _seconds(text: str, now: float) -> float | None:
    """Retry-After in seconds from `now`: a number or a date."""
    number = _number(text, 1)
    if number is not None or not text:
        return number
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now, 0.0)


def _number(text: str, divisor: float) -> float | None:
    try:
        number = float(text) / divisor
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
