"""One request on its way through the pipeline: what it asks for, and what it gets."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

from aiohttp import web

from mockserver import catalogue, problems
from mockserver.answers import Answer, framed
from mockserver.calls import Call, digest_of
from mockserver.catalogue import Model
from mockserver.dialects import Dialect
from mockserver.forms import Form, is_form, parse_form
from mockserver.generating.dice import Dice
from mockserver.performing import errand_for, performed
from mockserver.problems import Problem
from mockserver.quotas import Charge, Name, Quotas
from mockserver.scripting.steps import Moment, Step
from mockserver.state import State
from mockserver.surfaces import Operation, Performed, Place, Result, Scripted, Setting
from mockserver.transmission import BodyTooLarge
from mockserver.wire import compact, parse_json, readable

# dates from the year of the first one on, 2022-03-01-preview
_API_VERSION = re.compile(r"20(2[2-9]|[3-9]\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(-preview)?")
_SEPARATORS = re.compile(r"[\s;=,]+")
_CREDENTIALS = frozenset({"authorization", "api-key", "cookie", "proxy-authorization", "ocp-apim-subscription-key"})
_NAMELESS = Model(name="", family="", kind="chat", snapshot="")


class Arrival(NamedTuple):
    """A request before anything of it is understood; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    ids: dict[str, str]
    headers: dict[str, str]

    @classmethod
    def of(cls, request: web.Request) -> Self:
        """The one that aiohttp has read; of a header that came twice the values are joined."""
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            name, value = name.lower(), readable(value)
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        query, ids = _readable(request.query), _readable(request.match_info)
        return cls(request.method, readable(request.path), query, ids, headers)


def _readable(texts: Mapping[str, str]) -> dict[str, str]:
    return {readable(name): readable(value) for name, value in texts.items()}


@dataclass(slots=True)
class Visit:
    """One request on its way through the pipeline."""

    state: State
    dialect: Dialect
    number: int
    request_id: str
    now: float
    method: str
    path: str
    query: dict[str, str]
    ids: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    raw: bytes = b""
    form: Form | None = None
    flaw: Problem | None = None
    is_inner: bool = False

    @classmethod
    def open(cls, state: State, dialect: Dialect, arrival: Arrival) -> Self:
        """A visit by a client, noted in the journal."""
        (arrived, now), secrets = state.clock.reading(), secrets_of(arrival.headers)
        number = state.journal.open(
            secrets=secrets,
            arrived=arrived,
            started_at=now,
            method=arrival.method,
            path=arrival.path,
            query=arrival.query,
            dialect=dialect.name,
            headers=arrival.headers,
            now=state.clock.now,
        )
        return cls(
            state=state,
            dialect=dialect,
            number=number,
            request_id=dialect.request_id(state.dice("request", number)),
            now=now,
            method=arrival.method,
            path=arrival.path,
            query=arrival.query,
            ids=arrival.ids,
            headers=arrival.headers,
            secrets=secrets,
        )

    @property
    def credential(self) -> str:
        """The API key that the request presents, empty if none."""
        return self.dialect.credential(self.headers)

    def note(self, **facts: Any) -> None:
        """Write something into the journal."""
        self.state.journal.record(self.number).write(facts, self.secrets)

    def note_answer(self, answer: Answer) -> None:
        """Write into the journal what is going to be sent."""
        self.state.journal.answered(self.number, answer, secrets=self.secrets, request_id=self.request_id)

    def close(self) -> None:
        """Write into the journal that nothing more comes."""
        self.state.journal.ended(self.number, self.state.clock.now())

    async def read(self, body: Awaitable[bytes]) -> None:
        """Read the body; what is wrong with it is said when the request is served."""
        try:
            raw = await body
            content_type = self.headers.get("content-type", "")
            if is_form(content_type):
                self.form = await parse_form(raw, content_type)
        except BodyTooLarge as exc:
            self.flaw = problems.body_too_large(self.state.settings.body_limit, exc.args[0])
        except ValueError:
            self.flaw = problems.unparsable_body()
        else:
            self.take_body(raw)

    def take_body(self, raw: bytes) -> None:
        """The body, as it was sent."""
        self.raw = raw
        if raw:
            self.state.journal.asked(self.number, raw, self.form, secrets=self.secrets)

    def demand_body(self) -> None:
        """Refuse a request whose body could not be read."""
        if self.flaw is not None:
            raise self.flaw

    def refuse(self, problem: Callable[[str, str], Problem]) -> Answer:
        """Refuse the request for its method and path."""
        raise problem(self.method, self.path)

    def refusal(self, problem: Problem) -> Answer:
        """A problem as the dialect puts it."""
        dice = self.state.dice("headers", self.number)
        return self.dialect.refuse(problem, request_id=self.request_id, dice=dice)

    def serve(self, operation: Operation, place: Place) -> Answer:
        """What the script, or else the operation, answers; Problem where the request is refused."""
        call, model = self.understood(operation, place)
        self.note(model=call.model, key=call.key)
        self._check(call, model, operation)
        charge = self._charge(call, model, operation)
        return self._follow_script(call, model, operation, charge)

    def understood(self, operation: Operation, place: Place) -> tuple[Call, Model]:
        """The call that the request makes, and the model that is to answer; Problem where there is none."""
        call = self._parse(operation, place)
        model = self._model(call, operation)
        return (call if call.model == model.name else replace(call, model=model.name)), model

    def _charge(self, call: Call, model: Model, operation: Operation) -> Charge | None:
        """What the quotas are charged before anything is said, None where there are none; Problem if it is too much."""
        if self.is_inner or not self.state.quotas.are_limited or not model.name:
            return None
        charge = self._charged(call, operation.estimate(call, model))
        if not charge.is_admitted:
            raise self.dialect.over_quota(call, charge)
        return charge

    def _charged(self, call: Call, tokens: int) -> Charge:
        name: Name = "azure" if self.dialect.name == "azure" else "openai"
        subject = call.deployment or call.model
        quotas = Quotas() if self.is_inner else self.state.quotas  # batches have limits of their own, and none here
        return quotas.charge(key=self.credential, subject=subject, dialect=name, estimate=tokens, now=self.now)

    def _check(self, call: Call, model: Model, operation: Operation) -> None:
        try:
            operation.check(call, model)
        except Problem:
            if not self.state.settings.lenient:
                raise

    def _follow_script(self, call: Call, model: Model, operation: Operation, charge: Charge | None) -> Answer:
        def say(scripted: Scripted) -> Answer:
            answer = self._success(call, self.setting(model, scripted), operation, charge)
            self.state.journal.generated(self.number, answer)
            return answer

        step = self.take_step(call, otherwise="generated")
        if step is None:
            return say(Scripted())
        moment = Moment(call=call, dialect=self.dialect, say=say, refuse=self.refusal, inner=lambda: say(Scripted()))
        return step.answer(moment)

    def take_step(self, call: Call, *, otherwise: str) -> Step | None:
        """The step of the script that `call` takes; `otherwise` is the outcome where there is none."""
        taken = self.state.script.take(call, self.now)
        step = taken.step
        outcome, fault = (step.label, step.fault) if step else (otherwise, None)
        self.note(misses=taken.misses, outcome=outcome, fault=fault, step=taken.number or None)
        return step

    def say(self, scripted: Scripted, operation: Operation, place: Place) -> Answer:
        """What the operation says where a script wants it, whatever else would answer; no quota is charged."""
        call, model = self.understood(operation, place)
        self._check(call, model, operation)
        answer = self._success(call, self.setting(model, scripted), operation, None)
        self.state.journal.generated(self.number, answer)
        return answer

    @property
    def public_headers(self) -> dict[str, str]:
        """The headers without credentials."""
        return {name: value for name, value in self.headers.items() if name not in _CREDENTIALS}

    def _parse(self, operation: Operation, place: Place) -> Call:
        """The call that the request makes; Problem where credential, API version or body is wrong."""
        self.note(surface=operation.surface, operation=operation.name)
        self._authorise()
        self._check_api_version(place)
        body = self._body(operation)
        deployment = self._deployment(operation, place, body)
        self.note(deployment=deployment, stream=body.get("stream") in (True, "true"))
        return Call(
            number=self.number,
            method=self.method,
            path=self.path,
            query=self.query,
            headers=self.public_headers,
            surface=operation.surface,
            operation=operation.name,
            dialect=self.dialect.name,
            request_id=self.request_id,
            body=body,
            files=self.form.files if self.form else {},
            ids=self.ids,
            deployment=deployment,
            model=self._wanted_model(operation, body, deployment),
            key=digest_of(self.credential),
            content_filter=self.state.settings.content_filter,
        )

    def _deployment(self, operation: Operation, place: Place, body: dict[str, Any]) -> str | None:
        """The Azure deployment that is asked: the path names it, or under `/openai/v1` the body, as its model."""
        if place == "azure_v1" and operation.model == "body" and isinstance(body.get("model"), str):
            return str(body["model"])
        return self.ids.get("deployment")

    def _authorise(self) -> None:
        allowed, key = self.state.settings.api_keys, self.credential
        if not key or (allowed and key not in allowed):
            raise self.dialect.unauthorised(key)

    def _check_api_version(self, place: Place) -> None:
        """Azure serves nothing without a version it knows, except under `/openai/v1`."""
        if place not in ("deployment", "resource"):
            return
        if not _API_VERSION.fullmatch(self.query.get("api-version", "")):
            raise self.dialect.unknown_path(self.method, self.path)

    def _body(self, operation: Operation) -> dict[str, Any]:
        if self.method != "POST" or operation.takes == "nothing":
            return {}
        if operation.takes == "form" and self.form is not None:
            return self.form.fields
        if not self.raw and operation.model is None:
            return {}
        try:
            body = parse_json(self.raw)
        except ValueError as exc:
            raise problems.unparsable_body() from exc
        if not isinstance(body, dict):
            raise problems.unparsable_body()
        return body

    def _wanted_model(self, operation: Operation, body: dict[str, Any], deployment: str | None) -> str:
        if operation.model is None:
            return ""
        if operation.model == "path":
            return self.ids.get("model", "")
        model = deployment or body.get("model") or (None if "model" in body else operation.default_model) or None
        if not isinstance(model, str):
            raise problems.missing_model() if model is None else problems.invalid_type("model", "a string", model)
        return model

    def _model(self, call: Call, operation: Operation) -> Model:
        """The model that is to answer; Problem if there is none such, or it serves another surface."""
        if not call.model:
            return _NAMELESS
        model = catalogue.find(self._model_name(call, operation))
        if model is None or (self.dialect.name == "openai" and catalogue.is_retired(model.name)):
            if self.state.settings.lenient:
                return _made_up(call.model, operation)
            raise self.dialect.unknown_model(call, call.model)
        if operation.kinds and model.kind not in operation.kinds:
            if self.state.settings.lenient:
                return _made_up(call.model, operation)
            raise self.dialect.unsuitable_model(call, model.name)
        return model

    def _model_name(self, call: Call, operation: Operation) -> str:
        """What a deployment stands for; OpenAI has none, so there the name is the model's."""
        deployments = self.state.settings.deployments
        if self.dialect.name != "azure" or operation.model == "path":
            return call.model
        if deployments is None:
            return call.model if catalogue.find(call.model) else _stand_in(operation)
        return deployments.get(call.model, "")

    def setting(self, model: Model, scripted: Scripted) -> Setting:
        """What content depends on besides the request."""
        settings = self.state.settings
        return Setting(
            model=model,
            seed=settings.seed or 0,
            now=self.now,
            created=settings.created_at(self.now),
            store=self.state.store,
            perform=self._perform,
            lenient=settings.lenient,
            scripted=scripted,
        )

    def _perform(self, call: Call, method: str, path: str, body: dict[str, Any]) -> Performed:
        """Answer a request of the server to itself as if this client had made it; its quotas are not charged."""
        errand = errand_for(call, method, path, body)
        inner = self._inner(method, errand.path if errand else path, errand.ids if errand else {}, body)
        try:
            if errand is None:
                raise self.dialect.unknown_path(method, path)
            answer = inner.serve(errand.operation, errand.place)
        except Problem as problem:
            answer = inner.refusal(problem)
            inner.note(outcome="refused")
        inner.settle(answer, by=call.surface)
        return performed(answer, inner.request_id)

    def _inner(self, method: str, path: str, ids: dict[str, str], body: dict[str, Any]) -> "Visit":
        """A visit that the server pays itself, noted in the journal like any other."""
        number = self.state.journal.open(
            secrets=self.secrets,
            started_at=self.now,
            method=method,
            path=path,
            query=self.query,
            dialect=self.dialect.name,
            now=self.state.clock.now,
        )
        request_id = self.dialect.request_id(Dice(self.state.settings.seed or 0, "request", number))
        return replace(
            self,
            number=number,
            request_id=request_id,
            method=method,
            path=path,
            ids=ids,
            raw=compact(body),
            form=None,
            is_inner=True,
        )

    def settle(self, answer: Answer, *, by: str) -> None:
        """Write into the journal that an answer to the server itself has come whole, and which surface asked."""
        self.note(operation=f"performed by {by}")
        self.state.journal.asked(self.number, self.raw, secrets=self.secrets)
        self.note_answer(answer)
        self.state.journal.progress(self.number, len(answer.frames), len(answer.body))
        self.close()

    def _success(self, call: Call, setting: Setting, operation: Operation, charge: Charge | None) -> Answer:
        """What the operation says, as the dialect puts it."""
        hit = call.content_filter.of_prompt(call.body).hit
        if hit is not None:
            category, severity = hit.category, hit.severity
            problem = self.dialect.content_filtered(category=category, severity=severity, surface=call.surface)
            if problem is not None:
                raise problem
            setting = replace(setting, scripted=Scripted(text="", finish_reason="content_filter"))
        result = operation.answer(call, setting)
        spent = result.spent
        if spent.total:
            self.note(spent=spent)
        if charge is not None:
            self.state.quotas.settle(charge, actual_tokens=spent.total, now=self.now)
        headers = self.dialect.headers(
            call,
            self.state.dice("headers", self.number),
            streamed=result.streamed,
            charge=charge or self._charged(call, spent.total),
        )
        headers |= result.headers
        if result.content is not None:
            headers["content-type"] = result.content_type
            return Answer(status=result.status, headers=headers, frames=framed([result.content]))
        if result.streamed:
            return Answer(status=200, headers=headers, frames=self._frames(call, setting, result), streamed=True)
        body = self.dialect.annotate(call, result.body)
        return Answer(status=result.status, headers=headers, frames=framed([self.dialect.encode(body)]))

    def _frames(self, call: Call, setting: Setting, result: Result) -> Any:
        if result.events:
            return framed(self.dialect.event_frames(call, result.events))
        pads = self.dialect.pads(call, len(result.chunks), setting.dice(call, "wire"))
        return framed(self.dialect.frames(self.dialect.annotate_stream(call, result.chunks, pads)))


def _made_up(name: str, operation: Operation) -> Model:
    """A model that nobody knows, as a lenient server plays it."""
    known = catalogue.find(_stand_in(operation)) or _NAMELESS
    return replace(known, name=known.name, snapshot=name)


def _stand_in(operation: Operation) -> str:
    """The model that answers where any name passes."""
    own = _STAND_INS.get(f"{operation.surface}.{operation.name}")
    return own or operation.default_model or _STAND_INS.get(operation.surface, "gpt-4o")


_STAND_INS = {
    "embeddings": "text-embedding-3-small",
    "completions": "gpt-3.5-turbo-instruct",
    "images": "gpt-image-1",
    "moderations": "omni-moderation-latest",
    "realtime": "gpt-realtime",
    "audio": "whisper-1",
    "audio.speech": "gpt-4o-mini-tts",
}


def secrets_of(headers: Mapping[str, str]) -> frozenset[str]:
    """Every credential in the headers, in whatever dialect."""
    values = [headers[name] for name in _CREDENTIALS if name in headers]
    return frozenset(part for value in values for part in _SEPARATORS.split(value) if part)
