"""What clients say in a session, and what is done about it.

Client events: https://platform.openai.com/docs/api-reference/realtime-client-events.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from mockserver import problems
from mockserver.generating.dice import Dice
from mockserver.generating.prose import text_about
from mockserver.parameters import integer, require, string
from mockserver.problems import Problem
from mockserver.realtime.conversation import Conversation, Item, check_item
from mockserver.realtime.sessions import changed, check_response, check_session

Event = dict[str, Any]

_BYTES_A_SECOND = 48_000  # pcm16 at 24 kHz
_LEAST_BYTES = _BYTES_A_SECOND // 10
_TYPES = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "response.create",
    "response.cancel",
)


class Wire(Protocol):
    """The connection, as far as events need it."""

    dice: Dice
    is_beta: bool

    @property
    def is_lenient(self) -> bool: ...  # noqa: D102
    @property
    def active(self) -> Any: ...  # noqa: D102
    async def send(self, said: Event) -> None: ...  # noqa: D102
    async def respond(self, asked: Event) -> None: ...  # noqa: D102
    async def cancel(self, name: Any) -> None: ...  # noqa: D102


def refused(problem: Problem, said: Any) -> Event:
    """The event that tells what is wrong with another, and which; fields as documented for `error`."""
    name = said.get("event_id") if isinstance(said, dict) else None
    error = {each: problem.error.get(each) for each in ("type", "code", "message", "param")}
    return {"type": "error", "error": {**error, "event_id": name if isinstance(name, str) else None}}


class ClientEvents:
    """The session, its conversation and its audio buffer, as the client's events change them."""

    def __init__(self, wire: Wire, session: dict[str, Any]) -> None:
        self._wire, self.session = wire, session
        self.conversation = Conversation()
        self.name = f"conv_{wire.dice.token(21)}"
        self.seen_tokens = 0
        self._audio = 0
        self._handlers: Mapping[str, Callable[[Event], Awaitable[None]]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create,
            "conversation.item.truncate": self._truncate,
            "conversation.item.delete": self._delete,
            "conversation.item.retrieve": self._retrieve,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    async def handle(self, said: Event) -> None:
        """Do what the event asks; Problem where it asks for what cannot be."""
        if "type" not in said:
            # as documented at …/docs/api-reference/realtime-server-events/error
            raise problems.error(400, "The 'type' field is missing.", code="invalid_event")
        string("type", said["type"])
        handler = self._handlers.get(said["type"])
        if handler is None:
            raise problems.invalid_value("type", said["type"], _TYPES)
        await handler(said)

    async def _update(self, said: Event) -> None:
        require(said, ["session"])
        if not self._wire.is_lenient:
            check_session(said["session"], is_beta=self._wire.is_beta)
        self.session = changed(self.session, said["session"], is_beta=self._wire.is_beta)
        await self._wire.send({"type": "session.updated", "session": self.session})

    async def _create(self, said: Event) -> None:
        require(said, ["item"])
        check_item("item", said["item"])
        after = said.get("previous_item_id")
        item = self._item(said["item"])
        await self._add(item, after=after if isinstance(after, str) else None)

    def _item(self, given: Item) -> Item:
        """The item as it is kept: with an id, and the fields in the recorded order."""
        name = given.get("id")
        head = {"id": name if isinstance(name, str) and name else f"item_{self._wire.dice.token(21)}"}
        head["type"] = given["type"]
        if given["type"] != "function_call_output":
            head["status"] = "completed"
        return {**head, **{name: value for name, value in given.items() if name not in ("id", "object", "status")}}

    async def _add(self, item: Item, *, after: str | None = None) -> None:
        previous = self.conversation.add(item, after=after)
        told = {"previous_item_id": previous, "item": item}
        await self._wire.send({"type": "conversation.item.added", **told})
        await self._wire.send({"type": "conversation.item.done", **told})

    async def _retrieve(self, said: Event) -> None:
        require(said, ["item_id"])
        item = self.conversation.find(said["item_id"])
        await self._wire.send({"type": "conversation.item.retrieved", "item": item})

    async def _delete(self, said: Event) -> None:
        require(said, ["item_id"])
        self.conversation.remove(said["item_id"])
        await self._wire.send({"type": "conversation.item.deleted", "item_id": said["item_id"]})

    async def _truncate(self, said: Event) -> None:
        """The transcript goes with the sound: https://platform.openai.com/docs/guides/realtime-conversations."""
        require(said, ["item_id", "content_index", "audio_end_ms"])
        integer(0, 10**9)("audio_end_ms", said["audio_end_ms"])
        item = self.conversation.find(said["item_id"], "truncate")
        for part in item.get("content") or ():
            if isinstance(part, dict) and "transcript" in part:
                part["transcript"] = None
        names = ("item_id", "content_index", "audio_end_ms")
        await self._wire.send({"type": "conversation.item.truncated", **{name: said[name] for name in names}})

    async def _append(self, said: Event) -> None:
        """Sound is measured, and not heard; nothing is sent back, as documented."""
        require(said, ["audio"])
        string("audio", said["audio"])
        try:
            self._audio += len(base64.b64decode(said["audio"], validate=True))
        except ValueError as exc:  # which binascii.Error is, and what letters beyond ASCII raise
            # unverified in wording
            message = "Invalid 'audio'. Expected base64-encoded audio bytes."
            raise problems.error(400, message, param="audio", code="invalid_value") from exc

    async def _clear(self, _said: Event) -> None:
        self._audio = 0
        await self._wire.send({"type": "input_audio_buffer.cleared"})

    async def _commit(self, _said: Event) -> None:
        """The sound becomes a message of the user, with words made up for it; nobody listens for its end by himself."""
        if self._audio < _LEAST_BYTES:
            # as remembered from public bug reports (the older text is quoted in run-llama/openai_realtime_client#3)
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer"
                f" only has {self._audio / _BYTES_A_SECOND * 1000:.2f}ms of audio."
            )
            raise problems.error(400, message, code="input_audio_buffer_commit_empty")
        seconds, self._audio = self._audio / _BYTES_A_SECOND, 0
        transcript = text_about("the recording", self._wire.dice)
        item = self._item({"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]})
        items = self.conversation.items
        previous = items[-1]["id"] if items else None
        await self._wire.send(
            {"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": item["id"]}
        )
        await self._add(item)
        item["content"][0]["transcript"] = transcript
        if self._is_transcribed():
            usage = {"type": "duration", "seconds": round(seconds, 2)}
            done = {"item_id": item["id"], "content_index": 0, "transcript": transcript, "usage": usage}
            await self._wire.send({"type": "conversation.item.input_audio_transcription.completed", **done})

    def _is_transcribed(self) -> bool:
        if self._wire.is_beta:
            return bool(self.session.get("input_audio_transcription"))
        return bool(self.session["audio"]["input"].get("transcription"))

    async def _respond(self, said: Event) -> None:
        if self._wire.active is not None:
            # as quoted in openai/openai-agents-python#1466
            message = (
                f"Conversation already has an active response in progress: {self._wire.active.head['id']}. Wait until"
                " the response is finished before creating a new one."
            )
            raise problems.error(400, message, code="conversation_already_has_active_response")
        if said.get("response") is not None and not self._wire.is_lenient:
            check_response(said["response"], is_beta=self._wire.is_beta)
        await self._wire.respond(said)

    async def _cancel(self, said: Event) -> None:
        await self._wire.cancel(said.get("response_id"))
