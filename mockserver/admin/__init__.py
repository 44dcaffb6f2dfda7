"""`/__admin`: script, faults, journal, ledger, verdict, quotas, clock, metrics, and a page that shows them.

`mockserver.admin.openapi` says what is asked and answered here.
"""

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aiohttp import web

from mockserver import faults
from mockserver.admin import page
from mockserver.admin.asking import body_of, object_of, query_of
from mockserver.admin.describing import described
from mockserver.admin.guard import PREFIX, guarded, json_answer, refuse
from mockserver.admin.moving import move
from mockserver.admin.openapi import document, methods_by_path
from mockserver.clock import ClockError
from mockserver.quotas import BadQuota
from mockserver.scripting import tokens
from mockserver.scripting.reading import ScriptError, Written, from_data
from mockserver.state import State
from mockserver.truth.admin import journal_as_json, ledger_as_json, verdict_as_json
from mockserver.truth.exchange import Exchange

_NUMBERED = re.compile(rf"{PREFIX}/journal/[0-9]+")

__all__ = ["PREFIX", "Admin", "described", "guarded"]


class Admin:
    """The handlers of one server's admin API."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """Every route there is; the last takes whatever no other does."""
        known = [
            web.get(f"{PREFIX}/health", self.health),
            web.get(f"{PREFIX}/script", self.script),
            web.post(f"{PREFIX}/script", self.replace_script),
            web.post(f"{PREFIX}/script/steps", self.extend_script),
            web.delete(f"{PREFIX}/script", self.clear_script),
            web.get(f"{PREFIX}/faults", self.faults),
            web.get(f"{PREFIX}/journal", self.journal),
            web.delete(f"{PREFIX}/journal", self.clear_journal),
            web.get(f"{PREFIX}/journal/{{number:[0-9]+}}", self.exchange),
            web.get(f"{PREFIX}/ledger", self.ledger),
            web.get(f"{PREFIX}/verdict", self.verdict),
            web.get(f"{PREFIX}/quotas", self.quotas),
            web.put(f"{PREFIX}/quotas", self.set_quotas),
            web.get(f"{PREFIX}/clock", self.clock),
            web.post(f"{PREFIX}/clock", self.set_clock),
            web.get(f"{PREFIX}/filter", self.filter),
            web.post(f"{PREFIX}/reset", self.reset),
            web.get(f"{PREFIX}/openapi.json", self.openapi),
            web.get(f"{PREFIX}/metrics", self.metrics),
            *page.routes(),
        ]
        return guarded([*known, web.route("*", f"{PREFIX}/{{path:.*}}", self.unknown)])

    async def health(self, request: web.Request) -> web.Response:
        """That the server is up, and what it is."""
        query_of(request)
        return json_answer({"status": "ok", "version": _version(), "requests": len(self._state.journal)})

    async def script(self, request: web.Request) -> web.Response:
        """The steps still to be taken, and the token of the whole."""
        query_of(request)
        script = self._state.script
        shown = {"steps": script.spec(), "seed": script.seed, "token": tokens.token_of(script)}
        return json_answer(shown | ({"problem": script.problem} if script.problem else {}))

    async def replace_script(self, request: web.Request) -> web.Response:
        """These steps instead of all others, from their beginning; or those that a token was printed for."""
        written = await self._written(request)
        seed = self._state.settings.seed or 0 if written.seed is None else written.seed
        self._state.script.replace(written.steps, seed=seed, now=self._state.clock.now())
        return json_answer({"token": tokens.token_of(self._state.script)})

    async def extend_script(self, request: web.Request) -> web.Response:
        """These steps after all that wait."""
        self._state.script.extend((await self._written(request)).steps)
        return await self.script(request)

    async def clear_script(self, request: web.Request) -> web.Response:
        """No steps any more."""
        self._state.script.clear()
        return await self.script(request)

    async def faults(self, request: web.Request) -> web.Response:
        """Every fault there is, with what it takes."""
        query_of(request)
        return json_answer({"faults": [described(kind) for _, kind in sorted(faults.kinds().items())]})

    async def filter(self, request: web.Request) -> web.Response:
        """The words that the content filter finds, as the server was told at its start."""
        query_of(request)
        words = self._state.settings.content_filter.words
        return json_answer(
            {"words": {word: {"category": kind, "severity": how} for word, (kind, how) in words.items()}}
        )

    async def quotas(self, request: web.Request) -> web.Response:
        """The limits that everybody has, and how everybody stands."""
        query_of(request)
        quotas, now = self._state.quotas, self._state.clock.now()
        return json_answer({"rpm": quotas.limits.rpm, "tpm": quotas.limits.tpm, "accounts": quotas.standing(now=now)})

    async def set_quotas(self, request: web.Request) -> web.Response:
        """Other limits, for each key and deployment; what has been used is forgotten."""
        wanted = await object_of(request, ("rpm", "tpm"), limit=self._state.settings.body_limit)
        try:
            self._state.quotas.set(**wanted)
        except BadQuota as exc:
            raise refuse(400, str(exc)) from exc
        return await self.quotas(request)

    async def clock(self, request: web.Request) -> web.Response:
        """What time it is, whether it stands still, and when the next waiting answer goes on."""
        query_of(request)
        clock = self._state.clock
        return json_answer({"now": clock.now(), "virtual": clock.is_virtual, "next_wake": clock.next_wake()})

    async def set_clock(self, request: web.Request) -> web.Response:
        """Stop the clock (`virtual`), at an instant (`at`) if wanted, let it run again, or move it (`advance_s`)."""
        wanted = await object_of(request, ("virtual", "at", "advance_s"), limit=self._state.settings.body_limit)
        try:
            move(self._state.clock, **wanted)
        except (ClockError, ValueError) as exc:
            raise refuse(400, str(exc)) from exc
        return await self.clock(request)

    async def journal(self, request: web.Request) -> web.Response:
        """Exchanges in order of arrival: see `truth.admin.journal_as_json`."""
        return self._told(request, journal_as_json)

    async def exchange(self, request: web.Request) -> web.Response:
        """One exchange, with its bodies."""
        query_of(request)
        number = request.match_info["number"].lstrip("0")
        for record in reversed(self._state.journal.records()):
            if str(record.number) == number:
                return json_answer(Exchange.of(record).as_json())
        raise refuse(
            404, f"there is no exchange {number[:20] or 0} in the journal; it was never there, or it was forgotten"
        )

    async def clear_journal(self, request: web.Request) -> web.Response:
        """Forget the exchanges."""
        query_of(request)
        self._state.journal.clear()
        return await self.journal(request)

    async def ledger(self, request: web.Request) -> web.Response:
        """What was generated, what reached the socket, and what would be billed."""
        return self._told(request, ledger_as_json)

    async def verdict(self, request: web.Request) -> web.Response:
        """What the journal says against the client, by the options in the query."""
        return self._told(request, verdict_as_json)

    def _told(self, request: web.Request, tell: Any) -> web.Response:
        try:
            return json_answer(tell(self._state.journal, request.query))
        except (ValueError, TypeError) as exc:
            raise refuse(400, str(exc)) from exc

    async def reset(self, request: web.Request) -> web.Response:
        """Forget script, journal, quotas and objects."""
        query_of(request)
        self._state.reset()
        return await self.health(request)

    async def openapi(self, request: web.Request) -> web.Response:
        """The API as an OpenAPI document."""
        query_of(request)
        return json_answer(document(_version()))

    async def metrics(self, request: web.Request) -> web.Response:
        """What a Prometheus server reads."""
        from mockserver.admin.metrics import exposed  # its library is loaded by the first who asks

        query_of(request)
        content, content_type = exposed(self._state)
        return web.Response(body=content, headers={"content-type": content_type})

    async def _written(self, request: web.Request) -> Written:
        query_of(request)
        data = await body_of(request, limit=self._state.settings.body_limit)
        try:
            return _script_in(data)
        except ScriptError as exc:
            raise refuse(400, str(exc)) from exc

    async def unknown(self, request: web.Request) -> web.Response:
        """Say what there is instead."""
        allowed = _allowed(request.path)
        if allowed:
            message = f"{request.path} does not take {request.method}; it takes {', '.join(allowed)}"
            raise refuse(405, message, headers={"allow": ", ".join(allowed)})
        known = ", ".join(f"{each} {path}" for path, methods in methods_by_path().items() for each in methods)
        raise refuse(404, f"there is no {request.method} {request.path}; there is {known}")


def _script_in(data: Any) -> Written:
    if isinstance(data, dict) and "token" in data:
        if len(data) > 1:
            raise ScriptError("a token holds steps and seed already; give nothing beside it")
        return tokens.script_of(data["token"])
    return from_data(data, source="request body")


def _allowed(path: str) -> Sequence[str]:
    """The methods that a path takes, none if there is no such path."""
    methods: Sequence[str] = methods_by_path().get(path, ())
    if not methods and (path in page.PATHS or _NUMBERED.fullmatch(path)):
        methods = ("GET",)
    return [*methods, "HEAD"] if "GET" in methods else methods


def _version() -> str:
    try:
        return version("llmkit")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
