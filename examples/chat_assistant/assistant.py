"""A chat assistant for the visitors of a library, on Azure: streams its answers, looks opening hours up with a tool."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import openai

DEPLOYMENT = os.environ.get("ASSISTANT_DEPLOYMENT", "gpt-4o-mini")
API_VERSION = "2024-10-21"
TIMEOUT_S = float(os.environ.get("EXAMPLES_TIMEOUT_S", "30"))
INSTRUCTIONS = "You help the visitors of the city library. Look opening hours up; never guess them."
MOST_TURNS = 4

OPENING_HOURS = {"weekday": "9:00 to 19:00", "saturday": "10:00 to 16:00", "sunday": "closed"}
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "opening_hours",
            "description": "Returns the opening hours of a kind of day.",
            "parameters": {
                "type": "object",
                "properties": {"day": {"type": "string", "enum": list(OPENING_HOURS)}},
                "required": ["day"],
                "additionalProperties": False,
            },
        },
    }
]


class AnswerFailed(Exception):
    """There is no answer, or it broke off; what was said so far is not to be trusted."""


@dataclass
class Turn:
    """What the model said in one turn."""

    text: str = ""
    finish_reason: str | None = None
    calls: defaultdict[int, dict[str, str]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(str)))


async def answer(question: str) -> AsyncIterator[str]:
    """Yield the answer to ``question`` piece by piece."""
    messages: list[Any] = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": question}]
    try:
        async with openai.AsyncAzureOpenAI(api_version=API_VERSION, timeout=TIMEOUT_S) as client:
            for _ in range(MOST_TURNS):
                turn = Turn()
                async for piece in _say(client, messages, turn):
                    yield piece
                if turn.finish_reason == "stop":
                    return
                if turn.finish_reason != "tool_calls":
                    raise AnswerFailed(f"the answer broke off: finish reason {turn.finish_reason!r}")
                messages += _called(turn)
    except (openai.OpenAIError, ValueError) as error:  # the SDK lets a frame that is no JSON through as ValueError
        raise AnswerFailed(f"the assistant can't answer now: {error}") from error
    raise AnswerFailed(f"no answer after {MOST_TURNS} turns")


async def _say(client: openai.AsyncAzureOpenAI, messages: list[Any], turn: Turn) -> AsyncIterator[str]:
    stream = await client.chat.completions.create(
        model=DEPLOYMENT, messages=messages, tools=TOOLS, temperature=0, stream=True
    )
    async for chunk in stream:
        for choice in chunk.choices:  # Azure's first frame has none
            turn.finish_reason = choice.finish_reason or turn.finish_reason
            for call in choice.delta.tool_calls or []:
                turn.calls[call.index]["id"] += call.id or ""
                turn.calls[call.index]["name"] += (call.function and call.function.name) or ""
                turn.calls[call.index]["arguments"] += (call.function and call.function.arguments) or ""
            if choice.delta.content:
                turn.text += choice.delta.content
                yield choice.delta.content


def _called(turn: Turn) -> list[Any]:
    """Return the messages that tell the model what its calls gave."""
    calls = [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in turn.calls.values()
    ]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": opening_hours(**json.loads(call["arguments"]))}
        for call in turn.calls.values()
    ]
    return [{"role": "assistant", "content": turn.text or None, "tool_calls": calls}, *results]


def opening_hours(day: str) -> str:
    return json.dumps({"day": day, "open": OPENING_HOURS.get(day, "unknown")})
