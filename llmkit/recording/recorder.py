"""Where tapes meet vcrpy: the only module, with `interception`, that imports it.

vcrpy's `CassettePatcherBuilder` finds the HTTP clients and puts stubs in place: its own, and those of `interception`.
Its own ask a `vcr.cassette.Cassette`, and that is here a thin face of the `Deck`, whose tape decides.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from vcr.cassette import Cassette as VcrCassette
from vcr.patch import CassettePatcherBuilder
from vcr.util import read_body

from llmkit.recording import waits
from llmkit.recording.credentials import dummies
from llmkit.recording.deck import Deck
from llmkit.recording.interaction import Request, Response
from llmkit.recording.interception import OWN_CLIENTS, patches
from llmkit.recording.match import Rules
from llmkit.recording.tape import Manner, Mode, Scope, Tape, validate_mode

P = ParamSpec("P")
R = TypeVar("R")


class use_cassette(AbstractContextManager[Tape]):  # noqa: N801 - it is used like a function, and so named
    """Replay the HTTP requests made in the block from the cassette at ``path``, and record to it.

    ``record="none"`` only replays: a request that the cassette doesn't hold raises `CassetteMiss`, and an SDK's client
    can be made without a key. ``"new_episodes"`` replays what is there and records the rest, ``"all"`` records
    everything anew, ``"once"`` is ``"new_episodes"`` where there is no file yet. What was recorded is saved when the
    block ends, also by an error. Traffic to this machine is recorded like any other. As a decorator it takes functions
    and coroutine functions. Raises `BrokenCassette` for a file that is not whole.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        record: Mode = "none",
        *,
        ignore: Iterable[str] = (),
        aliases: Mapping[str, str] | None = None,
        replay_speed: float = 0.0,
    ) -> None:
        self._path = Path(path)
        self._record = validate_mode(record)
        rules = Rules(ignore=tuple(ignore), aliases=tuple((aliases or {}).items()))
        self._manner = Manner(scope=Scope(with_loopback=True), rules=rules, speed=replay_speed)
        self._blocks: list[tuple[Tape, ExitStack]] = []

    def __enter__(self) -> Tape:
        tape = Tape(self._path, mode=self._record, manner=self._manner)
        tape.check()
        with ExitStack() as block:
            if tape.only_replays:
                block.enter_context(dummies(os.environ))
            block.enter_context(playing(tape))
            self._blocks.append((tape, block.pop_all()))
        return tape

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        tape, block = self._blocks.pop()
        block.close()
        tape.save(is_complete=kind is None)
        if tape.leak is not None and kind is None:
            raise tape.leak

    async def __aenter__(self) -> Tape:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.__exit__(kind)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``function``: each call of it is a block."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"use_cassette can't decorate the generator {function.__qualname__}: open it inside")
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", self._around_coroutine(function))

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return called

    def _around_coroutine(self, function: Callable[P, Awaitable[object]]) -> Callable[P, Awaitable[object]]:
        @functools.wraps(function)
        async def called(*args: P.args, **kwargs: P.kwargs) -> object:
            with self:
                return await function(*args, **kwargs)

        return called


@contextmanager
def playing(tape: Tape) -> Iterator[None]:
    """Lead the process's HTTP requests to ``tape`` for the duration of a block."""
    with patched(), waits.skipping():
        _deck.put_in(tape)
        try:
            yield
        finally:
            _deck.take_out(tape)


@contextmanager
def patched() -> Iterator[None]:
    """Keep the clients patched for the duration of a block; `playing` inside it costs next to nothing."""
    _patches.enter()
    try:
        yield
    finally:
        _patches.leave()


class _Patches:
    """Puts vcrpy's patches and ours in place when the first block begins, and back when the last one ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._undo = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if self._blocks == 0:
                for patcher in CassettePatcherBuilder(_Face()).build():
                    self._undo.enter_context(patcher)
            self._blocks += 1

    def leave(self) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks == 0:
                self._undo.close()


_deck = Deck()
_patches = _Patches()


class _Face(VcrCassette):  # type: ignore[misc]  # vcrpy ships no types
    """What vcrpy's stubs take for their cassette: the tape that is playing."""

    def __init__(self) -> None:
        super().__init__(os.devnull, skip_patchers=OWN_CLIENTS, custom_patches=tuple(patches(_deck)))

    @property
    def write_protected(self) -> bool:
        tape = _deck.tape
        return tape is not None and (tape.only_replays)

    def filter_request(self, request: Any) -> Any:
        return None if _deck.tape_for(request.uri) is None else request

    def can_play_response_for(self, request: Any) -> bool:
        __tracebackhide__ = True
        tape = _deck.tape_for(request.uri)
        if tape is None:
            return False
        asked = tape.ask(_request(request))
        if tape.can_play(asked):
            return True
        if self.write_protected:
            tape.play(asked)  # raises the miss, which says more than vcrpy's error
        return False

    def play_response(self, request: Any) -> dict[str, Any]:
        __tracebackhide__ = True
        tape = _deck.tape_for(request.uri)
        recorded = tape.play(tape.ask(_request(request))) if tape else None
        if recorded is None:
            raise ConnectionError(f"{request.uri}: another thread played the last recording of this request")
        if recorded.ended:
            raise ConnectionError(f"the recorded connection broke off: {recorded.ended}")
        return _vcr_response(recorded)

    def append(self, request: Any, response: dict[str, Any]) -> None:
        tape = _deck.tape_for(request.uri)
        if tape is None:
            return
        take = tape.take(tape.ask(_request(request)))
        headers = {name: _listed(values) for name, values in response["headers"].items()}
        take.begin(response["status"]["code"], response["status"]["message"] or "", headers)
        take.add(response["body"].get("string") or b"")
        take.finish()


def _request(request: Any) -> Request:
    body = read_body(request)
    return Request(
        method=request.method,
        uri=request.uri,
        headers={name: _listed(value) for name, value in request.headers.items()},
        body=body.encode("utf-8") if isinstance(body, str) else bytes(body or b""),
    )


def _listed(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [item.decode("latin-1") if isinstance(item, bytes) else str(item) for item in values]


def _vcr_response(response: Response) -> dict[str, Any]:
    return {
        "status": {"code": response.status, "message": response.reason},
        "headers": {name: list(values) for name, values in response.headers.items()},
        "body": {"string": response.body},
    }
