"""The life of a request: read → authorise → parse → find the model → check → script → generate → journal → send."""

import asyncio
import functools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from mockserver import catalogue, problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.dialects import Dialect
from mockserver.dialects.azure import Azure
from mockserver.dialects.openai import OpenAI
from mockserver.generation import Dice
from mockserver.journal import Journal
from mockserver.problems import Problem
from mockserver.scripts import Script
from mockserver.steps import Moment
from mockserver.surfaces import Scripted, Setting, Surface
from mockserver.wire import Answer, BodyTooLarge, ClientLeft, parse_json, read_body, send

Handler = Callable[[web.Request], Any]

_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_DEFAULTS = {"chat": "gpt-4o", "embeddings": "text-embedding-3-small"}
_NAMELESS = Model(name="", family="", kind="chat", snapshot="", window=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server is told at its start.

    `deployments` maps Azure deployments to models, None lets any name pass; no `api_keys` lets any key pass. `now` is
    the clock that `created` and the journal read; `body_limit` is in bytes.
    """

    seed: int = 0
    deployments: Mapping[str, str] | None = None
    api_keys: frozenset[str] = field(default=frozenset(), repr=False)
    now: Callable[[], float] = time.time
    body_limit: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Route:
    """A method and path of the API, in whose dialect and for which surface."""

    method: str
    path: str
    dialect: Dialect
    surface: Surface


@dataclass
class Pipeline:
    """Answers requests by the script, or by what the surfaces generate."""

    settings: Settings
    script: Script = field(default_factory=Script)
    journal: Journal = field(default_factory=Journal)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def serve(self, route: Route) -> Handler:
        """The handler of one route."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return await self._handle(request, route.dialect, lambda visit: self._serve(visit, route))

        return handler

    def refuse_method(self, dialect: Dialect) -> Handler:
        """The handler of a known path that is asked with another method."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return await self._handle(request, dialect, lambda visit: visit.refuse(dialect.wrong_method))

        return handler

    async def refuse_path(self, request: web.Request) -> web.StreamResponse:
        """The handler of every path that no route serves."""
        on_azure = "api-key" in request.headers and not request.path.startswith("/v1/")
        on_azure = on_azure or request.path.startswith("/openai/")
        dialect: Dialect = Azure() if on_azure else OpenAI()
        return await self._handle(request, dialect, lambda visit: visit.refuse(dialect.unknown_path))

    async def _handle(
        self, request: web.Request, dialect: Dialect, decide: Callable[["_Visit"], Answer]
    ) -> web.StreamResponse:
        """Read the request, let `decide` answer it, and write both into the journal before the first byte is sent."""
        visit = self._open(request, dialect)
        try:
            answer = await self._decided(visit, decide)
            sent = functools.partial(self.journal.count_frames, visit.number)
            return await send(request, answer, stopping=self.stopping, sent=sent)
        except ClientLeft as left:
            visit.note(client_left=True)
            response: web.StreamResponse = left.args[0]
            return response
        except asyncio.CancelledError:  # how aiohttp says that the connection is gone
            visit.note(client_left=not self.stopping.is_set())
            raise

    async def _decided(self, visit: "_Visit", decide: Callable[["_Visit"], Answer]) -> Answer:
        try:
            await visit.read()
            answer = decide(visit)
        except Problem as problem:
            answer = visit.refusal(problem)
            visit.note(outcome="refused")
        visit.note(status=answer.status)
        return answer

    def _open(self, request: web.Request, dialect: Dialect) -> "_Visit":
        now = self.settings.now()
        secrets = _secrets_of(request)
        number = self.journal.open(
            secrets=secrets, started_at=now, method=request.method, path=request.path, query=dict(request.query)
        )
        request_id = dialect.request_id(Dice(self.settings.seed, "request", number))
        visit = _Visit(self, request, dialect, number, request_id, now, secrets)
        visit.note(dialect=dialect.name, request_id=request_id)
        return visit

    def _serve(self, visit: "_Visit", route: Route) -> Answer:
        call = visit.parse(route)
        setting = visit.setting(call, route.surface)
        call = replace(call, model=setting.model.name)
        route.surface.check(call, setting.model)
        return self._follow_script(visit, route, call, setting)

    def _follow_script(self, visit: "_Visit", route: Route, call: Call, setting: Setting) -> Answer:
        def normal(scripted: Scripted) -> Answer:
            return visit.success(call, replace(setting, scripted=scripted), route.surface)

        taken = self.script.take(call)
        visit.note(
            model=call.model, misses=taken.misses, outcome=taken.step.action.label if taken.step else "generated"
        )
        if taken.step is None:
            return normal(Scripted())
        return taken.step.action.answer(Moment(call=call, dialect=route.dialect, normal=normal, refuse=visit.refusal))


@dataclass
class _Visit:
    """One request on its way through the pipeline."""

    pipeline: Pipeline
    request: web.Request = field(repr=False)
    dialect: Dialect
    number: int
    request_id: str
    now: float
    secrets: frozenset[str] = field(repr=False)
    raw: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.request.headers.items()}

    @property
    def credential(self) -> str:
        return self.dialect.credential(self.headers)

    def note(self, **facts: Any) -> None:
        """Write something into the journal."""
        self.pipeline.journal.update(self.number, secrets=self.secrets, **facts)

    async def read(self) -> None:
        """Read the body; Problem where that is not possible."""
        limit = self.pipeline.settings.body_limit
        try:
            self.raw = await read_body(self.request, limit=limit)
        except BodyTooLarge as exc:
            raise problems.body_too_large(limit, exc.args[0]) from exc
        except ValueError as exc:
            raise problems.unparsable_body() from exc

    def refuse(self, problem: Callable[[str, str], Problem]) -> Answer:
        """Refuse the request for its method and path."""
        raise problem(self.request.method, self.request.path)

    def refusal(self, problem: Problem) -> Answer:
        """A problem as the dialect puts it."""
        dice = Dice(self.pipeline.settings.seed, "headers", self.number)
        return self.dialect.refuse(problem, request_id=self.request_id, dice=dice)

    def parse(self, route: Route) -> Call:
        """The call that the request makes; Problem where credential, API version or JSON is wrong."""
        self.note(surface=route.surface.name)
        self._authorise()
        self._check_api_version(route)
        body = self._body() if route.method == "POST" else {}
        deployment = self.request.match_info.get("deployment")
        self.note(request=body or None, deployment=deployment, stream=body.get("stream") is True)
        model = self.request.match_info.get("model") or deployment or body.get("model")
        if route.method == "POST" and not isinstance(model, str):
            raise problems.missing_model() if model is None else problems.invalid_type("model", "a string", model)
        return Call(
            number=self.number,
            method=self.request.method,
            path=self.request.path,
            query=dict(self.request.query),
            headers={name: value for name, value in self.headers.items() if name not in _CREDENTIALS},
            surface=route.surface.name,
            dialect=self.dialect.name,
            request_id=self.request_id,
            body=body,
            deployment=deployment,
            model=model or "",
        )

    def _authorise(self) -> None:
        allowed = self.pipeline.settings.api_keys
        if not self.credential or (allowed and self.credential not in allowed):
            raise self.dialect.unauthorised(self.credential)

    def _check_api_version(self, route: Route) -> None:
        """Azure serves nothing without a version it knows, except under `/openai/v1`."""
        if self.dialect.name != "azure" or route.path.startswith("/openai/v1/"):
            return
        if not _API_VERSION.fullmatch(self.request.query.get("api-version", "")):
            raise self.dialect.unknown_path(self.request.method, self.request.path)

    def _body(self) -> dict[str, Any]:
        try:
            body = parse_json(self.raw)
        except ValueError as exc:
            raise problems.unparsable_body() from exc
        if not isinstance(body, dict):
            raise problems.unparsable_body()
        return body

    def setting(self, call: Call, surface: Surface) -> Setting:
        """The model that is to answer; Problem if there is none such, or it serves another surface."""
        seed, now = self.pipeline.settings.seed, self.now
        if surface.name == "models" and not call.model:
            return Setting(model=_NAMELESS, seed=seed, now=now)
        model = catalogue.find(self._model_name(call))
        if model is None or (self.dialect.name == "openai" and catalogue.is_retired(model.name)):
            raise self.dialect.unknown_model(call, call.model)
        if surface.name not in ("models", model.surface):
            raise self.dialect.unsuitable_model(call, model.name)
        return Setting(model=model, seed=seed, now=now)

    def _model_name(self, call: Call) -> str:
        """What a deployment stands for; OpenAI has none, so there the name is the model's."""
        deployments = self.pipeline.settings.deployments
        if self.dialect.name != "azure" or call.surface == "models":
            return call.model
        if deployments is None:
            return call.model if catalogue.find(call.model) else _DEFAULTS[call.surface]
        return deployments.get(call.model, "")

    def success(self, call: Call, setting: Setting, surface: Surface) -> Answer:
        """What the surface says, as the dialect puts it."""
        result = surface.result(call, setting)
        wire, dice = setting.dice(call, "wire"), Dice(setting.seed, "headers", self.number)
        headers = self.dialect.headers(call, dice, streamed=bool(result.chunks), tokens=result.tokens)
        if result.chunks:
            options = call.body.get("stream_options") or {}
            chunks = self.dialect.annotate_stream(result.chunks, wire, options=options)
            return Answer(status=200, headers=headers, frames=self.dialect.frames(chunks), streamed=True)
        body = self.dialect.annotate(result.body) if surface.name == "chat" else result.body
        return Answer(status=200, headers=headers, frames=(self.dialect.encode(body),))


_CREDENTIALS = frozenset({"authorization", "api-key", "cookie", "proxy-authorization", "ocp-apim-subscription-key"})


def _secrets_of(request: web.Request) -> frozenset[str]:
    """Every credential in the headers, in whatever dialect."""
    values = [value for name in _CREDENTIALS for value in request.headers.getall(name, ())]
    return frozenset(part for value in values for part in re.split(r"[\s;=,]+", value) if part)
