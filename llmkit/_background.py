"""The event loop behind the synchronous client.

A blocking socket cannot be told to stop at a moment in time: its timeout begins anew with each byte that trickles in. A
task can. So the synchronous client runs the asynchronous one on this loop, in one daemon thread a process, and waits.
"""

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

CANCEL_S = 1.0  # how long an interrupt waits for what it cancels; only code that holds the loop up takes longer

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}  # by process id: a forked child has none of its parent's threads


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine`, run on the background loop; an interrupt here cancels it there, and sees it end."""
    loop = _loop()
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    tasks: list[asyncio.Task[T]] = []

    def start() -> None:
        tasks.append(loop.create_task(coroutine))
        tasks[0].add_done_callback(partial(_tell, outcome))

    loop.call_soon_threadsafe(start)
    try:
        return outcome.result()
    except BaseException:
        if not outcome.done():
            loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            concurrent.futures.wait([outcome], timeout=CANCEL_S)
        raise


def _tell(outcome: concurrent.futures.Future[T], task: asyncio.Task[T]) -> None:
    error = concurrent.futures.CancelledError() if task.cancelled() else task.exception()
    if error is None:
        outcome.set_result(task.result())
    else:
        outcome.set_exception(error)


def _loop() -> asyncio.AbstractEventLoop:
    with _lock:
        process = os.getpid()
        if process not in _loops:
            _loops.clear()
            _loops[process] = _start()
        return _loops[process]


def _start() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="llmkit", daemon=True)
    thread.start()
    atexit.register(_stop, loop, thread, os.getpid())
    return loop


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, process: int) -> None:
    """Closes what clients left open, then the loop, so that the interpreter ends without warnings."""
    if process != os.getpid():
        return
    concurrent.futures.wait([asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop)], timeout=1)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=1)
    if not thread.is_alive():
        loop.close()
