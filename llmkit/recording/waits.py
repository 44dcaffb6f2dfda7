"""Waits that a replay is spared: after a replayed refusal, the next sleep of who asked is its backoff.

A debt belongs to the asyncio or trio task that asked, else to the thread; the next sleep of at least a millisecond
there settles it, and takes no time. A call that ran in a child task (``asyncio.wait_for``, ``create_task``) leaves its
debt to its parent when it is done, and one in a thread (``asyncio.to_thread``) to the task that waits for it. Everyone
else's sleeps last as long as they did.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import math
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

SHORTEST_S = 0.001
"""What is shorter is no backoff: ``sleep(0)`` yields to others."""

_REFUSED = frozenset({408, 409, 425, 429})
_RETRY_AFTER = frozenset({"retry-after", "retry-after-ms"})


def makes_wait(status: int, headers: Mapping[str, object], *, is_broken_off: bool = False) -> bool:
    """Tell whether a client waits after such a reply before it asks again; ``headers`` in any case."""
    is_refused = status in _REFUSED or status >= 500
    return is_refused or is_broken_off or any(name.lower() in _RETRY_AFTER for name in headers)


def owe() -> None:
    """Note that a refusal has been replayed here: the next sleep is spared, unless `cancel` comes first."""
    if _skipping.depth:
        _skipping.patch()  # what the client imported since
        _here().owe(_skipping.run)


def cancel() -> None:
    """Note that a new request is made here, so that what was owed for the last one is not waited for any more."""
    if _skipping.depth:
        _here().forget()


@contextmanager
def skipping() -> Iterator[None]:
    """Spare what is owed within a block: the sleeps of `time`, `asyncio`, `anyio` and `trio`, called by their module.

    Debts don't outlive the outermost block.
    """
    _skipping.begin()
    try:
        yield
    finally:
        _skipping.end()


class _Account:
    """What a task or a thread owes; ``elders`` had been done, and owed, before its task was made."""

    def __init__(self, parent: _Account | None = None) -> None:
        self.debt: object = None
        self.task: weakref.ref[Any] | None = None
        self.parent = parent
        self.children: list[_Account] = []
        self.elders = [] if parent is None else [child for child in parent.children if child.is_done]

    def is_of(self, task: object) -> bool:
        return self.task is not None and self.task() is task

    @property
    def is_done(self) -> bool:
        if self.task is None:
            return False
        task = self.task()
        return task is None or (isinstance(task, asyncio.Future) and task.done())

    @property
    def owes(self) -> bool:
        return self.debt is not None or any(child.owes for child in self.children)

    def owe(self, debt: object) -> None:
        """Take on ``debt``, which passes to the parent's parent when the parent is done too."""
        self.debt = debt
        account = self
        while account.parent is not None:
            if account not in account.parent.children:
                account.parent.children.append(account)
            account = account.parent

    def forget(self) -> None:
        """Owe nothing, nor let the parent owe for what an earlier child asked."""
        self.settle()
        for elder in self.elders:
            elder.settle()
        if self.parent is not None:
            self.parent.children = [child for child in self.parent.children if child.owes]

    def settle(self) -> bool:
        """Return whether there was a debt, of this task or of a child that is done; there is none any more."""
        is_owed = self.debt is not None and self.debt is _skipping.run
        self.debt = None
        done = [child for child in self.children if child.is_done]
        self.children = [child for child in self.children if child not in done]
        owed = [child.settle() for child in done]
        return is_owed or any(owed)


_account: contextvars.ContextVar[_Account] = contextvars.ContextVar("llmkit_waits")
_threads = threading.local()


def _here() -> _Account:
    """Return the account of this task, else that of the task that this thread works for, else of this thread."""
    account, task = _account.get(None), _task()
    if task is None:
        return account or _of_thread()
    if account is not None and account.task is None:
        account.task = weakref.ref(task)  # an eager task, which runs before there is a name for it
    elif account is None or not account.is_of(task):
        account = _Account(account)  # made before the block, or by what makes tasks in its own way
        account.task = weakref.ref(task)
        _account.set(account)
    return account


def _of_thread() -> _Account:
    account = getattr(_threads, "account", None)
    if account is None:
        account = _threads.account = _Account()
    return account


def _task() -> object:
    """Return the current task of asyncio or trio, None outside of both."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        pass  # no loop runs here
    trio = sys.modules.get("trio")
    try:
        return None if trio is None else trio.lowlevel.current_task()
    except (AttributeError, RuntimeError):
        return None  # trio is being imported, or doesn't run here


def _is_spared(seconds: object) -> bool:
    is_long = (
        isinstance(seconds, int | float) and SHORTEST_S <= seconds < math.inf
    )  # who sleeps forever waits for an end
    return is_long and bool(_skipping.depth) and _here().settle()


def _sync(real: Any) -> Any:
    @functools.wraps(real)
    def sleep(seconds: float, /) -> None:
        if not _is_spared(seconds):
            real(seconds)

    return sleep


def _async(real: Any) -> Any:
    """Also of what is spared the loop must have a turn."""

    @functools.wraps(real)
    async def sleep(*args: Any, **options: Any) -> Any:
        name = next((name for name in ("delay", "seconds") if name in options), None)
        if not _is_spared(options[name] if name else args[:1] and args[0]):
            return await real(*args, **options)
        return await real(0, *args[1:], **options) if name is None else await real(*args, **options | {name: 0})

    return sleep


def _create_task(real: Any) -> Any:
    """Give each task an account that knows its parent's, which asyncio itself doesn't know."""

    @functools.wraps(real)
    def create_task(loop: Any, coroutine: Any, **options: Any) -> Any:
        if not _skipping.depth:
            return real(loop, coroutine, **options)
        parent = _here()
        if loop.get_task_factory() is not None:
            return real(loop, coroutine, **options)  # factories need not take a context; see `_here`
        context = options.pop("context", None)
        context = contextvars.copy_context() if context is None else context
        account = _Account(parent)
        context.run(_account.set, account)
        task = real(loop, coroutine, context=context, **options)
        account.task = weakref.ref(task)
        return task

    return create_task


_PATCHES: tuple[tuple[str, str, str, Any], ...] = (
    ("time", "", "sleep", _sync),
    ("asyncio", "", "sleep", _async),
    ("anyio", "", "sleep", _async),
    ("trio", "", "sleep", _async),
    ("asyncio", "BaseEventLoop", "create_task", _create_task),
    ("uvloop", "Loop", "create_task", _create_task),
)


class _Skipping:
    """The patches of the blocks that are entered now."""

    def __init__(self) -> None:
        self.depth = 0
        self.run = object()
        self._lock = threading.Lock()
        self._patched: dict[tuple[Any, str], tuple[object, object, bool]] = {}

    def begin(self) -> None:
        with self._lock:
            self.depth += 1
        self.patch()

    def end(self) -> None:
        with self._lock:
            self.depth -= 1
            if not self.depth:
                self.run = object()
                self._restore()

    def patch(self) -> None:
        with self._lock:
            for module_name, class_name, name, make in _PATCHES:
                module = sys.modules.get(module_name)
                owner = getattr(module, class_name, None) if class_name else module
                if hasattr(owner, name) and (owner, name) not in self._patched:
                    real, is_own = getattr(owner, name), name in vars(owner)
                    setattr(owner, name, make(real))
                    self._patched[owner, name] = (real, getattr(owner, name), is_own)

    def _restore(self) -> None:
        """Put back what nobody else has replaced since."""
        while self._patched:
            (owner, name), (real, ours, is_own) = self._patched.popitem()
            if vars(owner).get(name) is not ours:
                continue
            if is_own:
                setattr(owner, name, real)
            else:
                delattr(owner, name)


_skipping = _Skipping()
