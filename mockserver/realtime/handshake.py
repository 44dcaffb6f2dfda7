"""The way into a session: who may, with which model, in which spelling; and what a script does instead.

Ways to connect: https://platform.openai.com/docs/guides/realtime-websocket, Azure's as in its documentation of
`/openai/realtime?deployment=…&api-version=…` and, with `/openai/v1`, as recorded by pydantic-ai. A key that is refused,
and everything that Azure refuses, is refused by HTTP; a model that OpenAI does not have by an event and the closing of
the socket with 4000, as quoted in BerriAI/litellm#13471 (there for another reason; the text is unverified).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import hdrs, web

from mockserver import problems
from mockserver.answers import Answer
from mockserver.calls import Call, digest_of
from mockserver.catalogue import Model
from mockserver.dialects import Dialect
from mockserver.pipeline import Pipeline
from mockserver.problems import Problem
from mockserver.realtime.connection import Connection, Opened
from mockserver.realtime.operations import DEFAULT_MODEL, KIND
from mockserver.surfaces import Operation, Place, Result, Setting
from mockserver.transmission import ClientLeft, send
from mockserver.visit import Arrival, Visit

_PATHS: Mapping[Place, str] = {
    "openai": "/v1/realtime",
    "resource": "/openai/realtime",
    "azure_v1": "/openai/v1/realtime",
}
_KEY_PROTOCOL = "openai-insecure-api-key."
_BETA_PROTOCOL = "openai-beta.realtime-v1"
_PROTOCOLS = hdrs.SEC_WEBSOCKET_PROTOCOL.lower()


def routes(pipeline: Pipeline, places: Mapping[Place, tuple[str, Dialect]]) -> list[web.RouteDef]:
    """Where sessions are opened."""
    return [web.get(path, Door(pipeline, places[place][1], place).handle) for place, path in _PATHS.items()]


@dataclass(slots=True)
class _Admitted:
    """What the pipeline has found out on the way to the answer of the handshake."""

    call: Call | None = None
    setting: Setting | None = None


@dataclass(frozen=True, slots=True)
class Door:
    """The handler of one path."""

    pipeline: Pipeline
    dialect: Dialect
    place: Place

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Open a session, or answer the handshake with a refusal or whatever the script wants."""
        arrival, offered, kept = self._arrival(request)
        visit = Visit.open(self.pipeline.state, self.dialect, arrival)
        try:
            return await self._answer(request, visit, offered, kept)
        except ClientLeft as left:
            visit.note(client_left=True)
            response: web.StreamResponse = left.args[0]
            return response
        except asyncio.CancelledError:  # how aiohttp says that the connection is gone
            visit.note(client_left=not self.pipeline.closing.is_stopped)
            raise
        finally:
            visit.note(surface="realtime")
            visit.close()

    async def _answer(
        self, request: web.Request, visit: Visit, offered: tuple[str, ...], kept: dict[str, Any] | None
    ) -> web.StreamResponse:
        admitted, sent = _Admitted(), self.pipeline.state.journal.record(visit.number).progress
        flaw = None
        try:
            if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
                # unverified: what the API says to a GET that wants no WebSocket
                raise problems.error(400, "This endpoint only accepts WebSocket connections.")
            answer = visit.serve(self._operation(admitted), self.place)
        except Problem as problem:
            if self.dialect.name == "openai" and problem.status in (403, 404):
                flaw, answer = problem, Answer(status=101)
            else:
                answer = visit.refusal(problem)
                visit.note(outcome="refused")
        if answer.status != 101:
            visit.note_answer(answer)
            closing, clock = self.pipeline.closing, self.pipeline.state.clock
            return await send(request, answer, clock=clock, closing=closing, sent=sent)
        return await self._open(request, visit, answer, Opened(admitted.call, admitted.setting, kept, flaw), offered)

    async def _open(
        self, request: web.Request, visit: Visit, answer: Answer, opened: Opened, offered: tuple[str, ...]
    ) -> web.StreamResponse:
        limit = self.pipeline.state.settings.body_limit
        if answer.delay_s:
            await self.pipeline.state.clock.sleep(
                answer.delay_s, cancelled=self.pipeline.closing.end_of(answer.delay_s, self.pipeline.state.clock)
            )
        socket = web.WebSocketResponse(protocols=offered, max_msg_size=limit)
        headers = answer.safe_headers.items()
        socket.headers.update({name: value for name, value in headers if name.lower() != "content-type"})
        await socket.prepare(request)
        connection = Connection(socket, request, visit, self.pipeline, opened, is_beta=self._is_beta(request, opened))
        try:
            await connection.run()
        except asyncio.CancelledError:
            if not connection.is_closed:  # a client that closes the session need not wait for our half of it
                raise
        return socket

    def _operation(self, admitted: _Admitted) -> Operation:
        """What admits a client; faults of responses and of connections act on it, not replies or faults of streams."""

        def admit(call: Call, setting: Setting) -> Result:
            admitted.call, admitted.setting = call, setting
            return Result(status=101, content=b"", content_type="text/plain")

        def check(call: Call, _model: Model) -> None:
            if not call.model:
                raise problems.missing_model()  # unverified here

        return Operation(
            method="GET",
            path="/realtime",
            surface="handshake",
            name="connect",
            answer=admit,
            check=check,
            model="path" if self.place == "openai" else "body",
            default_model=DEFAULT_MODEL,
            kinds=("realtime",),
            takes="nothing",
        )

    def _is_beta(self, request: web.Request, opened: Opened) -> bool:
        """By header or subprotocol; for models that are previews; and for Azure's dated interface."""
        family = opened.setting.model.family if opened.setting else ""
        asked = "realtime=v1" in request.headers.get("openai-beta", "")
        asked = asked or _BETA_PROTOCOL in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
        return asked or self.place == "resource" or family.endswith("preview")

    def _arrival(self, request: web.Request) -> tuple[Arrival, tuple[str, ...], dict[str, Any] | None]:
        """The request, its key in the usual header; the subprotocol to agree on; what an ephemeral key opens."""
        arrival = Arrival.of(request)
        headers = dict(arrival.headers)
        offered = [each.strip() for each in headers.pop(_PROTOCOLS, "").split(",") if each.strip()]
        given = next((each.removeprefix(_KEY_PROTOCOL) for each in offered if each.startswith(_KEY_PROTOCOL)), None)
        if given is not None:
            headers["authorization"] = f"Bearer {given}"
        key, kept = self._real_key(self.dialect.credential(headers))
        if key is not None:
            headers = {name: value for name, value in headers.items() if name != "api-key"}
            headers["authorization"] = f"Bearer {key}" if key else ""
        ids = dict(arrival.ids)
        deployment = arrival.query.get("deployment") or arrival.query.get("model")
        if self.place != "openai" and deployment:
            ids["deployment"] = deployment
        if self.place == "openai":
            ids["model"] = arrival.query.get("model") or str((kept or {}).get("model") or "")
        return arrival._replace(headers=headers, ids=ids), _agreed(offered), kept

    def _real_key(self, key: str) -> tuple[str | None, dict[str, Any] | None]:
        """For an ephemeral key what stands for the real one ("" if it has expired) and what it opens."""
        state = self.pipeline.state
        kept = state.store.get(KIND, digest_of(key)) if key.startswith("ek_") else None
        if kept is None:
            return None, None
        if kept["expires_at"] < state.clock.now():
            return "", None
        allowed = state.settings.api_keys
        return next((one for one in allowed if digest_of(one) == kept["key"]), key), kept


def _agreed(offered: list[str]) -> tuple[str, ...]:
    """The subprotocol to answer: never one that is a key, unless nothing else is offered."""
    plain = [each for each in offered if not each.startswith(_KEY_PROTOCOL)]
    return ("realtime",) if "realtime" in plain else tuple(plain[:1] or offered[:1])
