"""urllib3, and so requests: its own code reads each reply, through the stub of http.client below it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from llmkit.recording.deck import Deck
from llmkit.recording.interaction import Request, Response
from llmkit.recording.interception.http_client import LISTENER, body_bytes, unheard
from llmkit.recording.interception.pauses import Pace
from llmkit.recording.interception.playback import connect_error, end_delay_s, kind_of
from llmkit.recording.interception.sockets import Played
from llmkit.recording.interception.wire import Heard
from llmkit.recording.patches import Replacement
from llmkit.recording.take import Asked, is_no_reply
from llmkit.recording.tape import Tape

_PUT_OFF = "_llmkit_proxy_put_off"
_Call = dict[str, Any]


def patches(deck: Deck, module: Any) -> Iterator[Replacement]:
    """Yield the patch of the pool, where one request is sent on one connection."""
    pools = module.connectionpool
    prepare = pools.HTTPSConnectionPool._prepare_proxy  # noqa: SLF001 - there is no public seam
    sends = functools.partial(_make_request, deck, module, prepare)
    yield pools.HTTPConnectionPool, "_make_request", sends  # retries lie above
    yield pools.HTTPSConnectionPool, "_prepare_proxy", functools.partial(_prepare_proxy, deck)


def _prepare_proxy(deck: Deck, real: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Put off the tunnel through a proxy until it is known whether the request leaves the machine at all."""

    @functools.wraps(real)
    def prepare_proxy(pool: Any, conn: Any) -> None:
        if deck.tape_for(_absolute(pool, "/")) is None:
            real(pool, conn)
        else:
            setattr(conn, _PUT_OFF, True)

    return prepare_proxy


def _make_request(
    deck: Deck, module: Any, prepare_proxy: Callable[[Any, Any], None], real: Callable[..., Any]
) -> Callable[..., Any]:
    signature = inspect.signature(real)

    @functools.wraps(real)
    def make_request(*args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        call = signature.bind(*args, **options).arguments
        pool, headers = call["self"], dict(call.get("headers") or {})
        absolute = _absolute(pool, call["url"])
        tape = deck.tape_for(absolute)
        if tape is None or type(call["conn"]).__module__.startswith("vcr."):  # inside a vcr.use_cassette of the user's
            return real(*args, **options)
        call["body"] = body_bytes(call.get("body"), text="utf-8")
        sent = {str(name): [_text(value)] for name, value in headers.items()}
        asked = tape.ask(Request(method=call["method"], uri=absolute, headers=sent, body=call["body"] or b""))
        recorded = tape.play(asked)
        if recorded is None:
            return _live(real, prepare_proxy, call, tape.take(asked))
        if tape.is_verifying:
            _verify(module, tape, asked, recorded, functools.partial(_live, real, prepare_proxy, call))
        elif is_no_reply(recorded) and kind_of(recorded) == "connect":
            Pace().wait(end_delay_s(recorded, tape.speed))
            raise _unconnected(module, call["conn"], connect_error(recorded))
        stand = module.connection.HTTPConnection(pool.host, pool.port)  # never connected; its code reads the reply
        stand.sock = Played(recorded, tape, call["method"])
        stand.is_verified = True
        return real(**{**call, "conn": stand})

    return make_request


def _live(real: Callable[..., Any], prepare_proxy: Callable[..., None], call: _Call, listener: Any, **more: Any) -> Any:
    conn = call["conn"]
    if conn.__dict__.pop(_PUT_OFF, False):
        prepare_proxy(call["self"], conn)
    setattr(conn, LISTENER, listener)
    try:
        return real(**{**call, **more})
    except BaseException as error:
        is_connecting = any(kind.__name__ == "ConnectTimeoutError" for kind in type(error).__mro__)
        unheard(conn, error.__cause__ or error if is_connecting else error, is_connecting=is_connecting)
        raise
    finally:
        conn.__dict__.pop(LISTENER, None)


def _unconnected(module: Any, conn: Any, error: OSError) -> Exception:
    """Return what urllib3 raises where ``error`` kept it from connecting."""
    if isinstance(error, TimeoutError):
        timeout: Exception = module.exceptions.ConnectTimeoutError(conn, f"Connection to {conn.host} timed out.")
        return timeout
    refused: Exception = module.exceptions.NewConnectionError(conn, f"Failed to establish a new connection: {error}")
    return refused


def _verify(module: Any, tape: Tape, asked: Asked, recorded: Response, send: Callable[..., Any]) -> None:
    live = send(heard := Heard(), preload_content=False, response_conn=None)
    try:
        live.read(decode_content=False)
    except (OSError, module.exceptions.HTTPError):
        pass  # it was heard
    finally:
        live.close()
    tape.compare(asked, recorded, heard.response)


def _absolute(pool: Any, url: str) -> str:
    if "://" in url:
        return url  # through a proxy
    host = f"[{pool.host}]" if ":" in pool.host else pool.host
    return f"{pool.scheme}://{host}{f':{pool.port}' if pool.port else ''}{url}"


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
