"""What a chat completion costs: the object `usage`, as recorded from api.openai.com.

Which part of a prompt comes from the cache depends on the prompt alone, so that every worker bills the same: what was
sent before is what stands before the assistant's last message, for without it there would be none; and where the
request gives a `prompt_cache_key`, which says that other requests share its beginning, everything but the last message.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mockserver.generating import usage
from mockserver.surfaces import Spent
from mockserver.surfaces.choice import Choice
from mockserver.surfaces.messages import billed


def prompt_tokens(body: Mapping[str, Any], model: str) -> int:
    """What the messages of a sound body are billed as, its tools included."""
    return _counted(body, body["messages"], model)


def _counted(body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], model: str) -> int:
    tools = [*(body.get("tools") or ()), *(body.get("functions") or ())]
    return usage.prompt_tokens(
        [billed(message) for message in messages],
        model=model,
        tools=tools,
        tool_choice=(body.get("tool_choice") or body.get("function_call")) if tools else None,
        response_format=body.get("response_format"),
    )


def spent(body: Mapping[str, Any], prompt: int, choices: Sequence[Choice], model: str) -> Spent:
    """What the reply costs."""
    return Spent(
        prompt=prompt,
        completion=sum(choice.billed for choice in choices),
        cached=_cached(body, prompt, model),
        reasoning=sum(choice.reasoning for choice in choices),
        audio=sum(choice.audio for choice in choices),
    )


def _cached(body: Mapping[str, Any], prompt: int, model: str) -> int:
    if not usage.cached_tokens(prompt, model=model):
        return 0  # most prompts are too short
    messages = body["messages"]
    answered = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    known = len(messages) - 1 if body.get("prompt_cache_key") else answered[-1] if answered else 0
    return usage.cached_tokens(_counted(body, messages[:known], model), model=model) if known else 0


def bill(spent: Spent, choices: Sequence[Choice], *, speaks: bool) -> dict[str, Any]:
    """The object `usage`; models that speak tell text from audio, as recorded from gpt-audio."""
    prompt: dict[str, int] = {"cached_tokens": spent.cached, "audio_tokens": 0}
    completion: dict[str, int] = {
        "reasoning_tokens": spent.reasoning,
        "audio_tokens": spent.audio,
        "accepted_prediction_tokens": sum(choice.accepted for choice in choices),
        "rejected_prediction_tokens": sum(choice.rejected for choice in choices),
    }
    if speaks:
        prompt |= {"text_tokens": spent.prompt, "image_tokens": 0}
        completion["text_tokens"] = spent.completion - spent.audio
    return {
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.completion,
        "total_tokens": spent.total,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }
