"""http.client, and so urllib.request: its own code reads each reply, from a real socket that is overheard or from ours.

Connections of urllib3 derive from http.client's and have a stub of their own one floor up; it leaves here, on the
connection, what is to be done with the reply. What is sent without `request`, by ``putrequest`` and ``endheaders``, is
collected until its reply is wanted.
"""

from __future__ import annotations

import functools
import http.client
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from llmkit.recording.deck import Deck
from llmkit.recording.interaction import Request, Response
from llmkit.recording.interception.pauses import Pace
from llmkit.recording.interception.playback import connect_error, end_delay_s, kind_of, unanswered_as
from llmkit.recording.interception.sockets import Collected, Played, StandIn, Tee
from llmkit.recording.interception.wire import Heard, Listener, Overheard, listed
from llmkit.recording.patches import Replacement
from llmkit.recording.take import Asked, is_no_reply
from llmkit.recording.tape import Tape

LISTENER = "_llmkit_listener"
"""The attribute of a connection that says who is to hear its next reply."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_Send = Callable[..., None]
_GetResponse = Callable[[Any], http.client.HTTPResponse]


def patches(deck: Deck, module: Any) -> Iterator[Replacement]:
    """Yield the patches of the connection."""
    connection = module.HTTPConnection
    sends = functools.partial(_send_request, deck, connection.getresponse)
    yield connection, "_send_request", sends  # sees a request whole
    yield connection, "putrequest", functools.partial(_putrequest, deck)
    yield connection, "getresponse", _getresponse


def _send_request(deck: Deck, getresponse: _GetResponse, real: _Send) -> _Send:
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
        send = functools.partial(real, connection, method, url, content, whole, False)  # noqa: FBT003 - its signature
        _prepare(connection, tape, asked, send, getresponse)
        try:
            send()
        except BaseException as error:
            _forget(connection, error)
            raise

    return send_request


def _forget(connection: Any, error: BaseException) -> None:
    """Leave ``connection`` as it was: no reply is coming."""
    unheard(connection, error, is_connecting=True)
    if isinstance(connection.sock, StandIn):
        connection.sock = connection.sock.instead_of


def _prepare(connection: Any, tape: Tape, asked: Asked, send: _Send, getresponse: _GetResponse) -> None:
    """Prepare ``connection`` to take ``asked`` and to give the reply: the recorded one, or a live one that is heard."""
    __tracebackhide__ = True
    recorded = tape.play(asked)
    if recorded is None:
        setattr(connection, LISTENER, tape.take(asked))
        return
    if tape.is_verifying:
        _verify(connection, tape, asked, recorded, send, getresponse)
    elif is_no_reply(recorded) and kind_of(recorded) == "connect":
        Pace().wait(end_delay_s(recorded, tape.speed))
        raise connect_error(recorded)
    connection.sock = Played(recorded, tape, asked.sent.method, instead_of=connection.sock)


def _verify(
    connection: Any, tape: Tape, asked: Asked, recorded: Response, send: _Send, getresponse: _GetResponse
) -> None:
    setattr(connection, LISTENER, heard := Heard())
    send()
    try:
        overheard(connection, getresponse(connection)).read()
    except (OSError, http.client.HTTPException):
        if not heard.has_begun:
            raise
    finally:
        connection.close()
    tape.compare(asked, recorded, heard.response)


def _putrequest(deck: Deck, real: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(real)
    def putrequest(connection: Any, method: str, url: str, *args: Any, **options: Any) -> None:
        absolute = url_of(connection, url)
        is_known = hasattr(connection, LISTENER) or isinstance(connection.sock, StandIn)
        tape = None if is_known or _has_a_stub_above(connection) else deck.tape_for(absolute)
        real(connection, method, url, *args, **options)
        if tape is not None:
            connection.sock = Collected(tape, method, absolute, instead_of=connection.sock)

    return putrequest


def _getresponse(real: _GetResponse) -> _GetResponse:
    @functools.wraps(real)
    def getresponse(connection: Any) -> http.client.HTTPResponse:
        __tracebackhide__ = True
        if isinstance(connection.sock, Collected):
            _settle(connection, connection.sock, real)
        if not isinstance(connection.sock, Played):
            try:
                return overheard(connection, real(connection))
            except BaseException as error:
                unheard(connection, error)
                raise
        stand = connection.sock
        try:
            return real(connection)
        finally:
            connection.sock = stand.instead_of

    return getresponse


def _settle(connection: Any, collected: Collected, getresponse: _GetResponse) -> None:
    """Send what was collected, now that its reply is wanted, or have it replayed."""
    __tracebackhide__ = True
    connection.sock = collected.instead_of
    asked = collected.tape.ask(collected.request())
    _prepare(connection, collected.tape, asked, functools.partial(connection.send, collected.sent), getresponse)
    if not isinstance(connection.sock, Played):
        connection.send(collected.sent)
    elif collected.tape.is_verifying:  # then a reply was read already, and one more is wanted
        connection.putrequest(collected.method, collected.url)
        connection.endheaders()


def unheard(connection: Any, error: BaseException, *, is_connecting: bool = False) -> None:
    """Tell who was to hear the reply on ``connection`` that ``error`` came instead."""
    listener: Listener | None = connection.__dict__.pop(LISTENER, None)
    if listener is not None:
        listener.finish(unanswered_as(error, is_connecting=is_connecting))


def overheard(connection: Any, reply: http.client.HTTPResponse) -> http.client.HTTPResponse:
    """Return the live ``reply``; if someone is to hear it, they hear what is read of it."""
    listener: Listener | None = connection.__dict__.pop(LISTENER, None)
    if listener is not None and reply.fp is not None:
        listener.begin(reply.status, reply.reason, listed(reply.getheaders()))
        body = Overheard(listener, is_chunked=bool(reply.chunked), length=reply.length)
        reply.fp = io.BufferedReader(Tee(reply.fp, body))
    return reply


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
    try:
        return memoryview(body).tobytes()  # before iterables: an array is one, of numbers
    except TypeError:
        pass  # it has no buffer
    if isinstance(body, Iterable):
        return b"".join(body_bytes(part, text=text) or b"" for part in body)
    raise TypeError(f"a request's body is text, bytes, a file or an iterable of those, not {type(body).__name__}")


def _has_a_stub_above(connection: object) -> bool:
    return any(kind.__module__.startswith("urllib3.") for kind in type(connection).__mro__)
