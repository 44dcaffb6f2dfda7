"""Where tapes meet the HTTP clients: a block in which they ask the `Deck`, and the cassette that plays in it."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from llmkit.recording import waits
from llmkit.recording.deck import Deck
from llmkit.recording.errors import RecordingError
from llmkit.recording.interception import client_patches, patches_of_vcrpy
from llmkit.recording.manner import Manner, Mode, Scope, validate_mode
from llmkit.recording.matching.match import Rules
from llmkit.recording.patches import Patches
from llmkit.recording.scrubbing.credentials import dummies
from llmkit.recording.tape import Tape

P = ParamSpec("P")
R = TypeVar("R")


class use_cassette(AbstractContextManager[Tape]):  # noqa: N801 - it is used like a function, and so named
    """Replay the HTTP requests made in the block from the cassette at ``path``, and record to it.

    ``record="none"`` only replays: a request that the cassette doesn't hold raises `CassetteMiss`, and an SDK's client
    can be made without a key. ``"new_episodes"`` replays what is there and records the rest, ``"all"`` records
    everything anew, ``"once"`` is ``"new_episodes"`` where there is no file yet. ``"verify"`` replays, sends each
    request as well, and raises `RecordingError` at the end where the live replies broke with the recorded ones. Each
    reply is saved when it has come; one that holds what looks like a secret is not, and raises `SecretLeak` at the end.

    ``ignore`` and ``aliases`` are as in `Rules`. ``replay_speed`` is 0 for a replay at once, 1 for one as it was
    recorded. Traffic to this machine is recorded like any other. As a decorator it takes functions and coroutine
    functions. Raises `BrokenCassette` for a file that is not whole.
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
        outer = _deck.tape
        tape = Tape(self._path, mode=self._record, manner=_inside(outer, self._manner))
        tape.check()
        with ExitStack() as block:
            if tape.mode == "none":
                block.enter_context(dummies(os.environ))
            if outer is not None and outer.mode != "none":
                block.callback(lambda: outer.ledger.add(tape.ledger.facts()))
            block.enter_context(playing(tape))
            self._blocks.append((tape, block.pop_all()))
        return tape

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        tape, block = self._blocks.pop()
        block.close()
        tape.save(is_complete=kind is None)
        if kind is None:
            _raise_what_is_wrong(tape)

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


def _inside(outer: Tape | None, manner: Manner) -> Manner:
    """Return ``manner`` for a tape inside of ``outer``, whose budget and whose allowances hold for it too."""
    if outer is None:
        return manner
    if outer.mode == "none":
        return replace(manner, allowed_secrets=outer.manner.allowed_secrets)
    return replace(
        manner,
        allowed_secrets=outer.manner.allowed_secrets,
        before_sending=outer.manner.before_sending,
        after_recording=outer.manner.after_recording,
    )


def _raise_what_is_wrong(tape: Tape) -> None:
    if tape.leak is not None:
        raise tape.leak
    breaking = [str(drifted) for drifted in tape.drifts if drifted.is_breaking]
    if breaking:
        listed = "\n  ".join(breaking)
        raise RecordingError(f"the API no longer answers as {tape.path} has it recorded:\n  {listed}")


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
    """Puts our patches and vcrpy's in place when the first block begins, and back when the last one ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._clients = Patches(client_patches(_deck))
        self._undo = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if self._blocks == 0:
                self._put()
            self._blocks += 1

    def _put(self) -> None:
        self._clients.put_in()
        self._undo.callback(self._clients.take_out)
        for patcher in patches_of_vcrpy(_deck):
            self._undo.enter_context(patcher)

    def leave(self) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks == 0:
                self._undo.close()


_deck = Deck()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_deck.note_fork)
_patches = _Patches()
