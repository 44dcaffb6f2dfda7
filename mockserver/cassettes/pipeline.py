"""The life of a request where cassettes or the real API answer: read → script → cassette → upstream → miss.

A step of the script acts on what is recorded, or comes, as it does on what is generated; a scripted reply is said
instead of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from typing_extensions import override

from llmkit.recording.errors import RecordingError
from llmkit.recording.interaction import Request, Response, header
from llmkit.recording.interception.wire import listed
from llmkit.recording.take import NO_REPLY
from mockserver import problems
from mockserver.answers import Answer, Frame
from mockserver.calls import Call, digest_of
from mockserver.cassettes import names
from mockserver.cassettes.headers import end_to_end
from mockserver.cassettes.replaying import answer_of
from mockserver.cassettes.upstream import BROKEN, Forwarded, Upstream, broken_as, onward, received
from mockserver.dialects import Dialect
from mockserver.forms import is_form, parse_form
from mockserver.pipeline import Handler, Pipeline, Route, dialect_of
from mockserver.scripting.steps import Moment, Step
from mockserver.state import State
from mockserver.surfaces import Scripted
from mockserver.transmission import BodyTooLarge, ClientLeft, read_body
from mockserver.visit import Visit
from mockserver.wire import compact, parse_json

_MISS = 404  # what clients do not ask again; a 501 would be retried by the official SDKs
_BAD_NAME = 400
_UNRECORDABLE = 500
_FIRST_REFUSAL = 400


class TapedPipeline(Pipeline):
    """Answers requests by recorded cassettes, by the real API, or by both: what is not recorded is asked there."""

    answers_at_once = False

    def __init__(self, state: State) -> None:
        super().__init__(state)
        settings = state.settings
        self._upstream = Upstream(settings.upstream, state.tapes) if settings.upstream else None

    @override
    def serve(self, route: Route) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, route.dialect, route)

        return handler

    @override
    def refuse_method(self, dialect: Dialect) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, dialect, None)

        return handler

    @override
    async def refuse_path(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, dialect_of(request), None)

    @override
    async def close(self) -> None:
        if self._upstream is not None:
            await self._upstream.close()

    async def _serve(self, request: web.Request, dialect: Dialect, route: Route | None) -> web.StreamResponse:
        return await self.attend(request, dialect, lambda visit: self._answer(request, visit, route))

    async def _answer(self, request: web.Request, visit: Visit, route: Route | None) -> web.StreamResponse:
        await _read(visit, request)
        try:
            turn = _Turn(self.state, request, visit, route)
        except ValueError as exc:
            message = str(exc)
            return await self.give(request, visit, lambda _: failure(_BAD_NAME, message, kind="mockserver_cassette"))
        if visit.flaw is not None or turn.is_forbidden:
            return await self.give(request, visit, turn.refuse)
        step = visit.take_step(turn.call, otherwise="played")
        if step is None:
            return await self._plainly(request, visit, turn)
        by_step = turn.by_step(step, self._fetching(turn))
        # in a thread, as a fault may ask for what is yet to come from upstream
        answer = await asyncio.to_thread(self.decide, visit, by_step)
        return await self.send(request, visit, answer)

    async def _plainly(self, request: web.Request, visit: Visit, turn: "_Turn") -> web.StreamResponse:
        recorded = turn.recorded()
        if recorded is None and self._upstream is not None:
            return await _Passage(request, visit, turn, self._upstream).run(self)
        return await self.give(request, visit, lambda _: recorded or turn.miss())

    def _fetching(self, turn: "_Turn") -> Callable[[], Answer] | None:
        """What asks upstream from the thread of a step, None where there is none."""
        if self._upstream is None:
            return None
        upstream, loop = self._upstream, asyncio.get_running_loop()

        def fetch() -> Answer:
            return answer_of(
                asyncio.run_coroutine_threadsafe(upstream.fetch(turn.onward), loop).result(), by_event=True
            )

        return fetch


class _Turn:
    """One request whose body is read: what it asks for, and what is recorded for it."""

    def __init__(self, state: State, request: web.Request, visit: Visit, route: Route | None) -> None:
        self._state, self._request, self._visit, self._route = state, request, visit, route
        self.call = _call(visit, route)
        named = request.headers.get(names.HEADER, "")
        current, begun_at = state.plays.current()
        self._taken: tuple[int, Answer] | None = None
        self._cassette, self._begun_at = (names.plain(named), "") if named else (current, begun_at)

    @property
    def is_forbidden(self) -> bool:
        """Whether only certain keys pass, and this is none of them."""
        allowed = self._state.settings.api_keys
        return bool(allowed) and self._visit.credential not in allowed

    def refuse(self, visit: Visit) -> Answer:
        """Refuse a body that could not be read, or the key."""
        visit.demand_body()
        raise visit.dialect.unauthorised(visit.credential)

    @property
    def onward(self) -> Forwarded:
        """The request as it goes on."""
        return Forwarded(
            method=self._request.method,
            path=self._request.raw_path,
            headers=onward(self._request.headers),
            body=self._visit.raw,
            cassette=self._cassette or names.DEFAULT,
            begun_at=self._begun_at,
        )

    def recorded(self, *, by_event: bool = False) -> Answer | None:
        """The next recording of the request, None if there is none."""
        if self._state.recordings is None:
            return None
        settings, recordings = self._state.settings, self._state.recordings
        places = recordings.places(self._asked(), self._cassette)
        place = self._state.plays.take(places, repeats=settings.lenient) if places else None
        if place is None:
            return None
        response = recordings.all[place].interaction.response
        answer = answer_of(response, speed=settings.replay_speed, by_event=by_event)
        self._state.journal.generated(self._visit.number, answer)
        self._taken = place, answer
        return answer

    def miss(self) -> Answer:
        """Say that nothing is recorded, and what is nearest."""
        assert self._state.recordings is not None  # noqa: S101 - else upstream answers
        self._visit.note(outcome="missed")
        message = self._state.recordings.miss(self._asked(), self._cassette, self._state.plays.played())
        return failure(_MISS, message, kind="mockserver_miss", code="no_recording")

    def by_step(self, step: Step, fetch: Callable[[], Answer] | None) -> Callable[[Visit], Answer]:
        """What the request gets from `step`, which acts on what is recorded or else fetched."""

        def inner() -> Answer:
            return self.recorded(by_event=True) or (self.miss() if fetch is None else fetch())

        def answer(visit: Visit) -> Answer:
            refuse = visit.refusal
            moment = Moment(call=self.call, dialect=visit.dialect, say=self._say, refuse=refuse, inner=inner)
            bent = step.answer(moment)
            self._give_back(bent)
            return bent

        return answer

    def _give_back(self, bent: Answer) -> None:
        """Keep a recording that a fault has broken for the client's next attempt."""
        if self._taken is None:
            return
        place, answer = self._taken
        is_broken = bent.headless or bent.ending != answer.ending or bent.full_length != answer.full_length
        if is_broken or bent.body != answer.body:
            self._state.plays.give_back(place)

    def _say(self, scripted: Scripted) -> Answer:
        visit, route = self._visit, self._route
        if route is None:
            raise visit.dialect.unknown_path(visit.method, visit.path)
        return visit.say(scripted, route.operation, route.place)

    def _asked(self) -> Request:
        assert self._state.recordings is not None  # noqa: S101 - nobody asks otherwise
        uri = f"http://localhost{self._request.raw_path}"
        headers = listed(self._request.headers.items())
        sent = Request(method=self._request.method, uri=uri, headers=headers, body=self._visit.raw)
        return self._state.recordings.asked(sent)


class _Passage:
    """One reply on its way from upstream to the client, live."""

    def __init__(self, request: web.Request, visit: Visit, turn: _Turn, upstream: Upstream) -> None:
        self._request, self._visit, self._onward, self._upstream = request, visit, turn.onward, upstream
        self._head = Response(status=NO_REPLY)
        self._pieces: list[bytes] = []
        self._ended = ""
        self._response: web.StreamResponse | None = None

    async def run(self, pipeline: Pipeline) -> web.StreamResponse:
        """Pass on what comes; where nothing does, or it breaks off, break off as well."""
        try:
            async with self._upstream.ask(self._onward) as reply:
                await self._pass_on(reply)
            return await self._end()
        except RecordingError as error:
            message = str(error)
            return await pipeline.give(
                self._request, self._visit, lambda _: failure(_UNRECORDABLE, message, kind="mockserver_recording")
            )
        except BROKEN as error:
            self._ended = broken_as(error, has_begun=self._head.status != NO_REPLY)
            abruptly = Answer(status=0, headless=True, ending="fin" if self._ended.startswith("aborted") else "rst")
            ended = await pipeline.send(self._request, self._visit, abruptly)
            return self._response or ended
        finally:
            self._note()

    async def _pass_on(self, reply: aiohttp.ClientResponse) -> None:
        self._head = Response(
            status=reply.status, reason=reply.reason or "", headers=listed(reply.headers.items()), headers_ms=0
        )
        self._visit.note(status=reply.status, outcome="forwarded")
        if reply.status >= _FIRST_REFUSAL:
            self._pieces.append(await reply.read())  # it is in the file before the client sees it
            return
        await self._begin()
        async for piece in reply.content.iter_any():
            await self._write(piece)

    async def _begin(self) -> web.StreamResponse:
        headers = CIMultiDict(
            end_to_end((name, value) for name, values in self._head.headers.items() for value in values)
        )
        response = web.StreamResponse(status=self._head.status, reason=self._head.reason, headers=headers)
        length = header(self._head.headers, "content-length")
        response.content_length = int(length) if length.isdigit() else None
        self._response = response
        await response.prepare(self._request)
        return response

    async def _write(self, piece: bytes) -> None:
        assert self._response is not None  # noqa: S101 - it has begun
        self._pieces.append(piece)
        self._visit.state.journal.progress(self._visit.number, len(self._pieces), sum(map(len, self._pieces)))
        await self._sent(self._response.write(piece))

    async def _end(self) -> web.StreamResponse:
        if self._response is None:
            await self._begin()
            refusal, self._pieces = self._pieces, []
            for piece in refusal:
                await self._write(piece)
        assert self._response is not None  # noqa: S101 - it has begun now
        await self._sent(self._response.write_eof())
        return self._response

    async def _sent(self, writing: Awaitable[None]) -> None:
        try:
            await writing
        except ConnectionResetError as exc:  # the client's end, and not that of upstream
            raise ClientLeft(self._response) from exc

    def _note(self) -> None:
        if self._head.status == NO_REPLY and not self._ended:
            return
        answer = answer_of(received(self._head, self._pieces, self._ended))
        given = {name.lower(): values[0] for name, values in self._head.headers.items()}
        self._visit.request_id = given.get("x-request-id") or given.get("apim-request-id") or self._visit.request_id
        self._visit.note_answer(answer)
        self._visit.state.journal.progress(self._visit.number, len(answer.frames), len(answer.body))


def failure(status: int, message: str, *, kind: str, code: str | None = None) -> Answer:
    """What is wrong with a recording, for a client to see as an error that it must not ask again."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    headers = {"content-type": "application/json", "x-should-retry": "false"}
    return Answer(status=status, headers=headers, frames=(Frame(compact(body)),))


async def _read(visit: Visit, request: web.Request) -> None:
    """Read the body as it is: what the API would refuse may well be recorded."""
    limit = visit.state.settings.body_limit
    try:
        raw = await read_body(request, limit=limit)
    except BodyTooLarge as exc:
        visit.flaw = problems.body_too_large(limit, exc.args[0])
    except ValueError:
        visit.flaw = problems.unparsable_body()
    else:
        content_type = visit.headers.get("content-type", "")
        if is_form(content_type):
            with suppress(ValueError):
                visit.form = await parse_form(raw, content_type)
        visit.take_body(raw)


def _call(visit: Visit, route: Route | None) -> Call:
    """The request as steps look at it, though nothing may be known of its path."""
    body = _body(visit)
    deployment = visit.ids.get("deployment")
    model = deployment or body.get("model") or visit.ids.get("model")
    surface, operation = (route.operation.surface, route.operation.name) if route else ("", "")
    call = Call(
        number=visit.number,
        method=visit.method,
        path=visit.path,
        query=visit.query,
        headers=visit.public_headers,
        surface=surface,
        operation=operation,
        dialect=visit.dialect.name,
        request_id=visit.request_id,
        body=body,
        files=visit.form.files if visit.form else {},
        ids=visit.ids,
        deployment=deployment,
        model=model if isinstance(model, str) else "",
        key=digest_of(visit.credential),
    )
    facts = {"surface": surface or None, "operation": operation or None, "deployment": deployment}
    visit.note(**facts, model=call.model or None, key=call.key, stream=call.stream)
    return call


def _body(visit: Visit) -> dict[str, Any]:
    if visit.form is not None:
        return visit.form.fields
    try:
        body = parse_json(visit.raw) if visit.raw else {}
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
