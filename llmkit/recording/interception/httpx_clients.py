"""httpx and httpx2: a reply reaches the application chunk by chunk, while it is recorded."""

from __future__ import annotations

import functools
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from llmkit.recording.deck import Deck
from llmkit.recording.interaction import CLOSED, Request, Response
from llmkit.recording.interception.http_client import listed
from llmkit.recording.tape import Take, Tape

_CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}


def patches(deck: Deck, module: Any) -> Iterator[tuple[object, str, object]]:
    """Yield the patches of the transports of ``module``, httpx or httpx2."""
    sync, asynchronous = module.HTTPTransport, module.AsyncHTTPTransport
    yield sync, "handle_request", _handle_request(deck, module, sync.handle_request)
    handle = asynchronous.handle_async_request
    yield asynchronous, "handle_async_request", _handle_async_request(deck, module, handle)


def _mocked_by_others(module: Any) -> Callable[[], bool]:
    """Return a test whether another tool (respx) has replaced the layer below: then its answers are what is wanted."""
    core = importlib.import_module(_CORES[module.__name__])
    pools = ((core.ConnectionPool, "handle_request"), (core.AsyncConnectionPool, "handle_async_request"))
    originals = [getattr(pool, name) for pool, name in pools]
    return lambda: [getattr(pool, name) for pool, name in pools] != originals


def _handle_request(deck: Deck, module: Any, real: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    is_mocked = _mocked_by_others(module)

    @functools.wraps(real)
    def handle_request(transport: Any, request: Any) -> Any:
        __tracebackhide__ = True
        tape = deck.tape_for(str(request.url))
        if tape is None or is_mocked():
            return real(transport, request)
        request.read()
        recorded, take = _begin(tape, request)
        if take is None:
            return _replayed(module, recorded, tape)
        response = real(transport, request)
        return _teed(response, take, _tee(module)(response.stream, take))

    return handle_request


def _handle_async_request(
    deck: Deck, module: Any, real: Callable[[Any, Any], Awaitable[Any]]
) -> Callable[[Any, Any], Awaitable[Any]]:
    is_mocked = _mocked_by_others(module)

    @functools.wraps(real)
    async def handle_async_request(transport: Any, request: Any) -> Any:
        __tracebackhide__ = True
        tape = deck.tape_for(str(request.url))
        if tape is None or is_mocked():
            return await real(transport, request)
        await request.aread()
        recorded, take = _begin(tape, request)
        if take is None:
            return _replayed(module, recorded, tape)
        response = await real(transport, request)
        return _teed(response, take, _tee(module)(response.stream, take))

    return handle_async_request


def _begin(tape: Tape, request: Any) -> tuple[Response | None, Take | None]:
    """Return the recorded reply to a read ``request``, or the take that is to record it."""
    __tracebackhide__ = True
    headers = listed(request.headers.multi_items())
    asked = tape.ask(Request(method=request.method, uri=str(request.url), headers=headers, body=request.content))
    recorded = tape.play(asked)
    return recorded, None if recorded else tape.take(asked)


def _teed(response: Any, take: Take, stream: object) -> Any:
    """Let ``take`` see what the application reads of the live ``response``."""
    take.begin(response.status_code, response.reason_phrase, listed(response.headers.multi_items()))
    response.stream = stream
    return response


def _replayed(module: Any, recorded: Response | None, tape: Tape) -> Any:
    assert recorded is not None  # noqa: S101 - _begin gives the one or the other
    return module.Response(
        recorded.status,
        headers=[(name, value) for name, values in recorded.headers.items() for value in values],
        stream=_played(module)(recorded, tape),
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
                    self._take.add(chunk)
                    yield chunk
            except Exception as error:
                self._take.finish(ended=_named(error))
                raise
            self._take.finish()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for chunk in self._live:
                    self._take.add(chunk)
                    yield chunk
            except Exception as error:
                self._take.finish(ended=_named(error))
                raise
            self._take.finish()

        def close(self) -> None:
            self._live.close()
            self._take.finish(ended=CLOSED)

        async def aclose(self) -> None:
            await self._live.aclose()
            self._take.finish(ended=CLOSED)

    return Tee


@functools.cache
def _played(module: Any) -> Any:
    """Return the stream class for ``module`` that plays a recorded body, to the end that it had."""

    class Played(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc]  # of either module
        def __init__(self, recorded: Response, tape: Tape) -> None:
            self._recorded = recorded
            self._tape = tape

        def __iter__(self) -> Iterator[bytes]:
            if self._recorded.body:
                yield self._recorded.body
            self._end()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            if self._recorded.body:
                yield self._recorded.body
            self._end()

        def _end(self) -> None:
            if self._recorded.ended == CLOSED:
                raise self._tape.left_off(self._recorded)
            if self._recorded.ended:
                raise module.RemoteProtocolError(self._recorded.ended)

    return Played


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
