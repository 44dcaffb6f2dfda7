"""Reading a stream as fast as it comes, and telling silence from slowness.

A task of its own reads, so that whoever wants the events finds all that have come at once, and none is lost with a wait
that is cancelled. It stops when many are waiting: a stream is never ahead of its reader by more than that. One timer
watches all clocks; it moves only when it goes off, and costs nothing for each event.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from llmkit._flow import Call
from llmkit._transport import Response
from llmkit.errors import ConnectionFailed, FirstTokenTimeout, IdleTimeout, LLMError, TimedOut
from llmkit.responses import Completion
from llmkit.streaming import StreamEvent, StreamReader

BILL_S = 2.0  # how long a finished stream may take to tell its usage
MOST_WAITING = 1024  # events
_DOING = {False: "waiting for the stream's first event", True: "reading the stream"}


class Intake:
    """The events of one response, in `events` as they come.

    Once `over`, either `reply` is the whole reply, or `failure` is why there is none; both come after the events.
    """

    def __init__(self, response: Response, reader: StreamReader, call: Call) -> None:
        self.events: deque[StreamEvent] = deque()
        self.reply: Completion | None = None
        self.failure: LLMError | None = None
        self.over = False
        self._response = response
        self._reader = reader
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Future[None] | None = None  # somebody waits for events
        self._room: asyncio.Future[None] | None = None  # the task waits until somebody has taken some
        self._silent_since = call.clock()
        self._spoke = False
        self._finished_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._late: TimedOut | None = None
        self._task = self._loop.create_task(self._run())

    @property
    def text(self) -> str:
        """The text that has arrived so far."""
        return self._reader.text

    async def wait(self) -> None:
        """Waits until there are events, or no more will come."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        if self.events or self.over:
            return
        self._silent_since = max(self._silent_since, self._call.clock())  # while nobody listens, nobody is idle
        self._news = self._loop.create_future()
        if self._timer is None:
            self._watch()
        try:
            await self._news
        finally:
            self._news = None

    async def close(self) -> None:
        """Ends the reading, and closes the connection unless it can be used again."""
        if not self._task.done():
            if self.reply is None:
                self._task.cancel()
            await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()
        if self._timer is not None:
            self._timer.cancel()
        await self._response.close()

    async def _run(self) -> None:
        try:
            await self._read()
            self.reply = self._whole()
        except LLMError as error:
            self._fail(error)
        except asyncio.CancelledError:
            if self._late is None:
                raise
            self._end_late(self._late)
        finally:
            self.over = True
            self._wake()
            await self._response.close(drain=self.reply is not None)

    async def _read(self) -> None:
        reader = self._reader
        async for data in self._response.pieces():
            events = reader.feed(data)
            if events:
                self._take(events)
                reader.check()
                if len(self.events) > MOST_WAITING:
                    self._room = self._loop.create_future()
                    await self._room
                    self._room = None
            if reader.done:
                return
        while not reader.done:
            self._take(reader.end())

    def _take(self, events: list[StreamEvent]) -> None:
        self.events.extend(events)
        self._silent_since = self._call.clock()
        has_other_clock = not self._spoke
        self._spoke = True
        if self._reader.finished and self._finished_at is None:
            self._finished_at = self._silent_since
            has_other_clock = True
        if has_other_clock and self._timer is not None:
            self._watch()  # the new clock may run out before the old one
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _whole(self) -> Completion:
        reply = self._reader.completion()
        request_id = self._response.request_id
        attempts = self._call.succeeded(status_code=self._response.status_code, request_id=request_id)
        self._call.tell("billed", reply)
        return replace(reply, request_id=request_id, attempts=attempts)

    def _fail(self, error: LLMError) -> None:
        """After the finish reason only the bill can get lost: that is no failure."""
        if self._reader.finished and isinstance(error, ConnectionFailed | TimedOut):
            try:
                self.reply = self._whole()
            except LLMError as worse:
                error = worse
            else:
                return
        error.partial = self._reader.text
        self.failure = self._response.spoilt(error)

    def _end_late(self, late: TimedOut) -> None:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        self._fail(late)

    def _watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due, _ = self._due()
        self._timer = self._loop.call_later(max(0.0, due - self._call.clock()), self._check)

    def _check(self) -> None:
        """A clock may have run out; while nobody waits, none does, and the next to wait sets the timer anew."""
        self._timer = None
        if self._news is None or self._news.done():
            return
        due, error = self._due()
        if self._call.clock() < due:
            self._watch()
        else:
            self._late = error()
            self._task.cancel()

    def _due(self) -> tuple[float, Callable[[], TimedOut]]:
        """The moment at which the first clock runs out, and its error."""
        call, limits = self._call, self._call.limits
        clocks: list[tuple[float, Callable[[], TimedOut]]] = [
            (call.started + limits.deadline_s, lambda: call.out_of_time(self._doing))
        ]
        if self._finished_at is not None:
            bill_s = min(BILL_S, max(0.0, clocks[0][0] - self._finished_at) / 2)
            clocks.append((self._finished_at + bill_s, lambda: call.out_of_time("waiting for the stream's usage")))
        elif not self._spoke and limits.first_token_s is not None:
            clocks.append((call.sent + limits.first_token_s, self._silent_from_the_start))
        elif limits.idle_s is not None:
            clocks.append((self._silent_since + limits.idle_s, self._gone_silent))
        return min(clocks, key=lambda clock: clock[0])

    @property
    def _doing(self) -> str:
        return "reading the stream" if self._spoke else "waiting for the stream's first event"

    def _silent_from_the_start(self) -> TimedOut:
        limit_s = self._call.limits.first_token_s
        return FirstTokenTimeout(f"The stream brought no content in the first {limit_s:g} s", limit_s=limit_s)

    def _gone_silent(self) -> TimedOut:
        limit_s = self._call.limits.idle_s
        return IdleTimeout(f"The stream brought no content for {limit_s:g} s, and had not ended", limit_s=limit_s)
