"""Scripted replies: what is to be said instead of something generated."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from typing_extensions import override

from mockserver import faults
from mockserver.answers import Answer, framed
from mockserver.calls import Call
from mockserver.scripting.options import BadOption, Json, Rule, Seconds, Vector, check, copied, demand, suggestion
from mockserver.scripting.steps import Action, Moment, Step
from mockserver.surfaces import Scripted

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
Name = Annotated[str, Rule("the name of a function", bool)]
ToolCalls = Annotated[
    Sequence[Mapping[str, Any]],
    Rule(
        'a list of objects with "name" and "arguments"', lambda calls: all(isinstance(call, Mapping) for call in calls)
    ),
]

_CALL = ("arguments", "name")
_FITS = {
    "text": ("chat", "completions", "responses", "audio", "realtime"),
    "tool_calls": ("chat", "responses", "realtime"),
    "finish_reason": ("chat", "completions"),
    "embedding": ("embeddings",),
}
_GENERATED: Any = object()  # what `json` is by default: None is a body too


@dataclass(frozen=True, slots=True)
class Reply(Action):
    """A reply with its options, as scripts write them."""

    options: Mapping[str, Any]

    @property
    @override
    def label(self) -> str:
        """Always the same word."""
        return "reply"

    @property
    @override
    def replaces(self) -> bool:
        """A reply stands below all faults of its step anyway."""
        return False

    @override
    def misfit(self, call: Call) -> str:
        """Each kind of content fits the surfaces that can say it; JSON fits everything."""
        for option, surfaces in _FITS.items():
            if option in self.options and call.surface not in surfaces:
                fitting = " and ".join(surfaces)
                return f"a reply with {option} fits {fitting} only, and surface is {call.surface!r}"
        return ""

    @override
    def answer(self, moment: Moment) -> Answer:
        """The normal answer with the scripted content, late where that is wanted."""
        whole = "json" in self.options
        scripted = Scripted(
            text=self.options.get("text"),
            tool_calls=tuple(self.options.get("tool_calls", ())),
            finish_reason=self.options.get("finish_reason"),
            embedding=self._vector(),
        )
        answer = self._whole(moment) if whole else moment.say(scripted)
        frames = framed((frame.data for frame in answer.frames), interval_s=self.options.get("chunk_delay_s", 0.0))
        return replace(answer, delay_s=self.options.get("delay_s", 0.0), frames=frames)

    def _whole(self, moment: Moment) -> Answer:
        """A body as the script has it, under the headers of a generated answer."""
        like = moment.say(Scripted(text=""))
        headers = {**like.headers, "content-type": "application/json"}
        return Answer(status=200, headers=headers, frames=framed([moment.dialect.encode(self.options["json"])]))

    def _vector(self) -> tuple[float, ...] | None:
        vector = self.options.get("embedding")
        return None if vector is None else tuple(map(float, vector))

    @override
    def spec(self) -> dict[str, Any]:
        """The reply as scripts write it: a text alone needs no more than that."""
        alone = self.options.keys() == {"text"}
        return {"reply": self.options["text"] if alone else dict(self.options)}


def reply(
    text: str | None = None,
    *,
    tool_calls: ToolCalls | None = None,
    json: Json = _GENERATED,
    embedding: Vector | None = None,
    finish_reason: FinishReason | None = None,
    delay_s: Seconds | None = None,
    chunk_delay_s: Seconds | None = None,
    fault: str | Step | None = None,
    times: int | str | None = None,
    match: Mapping[str, Any] | None = None,
    probability: float | None = None,
    then: str | None = None,
    **parameters: Any,
) -> Step:
    """A step that answers with this content; what is not given is generated.

    `tool_calls` are `{"name": …, "arguments": {…}}`; `json` is a whole body, sent as it is, None as `null`; `embedding`
    serves every input. `delay_s` passes before the answer, `chunk_delay_s` between the events of a stream. `fault` acts
    on the reply: a step, or the name of one with its `parameters`. `times`, `match`, `probability` and `then` are those
    of every step, see `Step`. ValueError for what could not be sent.
    """
    bending, delay_s = _bending(fault, parameters, delay_s)
    given = {
        "text": text,
        "tool_calls": tool_calls,
        "embedding": embedding,
        "finish_reason": finish_reason,
        "delay_s": delay_s,
        "chunk_delay_s": chunk_delay_s,
    }
    options = {name: value for name, value in given.items() if value is not None}
    options |= {} if json is _GENERATED else {"json": json}
    check(reply, options)
    for index, call in enumerate(tool_calls or ()):
        _check_call(f"tool_calls[{index}]", call)
    step = Step(Reply(copied(options))) & bending
    return step.given(times=times, match=match, probability=probability, then=then)


def _bending(
    fault: str | Step | None, parameters: Mapping[str, Any], delay_s: float | None
) -> tuple[Step, float | None]:
    """The fault that acts on a reply, as a step; a delay that it takes is no more the reply's."""
    if isinstance(fault, str):
        if delay_s is not None and "delay_s" in inspect.signature(faults.maker(fault)).parameters:
            return faults.make(fault, delay_s=delay_s, **parameters), None
        return faults.make(fault, **parameters), delay_s
    if parameters:
        raise TypeError(f"reply() got an unexpected keyword argument {min(parameters)!r}")
    return fault or Step(), delay_s


def _check_call(where: str, call: Mapping[str, Any]) -> None:
    """Refuse what is no call of a function; a mistyped key would be left out in silence."""
    for key in call:
        if key not in _CALL:
            raise BadOption("tool_calls", f"{where} has an unknown key {key!r}; {suggestion(key, _CALL)}")
    demand(f"{where}.name", Name, call.get("name"), option="tool_calls")
    demand(f"{where}.arguments", Json, call.get("arguments"), option="tool_calls")
