"""httpx and httpx2: a reply reaches the application chunk by chunk, while it is recorded and when it is replayed."""

from __future__ import annotations

import functools
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llmkit.recording.deck import Deck
from llmkit.recording.interaction import CANCELLED, CLOSED, Request, Response
from llmkit.recording.interception.pauses import Pace
from llmkit.recording.interception.playback import (
    end_delay_s,
    ended_as,
    error_of,
    head_delay_s,
    kind_of,
    pieces,
    unanswered_as,
)
from llmkit.recording.interception.wire import Heard, Listener, listed
from llmkit.recording.patches import Replacement
from llmkit.recording.take import is_no_reply
from llmkit.recording.tape import Tape

_CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}
_ERRORS = {
    "aborted": ("RemoteProtocolError",),
    "connect": ("ConnectError", "ConnectTimeout"),
    "reset": ("ReadError", "WriteError"),
    "timeout": ("ReadTimeout", "WriteTimeout"),
}
"""By the kind of end: the error that stands for those of other clients, and what else it may have been."""


def patches(deck: Deck, module: Any) -> Iterator[Replacement]:
    """Yield the patches of the transports of ``module``, httpx or httpx2."""
    yield module.HTTPTransport, "handle_request", functools.partial(_handle_request, deck, module)
    yield module.AsyncHTTPTransport, "handle_async_request", functools.partial(_handle_async_request, deck, module)


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
        asked = tape.ask(_asked(request))
        recorded = tape.play(asked)
        if recorded is None:
            take = tape.take(asked)
            with _answered(take):
                live = real(transport, request)
            return _teed(module, live, take)
        if tape.is_verifying:
            live = _teed(module, real(transport, request), heard := Heard())
            tape.compare(asked, recorded, _heard(live, heard))
        if is_no_reply(recorded):
            Pace().wait(end_delay_s(recorded, tape.speed))
            _break_off(module, recorded, tape)
        Pace().wait(head_delay_s(recorded, tape.speed))
        return _replayed(module, recorded, tape)

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
        asked = tape.ask(_asked(request))
        recorded = tape.play(asked)
        if recorded is None:
            take = tape.take(asked)
            with _answered(take):
                live = await real(transport, request)
            return _teed(module, live, take)
        if tape.is_verifying:
            live = _teed(module, await real(transport, request), heard := Heard())
            tape.compare(asked, recorded, await _async_heard(live, heard))
        if is_no_reply(recorded):
            await Pace().async_wait(end_delay_s(recorded, tape.speed))
            _break_off(module, recorded, tape)
        await Pace().async_wait(head_delay_s(recorded, tape.speed))
        return _replayed(module, recorded, tape)

    return handle_async_request


@contextmanager
def _answered(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of the error that comes instead of the headers, if it is one that comes again on replay."""
    try:
        yield
    except BaseException as error:
        listener.finish(unanswered_as(error))
        raise


def _asked(request: Any) -> Request:
    headers = listed(request.headers.multi_items())
    return Request(method=request.method, uri=str(request.url), headers=headers, body=request.content)


def _heard(live: Any, heard: Heard) -> Response:
    """Read the ``live`` reply to its end, whichever that is."""
    try:
        for _ in live.stream:
            pass
    except Exception:  # noqa: BLE001 - it is part of what was heard
        return heard.response
    finally:
        live.stream.close()
    return heard.response


async def _async_heard(live: Any, heard: Heard) -> Response:
    try:
        async for _ in live.stream:
            pass
    except Exception:  # noqa: BLE001 - it is part of what was heard
        return heard.response
    finally:
        await live.stream.aclose()
    return heard.response


def _teed(module: Any, response: Any, listener: Listener) -> Any:
    """Let ``listener`` hear what the application reads of the live ``response``."""
    listener.begin(response.status_code, response.reason_phrase, listed(response.headers.multi_items()))
    response.stream = _tee(module)(response.stream, listener)
    return response


def _replayed(module: Any, recorded: Response, tape: Tape) -> Any:
    return module.Response(
        recorded.status,
        headers=[(name, value) for name, values in recorded.headers.items() for value in values],
        stream=_played(module)(recorded, tape),
        extensions={"reason_phrase": recorded.reason.encode("ascii", "replace")} if recorded.reason else None,
    )


@functools.cache
def _tee(module: Any) -> Any:
    """Return the stream class for ``module`` that hands on a live body and lets a listener hear each chunk."""

    class Tee(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc]  # of either module
        def __init__(self, live: Any, listener: Listener) -> None:
            self._live = live
            self._listener = listener

        def __iter__(self) -> Iterator[bytes]:
            with _to_the_end(self._listener):
                for chunk in self._live:
                    self._listener.add(chunk)
                    yield chunk

        async def __aiter__(self) -> AsyncIterator[bytes]:
            with _to_the_end(self._listener):
                async for chunk in self._live:
                    self._listener.add(chunk)
                    yield chunk

        def close(self) -> None:
            self._live.close()
            self._listener.finish(CLOSED)

        async def aclose(self) -> None:
            try:
                await self._live.aclose()
            finally:  # also where it is cancelled
                self._listener.finish(CLOSED)

    return Tee


@contextmanager
def _to_the_end(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` how the reading of a body ended, unless that was between two chunks: then `close` follows."""
    try:
        yield
    except GeneratorExit:
        raise
    except BaseException as error:
        listener.finish(ended_as(error) if isinstance(error, Exception) else CANCELLED)
        raise
    listener.finish()


def _break_off(module: Any, recorded: Response, tape: Tape) -> None:
    """Raise what ``recorded`` ended with, if it is not whole."""
    __tracebackhide__ = True
    if recorded.was_left:
        raise tape.left_off(recorded)
    if recorded.ended:
        core = importlib.import_module(_CORES[module.__name__])  # whose errors the module makes its own of
        choice, (was, message) = _ERRORS[kind_of(recorded)], error_of(recorded)
        name = was if was in choice else choice["Timeout" in was and kind_of(recorded) == "connect"]
        raise getattr(module, name)(message) from getattr(core, name)(message)


@functools.cache
def _played(module: Any) -> Any:
    """Return the stream class for ``module`` that plays a recorded body, piece by piece, to the end that it had."""

    class Played(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc]  # of either module
        def __init__(self, recorded: Response, tape: Tape) -> None:
            self._recorded = recorded
            self._tape = tape

        def __iter__(self) -> Iterator[bytes]:
            pace, speed = Pace(), self._tape.speed
            for delay_s, piece in pieces(self._recorded, speed):
                pace.wait(delay_s)
                yield piece
            Pace().wait(end_delay_s(self._recorded, speed))
            _break_off(module, self._recorded, self._tape)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            pace, speed = Pace(), self._tape.speed
            for delay_s, piece in pieces(self._recorded, speed):
                await pace.async_wait(delay_s)
                yield piece
            await Pace().async_wait(end_delay_s(self._recorded, speed))
            _break_off(module, self._recorded, self._tape)

    return Played
