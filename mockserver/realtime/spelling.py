"""The events of the newer interface as the older one ("beta") spelt them.

As recorded of Azure Voice Live by pydantic-ai, which kept that spelling; the fields that only Voice Live has are left
out. Temperature: https://platform.openai.com/docs/api-reference/realtime-sessions.
"""

from collections.abc import Mapping
from typing import Any

_NAMES = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "conversation.item.added": "conversation.item.created",
}
_PARTS = {"output_text": "text", "output_audio": "audio"}


def in_beta(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The event in the older spelling; None where the older interface had none."""
    kind = event["type"]
    if kind == "conversation.item.done":
        return None
    spelt = {**event, "type": _NAMES.get(kind, kind)}
    spelt.pop("obfuscation", None)
    if isinstance(spelt.get("item"), Mapping):
        spelt["item"] = item_in_beta(spelt["item"])
    if isinstance(spelt.get("response"), Mapping):
        spelt["response"] = _response(spelt["response"])
    return spelt


def item_in_beta(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item in the older spelling."""
    spelt = {"id": item["id"], "object": "realtime.item", **item}
    if item.get("role") == "assistant" and isinstance(item.get("content"), list):
        spelt["content"] = [{**part, "type": _PARTS.get(part["type"], part["type"])} for part in item["content"]]
    return spelt


def _response(response: Mapping[str, Any]) -> dict[str, Any]:
    voice = response.get("audio", {}).get("output", {}).get("voice", "alloy")
    spoken = response.get("output_modalities") == ["audio"]
    rest = {name: value for name, value in response.items() if name not in ("audio", "output_modalities")}
    return {
        **rest,
        "output": [item_in_beta(item) for item in response.get("output") or ()],
        "modalities": ["text", "audio"] if spoken else ["text"],
        "voice": voice,
        "output_audio_format": "pcm16",
        "temperature": 0.8,
    }
