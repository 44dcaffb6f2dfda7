"""Which requests get their answer from a mould, and what the journal says of them."""

from dataclasses import dataclass
from typing import Any

import orjson

from mockserver.answers import Answer
from mockserver.http1 import Head
from mockserver.moulds.casting import cast
from mockserver.moulds.mould import Mould
from mockserver.state import State
from mockserver.surfaces import Operation, Place
from mockserver.truth.hiding import holds_text
from mockserver.visit import Visit
from mockserver.wire import compact

Shape = tuple[bytes | str, ...]
_MOST_SHAPES = 64  # of one head
_ROLES = frozenset({"system", "developer", "user", "assistant"})


@dataclass(frozen=True, slots=True)
class Press:
    """The moulds in use; they are kept with the heads of the requests that they are for."""

    state: State

    @property
    def is_open(self) -> bool:
        """Whether nothing but the request decides what is answered."""
        state, settings = self.state, self.state.settings
        return not (state.script or state.quotas.are_limited or settings.lenient or settings.content_filter.words)

    def answered(self, head: Head, raw: bytes) -> tuple[int, bytes] | None:
        """The number of the request and the bytes of its answer, None where there is no mould for it.

        What is sent is in the journal already.
        """
        if not head.memory or not self.is_open or len(raw) > self.state.settings.body_limit:
            return None
        body = _read(raw)
        mould: Mould | None = head.memory.get(shape_of(body))
        if mould is None or holds_text(raw, mould.secrets):
            return None
        arrived, now = self.state.clock.reading()
        poured = mould.pour(body["messages"], now=now)
        if poured is None:
            return None
        state = self.state
        number = state.journal.open(
            secrets=mould.secrets,
            arrived=arrived,
            started_at=now,
            method="POST",
            path=head.path,
            query=head.query,
            dialect=mould.dialect.name,
            headers=head.headers,
            now=state.clock.now,
        )
        request_id = mould.dialect.request_id(state.dice("request", number))
        spelt = mould.head_of(number, request_id, poured=poured)
        record = state.journal.record(number)
        record.body = raw
        record.poured(mould.facts, poured.frames, spent=poured.spent, head=spelt, request_id=request_id)
        state.journal.keep(record)
        record.progress(len(poured.frames), poured.size)
        return number, spelt.encode("utf-8", "surrogateescape") + poured.content

    def learn(self, head: Head, visit: Visit, answer: Answer, operation: Operation, place: Place) -> None:
        """Cast a mould beside an answer, where requests like this come again and it is a case for one."""
        shape = shape_of(_read(visit.raw)) if head.seen > 1 and self.is_open else None
        if shape is None or shape in head.memory or answer.status != 200:
            return
        if len(head.memory) >= _MOST_SHAPES:
            head.memory.clear()
        head.memory[shape] = cast(visit, operation, place, answer)


def _read(raw: bytes) -> Any:
    """What a body says: quickly, for a number that this gets wrong is in no shape that was ever answered."""
    try:
        return orjson.loads(raw)
    except ValueError:
        return None


def shape_of(body: Any) -> Shape | None:
    """What requests share that differ in their texts alone; None for one that holds more than texts."""
    if body.__class__ is not dict:
        return None
    rest = dict(body)
    messages = rest.pop("messages", None)
    if messages.__class__ is not list:
        return None
    roles = []
    for message in messages:
        if message.__class__ is not dict or len(message) != 2 or message.get("content").__class__ is not str:
            return None
        role = message.get("role")
        if role.__class__ is not str or role not in _ROLES:
            return None
        roles.append(role)
    return compact(rest), *roles
