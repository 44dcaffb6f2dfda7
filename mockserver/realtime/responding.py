"""A response: what it is asked for, what is said in it, and how far it has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating.dice import Dice
from mockserver.realtime.conversation import Conversation, Item, input_tokens, messages_of, tools_of
from mockserver.realtime.replies import Event, Reply, events_of
from mockserver.realtime.spelling import in_beta
from mockserver.surfaces import Operation, Result, Setting, Spent
from mockserver.surfaces.choice import Choice
from mockserver.surfaces.choices import choice_of

_CACHE_STEP = 64  # recorded: of 96 tokens after 85 in the turn before, 64 came from the cache


class Talk(Protocol):
    """The session as far as a response is concerned."""

    session: dict[str, Any]
    conversation: Conversation
    name: str
    seen_tokens: int


@dataclass(slots=True)
class Active:
    """A response under way: `head` describes it, `options` are the session's, and what it wants otherwise."""

    head: dict[str, Any]
    options: dict[str, Any]
    items: list[Item]
    is_kept: bool
    is_beta: bool
    is_spoken: bool
    spent: Spent = field(default_factory=Spent)
    item: dict[str, Any] | None = None
    said: str = ""
    is_done: bool = False

    @classmethod
    def of(cls, asked: Mapping[str, Any], talk: Talk, dice: Dice, *, is_beta: bool) -> Self:
        """The response that a `response.create` asks for."""
        wanted = asked.get("response")
        wanted = wanted if isinstance(wanted, Mapping) else {}
        options = {**talk.session, **{name: value for name, value in wanted.items() if value is not None}}
        modalities = options.get("modalities" if is_beta else "output_modalities")
        modalities = modalities if isinstance(modalities, list) else ["text"]
        is_kept, is_spoken = wanted.get("conversation") != "none", "audio" in modalities
        given = wanted.get("input")
        items = _given(given, talk.conversation) if isinstance(given, list) else talk.conversation.items
        limit = options.get("max_response_output_tokens") if is_beta else None
        head = {
            "object": "realtime.response",
            "id": f"resp_{dice.token(21)}",
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": talk.name if is_kept else None,
            "output_modalities": ["audio" if is_spoken else "text"],
            "max_output_tokens": limit or options.get("max_output_tokens") or "inf",
            "audio": {"output": _speaking(options, is_beta=is_beta)},
            "usage": None,
            "metadata": wanted.get("metadata"),
        }
        return cls(head, options, list(items), is_kept, is_beta, is_spoken)

    def follow(self, said: Event, talk: Talk) -> None:
        """Note an event that goes out: items that are done become part of the conversation."""
        kind = str(said.get("type"))
        if kind == "response.output_item.added":
            self.item, self.said = said.get("item"), ""
        elif kind.endswith((".text.delta", "_text.delta", "transcript.delta", "arguments.delta")):
            self.said += str(said.get("delta"))
        elif kind == "response.output_item.done" and isinstance(said.get("item"), dict):
            self._keep(said["item"], talk)
            self.item = None
        elif kind == "response.done":
            self.is_done = True

    def _keep(self, item: Item, talk: Talk) -> None:
        if self.is_kept and item.get("id") not in [each["id"] for each in talk.conversation.items]:
            talk.conversation.add(item)

    def cancelled(self, talk: Talk) -> list[Event]:
        """The events that end it early, as documented for `response.done`; those of its item are unverified."""
        output, events = [], []
        if self.item is not None:
            item = {**self.item, "status": "incomplete"}
            if item.get("type") == "message":
                kind, name = ("output_audio", "transcript") if self.is_spoken else ("output_text", "text")
                item["content"] = [{"type": kind, name: self.said}]
            else:
                item["arguments"] = self.said
            self._keep(item, talk)
            output.append(item)
            events.append(
                {"type": "response.output_item.done", "response_id": self.head["id"], "output_index": 0, "item": item}
            )
        details = {"type": "cancelled", "reason": "client_cancelled"}
        done = {**self.head, "status": "cancelled", "status_details": details, "output": output}
        events.append({"type": "response.done", "response": done})
        return [spelt for spelt in (in_beta(one) if self.is_beta else one for one in events) if spelt]


def _given(given: list[Any], conversation: Conversation) -> list[Item]:
    """The items that a response is to see: its own, or those of the conversation that it names."""
    items = [item for item in given if isinstance(item, dict) and isinstance(item.get("type"), str)]
    return [conversation.find(item.get("id")) if item["type"] == "item_reference" else item for item in items]


def _speaking(options: Mapping[str, Any], *, is_beta: bool) -> dict[str, Any]:
    """Format and voice of what is said."""
    if is_beta:
        return {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": options.get("voice") or "alloy"}
    audio = options.get("audio")
    output = audio.get("output") if isinstance(audio, Mapping) else None
    output = output if isinstance(output, Mapping) else {}
    return {"format": output.get("format"), "voice": output.get("voice")}


def response_body(active: Active, *, model: str) -> dict[str, Any]:
    """The response as a request: a chat that is streamed, which is what scripts match and text is made from."""
    options, limit = active.options, active.head["max_output_tokens"]
    body: dict[str, Any] = {"model": model, "stream": True}
    body["messages"] = messages_of(active.items, str(options.get("instructions") or ""))
    tools = tools_of(options.get("tools") or ()) if isinstance(options.get("tools"), list) else []
    if tools:
        body |= {"tools": tools, "tool_choice": _tool_choice(options.get("tool_choice"), tools)}
    return {**body, "max_completion_tokens": limit} if isinstance(limit, int) and limit > 0 else body


def _tool_choice(choice: Any, tools: list[dict[str, Any]]) -> Any:
    if isinstance(choice, Mapping):
        named = choice.get("name") or (choice.get("function") or {}).get("name")
        known = named in [tool["function"]["name"] for tool in tools]
        return {"type": "function", "function": {"name": named}} if known else "auto"
    return choice if choice in ("none", "auto", "required") else "auto"


def respond_operation(active: Active, talk: Talk, *, dice: Dice, model: str) -> Operation:
    """What answers that request."""

    def estimate(call: Call, _model: Model) -> int:
        instructions = str(active.options.get("instructions") or "")
        return input_tokens(active.items, instructions, call.body.get("tools") or (), model=model)

    def answer(call: Call, setting: Setting) -> Result:
        choice = choice_of(call, setting, 0)
        prompt = estimate(call, setting.model)
        reply = _reply(active, talk, choice, prompt, model)
        text, audio = reply.output_tokens()
        active.spent = Spent(prompt=prompt, completion=text + audio, cached=reply.cached_tokens, audio=audio)
        talk.seen_tokens = prompt + text + audio
        events = events_of(reply, dice)
        spelt = [one for one in (in_beta(said) if active.is_beta else said for said in events) if one is not None]
        return Result(events=tuple((str(one["type"]), one) for one in spelt), spent=active.spent)

    return Operation(
        method="POST",
        path="/realtime",
        surface="realtime",
        name="respond",
        answer=answer,
        estimate=estimate,
        default_model=model,
        kinds=("realtime",),
    )


def _reply(active: Active, talk: Talk, choice: Choice, prompt: int, model: str) -> Reply:
    before = talk.conversation.items
    return Reply(
        head=active.head,
        texts=[choice.text] if choice.text is not None else [],
        calls=[call["function"] for call in choice.tool_calls],
        is_cut=choice.finish_reason == "length",
        is_spoken=active.is_spoken,
        is_kept=active.is_kept,
        previous=str(before[-1]["id"]) if before else None,
        model=model,
        input_tokens=prompt,
        cached_tokens=min(talk.seen_tokens, prompt) // _CACHE_STEP * _CACHE_STEP,
    )
