"""Taking secrets out of what is about to be written, and out of what is asked before it is matched.

By place (credential headers, query keys, form, multipart and JSON fields: ``credential_places``), and by value: what
the environment, the requests and the replies name as credentials goes wherever it is echoed, in every encoding
(``disguises``), compressed, and split over the events of a stream (``deltas``). Organizations, projects and masked
keys go by shape. A key that nothing names stays: ``leaks`` finds it, and then nothing is written. Scrubbing twice
changes nothing.

A request whose Content-Encoding can be undone is kept decoded, without that header: so it is readable, and what
compresses differently compares alike.
"""

from __future__ import annotations

import hashlib
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from llmkit.recording.interaction import Chunk, Headers, Request, Response, header
from llmkit.recording.replies import content_coding
from llmkit.recording.scrubbing import deltas
from llmkit.recording.scrubbing.credential_places import (
    CREDENTIAL_NAMES,
    DROPPED_HEADERS,
    SHORTEST_COOKIE,
    field_spans,
    field_values,
    header_values,
    is_credential_header,
    is_credential_name,
    uri_values,
)
from llmkit.recording.scrubbing.deltas import Span
from llmkit.recording.scrubbing.disguises import disguises

__all__ = [
    "CREDENTIAL_NAMES",
    "CREDENTIAL_VARIABLES",
    "REDACTED",
    "URL_HEADERS",
    "Scrubber",
    "body_text",
    "credentials",
    "is_credential_header",
    "is_credential_name",
    "realigned",
]

REDACTED = "REDACTED"

CREDENTIAL_VARIABLES = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PAT|ORG_ID|PROJECT_ID)$|PASSWORD$", re.IGNORECASE)
"""Environment variables whose value is taken out wherever it stands."""

URL_HEADERS = frozenset(
    {"azure-asyncoperation", "content-location", "link", "location", "operation-location", "referer"}
)
# of no use to a reader, and different on every machine: a re-recording would show them as changes
_NOISE = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding", "user-agent"})
_NOISE_PREFIX = "x-stainless-"

# query keys that hold a credential here and a page or an airport there: only what looks like a secret goes
_AMBIGUOUS_KEYS = frozenset({"code", "key", "token"})
_MARKS_IN_URI = re.compile("[@?#]")  # without one there is no user info, no query and no fragment
# what is no key, but says whose it is: a server's error messages have them. The group goes
_SHAPES = {
    "org-": re.compile(r"\borg-(?=\w*\d)(\w{16,})"),
    "proj_": re.compile(r"\bproj_(?=\w*\d)(\w{16,})"),
    "**": re.compile(r"\bsk-(?=[\w-]*\*\*)([\w*-]{8,})"),
}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_MOST_LAYERS = 3
_SHORTEST_SECRET = 8
_LONGEST_WORD = 20
_SHORTEST_NAMED = 6
# say what something is sorted by, or whose it is: their values are ordinary texts
_NO_CREDENTIAL = re.compile(
    r"(^|_)((SORT|PARTITION|PRIMARY|FOREIGN|CACHE|HASH|RANGE)_KEY|ORG_ID|PROJECT_ID)$", re.IGNORECASE
)
# "production", "user_id", 100000: in a prompt they mean themselves
_PLAIN = re.compile(r"(?=.{,11}$)(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)(?:[ _-](?:[a-z]+|[A-Z]+))*|\d{,7}")
_PLACEHOLDER_WORDS = frozenset(
    {
        "a", "an", "any", "api", "azure", "change", "changeme", "default", "dummy", "empty", "example", "fake",
        "false", "for", "goes", "here", "insert", "is", "key", "local", "localhost", "mock", "my", "needed",
        "no", "none", "not", "null", "openai", "password", "placeholder", "redacted", "replay", "required",
        "secret", "sk", "some", "test", "testing", "token", "true", "unused", "your",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Takes secrets out; ``secrets`` are the values to look for, on top of places and shapes."""

    secrets: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Scrubber:
        """Look for the values of the variables that ``CREDENTIAL_VARIABLES`` matches."""
        return cls().knowing_environment(environment)

    def knowing_environment(self, environment: Mapping[str, str] = os.environ) -> Scrubber:
        """Return a scrubber that looks for what ``environment`` names now, too; itself if that is nothing new."""
        # each request does this, and hardly any of a hundred variables is one: read the values of those that are
        names = (name for name in environment if _is_credential_variable(name))
        return self._with(_named_secrets(tuple((name, environment.get(name, "")) for name in names)))

    def knowing(self, values: Iterable[str]) -> Scrubber:
        """Return a scrubber that looks for ``values`` too; those that are no telling secret are left out."""
        return self._with(frozenset(value for value in values if _is_telling(value)))

    def knowing_all_of(self, other: Scrubber) -> Scrubber:
        """Return a scrubber that looks for all that ``other`` looks for, too."""
        return self._with(other.secrets)

    def _with(self, found: frozenset[str]) -> Scrubber:
        return self if found <= self.secrets else Scrubber(self.secrets | found)

    def request(self, request: Request) -> Request:
        """Return ``request`` decoded, without secrets and without headers that differ from machine to machine."""
        return self.knowing(credentials(request)).known(request)

    def known(self, request: Request) -> Request:
        """Return ``request`` as `request` does, where its own `credentials` are among the secrets already."""
        request = _decoded(request)
        headers = {name: values for name, values in request.headers.items() if not _is_noise(name)}
        return replace(
            request,
            uri=self.uri(request.uri),
            headers=self.headers(headers),
            body=self.body(request.body),
        )

    def response(self, response: Response) -> Response:
        """Return ``response`` without secrets; the lengths of its chunks fit its new body."""
        knowing = self.knowing(credentials(response))
        body = knowing.body(response.body)
        return replace(
            response,
            reason=knowing.text(response.reason),
            headers=knowing.headers(response.headers),
            body=body,
            ended=knowing.text(response.ended),
            chunks=realigned(response.chunks, response.body, body),
        )

    def uri(self, uri: str) -> str:
        """Return ``uri`` without user info, and with the values of credential keys and known secrets replaced."""
        if not _MARKS_IN_URI.search(uri):
            return self.text(uri)  # as most are
        try:
            parts = urlsplit(uri)
        except ValueError:
            return self.text(uri)
        query, fragment = _scrubbed_query(parts.query), _scrubbed_query(parts.fragment)
        return self.text(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, fragment)))

    def text(self, text: str) -> str:
        """Return ``text`` with every known secret, organization, project and masked key replaced."""
        return _hidden(text, self._spans(text))

    def body(self, body: bytes, *, _layers: int = _MOST_LAYERS) -> bytes:
        """Return ``body`` scrubbed as text and by field; bytes that are no text are scrubbed byte for byte.

        A compressed body that holds a secret comes back decompressed, any other as it is.
        """
        if _layers and (plain := decompressed(body)) is not None:
            scrubbed = self.body(plain, _layers=_layers - 1)
            return body if scrubbed == plain else scrubbed
        text, encoding = body_text(body)
        scrubbed_text = _hidden(text, self._body_spans(text))
        if deltas.is_stream(text):
            scrubbed_text = deltas.hidden(scrubbed_text, self._new_spans, REDACTED)
        return body if scrubbed_text == text else scrubbed_text.encode(encoding)

    def headers(self, headers: Headers) -> dict[str, list[str]]:
        """Return ``headers`` without cookies that are set, and with the values of credentials replaced."""
        return {
            name: [self._header(name.lower(), value) for value in values]
            for name, values in headers.items()
            if name.lower() not in DROPPED_HEADERS
        }

    def _header(self, name: str, value: str) -> str:
        if is_credential_header(name):
            return REDACTED
        value = self.uri(value) if name in URL_HEADERS else value
        return _hidden(value, self._body_spans(value))

    def _spans(self, text: str) -> Iterator[Span]:
        yield from disguises(self.secrets).spans(text)
        for hint, shape in _SHAPES.items():
            if hint in text:
                yield from (found.span(1) for found in shape.finditer(text))

    def _body_spans(self, text: str) -> Iterator[Span]:
        yield from field_spans(text)
        yield from self._spans(text)

    def _new_spans(self, text: str) -> list[Span]:
        return [span for span in _merged(self._body_spans(text)) if text[slice(*span)] != REDACTED]


def credentials(message: Request | Response) -> Iterator[str]:
    """Yield the credentials that a request or reply itself names: in headers, cookies, query, user info and fields."""
    for name, values in message.headers.items():
        for value in values:
            yield from header_values(name.lower(), value)
    if isinstance(message, Request):
        if _MARKS_IN_URI.search(message.uri):
            yield from uri_values(message.uri)
        message = _decoded(message)
    text, _ = body_text(message.body)
    yield from field_values(text)
    for joined in deltas.joined(text):
        yield from field_values(joined.text)


def body_text(body: bytes) -> tuple[str, str]:
    """Return ``body`` as a text, and the encoding that gives its bytes back: UTF-8, UTF-16 or else Latin-1."""
    for encoding in _encodings(body):
        try:
            return body.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return body.decode("latin-1"), "latin-1"


def decompressed(body: bytes) -> bytes | None:
    """Return what is compressed in ``body``, which begins like gzip or zstd; None if it is neither or broken."""
    coding = next((coding for magic, coding in _MAGIC.items() if body.startswith(magic)), None)
    if coding is None:
        return None
    plain = content_coding.decoded(Response(status=200, headers={"content-encoding": [coding]}, body=body))
    return None if plain.headers else plain.body


def realigned(chunks: tuple[Chunk, ...], before: bytes, after: bytes) -> tuple[Chunk, ...]:
    """Return ``chunks`` of the body ``before`` with the lengths that they have in ``after``.

    A boundary keeps its line and its column, as far as the new line reaches; where lines were lost, its share of the
    whole. A chunk of which nothing is left goes.
    """
    if before == after or not chunks:
        return chunks
    ends = list(accumulate(length for _, length in chunks))
    moved = _moved(ends, before, after)
    moved[-1] = len(after)
    lengths = [end - start for start, end in pairwise((0, *accumulate(moved, max)))]
    return tuple((at_ms, length) for (at_ms, _), length in zip(chunks, lengths, strict=True) if length)


def _moved(offsets: Sequence[int], before: bytes, after: bytes) -> list[int]:
    old, new = (
        list(accumulate(map(len, body.split(b"\n")), lambda at, line: at + line + 1, initial=0))
        for body in (before, after)
    )
    if len(old) != len(new):
        return [offset * len(after) // max(len(before), 1) for offset in offsets]
    lines = [min(bisect_right(old, offset), len(old) - 1) - 1 for offset in offsets]
    return [min(new[line] + offset - old[line], new[line + 1] - 1) for line, offset in zip(lines, offsets, strict=True)]


def _decoded(request: Request) -> Request:
    """Undo the Content-Encoding of ``request``, as far as this installation can."""
    if not header(request.headers, "content-encoding"):
        return request
    plain = content_coding.decoded(Response(status=200, headers=request.headers, body=request.body))
    return replace(request, headers=plain.headers, body=plain.body)


def _encodings(body: bytes) -> Iterator[str]:
    # an ASCII character in UTF-16 has a zero byte; no text in UTF-8 has one
    if b"\0" in body[:4] or body.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield "utf-16-be" if body.startswith((b"\0", b"\xfe\xff")) else "utf-16-le"
    elif b"\0" in body and len(body) % 2 == 0:  # not at first: it begins with other characters
        zeros = body[::2].count(0), body[1::2].count(0)
        if min(zeros) == 0 and max(zeros) >= _SHORTEST_SECRET:
            yield "utf-16-be" if zeros[0] else "utf-16-le"
    yield "utf-8"


def _hidden(text: str, spans: Iterable[Span]) -> str:
    return deltas.edited(text, ((span, REDACTED) for span in spans))


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield ``spans`` in order, those that overlap as one."""
    start = end = 0
    for first, last in sorted(spans):
        if first >= end and end:
            yield start, end
        start, end = (first, last) if first >= end else (start, max(end, last))
    if end:
        yield start, end


def _scrubbed_query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    scrubbed = [(key, _scrubbed_value(key, value)) for key, value in pairs]
    return query if scrubbed == pairs else urlencode(scrubbed)


def _scrubbed_value(key: str, value: str) -> str:
    if is_credential_name(key):
        return REDACTED
    if key.lower() in _AMBIGUOUS_KEYS and len(value) >= SHORTEST_COOKIE and _is_telling(value):
        # two pages of a listing stay apart
        return f"{REDACTED}-{hashlib.sha256(value.encode()).hexdigest()[:4]}"
    return value


def _is_telling(value: str) -> bool:
    """Tell a secret from a word such as "any", whose removal would mangle every text."""
    is_mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    is_word = REDACTED not in value and not any(map(str.isspace, value))
    return is_word and (len(value) >= _LONGEST_WORD or (len(value) >= _SHORTEST_SECRET and is_mixed))


@lru_cache(maxsize=8)
def _named_secrets(variables: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """Return those values of ``variables`` that are secrets: their names say so, and few words are excepted."""
    return frozenset(
        value.strip()
        for name, value in variables
        if (_is_telling(value) if _NO_CREDENTIAL.search(name) else _is_named_secret(value.strip()))
    )


def _is_named_secret(value: str) -> bool:
    """Tell the value of a variable that a credential is named by from a plain word and from a placeholder."""
    if len(value) < _SHORTEST_NAMED or REDACTED in value or _PLAIN.fullmatch(value):
        return False
    return not all(word in _PLACEHOLDER_WORDS for word in re.split(r"[\W_]+", value.lower()) if word)


@lru_cache(maxsize=1024)
def _is_credential_variable(name: str) -> bool:
    return bool(CREDENTIAL_VARIABLES.search(name))


def _is_noise(name: str) -> bool:
    lower = name.lower()
    return lower in _NOISE or lower.startswith(_NOISE_PREFIX)
