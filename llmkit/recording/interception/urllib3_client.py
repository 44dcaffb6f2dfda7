"""urllib3, and so requests: a reply is recorded whole before the application sees it."""

from __future__ import annotations

import functools
import inspect
import io
from collections.abc import Callable, Iterator
from typing import Any

from llmkit.recording.deck import Deck
from llmkit.recording.interaction import Request, Response
from llmkit.recording.interception.http_client import body_bytes, framed, listed
from llmkit.recording.tape import Take

_PUT_OFF = "_llmkit_proxy_put_off"


def patches(deck: Deck, module: Any) -> Iterator[tuple[object, str, object]]:
    """Yield the patch of the pool, where one request is sent on one connection."""
    pools = module.connectionpool
    real, prepare = pools.HTTPConnectionPool._make_request, pools.HTTPSConnectionPool._prepare_proxy  # noqa: SLF001
    yield pools.HTTPConnectionPool, "_make_request", _make_request(deck, module, real, prepare)  # retries lie above
    yield pools.HTTPSConnectionPool, "_prepare_proxy", _prepare_proxy(deck, prepare)


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
    deck: Deck, module: Any, real: Callable[..., Any], prepare_proxy: Callable[[Any, Any], None]
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
            take = tape.take(asked)
            if call["conn"].__dict__.pop(_PUT_OFF, False):
                prepare_proxy(pool, call["conn"])
            live = real(**{**call, "preload_content": False, "decode_content": False})
            recorded = _recorded(module, take, live)
        elif call.get("response_conn") is not None:
            pool._put_conn(call["response_conn"])  # noqa: SLF001 - it was not used; a live reply gives it back itself
        return _rebuilt(module, recorded, call)

    return make_request


def _absolute(pool: Any, url: str) -> str:
    if "://" in url:
        return url  # through a proxy
    host = f"[{pool.host}]" if ":" in pool.host else pool.host
    return f"{pool.scheme}://{host}{f':{pool.port}' if pool.port else ''}{url}"


def _recorded(module: Any, take: Take, live: Any) -> Response:
    headers, pieces = listed(live.headers.items()), []
    take.begin(live.status, live.reason or "", headers)
    ended = ""
    try:
        for chunk in live.stream(decode_content=False):
            take.add(chunk)
            pieces.append(chunk)
    except (OSError, module.exceptions.HTTPError) as error:
        ended = f"{type(error).__name__}: {error}"
    live.release_conn()
    live._connection = None  # noqa: SLF001 - it is back in its pool, and must not go there twice
    take.finish(ended=ended)
    return Response(status=live.status, reason=live.reason or "", headers=headers, body=b"".join(pieces), ended=ended)


def _rebuilt(module: Any, response: Response, call: dict[str, Any]) -> Any:
    """Return a reply of urllib3's own kind, as if ``response`` had just come; its connection is back in the pool."""
    reply = module.response.HTTPResponse(
        body=io.BytesIO(response.body),
        headers=module.HTTPHeaderDict(framed(response)),
        status=response.status,
        reason=response.reason,
        version=11,
        version_string="HTTP/1.1",
        preload_content=call.get("preload_content", True),
        decode_content=call.get("decode_content", True),
        enforce_content_length=True,
        request_method=call["method"],
        request_url=call["url"],
        retries=call.get("retries"),
    )
    reply._pool = call["self"]  # noqa: SLF001 - as urllib3 does here
    return reply


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
