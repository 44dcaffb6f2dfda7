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
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}  # by process id: a forked child has none of its parent's threads


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine`, run on the background loop; an interrupt here cancels it there."""
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


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
