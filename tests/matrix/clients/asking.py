"""How a client is asked, in its own environment: an order a line on stdin, an outcome a line on stdout.

Imports the standard library alone. An order is ``{"base_url": …, "stream": true}``; its outcome has "seconds" and is

    {"how": "returned", "text": …, "finish": …}
    {"how": "raised", "error": "openai.APIError", "typed": true, "ours": false}
    {"how": "unreadable", "type": "str"}    a plain call's reply that lacks what every reply has
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

MODEL = "gpt-4o-mini"
KEY = "sk-any"
QUESTION = "Which city is the capital of France? Answer in JSON."
LIMIT_S = 1.0

Said = tuple[Any, Any]
"""The text and the finish reason, as the client tells them."""


class Client(Protocol):
    """A client that was made for one base URL."""

    def plain(self) -> tuple[Any, Callable[[Any], Said]]:
        """The reply to one call, and what reads it, in the way that the client's documentation does."""

    def streamed(self) -> Said:
        """What a stream adds up to, put together in that way."""


def defined_in(*packages: str) -> Callable[[BaseException], bool]:
    """Whether an `except` can name the client, or the SDK below it, and catch this."""

    def is_own(error: BaseException) -> bool:
        return any(each.__module__.partition(".")[0] in packages for each in type(error).__mro__)

    return is_own


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How to ask one client: `make` makes it for a base URL, `is_own` tells the exceptions that are typed."""

    make: Callable[[str], Client]
    distribution: str
    is_own: Callable[[BaseException], bool]

    def versions(self) -> dict[str, str]:
        """Of the client, and of the SDK that it runs on."""
        return {name: version(name) for name in dict.fromkeys([self.distribution, "openai"])}


def outcome(adapter: Adapter, client: Client, *, stream: bool) -> dict[str, Any]:
    """What becomes of one call."""
    began = time.monotonic()
    try:
        reply, read = (client.streamed(), lambda said: said) if stream else client.plain()
    except BaseException as exc:  # whatever reaches the caller is what the caller gets
        if isinstance(exc, KeyboardInterrupt | SystemExit):
            raise
        told = {"error": _name(exc), "typed": adapter.is_own(exc), "ours": _is_of_reading(exc)}
        return {"how": "raised", **told, "seconds": _since(began)}
    seconds = _since(began)
    try:
        text, finish = read(reply)
    except Exception:  # the way in which reading fails tells nothing about the client
        return {"how": "unreadable", "type": type(reply).__name__, "seconds": seconds}
    return {"how": "returned", "text": text, "finish": finish, "seconds": seconds}


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)


def _is_of_reading(exc: BaseException) -> bool:
    """Whether it is raised where a module beside this one, in the caller's place, reads what the client handed it."""
    frames = traceback.extract_tb(exc.__traceback__)
    return bool(frames) and Path(frames[-1].filename).parent == Path(__file__).parent


def _name(exc: BaseException) -> str:
    return f"{type(exc).__module__}.{type(exc).__qualname__}"


def serve(adapter: Adapter) -> None:
    """Answer orders until there are no more; what the client itself prints does not get between."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps(adapter.versions()), file=lines, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        said = outcome(adapter, adapter.make(order["base_url"]), stream=order["stream"])
        print(json.dumps(said, default=repr), file=lines, flush=True)
