"""The events of one response: its item announced, said bit by bit, and done."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mockserver.generating import usage
from mockserver.generating.dice import Dice
from mockserver.generating.sound import hum
from mockserver.realtime.conversation import Item

Event = dict[str, Any]

_AROUND_TEXT, _AROUND_CALL = 2, 8  # recorded: 13 tokens for 11 of a text, 22 for 2 of a name and 12 of arguments
_AROUND_SPOKEN, _AUDIO = 10, 5  # recorded once: 19 and 44 for 9 tokens of a transcript; how it grows is unverified
_CHUNK = 4_800  # bytes of audio in an event: a tenth of a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is to be said or called, by a response described by `head`, after the item `previous`.

    `is_kept`: whether its items become part of the conversation.
    """

    head: Mapping[str, Any]
    texts: Sequence[str]
    calls: Sequence[Mapping[str, Any]]
    is_cut: bool
    is_spoken: bool
    is_kept: bool
    previous: str | None
    model: str
    input_tokens: int
    cached_tokens: int

    def output_tokens(self) -> tuple[int, int]:
        """Tokens of text, and of audio."""
        said = [usage.text_tokens(text, model=self.model) for text in self.texts]
        called = sum(
            usage.text_tokens(call["name"], model=self.model)
            + usage.text_tokens(call["arguments"], model=self.model)
            + _AROUND_CALL
            for call in self.calls
        )
        around = _AROUND_SPOKEN if self.is_spoken else _AROUND_TEXT
        return sum(said) + around * len(said) + called, _AUDIO * sum(said) if self.is_spoken else 0

    def cost(self) -> dict[str, Any]:
        """The `usage` of the response."""
        text, audio = self.output_tokens()
        return cost_of(self.input_tokens, self.cached_tokens, text, audio)


def cost_of(prompt: int, cached: int, text: int, audio: int) -> dict[str, Any]:
    """A `usage`, with nothing but text as input."""
    none = {"audio_tokens": 0, "image_tokens": 0}
    details = {"text_tokens": prompt, **none, "cached_tokens": cached}
    return {
        "total_tokens": prompt + text + audio,
        "input_tokens": prompt,
        "output_tokens": text + audio,
        "input_token_details": {**details, "cached_tokens_details": {"text_tokens": cached, **none}},
        "output_token_details": {"text_tokens": text, "audio_tokens": audio},
    }


def events_of(reply: Reply, dice: Dice) -> list[Event]:
    """Every event of the response, in order, without ids of their own."""
    events: list[Event] = [{"type": "response.created", "response": dict(reply.head)}]
    output: list[Item] = []
    previous = reply.previous
    things: list[str | Mapping[str, Any]] = [*reply.texts, *reply.calls]
    for index, thing in enumerate(things):
        place = {"response_id": reply.head["id"], "output_index": index}
        is_cut = reply.is_cut and index == len(things) - 1
        writer = _Writer(
            reply, place, previous, f"item_{dice.token(21)}", dice, "incomplete" if is_cut else "completed"
        )
        output.append(writer.say(thing) if isinstance(thing, str) else writer.call(thing))
        events += writer.events
        previous = str(output[-1]["id"])
    status = "incomplete" if reply.is_cut else "completed"
    details = {"type": "incomplete", "reason": "max_output_tokens"} if reply.is_cut else None
    done = {**reply.head, "status": status, "status_details": details, "output": output, "usage": reply.cost()}
    return [*events, {"type": "response.done", "response": done}]


class _Writer:
    """Puts together the events of one item."""

    def __init__(
        self, reply: Reply, place: Mapping[str, Any], previous: str | None, name: str, dice: Dice, status: str
    ) -> None:
        self._reply, self._place, self._previous, self._dice, self._status = reply, dict(place), previous, dice, status
        self._name = name
        self.events: list[Event] = []

    def say(self, text: str) -> Item:
        """A message."""
        head = {"id": self._name, "type": "message", "status": "in_progress", "role": "assistant"}
        self._begin({**head, "content": []})
        self._spoken(text) if self._reply.is_spoken else self._written(text)
        kind, name = ("output_audio", "transcript") if self._reply.is_spoken else ("output_text", "text")
        return self._end({**head, "status": self._status, "content": [{"type": kind, name: text}]})

    def call(self, call: Mapping[str, Any]) -> Item:
        """A call of a function."""
        names = {"name": call["name"], "call_id": f"call_{self._dice.token(16)}"}
        head = {"id": self._name, "type": "function_call", "status": "in_progress", **names}
        self._begin({**head, "arguments": ""})
        place = {**self._place, "item_id": self._name}
        place = {"response_id": place["response_id"], "item_id": self._name, "output_index": place["output_index"]}
        place["call_id"] = names["call_id"]
        for piece in usage.pieces(call["arguments"], model=self._reply.model):
            self._add("response.function_call_arguments.delta", place, delta=piece.text, **self._padding(piece.text))
        done = {"name": call["name"], "arguments": call["arguments"]}
        self._add("response.function_call_arguments.done", place, **done)
        return self._end({**head, "status": self._status, "arguments": call["arguments"]})

    def _begin(self, item: Item) -> None:
        self._add("response.output_item.added", self._place, item=item)
        self._tell("conversation.item.added", item)

    def _end(self, item: Item) -> Item:
        self._tell("conversation.item.done", item)
        self._add("response.output_item.done", self._place, item=item)
        return item

    def _tell(self, kind: str, item: Item) -> None:
        if self._reply.is_kept:
            self._add(kind, {"previous_item_id": self._previous}, item=item)

    def _written(self, text: str) -> None:
        part = self._part()
        self._add("response.content_part.added", part, part={"type": "text", "text": ""})
        for piece in usage.pieces(text, model=self._reply.model):
            self._add("response.output_text.delta", part, delta=piece.text, **self._padding(piece.text))
        self._add("response.output_text.done", part, text=text)
        self._add("response.content_part.done", part, part={"type": "text", "text": text})

    def _spoken(self, text: str) -> None:
        part, pieces = self._part(), list(usage.pieces(text, model=self._reply.model))
        self._add("response.content_part.added", part, part={"type": "audio", "transcript": ""})
        for piece in pieces:
            self._add("response.output_audio_transcript.delta", part, delta=piece.text, **self._padding(piece.text))
        sound = hum(len(pieces), encoding="pcm16")
        for at in range(0, len(sound), _CHUNK):
            self._add("response.output_audio.delta", part, delta=base64.b64encode(sound[at : at + _CHUNK]).decode())
        self._add("response.output_audio.done", part)
        self._add("response.output_audio_transcript.done", part, transcript=text)
        self._add("response.content_part.done", part, part={"type": "audio", "transcript": text})

    def _part(self) -> dict[str, Any]:
        return {"response_id": self._place["response_id"], "item_id": self._name, **self._place, "content_index": 0}

    def _padding(self, text: str) -> dict[str, str]:
        """Recorded: a delta and its padding have 16 letters together, more or less."""
        return {"obfuscation": self._dice.token(max(16 - len(text), 1))}

    def _add(self, kind: str, place: Mapping[str, Any], **rest: Any) -> None:
        self.events.append({"type": kind, **place, **rest})
