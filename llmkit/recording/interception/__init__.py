"""How requests of HTTP clients reach the tape that is playing: one module a client.

A stub asks the `Deck` whether a request concerns a tape. If not, the request passes untouched; else the tape replays
it, refuses it, or keeps a place for the live reply. httpx, httpx2, urllib3 (and so requests), http.client (and so
urllib) and aiohttp have stubs of our own; the clients that only vcrpy knows go through vcrpy's. Transports that
call an application in the same process (ASGI, WSGI, mock) never leave the machine and are left alone.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from llmkit.recording.deck import Deck
from llmkit.recording.interception import aiohttp_client, http_client, httpx_clients, urllib3_client
from llmkit.recording.patches import Replacement

_CLIENTS = {
    "aiohttp": aiohttp_client.patches,
    "http.client": http_client.patches,
    "httpx": httpx_clients.patches,
    "httpx2": httpx_clients.patches,
    "urllib3": urllib3_client.patches,
}
_OF_VCRPY = ("botocore", "httplib2", "tornado")


def client_patches(deck: Deck) -> Mapping[str, Callable[[Any], Iterator[Replacement]]]:
    """Return what leads each client to ``deck``, by the name of its module; it is patched when it is imported."""
    return {name: functools.partial(patches, deck) for name, patches in _CLIENTS.items()}


def patches_of_vcrpy(deck: Deck) -> Iterator[AbstractContextManager[object]]:
    """Yield the patches that lead the installed clients to ``deck`` that only vcrpy knows."""
    # vcrpy takes a tenth of a second to import, and most projects have none of them
    if _is_vcrpy_needed():
        from llmkit.recording.interception import vcr_clients

        yield from vcr_clients.patchers(deck)


@lru_cache(maxsize=1)
def _is_vcrpy_needed() -> bool:
    return any(importlib.util.find_spec(name) for name in _OF_VCRPY)
