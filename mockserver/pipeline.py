"""The life of a request: read → authorise → parse → check → limit → script → generate → journal → send."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import web

from mockserver import problems
from mockserver.answers import Answer
from mockserver.dialects import Dialect
from mockserver.dialects.azure import Azure
from mockserver.dialects.openai import OpenAI
from mockserver.problems import Problem
from mockserver.state import State
from mockserver.surfaces import Operation, Place
from mockserver.transmission import ClientLeft, Closing, read_body, send
from mockserver.visit import Arrival, Visit

Handler = Callable[[web.Request], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """An operation at one place: its whole path, and in whose dialect."""

    path: str
    dialect: Dialect
    place: Place
    operation: Operation

    @property
    def is_plain(self) -> bool:
        """Whether its requests are POSTs of JSON, told by their path alone."""
        return self.operation.method == "POST" and "{" not in self.path and self.operation.takes == "json"


@dataclass
class Pipeline:
    """Answers requests by the script, or by what the surfaces generate.

    `answers_at_once`: nothing but the request decides, unless there is a script.
    """

    answers_at_once: ClassVar[bool] = True

    state: State
    closing: Closing = field(default_factory=Closing)
    shut: Callable[[float], None] = field(default=lambda _seconds: None)  # the door's, once there is one
    # visits that are decided already, by the aiohttp connection over which they are to be answered
    decided: dict[object, tuple[Visit, Answer]] = field(default_factory=dict)

    def serve(self, route: Route) -> Handler:
        """The handler of one route."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return await self._handle(request, route.dialect, lambda visit: visit.serve(route.operation, route.place))

        return handler

    def refuse_method(self, dialect: Dialect) -> Handler:
        """The handler of a known path that is asked with another method."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return await self._handle(request, dialect, lambda visit: visit.refuse(dialect.wrong_method))

        return handler

    async def refuse_path(self, request: web.Request) -> web.StreamResponse:
        """The handler of every path that no route serves."""
        dialect = dialect_of(request)
        return await self._handle(request, dialect, lambda visit: visit.refuse(dialect.unknown_path))

    async def close(self) -> None:
        """Nothing is answered any more."""

    async def _handle(
        self, request: web.Request, dialect: Dialect, decide: Callable[[Visit], Answer]
    ) -> web.StreamResponse:
        """Read the request, let `decide` answer it, and write both into the journal before the first byte is sent."""
        if request.protocol in self.decided:
            return await self._carry_out(request, *self.decided.pop(request.protocol))

        async def answer(visit: Visit) -> web.StreamResponse:
            await visit.read(read_body(request, limit=self.state.settings.body_limit))
            return await self.give(request, visit, decide)

        return await self.attend(request, dialect, answer)

    async def _carry_out(self, request: web.Request, visit: Visit, answer: Answer) -> web.StreamResponse:
        """Send what was decided before aiohttp read the request."""

        async def send_it(visit: Visit) -> web.StreamResponse:
            await read_body(request, limit=self.state.settings.body_limit)
            return await self.send(request, visit, answer)

        return await self._follow(visit, send_it)

    async def attend(
        self, request: web.Request, dialect: Dialect, answer: Callable[[Visit], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let `answer` deal with a request, which is in the journal from its beginning to its end."""
        return await self._follow(Visit.open(self.state, dialect, Arrival.of(request)), answer)

    async def _follow(
        self, visit: Visit, answer: Callable[[Visit], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await answer(visit)
        except ClientLeft as left:
            visit.note(client_left=True)
            response: web.StreamResponse = left.args[0]
            return response
        except asyncio.CancelledError:  # how aiohttp says that the connection is gone
            visit.note(client_left=not self.closing.is_stopped)
            raise
        finally:
            visit.close()

    async def give(self, request: web.Request, visit: Visit, decide: Callable[[Visit], Answer]) -> web.StreamResponse:
        """Send what `decide` says."""
        return await self.send(request, visit, self.decide(visit, decide))

    async def send(self, request: web.Request, visit: Visit, answer: Answer) -> web.StreamResponse:
        """Send `answer`, which is in the journal."""
        if answer.shut_s is not None:
            self.shut(answer.shut_s)
        sent = self.state.journal.record(visit.number).progress
        return await send(request, answer, clock=self.state.clock, closing=self.closing, sent=sent)

    def decide(self, visit: Visit, decide: Callable[[Visit], Answer]) -> Answer:
        """What a visit whose body is read gets, noted in the journal."""
        try:
            visit.demand_body()
            answer = decide(visit)
        except Problem as problem:
            answer = visit.refusal(problem)
            visit.note(outcome="refused")
        except Exception as exc:
            logging.getLogger("mockserver").exception(
                "the mock server itself failed at %s %s", visit.method, visit.path
            )
            answer = visit.refusal(problems.own_failure(exc))
            visit.note(outcome="failed")
        visit.note_answer(answer)
        return answer


def dialect_of(request: web.Request) -> Dialect:
    """In whose words a path is refused that no route serves."""
    on_azure = "api-key" in request.headers and not request.path.startswith("/v1/")
    return Azure() if on_azure or request.path.startswith("/openai/") else OpenAI()
