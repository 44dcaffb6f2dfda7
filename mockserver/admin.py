"""`/__admin`: script, journal, reset and health, in the JSON that scripts are written in."""

import inspect
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_type_hints

from aiohttp import web

from mockserver import faults
from mockserver.clock import Clock, ClockError
from mockserver.faults.registry import Kind
from mockserver.quotas import BadQuota
from mockserver.scripting import tokens
from mockserver.scripting.options import in_words, shown, suggestion
from mockserver.scripting.reading import ScriptError, Written, from_data
from mockserver.state import State
from mockserver.transmission import BodyTooLarge, read_body
from mockserver.wire import compact, parse_json

PREFIX = "/__admin"


class Admin:
    """The handlers of one server's admin API."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """Every route there is."""
        return [
            web.get(f"{PREFIX}/health", self.health),
            web.get(f"{PREFIX}/script", self.script),
            web.post(f"{PREFIX}/script", self.replace_script),
            web.post(f"{PREFIX}/script/steps", self.extend_script),
            web.delete(f"{PREFIX}/script", self.clear_script),
            web.get(f"{PREFIX}/faults", self.faults),
            web.get(f"{PREFIX}/journal", self.journal),
            web.delete(f"{PREFIX}/journal", self.clear_journal),
            web.get(f"{PREFIX}/quotas", self.quotas),
            web.put(f"{PREFIX}/quotas", self.set_quotas),
            web.get(f"{PREFIX}/clock", self.clock),
            web.post(f"{PREFIX}/clock", self.set_clock),
            web.post(f"{PREFIX}/reset", self.reset),
            web.route("*", f"{PREFIX}/{{path:.*}}", self.unknown),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """That the server is up, and what it is."""
        return _json({"status": "ok", "version": _version(), "requests": len(self._state.journal)})

    async def script(self, _request: web.Request) -> web.Response:
        """The steps still to be taken, and the token of the whole."""
        script = self._state.script
        return _json({"steps": script.spec(), "seed": script.seed, "token": tokens.token_of(script)})

    async def replace_script(self, request: web.Request) -> web.Response:
        """These steps instead of all others, from their beginning; or those that a token was printed for."""
        written = await self._written(request)
        seed = self._state.settings.seed or 0 if written.seed is None else written.seed
        self._state.script.replace(written.steps, seed=seed, now=self._state.clock.now())
        return _json({"token": tokens.token_of(self._state.script)})

    async def extend_script(self, request: web.Request) -> web.Response:
        """These steps after all that wait."""
        self._state.script.extend((await self._written(request)).steps)
        return await self.script(request)

    async def clear_script(self, request: web.Request) -> web.Response:
        """No steps any more."""
        self._state.script.clear()
        return await self.script(request)

    async def faults(self, _request: web.Request) -> web.Response:
        """Every fault there is, with what it takes."""
        return _json({"faults": [described(kind) for _, kind in sorted(faults.kinds().items())]})

    async def quotas(self, _request: web.Request) -> web.Response:
        """The limits that everybody has, and how everybody stands."""
        quotas, now = self._state.quotas, self._state.clock.now()
        return _json({"rpm": quotas.limits.rpm, "tpm": quotas.limits.tpm, "accounts": quotas.standing(now=now)})

    async def set_quotas(self, request: web.Request) -> web.Response:
        """Other limits, for each key and deployment; what has been used is forgotten."""
        wanted = await self._object(request, ("rpm", "tpm"))
        try:
            self._state.quotas.set(**wanted)
        except BadQuota as exc:
            raise _bad_request(str(exc)) from exc
        return await self.quotas(request)

    async def clock(self, _request: web.Request) -> web.Response:
        """What time it is, whether it stands still, and when the next waiting answer goes on."""
        clock = self._state.clock
        return _json({"now": clock.now(), "virtual": clock.is_virtual, "next_wake": clock.next_wake()})

    async def set_clock(self, request: web.Request) -> web.Response:
        """Stop the clock (`virtual`), at an instant (`at`) if wanted, let it run again, or move it (`advance_s`)."""
        wanted = await self._object(request, ("virtual", "at", "advance_s"))
        try:
            _set_clock(self._state.clock, **wanted)
        except (ClockError, ValueError) as exc:
            raise _bad_request(str(exc)) from exc
        return await self.clock(request)

    async def journal(self, _request: web.Request) -> web.Response:
        """Every exchange so far."""
        return _json({"exchanges": [exchange.as_json() for exchange in self._state.journal]})

    async def clear_journal(self, request: web.Request) -> web.Response:
        """Forget the exchanges."""
        self._state.journal.clear()
        return await self.journal(request)

    async def reset(self, request: web.Request) -> web.Response:
        """Forget script, journal, quotas and objects."""
        self._state.reset()
        return await self.health(request)

    async def _body(self, request: web.Request) -> Any:
        limit = self._state.settings.body_limit
        try:
            return parse_json(await read_body(request, limit=limit))
        except BodyTooLarge as exc:
            raise _bad_request(f"the request body has {exc.args[0]} bytes; at most {limit} are read") from exc
        except ValueError as exc:
            raise _bad_request(f"the request body is not JSON: {exc}") from exc

    async def _object(self, request: web.Request, known: Sequence[str]) -> dict[str, Any]:
        """The JSON object in the body, which has no other keys than those known."""
        data = await self._body(request)
        if not isinstance(data, dict):
            raise _bad_request(f"the request body is {shown(data)}; it takes an object with {', '.join(known)}")
        for key in data:
            if key not in known:
                raise _bad_request(f"unknown key {key!r}; {suggestion(key, known)}")
        return data

    async def _written(self, request: web.Request) -> Written:
        data = await self._body(request)
        try:
            if isinstance(data, dict) and "token" in data:
                return tokens.script_of(data["token"])
            return from_data(data, source="request body")
        except ScriptError as exc:
            raise _bad_request(str(exc)) from exc

    async def unknown(self, request: web.Request) -> web.Response:
        """Say what there is instead."""
        known = ", ".join(f"{route.method} {route.path}" for route in self.routes()[:-1])
        return _json(
            {"error": {"message": f"there is no {request.method} {request.path}; there is {known}"}}, status=404
        )


def _set_clock(clock: Clock, *, virtual: Any = None, at: Any = None, advance_s: Any = None) -> None:
    for name, value, fits in (
        ("virtual", virtual, bool),
        ("at", at, (int, float)),
        ("advance_s", advance_s, (int, float)),
    ):
        if value is not None and (not isinstance(value, fits) or (name != "virtual" and isinstance(value, bool))):
            takes = "true or false" if name == "virtual" else "a number of seconds"
            raise ValueError(f"{name} is {shown(value)}; it takes {takes}")
    if virtual is False:
        clock.run()
    elif virtual or at is not None:
        clock.stop(at)
    if advance_s is not None:
        clock.advance(advance_s)


def described(kind: Kind) -> dict[str, Any]:
    """A fault as the admin API shows it."""
    parameters = inspect.signature(kind.make).parameters.values()
    hints = get_type_hints(kind.make, include_extras=True)
    return {
        "name": kind.name,
        "acts_on": kind.acts_on,
        "description": kind.description,
        "parameters": {each.name: _parameter(each, hints[each.name]) for each in parameters},
    }


def _parameter(parameter: inspect.Parameter, hint: Any) -> dict[str, Any]:
    required = parameter.default is parameter.empty
    takes = {"takes": " or ".join(in_words(hint)), "required": required}
    return takes if required else {**takes, "default": parameter.default}


def _bad_request(message: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=compact({"error": {"message": message}}).decode(), content_type="application/json")


def _json(payload: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=compact(payload), content_type="application/json")


def _version() -> str:
    try:
        return version("llmkit")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
