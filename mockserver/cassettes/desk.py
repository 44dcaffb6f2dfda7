"""`/__admin/cassette`: which cassette is played, or recorded to, from now on.

A test suite in any language begins each test with PUT {"name": "chat/greets the user"}; DELETE ends that.
"""

from typing import Any

from aiohttp import web

from mockserver.cassettes import names
from mockserver.state import State
from mockserver.transmission import BodyTooLarge, read_body
from mockserver.wire import compact, parse_json

PATH = "/__admin/cassette"


class Desk:
    """The handlers of one server's current cassette."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """Every route there is."""
        return [web.get(PATH, self.show), web.put(PATH, self.begin), web.delete(PATH, self.end)]

    async def show(self, _request: web.Request) -> web.Response:
        """Its name, null where none is named; the cassettes that are served, and how many of their recordings were."""
        recordings, tapes = self._state.recordings, self._state.tapes
        return _json(
            {
                "name": self._state.plays.current()[0] or None,
                "cassettes": recordings.names if recordings else [],
                "recordings": len(recordings.all) if recordings else 0,
                "played": len(self._state.plays.played()),
                "leak": str(tapes.leak) if tapes and tapes.leak else None,
            }
        )

    async def begin(self, request: web.Request) -> web.Response:
        """Play this one from its beginning; record to it, instead of what was recorded of the same requests before."""
        try:
            name = names.plain(await self._named(request))
        except ValueError as exc:
            return _json({"error": {"message": str(exc)}}, status=400)
        recordings = self._state.recordings
        self._state.plays.begin(name, recordings.of(name) if recordings else [])
        return await self.show(request)

    async def end(self, request: web.Request) -> web.Response:
        """Play all cassettes again, and record to the one that is meant for what nobody names."""
        self._state.plays.end()
        return await self.show(request)

    async def _named(self, request: web.Request) -> str:
        try:
            data = parse_json(await read_body(request, limit=self._state.settings.body_limit))
        except BodyTooLarge as exc:
            raise ValueError("the request body is too large for a name") from exc
        except ValueError as exc:
            raise ValueError(f"the request body is not JSON: {exc}") from exc
        if not isinstance(data, dict) or list(data) != ["name"] or not isinstance(data["name"], str):
            raise ValueError('the request body takes an object with the name alone: {"name": "chat/greets the user"}')
        name: str = data["name"]
        return name


def _json(payload: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=compact(payload), content_type="application/json")
