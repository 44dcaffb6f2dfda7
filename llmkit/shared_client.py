"""One client for a whole process, for code that has nowhere to hand one through.

    llmkit.default_client().chat("Hi")

It is built of the settings of the environment when it is first asked for. `set_default_client` puts another in its
place, such as a test's own; `reset_default_client` forgets it, so that the next call builds a new one.
"""

import os
import threading

from llmkit import config
from llmkit.client import Client

_lock = threading.RLock()
_client: Client | None = None


def default_client() -> Client:
    """The client of this process, the same for every thread; OpenAI's or Azure's, as `provider` or the keys say.

    Raises ConfigError where the settings are not complete; the next call tries again.
    """
    global _client
    with _lock:
        if _client is None:
            _client = Client(settings=config.load())
        return _client


def set_default_client(client: Client) -> Client | None:
    """Makes `client` the one that `default_client` returns; returns the one before, which stays open."""
    global _client
    with _lock:
        before, _client = _client, client
        return before


def reset_default_client() -> None:
    """Forgets the client and closes its connections."""
    global _client
    with _lock:
        before, _client = _client, None
    if before is not None:
        before.close()


def _forget() -> None:
    """In a child process: the connections and the thread of the client are the parent's."""
    global _client, _lock
    _client, _lock = None, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
