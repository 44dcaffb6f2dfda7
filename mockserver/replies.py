"""Scripted replies: what is to be said instead of something generated."""

import json as codec
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import override

from mockserver.calls import Call
from mockserver.steps import Action, Moment, Step
from mockserver.surfaces import Scripted
from mockserver.wire import Answer

_FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter", "function_call")


@dataclass(frozen=True, slots=True)
class Reply(Action):
    """A reply with its options, as scripts write them."""

    options: Mapping[str, Any]

    @property
    @override
    def label(self) -> str:
        """Always the same word."""
        return "reply"

    @override
    def misfit(self, call: Call) -> str:
        """Texts and tool calls fit chat, vectors fit embeddings, JSON fits everything."""
        for wanted, options in (("chat", ("text", "tool_calls", "finish_reason")), ("embeddings", ("embedding",))):
            given = [name for name in options if name in self.options]
            if given and call.surface != wanted:
                return f"a reply with {given[0]} fits {wanted} only, and surface is {call.surface!r}"
        return ""

    @override
    def answer(self, moment: Moment) -> Answer:
        """The normal answer with the scripted content, late where that is wanted."""
        scripted = Scripted(
            text=self.options.get("text"),
            tool_calls=tuple(self.options.get("tool_calls", ())),
            finish_reason=self.options.get("finish_reason"),
            embedding=self._vector(),
        )
        answer = moment.normal(scripted)
        if "json" in self.options:
            headers = {**answer.headers, "content-type": "application/json"}
            answer = Answer(status=200, headers=headers, frames=(moment.dialect.encode(self.options["json"]),))
        delays = (self.options.get("delay_s", 0.0), self.options.get("chunk_delay_s", 0.0))
        return replace(answer, delay_s=delays[0], frame_delay_s=delays[1])

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
    tool_calls: Sequence[Mapping[str, Any]] | None = None,
    json: Any = None,
    embedding: Sequence[float] | None = None,
    finish_reason: str | None = None,
    delay_s: float | None = None,
    chunk_delay_s: float | None = None,
) -> Step:
    """A step that answers with this content; what is not given is generated.

    `tool_calls` are `{"name": …, "arguments": {…}}`; `json` is a whole body, sent as it is; `embedding` serves every
    input. `delay_s` passes before the answer, `chunk_delay_s` between the events of a stream.
    """
    given = {
        "text": text,
        "tool_calls": None if tool_calls is None else [dict(one) for one in tool_calls],
        "json": json,
        "embedding": None if embedding is None else list(embedding),
        "finish_reason": finish_reason,
        "delay_s": delay_s,
        "chunk_delay_s": chunk_delay_s,
    }
    options = {name: value for name, value in given.items() if value is not None}
    for name, value in options.items():
        _check(name, value)
    return Step(Reply(options))


def _check(name: str, value: Any) -> None:
    """Scripts come from files and sockets: refuse what could not be sent."""
    match name:
        case "text":
            _demand(isinstance(value, str), name, value, "a text")
        case "finish_reason":
            _demand(value in _FINISH_REASONS, name, value, f"one of {', '.join(_FINISH_REASONS)}")
        case "delay_s" | "chunk_delay_s":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            _demand(number and value >= 0, name, value, "seconds from 0 on")
        case "embedding":
            _demand(
                bool(value) and all(isinstance(one, int | float) for one in value), name, value, "a list of numbers"
            )
        case "tool_calls":
            for call in value:
                _demand(isinstance(call.get("name"), str), name, call, 'objects with "name" and "arguments"')
        case "json":
            _demand(_is_json(value), name, value, "what JSON can express")


def _demand(holds: bool, name: str, value: Any, takes: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise ValueError(f"{name} is {value!r}; it takes {takes}")


def _is_json(value: Any) -> bool:
    try:
        codec.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
