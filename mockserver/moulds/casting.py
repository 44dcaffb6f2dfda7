"""How a mould is cast: surface and dialect spell an answer of marks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import override

from mockserver.answers import Answer
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.dialects import Dialect
from mockserver.generating import usage
from mockserver.generating.dice import Dice
from mockserver.http1 import plain_head, spelt_head
from mockserver.moulds.gaps import NUMBERS, Tracer, Unmouldable, mark, pattern_of
from mockserver.moulds.mould import Body, Head, Mould, gap_of
from mockserver.quotas import granted
from mockserver.surfaces import Operation, Place, Scripted, Setting, Spent, chat, costs
from mockserver.surfaces.choice import Choice
from mockserver.surfaces.choices import most_tokens
from mockserver.visit import Visit

# the parameters whose only effects are in the shape of the answer and in what `Call.content` says
_PARAMETERS = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature"),
        *("top_p", "frequency_penalty", "presence_penalty", "user", "seed"),
    }
)
_PIECE = "a"  # a text of one token


def cast(visit: Visit, operation: Operation, place: Place, answer: Answer) -> Mould | None:
    """The mould for all requests like this one, which has got this answer; None where there can be none."""
    record = visit.state.journal.record(visit.number)
    if operation.answer is not chat.answer or record.outcome != "generated" or record.is_touched:
        return None
    call, model = visit.understood(operation, place)
    if not _is_usual(call, model):
        return None
    try:
        mould = _cast(visit, call, model)
    except Unmouldable:
        return None
    return mould if _gives_back(mould, call, visit.now, answer) else None


def _is_usual(call: Call, model: Model) -> bool:
    is_usual_model = model.kind == "chat" and not {"search", "audio"} & set(model.family.split("-"))
    return is_usual_model and _PARAMETERS.issuperset(call.body) and bool(model.window)


def _cast(visit: Visit, call: Call, model: Model) -> Mould:
    messages: Sequence[Mapping[str, Any]] = call.body["messages"]
    texts = sum(usage.text_length(message["content"], model=model.name) for message in messages)
    asked = call.body.get("max_completion_tokens") or call.body.get("max_tokens") or 0
    marked = replace(call, request_id=mark("request_id"))
    body = _body(visit, marked, model)
    return Mould(
        state=visit.state,
        dialect=visit.dialect,
        call=replace(call, body={name: value for name, value in call.body.items() if name != "messages"}),
        framing=costs.prompt_tokens(call.body, model.name) - texts,
        said={name: value for name, value in call.content.items() if name != "messages"},
        limit=most_tokens(call.body, model),
        room=model.window - asked,
        may_be_cached=any(message["role"] == "assistant" for message in messages),
        facts=visit.state.journal.record(visit.number).facts,
        secrets=visit.secrets,
        head=_head(marked, visit.dialect, streamed=body.streamed),
        body=body,
    )


class _Traced(Setting):
    """A setting that gives marks for what is drawn of a completion, and nothing for what else is."""

    __slots__ = ("tracer",)

    tracer: Tracer

    @override
    def dice(self, call: Call, purpose: str) -> Dice:
        if purpose != "completion":
            raise Unmouldable
        return self.tracer


def _traced(visit: Visit, model: Model) -> _Traced:
    usual = visit.setting(model, Scripted())
    setting = _Traced(
        model=model,
        seed=usual.seed,
        now=usual.now,
        created=NUMBERS["created"],
        store=usual.store,
        perform=usual.perform,
    )
    object.__setattr__(setting, "tracer", Tracer())
    return setting


def _body(visit: Visit, call: Call, model: Model) -> Body:
    setting = _traced(visit, model)
    spent = Spent(prompt=NUMBERS["prompt"], completion=NUMBERS["completion"])
    choice = Choice(text=_PIECE if call.stream else mark("text"), finish_reason=mark("finish"))
    bill = costs.bill(spent, [choice], speaks=False)
    if not call.stream:
        payload = visit.dialect.annotate(call, chat.completion_of(call, setting, [choice], bill))
        return Body(before=(pattern_of(visit.dialect.encode(payload)),), draws=tuple(setting.tracer.draws))
    chunks = [_marked(chunk) for chunk in chat.chunks_of(call, setting, [choice], bill)]
    pads = [mark("pad")] * len(visit.dialect.pads(call, len(chunks), Dice(0)))
    *frames, _done = visit.dialect.frames(visit.dialect.annotate_stream(call, chunks, pads))
    patterns = list(map(pattern_of, frames))
    (at,) = (index for index, pattern in enumerate(patterns) if b"%(text)s" in pattern)
    return Body(
        before=tuple(patterns[:at]),
        piece=_cut(patterns[at], is_padded=bool(pads)),
        after=tuple(patterns[at + 1 :]),
        draws=tuple(setting.tracer.draws),
    )


def _cut(piece: bytes, *, is_padded: bool) -> tuple[bytes, ...]:
    """The pattern of a piece cut at its text, and at its pad, which comes after it."""
    start, _, rest = piece.partition(b"%(text)s")
    if not is_padded:
        return start, rest
    middle, pad, end = rest.partition(b"%(pad)s")
    if not pad:
        raise Unmouldable
    return start, middle, end


def _marked(chunk: dict[str, Any]) -> dict[str, Any]:
    """The chunk with a mark for its piece of text, if it has one."""
    choices = chunk["choices"]
    if not choices or choices[0]["delta"] != {"content": _PIECE}:
        return chunk
    return {**chunk, "choices": [{**choices[0], "delta": {"content": mark("text")}}]}


def _head(call: Call, dialect: Dialect, *, streamed: bool) -> Head:
    tracer = Tracer()
    charge = granted(0, "azure" if dialect.name == "azure" else "openai", call.deployment or call.model)
    headers = dialect.headers(call, tracer, streamed=streamed, charge=charge)
    headers |= {name: mark(gap_of(name)) for name in dialect.limits(charge)}
    spelt = spelt_head(200, headers, date=mark("date"), length=None if streamed else mark("length"))
    return Head(pattern_of(spelt.encode()).decode(), tuple(tracer.draws))


def _gives_back(mould: Mould, call: Call, now: float, answer: Answer) -> bool:
    """Whether the mould says what has been said without it."""
    poured = mould.pour(call.body["messages"], now=now)
    if poured is None or tuple(poured.frames) != answer.frames:
        return False
    return mould.head_of(call.number, call.request_id, poured=poured).encode() == plain_head(answer)
