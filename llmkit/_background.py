"""The event loops behind the synchronous client.

A blocking socket cannot be told to stop at a moment in time: its timeout begins anew with each byte that trickles in. A
task can. So the synchronous client runs the asynchronous one, on a loop that it borrows for as long as a call takes, in
the thread that calls: no other thread has to wake up, and an interrupt, a context variable and a debugger find the call
where it was made. Any thread may run a loop that no other runs, so one that calls in turn keeps to one loop and its
connections; as many loops exist as there were calls at the same time.

Inside a running loop, as in a notebook, no other may run. There the call is made in a thread of its own.
"""

import asyncio
import atexit
import concurrent.futures
import contextvars
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Loop = asyncio.AbstractEventLoop

CANCEL_S = 1.0  # how long an interrupt waits for what it cancels; only code that holds the loop up takes longer

_lock = threading.Lock()
_idle: list[Loop] = []
_lent: weakref.WeakSet[Loop] = weakref.WeakSet()
_inherited: list[Loop] = []  # a forked child must not even close its parent's loops: both share what they wait with


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine`; an interrupt cancels it, and sees it end."""
    loop = borrow()
    try:
        return run_on(loop, coroutine)
    finally:
        give_back(loop)


def run_everywhere(make: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a coroutine on each loop that no call is using."""
    with _lock:
        loops, _idle[:] = list(_idle), []
    for loop in loops:
        try:
            run_on(loop, make())
        finally:
            give_back(loop)


def borrow() -> Loop:
    """A loop for the caller alone; `give_back` it."""
    with _lock:
        loop = _idle.pop() if _idle else asyncio.new_event_loop()
        _lent.add(loop)
    return loop


def give_back(loop: Loop) -> None:
    """Lets others have the loop."""
    with _lock:
        _lent.discard(loop)
        _idle.append(loop)


def run_on(loop: Loop, coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine`, on a loop that is borrowed."""
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 - public by its documentation, for those who run loops
        return _elsewhere(loop, coroutine)
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        _end(loop, task)
        raise


def _end(loop: Loop, task: asyncio.Task[T]) -> None:
    """Sees the end of a task whose run was interrupted."""
    if not task.done():
        task.cancel()
        loop.run_until_complete(asyncio.wait([task], timeout=CANCEL_S))
    if task.done() and not task.cancelled():
        task.exception()  # has been looked at: it is raised already, or an interrupt in its stead


def _elsewhere(loop: Loop, coroutine: Coroutine[Any, Any, T]) -> T:
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

    def work() -> None:
        try:
            outcome.set_result(run_on(loop, coroutine))
        except BaseException as error:  # noqa: BLE001 - it is raised below
            outcome.set_exception(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="llmkit", daemon=True)
    thread.start()
    try:
        return outcome.result()
    except BaseException:
        if not outcome.done():
            loop.call_soon_threadsafe(_cancel_all, loop)
            concurrent.futures.wait([outcome], timeout=CANCEL_S)
        raise
    finally:
        if outcome.done():
            thread.join()


def _cancel_all(loop: Loop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()


async def _settled() -> None:
    """Ends what clients left open, so that the interpreter ends without warnings."""
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.sleep(0)  # forgotten generators are closed by tasks that begin now
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        await asyncio.wait(left, timeout=CANCEL_S)


def _close() -> None:
    for loop in [*_idle, *_lent]:
        if loop.is_running():
            continue  # in a thread that outlives the interpreter
        _cancel_all(loop)  # of a stream that was never left
        run_on(loop, _settled())
        loop.close()
    _idle.clear()


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _inherited.extend([*_idle, *_lent])
    _idle.clear()
    _lent.clear()


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
