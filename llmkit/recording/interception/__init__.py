"""How requests of HTTP clients reach the tape that is playing: one module a client.

A stub asks the `Deck` whether a request concerns a tape. If not, the request passes untouched; else the tape replays
it, refuses it, or keeps a place for the live reply. httpx, httpx2, urllib3 (and so requests), http.client (and so
urllib) and aiohttp have stubs of our own; the clients that only vcrpy knows go through vcrpy's. Transports that
call an application in the same process (ASGI, WSGI, mock) never leave the machine and are left alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType

from llmkit.recording.deck import Deck
from llmkit.recording.interception import aiohttp_client, http_client, httpx_clients, urllib3_client

Patch = tuple[object, str, object]
"""An object, the name of its attribute, and what to put there."""

OWN_CLIENTS = ("aiohttp", "httplib", "httpx", "httpx2", "requests", "urllib3")
"""The clients whose patches are made here, by vcrpy's names for them."""


def patches(deck: Deck) -> Iterator[Patch]:
    """Yield the patches that lead the installed clients to ``deck``."""
    yield from http_client.patches(deck)
    for name in ("httpx", "httpx2"):
        if module := _installed(name):
            yield from httpx_clients.patches(deck, module)
    if module := _installed("urllib3"):
        yield from urllib3_client.patches(deck, module)
    if module := _installed("aiohttp"):
        yield from aiohttp_client.patches(deck, module)


def _installed(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
