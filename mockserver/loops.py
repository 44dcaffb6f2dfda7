"""The event loop of a server process: uvloop where it is installed, which is faster, and asyncio's own elsewhere."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end.

    The collector of garbage looks rarely, and not at what was there before the first request: what a request leaves
    behind is freed by counting, and the journal that it would walk again and again is no garbage.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(main)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
