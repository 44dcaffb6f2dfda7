"""One session from its first event to its last."""

import asyncio
import contextlib
import json
import logging
import math
import socket
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from aiohttp import WSCloseCode, WSMsgType, web

from mockserver import problems
from mockserver.answers import Answer, Frame
from mockserver.calls import Call
from mockserver.generating.dice import Dice
from mockserver.pipeline import Pipeline
from mockserver.problems import Problem
from mockserver.realtime.client_events import ClientEvents, refused
from mockserver.realtime.operations import DEFAULT_MODEL
from mockserver.realtime.responding import Active, respond_operation, response_body
from mockserver.realtime.sessions import LIFETIME_S, changed, new_session
from mockserver.realtime.spelling import in_beta
from mockserver.surfaces import Place, Setting, Spent
from mockserver.visit import Visit
from mockserver.wire import compact, event, parse_json

Event = dict[str, Any]

_MOST_KEPT = 20_000  # events of one session in the journal
_DATA = b"data: "


class Opened(NamedTuple):
    """What the handshake has found: without `setting` the session is refused for `flaw`, as soon as it is open."""

    call: Call | None
    setting: Setting | None
    kept: Mapping[str, Any] | None
    flaw: Problem | None


class Connection:
    """A session on its socket; what happens to it is noted in the journal as one exchange."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        request: web.Request,
        visit: Visit,
        pipeline: Pipeline,
        opened: Opened,
        *,
        is_beta: bool,
    ) -> None:
        self._ws, self._request, self._visit, self._pipeline = ws, request, visit, pipeline
        self._opened, self.is_beta = opened, is_beta
        self._sent: list[Frame] = []
        self._count = self._size = 0
        self._heard: list[Any] = []
        self._spent = Spent()
        self._ending: str = "whole"
        self._playing: asyncio.Task[None] | None = None
        self.active: Active | None = None
        state = pipeline.state
        self.dice = Dice(state.settings.seed or 0, "realtime", state.store.number("realtime connection"))

    @property
    def is_lenient(self) -> bool:
        """Whether odd values are let in."""
        return self._pipeline.state.settings.lenient

    @property
    def is_closed(self) -> bool:
        """Whether the client has said goodbye."""
        return self._ws.close_code not in (None, WSCloseCode.ABNORMAL_CLOSURE)

    async def run(self) -> None:
        """Serve the session until one side ends it."""
        self._visit.note(status=101, streamed=True, stream=True)
        try:
            await self._serve()
        except ConnectionResetError:  # the socket is known to be dead before the handler is cancelled for it
            self._visit.note(client_left=True)
        finally:
            if self._playing is not None:
                self._playing.cancel()
            self._note()

    async def _serve(self) -> None:
        if self._opened.setting is None or self._opened.call is None:
            await self._turn_away(self._opened.flaw)
            return
        self._events = ClientEvents(self, self._session(self._opened.call, self._opened.setting))
        await self.send({"type": "session.created", "session": self._events.session})
        async for text in self._messages():
            await self._react(text)

    def _session(self, call: Call, setting: Setting) -> dict[str, Any]:
        expires_at = setting.created + LIFETIME_S
        session = new_session(self.dice, model=call.model, expires_at=expires_at, is_beta=self.is_beta)
        return changed(session, (self._opened.kept or {}).get("session"), is_beta=self.is_beta)

    async def _turn_away(self, flaw: Problem | None) -> None:
        message = "" if flaw is None else str(flaw.error.get("message"))
        error = {"type": "invalid_request_error", "code": "invalid_model", "message": message, "param": None}
        self._visit.note(outcome="refused")
        await self.send({"type": "error", "error": {**error, "event_id": None}})
        await self._ws.close(code=4000, message=b"invalid_request_error.invalid_model")

    async def _messages(self) -> Any:
        """What the client says, until it or the server goes."""
        closing, clock = self._pipeline.closing, self._pipeline.state.clock
        ending = asyncio.create_task(closing.end_of(math.inf, clock).wait())
        message: asyncio.Future[Any] | None = None
        try:
            while True:
                message = asyncio.ensure_future(self._ws.receive())
                message.add_done_callback(_looked_at)
                await asyncio.wait({ending, message}, return_when=asyncio.FIRST_COMPLETED)
                if not message.done():
                    message.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await message
                    await self._ws.close(code=WSCloseCode.GOING_AWAY)
                    return
                kind, data = message.result().type, message.result().data
                if kind not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    left = kind is not WSMsgType.CLOSE and self._ending == "whole"
                    self._visit.note(client_left=left)
                    return
                yield data
        finally:
            ending.cancel()
            if message is not None:
                message.cancel()

    async def _react(self, data: str | bytes) -> None:
        """Do what one event asks; what is wrong with it is said in an event, and the session goes on."""
        said = _parsed(data)
        if len(self._heard) < _MOST_KEPT:
            self._heard.append(said)
        try:
            await self._events.handle(_event_in(said))
        except Problem as problem:
            await self.send(refused(problem, said))
        except (ConnectionResetError, asyncio.CancelledError):
            raise
        except Exception as exc:
            logging.getLogger("mockserver").exception("the mock server itself failed in a realtime session")
            await self.send(refused(problems.own_failure(exc), said))

    async def send(self, said: Event) -> None:
        """Send one event of the newer interface, as the client's spells it."""
        spelt: Event | None = in_beta(said) if self.is_beta else dict(said)
        if spelt is not None:
            await self._send(event(compact(self._numbered(spelt))))

    def _numbered(self, said: Event) -> Event:
        head = {"type": said.pop("type"), "event_id": said.pop("event_id", None) or f"event_{self.dice.token(21)}"}
        return {**head, **said}

    async def _send(self, data: bytes, wait_s: float = 0.0) -> None:
        """Send what a frame of a stream would carry: its data as a message, a comment as a ping."""
        self._count += 1
        self._size += len(data)
        if len(self._sent) < _MOST_KEPT:
            self._sent.append(Frame(data, wait_s))
            self._pipeline.state.journal.progress(self._visit.number, self._count, self._size)
        if data.startswith(b":"):
            await self._ws.ping()
            return
        _, mark, text = data.rpartition(_DATA)
        await self._ws.send_frame((text if mark else data).removesuffix(b"\n\n"), WSMsgType.TEXT)

    async def respond(self, asked: Event) -> None:
        """Let the script, or else the generator, answer what has been said so far."""
        answer, active = self._planned(asked)
        self.active = active
        if answer.delay_s or answer.ending == "hang" or any(frame.wait_s for frame in answer.frames):
            self._playing = asyncio.create_task(self._play(answer, active))
            self._playing.add_done_callback(_looked_at)
        else:
            await self._play(answer, active)

    def _planned(self, asked: Event) -> tuple[Answer, Active]:
        """The answer as frames of a stream, or the failure of the response."""
        state, call = self._pipeline.state, self._opened.call
        if call is None:
            raise problems.error(400, "no session")
        active = Active.of(asked, self._events, self.dice, is_beta=self.is_beta)
        body = response_body(active, model=call.deployment or call.model or DEFAULT_MODEL)
        visit = replace(self._visit, method="POST", raw=compact(body), now=state.clock.now())
        operation = respond_operation(active, self._events, dice=self.dice, model=call.model)
        place: Place = "openai" if self._visit.dialect.name == "openai" else "azure_v1"
        try:
            answer = visit.serve(operation, place)
        except Problem as problem:
            answer = visit.refusal(problem)
        self._charge(active)
        return answer, active

    def _charge(self, active: Active) -> None:
        spent = active.spent
        self._spent = Spent(
            prompt=self._spent.prompt + spent.prompt,
            completion=self._spent.completion + spent.completion,
            cached=self._spent.cached + spent.cached,
            audio=self._spent.audio + spent.audio,
        )
        if self._spent.total:
            self._visit.note(spent=self._spent)

    async def _play(self, answer: Answer, active: Active) -> None:
        """Send an answer in its time, and end it as it says."""
        clock, closing = self._pipeline.state.clock, self._pipeline.closing
        if answer.delay_s and not await clock.sleep(answer.delay_s, cancelled=closing.end_of(answer.delay_s, clock)):
            return
        if not answer.headless and (answer.status >= 400 or not answer.streamed):
            await self._fail(answer, active)
        else:
            for data, wait_s in answer.frames:
                if wait_s and not await clock.sleep(wait_s, cancelled=closing.end_of(wait_s, clock)):
                    return
                self._follow(data, active)
                await self._send(self._as_event(data), wait_s)
        if answer.ending == "hang" or answer.delay_s == math.inf:
            return
        self.active = None
        await self._end(answer, active)

    def _follow(self, data: bytes, active: Active) -> None:
        """Keep track of how far a response has come."""
        try:
            said = json.loads(data.rpartition(_DATA)[2])
        except ValueError:
            return
        if isinstance(said, dict):
            active.follow(said, self._events)

    def _as_event(self, data: bytes) -> bytes:
        """A frame as it is, except that errors of HTTP streams are events here too, and that events have numbers."""
        try:
            said = json.loads(data.rpartition(_DATA)[2])
        except ValueError:
            return data
        if isinstance(said, dict) and "type" not in said and isinstance(said.get("error"), dict):
            said = {"type": "error", "error": {**said["error"], "event_id": None}}
        if not isinstance(said, dict) or "type" not in said or not data.endswith(b"\n\n"):
            return data
        return event(compact(self._numbered(said)))

    async def _fail(self, answer: Answer, active: Active) -> None:
        """A refusal by HTTP is a failed response here, as quoted in openai/openai-realtime-console#561."""
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = {}
        error = found.get("error") if isinstance(found, dict) else None
        error = error if isinstance(error, dict) else {}
        details = {name: error.get(name) for name in ("type", "code", "message")}
        head = {**active.head, "status": "in_progress", "status_details": None}
        await self.send({"type": "response.created", "response": head})
        failed = {"type": "failed", "error": {**details, "type": details["type"] or "server_error"}}
        await self.send({"type": "response.done", "response": {**head, "status": "failed", "status_details": failed}})

    async def _end(self, answer: Answer, active: Active) -> None:
        if answer.ending == "whole":
            if active.is_done:
                await self.send({"type": "rate_limits.updated", "rate_limits": self._limits()})
            return
        self._ending = answer.ending
        transport = self._request.transport
        if transport is None:
            return
        if answer.ending == "rst":
            raw = transport.get_extra_info("socket")
            if raw is not None:  # closing a socket that lingers for zero seconds sends RST instead of FIN
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()

    def _limits(self) -> list[dict[str, Any]]:
        """Recorded after every response: one limit, of tokens."""
        limit = 15_000_000
        return [{"name": "tokens", "limit": limit, "remaining": limit - self._spent.total, "reset_seconds": 0.001}]

    async def cancel(self, name: Any) -> None:
        """Break off the response under way; Problem if there is none."""
        active = self.active
        if active is None or (isinstance(name, str) and name != active.head["id"]):
            # as remembered from public bug reports; unverified
            raise problems.error(
                400, "Cancellation failed: no active response found", code="response_cancel_not_active"
            )
        if self._playing is not None:
            self._playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._playing
        self.active = None
        for said in active.cancelled(self._events):
            await self._send(event(compact(self._numbered(said))))

    def _note(self) -> None:
        """Write the whole session into the journal: what was heard as the request, what was said as its answer."""
        journal, number = self._pipeline.state.journal, self._visit.number
        if self._heard:
            journal.asked(number, compact(self._heard), secrets=self._visit.secrets)
        frames = tuple(self._sent)
        whole = Answer(status=101, headers=dict(self._ws.headers), frames=frames, streamed=True, ending=self._ending)  # type: ignore[arg-type] # what answers end with
        journal.generated(number, whole)
        self._visit.note_answer(whole)
        self._visit.note(operation="connect")


def _parsed(data: str | bytes) -> Any:
    """The message as JSON, None if it is none."""
    try:
        return parse_json(data.encode() if isinstance(data, str) else data)
    except ValueError:
        return None


def _event_in(said: Any) -> Event:
    if not isinstance(said, dict):
        # unverified: what the API says to a message that is no event
        raise problems.error(400, "The message is not a JSON object.", code="invalid_event")
    return said


def _looked_at(task: "asyncio.Future[Any]") -> None:
    """Let a task end as it will: that the socket is gone is noted where it is read."""
    if not task.cancelled():
        task.exception()
