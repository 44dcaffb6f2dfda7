"""http.client, and so urllib.request: a reply is recorded whole before the application sees it.

Connections of urllib3 derive from http.client's but have a stub of their own, one floor up, and pass here.
"""

from __future__ import annotations

import functools
import http.client
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from llmkit.recording.deck import Deck
from llmkit.recording.interaction import Request, Response
from llmkit.recording.tape import Take

_FRAMING = ("content-length", "transfer-encoding")
_PENDING = "_llmkit_pending"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def patches(deck: Deck) -> Iterator[tuple[object, str, object]]:
    """Yield the patches of the connection."""
    connection: Any = http.client.HTTPConnection
    sends = _send_request(deck, connection._send_request)  # noqa: SLF001 - the one place that sees a request whole
    yield connection, "_send_request", sends
    yield connection, "getresponse", _getresponse(connection.getresponse)


def _send_request(deck: Deck, real: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(real)
    def send_request(
        connection: Any,
        method: str,
        url: str,
        body: Any,
        headers: Mapping[str, str],
        encode_chunked: bool,  # noqa: FBT001 - http.client's signature
    ) -> None:
        __tracebackhide__ = True
        absolute = url_of(connection, url)
        tape = None if _has_a_stub_above(connection) else deck.tape_for(absolute)
        if tape is None:
            real(connection, method, url, body, headers, encode_chunked)
            return
        content = body_bytes(body, text="iso-8859-1")  # as http.client has it
        whole = {name: value for name, value in headers.items() if name.lower() != "transfer-encoding"}
        sent = {name: [str(value)] for name, value in whole.items()}
        asked = tape.ask(Request(method=method, uri=absolute, headers=sent, body=content or b""))
        recorded = tape.play(asked)
        setattr(connection, _PENDING, (method, recorded or tape.take(asked)))
        if recorded is None:
            real(connection, method, url, content, whole, False)  # noqa: FBT003 - as http.client calls it

    return send_request


def _getresponse(real: Callable[[Any], http.client.HTTPResponse]) -> Callable[[Any], http.client.HTTPResponse]:
    @functools.wraps(real)
    def getresponse(connection: Any) -> http.client.HTTPResponse:
        method, pending = connection.__dict__.pop(_PENDING, (None, None))
        if pending is None:
            return real(connection)
        response = pending if isinstance(pending, Response) else _recorded(pending, real(connection))
        return _rebuilt(response, method)

    return getresponse


def _recorded(take: Take, live: http.client.HTTPResponse) -> Response:
    headers = listed(live.getheaders())
    take.begin(live.status, live.reason, headers)
    ended = ""
    try:
        body = live.read()
    except (OSError, http.client.HTTPException) as error:
        body = getattr(error, "partial", b"")
        ended = f"{type(error).__name__}: {error}"
    take.add(body)
    take.finish(ended=ended)
    return Response(status=live.status, reason=live.reason, headers=headers, body=body, ended=ended)


def _rebuilt(response: Response, method: str) -> http.client.HTTPResponse:
    """Return a reply of http.client's own kind, as if ``response`` had just come from a socket."""
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{n}: {v}" for n, v in framed(response)), "", ""]
    head = "\r\n".join(lines)
    reply = http.client.HTTPResponse(_Socket(head.encode("latin-1", "replace") + response.body), method=method)  # type: ignore[arg-type]  # all that it uses of one
    reply.begin()
    return reply


class _Socket:
    """What http.client's reply needs of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def url_of(connection: Any, url: str) -> str:
    """Return the absolute URL of a request for ``url`` on ``connection``."""
    if "://" in url:
        return url  # through a proxy
    scheme = "https" if isinstance(connection, http.client.HTTPSConnection) else "http"
    host, port = connection._tunnel_host or connection.host, connection._tunnel_port or connection.port  # noqa: SLF001
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}{'' if port == _DEFAULT_PORTS[scheme] else f':{port}'}{url}"


def body_bytes(body: Any, *, text: str) -> bytes | None:
    """Return a request's body, in any of the forms that http.client takes, as the bytes that are sent.

    ``text`` is the encoding of a body that is a text.
    """
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode(text)
    if hasattr(body, "read"):
        return body_bytes(body.read(), text=text)
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    if isinstance(body, Iterable):
        return b"".join(body_bytes(part, text=text) or b"" for part in body)
    raise TypeError(f"a request's body is text, bytes, a file or an iterable of those, not {type(body).__name__}")


def _has_a_stub_above(connection: object) -> bool:
    return any(kind.__module__.startswith("urllib3.") for kind in type(connection).__mro__)


def framed(response: Response) -> list[tuple[str, str]]:
    """Return the headers that go with the body as it is now; one that broke off is shorter than its length says.

    Without a body the length stays as it was sent: a reply to HEAD tells with it what GET would bring.
    """
    if not response.body and not response.ended:
        return [(n, v) for n, vs in response.headers.items() if n.lower() != "transfer-encoding" for v in vs]
    kept = [(n, v) for n, vs in response.headers.items() if n.lower() not in _FRAMING for v in vs]
    return [*kept, ("Content-Length", str(len(response.body) + bool(response.ended)))]


def listed(headers: Iterable[tuple[str, str]]) -> dict[str, Sequence[str]]:
    """Return ``headers``, pairs of name and value, as a cassette lists them."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return dict(found)
