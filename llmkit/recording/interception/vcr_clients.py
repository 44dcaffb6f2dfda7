"""The clients that only vcrpy knows: boto3, httplib2 and tornado, through vcrpy's stubs.

vcrpy's `CassettePatcherBuilder` puts its stubs in place. They ask a `vcr.cassette.Cassette`, and that is here a thin
face of the `Deck`, whose tape decides.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from vcr.cassette import Cassette
from vcr.patch import CassettePatcherBuilder
from vcr.util import read_body

from llmkit.recording.deck import Deck
from llmkit.recording.interaction import Request, Response

# the clients that have stubs of our own, by vcrpy's names for them
_OWN_CLIENTS = ("aiohttp", "httplib", "httpx", "httpx2", "requests", "urllib3")


def patchers(deck: Deck) -> Iterator[AbstractContextManager[object]]:
    """Yield what leads these clients to ``deck`` for the duration of a block."""
    yield from CassettePatcherBuilder(_Face(deck)).build()


class _Face(Cassette):  # type: ignore[misc]  # vcrpy ships no types
    """What vcrpy's stubs take for their cassette: the tape that is playing."""

    def __init__(self, deck: Deck) -> None:
        super().__init__(os.devnull, skip_patchers=_OWN_CLIENTS)
        self._deck = deck

    @property
    def write_protected(self) -> bool:
        tape = self._deck.tape
        return tape is not None and tape.only_replays

    def filter_request(self, request: Any) -> Any:
        return None if self._deck.tape_for(request.uri) is None else request

    def can_play_response_for(self, request: Any) -> bool:
        __tracebackhide__ = True
        tape = self._deck.tape_for(request.uri)
        if tape is None:
            return False
        asked = tape.ask(_request(request))
        if tape.can_play(asked):
            return True
        if self.write_protected:
            tape.play(asked)  # raises the miss, which says more than vcrpy's error
        return False

    def play_response(self, request: Any) -> dict[str, Any]:
        __tracebackhide__ = True
        tape = self._deck.tape_for(request.uri)
        recorded = tape.play(tape.ask(_request(request))) if tape else None
        if recorded is None:
            raise ConnectionError(f"{request.uri}: another thread played the last recording of this request")
        if recorded.ended:
            raise ConnectionError(f"the recorded connection broke off: {recorded.ended}")
        return _vcr_response(recorded)

    def append(self, request: Any, response: dict[str, Any]) -> None:
        tape = self._deck.tape_for(request.uri)
        if tape is None:
            return
        take = tape.take(tape.ask(_request(request)))
        headers = {name: _listed(values) for name, values in response["headers"].items()}
        take.begin(response["status"]["code"], response["status"]["message"] or "", headers)
        take.add(response["body"].get("string") or b"")
        take.finish()


def _request(request: Any) -> Request:
    body = read_body(request)
    return Request(
        method=request.method,
        uri=request.uri,
        headers={name: _listed(value) for name, value in request.headers.items()},
        body=body.encode("utf-8") if isinstance(body, str) else bytes(body or b""),
    )


def _listed(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [item.decode("latin-1") if isinstance(item, bytes) else str(item) for item in values]


def _vcr_response(response: Response) -> dict[str, Any]:
    return {
        "status": {"code": response.status, "message": response.reason},
        "headers": {name: list(values) for name, values in response.headers.items()},
        "body": {"string": response.body},
    }
