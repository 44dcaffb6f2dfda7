"""How requests of httpx, httpx2 and aiohttp reach the tape that is playing.

The transports of httpx and httpx2 are patched by stubs of our own: what a tape does not concern passes through
untouched, and what is recorded reaches the application chunk by chunk while it arrives. aiohttp goes through vcrpy's
stub, after a body has been brought to the bytes that are sent. Transports that call an application in the same process
(ASGI, WSGI, mock) never leave the machine and are left alone.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any

from llmkit.recording.cassette import Request, Response
from llmkit.recording.deck import Deck
from llmkit.recording.errors import CassetteMiss
from llmkit.recording.tape import Take, Tape

Patch = tuple[object, str, object]
"""An object, the name of its attribute, and what to put there."""

OWN_CLIENTS = ("httpx", "httpx2", "aiohttp")
"""The clients whose patches are made here, by vcrpy's names for them."""


def patches(deck: Deck, vcr_cassette: object) -> tuple[Patch, ...]:
    """Return the patches that lead the installed clients to ``deck``; vcrpy's stub gets ``vcr_cassette``."""
    found: list[Patch] = []
    for name in ("httpx", "httpx2"):
        module = _installed(name)
        if module is not None:
            found += _httpx_patches(deck, module)
    aiohttp = _installed("aiohttp")
    if aiohttp is not None:
        session = aiohttp.ClientSession
        found.append((session, "_request", _aiohttp_request(deck, vcr_cassette, session._request)))  # noqa: SLF001 - where vcrpy patches too
    return tuple(found)


def _installed(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _httpx_patches(deck: Deck, module: Any) -> Iterator[Patch]:
    sync, asynchronous = module.HTTPTransport, module.AsyncHTTPTransport
    yield sync, "handle_request", _handle_request(deck, module, sync.handle_request)
    handle = asynchronous.handle_async_request
    yield asynchronous, "handle_async_request", _handle_async_request(deck, module, handle)


def _handle_request(deck: Deck, module: Any, real: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    @functools.wraps(real)
    def handle_request(transport: Any, request: Any) -> Any:
        __tracebackhide__ = True
        tape = deck.tape_for(str(request.url))
        if tape is None:
            return real(transport, request)
        request.read()
        recorded, take = _begin(tape, request)
        if take is None:
            return _replayed(module, recorded)
        response = real(transport, request)
        return _teed(response, take, _tee(module)(response.stream, take))

    return handle_request


def _handle_async_request(
    deck: Deck, module: Any, real: Callable[[Any, Any], Awaitable[Any]]
) -> Callable[[Any, Any], Awaitable[Any]]:
    @functools.wraps(real)
    async def handle_async_request(transport: Any, request: Any) -> Any:
        __tracebackhide__ = True
        tape = deck.tape_for(str(request.url))
        if tape is None:
            return await real(transport, request)
        await request.aread()
        recorded, take = _begin(tape, request)
        if take is None:
            return _replayed(module, recorded)
        response = await real(transport, request)
        return _teed(response, take, _tee(module)(response.stream, take))

    return handle_async_request


def _begin(tape: Tape, request: Any) -> tuple[Response | None, Take | None]:
    """Return the recorded reply to a read ``request``, or the take that is to record it."""
    __tracebackhide__ = True
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.multi_items():
        headers.setdefault(name, []).append(value)
    asked = tape.ask(Request(method=request.method, uri=str(request.url), headers=headers, body=request.content))
    recorded = tape.play(asked)
    return recorded, None if recorded else tape.take(asked)


def _teed(response: Any, take: Take, stream: object) -> Any:
    """Let ``take`` see what the application reads of the live ``response``."""
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        headers.setdefault(name, []).append(value)
    take.status, take.reason, take.headers = response.status_code, response.reason_phrase, headers
    response.stream = stream
    return response


def _replayed(module: Any, recorded: Response | None) -> Any:
    assert recorded is not None  # noqa: S101 - _begin gives the one or the other
    return module.Response(
        recorded.status,
        headers=[(name, value) for name, values in recorded.headers.items() for value in values],
        stream=_played(module)(recorded),
        extensions={"reason_phrase": recorded.reason.encode("ascii", "replace")} if recorded.reason else None,
    )


@functools.cache
def _tee(module: Any) -> Any:
    """Return the stream class for ``module`` that hands on a live body and shows each chunk to a take."""

    class Tee(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc]  # of either module
        def __init__(self, live: Any, take: Take) -> None:
            self._live = live
            self._take = take

        def __iter__(self) -> Iterator[bytes]:
            try:
                for chunk in self._live:
                    self._take.chunks.append(chunk)
                    yield chunk
            except Exception as error:
                self._take.finish(ended=_named(error))
                raise
            self._take.finish()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for chunk in self._live:
                    self._take.chunks.append(chunk)
                    yield chunk
            except Exception as error:
                self._take.finish(ended=_named(error))
                raise
            self._take.finish()

        def close(self) -> None:
            self._live.close()
            self._take.finish(ended="closed")

        async def aclose(self) -> None:
            await self._live.aclose()
            self._take.finish(ended="closed")

    return Tee


@functools.cache
def _played(module: Any) -> Any:
    """Return the stream class for ``module`` that plays a recorded body, to the end that it had."""

    class Played(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc]  # of either module
        def __init__(self, recorded: Response) -> None:
            self._recorded = recorded

        def __iter__(self) -> Iterator[bytes]:
            if self._recorded.body:
                yield self._recorded.body
            self._end()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            if self._recorded.body:
                yield self._recorded.body
            self._end()

        def _end(self) -> None:
            if self._recorded.ended == "closed":
                raise CassetteMiss(
                    "the recording ends here: while it was made, the application closed the connection after "
                    f"{len(self._recorded.body)} bytes. Record again: pytest --record=all"
                )
            if self._recorded.ended:
                raise module.RemoteProtocolError(self._recorded.ended)

    return Played


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _aiohttp_request(
    deck: Deck, vcr_cassette: object, real: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    from vcr.stubs import aiohttp_stubs

    recorded_request = aiohttp_stubs.vcr_request(vcr_cassette, real)

    @functools.wraps(real)
    async def request(session: Any, method: str, url: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        absolute = str(session._build_url(url))  # noqa: SLF001 - knows the session's base_url
        if deck.tape_for(absolute) is None:
            return await real(session, method, url, **options)
        return await recorded_request(session, method, absolute, **await _with_bytes(session, options))

    return request


async def _with_bytes(session: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Bring ``json`` and form ``data`` to the bytes and headers that aiohttp would send."""
    from aiohttp import FormData, JsonPayload

    data, json = options.get("data"), options.get("json")
    if json is not None and data is None:
        payload: Any = JsonPayload(json, dumps=session.json_serialize)
    elif isinstance(data, FormData):
        payload = data()
    elif isinstance(data, (dict, list, tuple)):
        payload = FormData(data)()
    else:
        return options
    headers = session._prepare_headers(options.get("headers"))  # noqa: SLF001 - knows the session's headers
    headers.setdefault("Content-Type", payload.headers["Content-Type"])
    rest = {name: value for name, value in options.items() if name != "json"}
    return {**rest, "data": await payload.as_bytes(), "headers": headers}
