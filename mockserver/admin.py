"""`/__admin`: script, journal, reset and health, in the JSON that scripts are written in."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aiohttp import web

from mockserver.pipeline import Pipeline
from mockserver.scripts import ScriptError, from_data
from mockserver.steps import Step
from mockserver.wire import BodyTooLarge, compact, parse_json, read_body

PREFIX = "/__admin"


class Admin:
    """The handlers of one server's admin API."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def routes(self) -> list[web.RouteDef]:
        """Every route there is."""
        return [
            web.get(f"{PREFIX}/health", self.health),
            web.get(f"{PREFIX}/script", self.script),
            web.put(f"{PREFIX}/script", self.replace_script),
            web.post(f"{PREFIX}/script", self.extend_script),
            web.delete(f"{PREFIX}/script", self.clear_script),
            web.get(f"{PREFIX}/journal", self.journal),
            web.delete(f"{PREFIX}/journal", self.clear_journal),
            web.post(f"{PREFIX}/reset", self.reset),
            web.route("*", f"{PREFIX}/{{path:.*}}", self.unknown),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """That the server is up, and what it is."""
        return _json({"status": "ok", "version": _version(), "requests": len(self._pipeline.journal)})

    async def script(self, _request: web.Request) -> web.Response:
        """The steps still to be taken."""
        return _json({"steps": self._pipeline.script.spec()})

    async def replace_script(self, request: web.Request) -> web.Response:
        """These steps instead of all that wait."""
        steps = await self._steps(request)
        self._pipeline.script.clear()
        self._pipeline.script.extend(steps)
        return await self.script(request)

    async def extend_script(self, request: web.Request) -> web.Response:
        """These steps after all that wait."""
        self._pipeline.script.extend(await self._steps(request))
        return await self.script(request)

    async def clear_script(self, request: web.Request) -> web.Response:
        """No steps any more."""
        self._pipeline.script.clear()
        return await self.script(request)

    async def journal(self, _request: web.Request) -> web.Response:
        """Every exchange so far."""
        return _json({"exchanges": [exchange.as_json() for exchange in self._pipeline.journal]})

    async def clear_journal(self, request: web.Request) -> web.Response:
        """Forget the exchanges."""
        self._pipeline.journal.clear()
        return await self.journal(request)

    async def reset(self, request: web.Request) -> web.Response:
        """Forget script and journal."""
        self._pipeline.script.clear()
        self._pipeline.journal.clear()
        return await self.health(request)

    async def _steps(self, request: web.Request) -> tuple[Step, ...]:
        limit = self._pipeline.settings.body_limit
        try:
            return from_data(parse_json(await read_body(request, limit=limit)), source="request body")
        except ScriptError as exc:
            raise _bad_request(str(exc)) from exc
        except BodyTooLarge as exc:
            raise _bad_request(f"the request body has {exc.args[0]} bytes; at most {limit} are read") from exc
        except ValueError as exc:
            raise _bad_request(f"the request body is not JSON: {exc}") from exc

    async def unknown(self, request: web.Request) -> web.Response:
        """Say what there is instead."""
        known = ", ".join(f"{route.method} {route.path}" for route in self.routes()[:-1])
        return _json({"error": f"there is no {request.method} {request.path}; there is {known}"}, status=404)


def _bad_request(message: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=compact({"error": message}).decode(), content_type="application/json")


def _json(payload: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=compact(payload), content_type="application/json")


def _version() -> str:
    try:
        return version("llmkit")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
