"""OpenTelemetry's attributes of a call to a model: https://github.com/open-telemetry/semantic-conventions-genai."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from llmkit._flow import Call
from llmkit.config import AzureSettings
from llmkit.responses import Completion, Usage
from llmkit.telemetry.prices import Settings
from llmkit.telemetry.redaction import cleaned

_OPERATIONS = {"chat": "chat", "responses": "chat", "completions": "text_completion", "embeddings": "embeddings"}
_API_TYPES = {"chat": "chat_completions", "responses": "responses"}
_PARAMETERS: Mapping[str, tuple[str, type]] = {
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "frequency_penalty": ("frequency_penalty", float),
    "presence_penalty": ("presence_penalty", float),
    "max_tokens": ("max_tokens", int),
    "max_completion_tokens": ("max_tokens", int),
    "max_output_tokens": ("max_tokens", int),
    "seed": ("seed", int),
}
_PORTS = {"https": 443, "http": 80}


class Conventions:
    """The attributes of calls of a client with these settings."""

    def __init__(self, settings: Settings) -> None:
        address = urlsplit(settings.address)
        self._client: dict[str, Any] = {
            "gen_ai.provider.name": "azure.ai.openai" if isinstance(settings, AzureSettings) else "openai",
            "server.address": address.hostname or "",
            "server.port": address.port or _PORTS.get(address.scheme, 443),
        }

    def name(self, call: Call) -> str:
        """The name of the call's span."""
        return f"{_operation(call)} {call.model}"

    def of_request(self, call: Call) -> dict[str, Any]:
        """What is known before anything is sent; a sampler decides by it."""
        body: Mapping[str, Any] = {} if call.request is None else call.request.body
        found = self.of_metric(call)
        for name, (word, kind) in _PARAMETERS.items():
            value = body.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[f"gen_ai.request.{word}"] = kind(value)
        if isinstance(body.get("n"), int) and body["n"] != 1:
            found["gen_ai.request.choice.count"] = body["n"]
        if body.get("stream"):
            found["gen_ai.request.stream"] = True
        if isinstance(stop := body.get("stop"), str | list | tuple):
            found["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else [str(one) for one in stop]
        if isinstance(body.get("response_format"), Mapping):
            found["gen_ai.output.type"] = "text" if body["response_format"].get("type") == "text" else "json"
        if call.request is not None and call.request.surface == "embeddings":
            found["gen_ai.request.encoding_formats"] = [str(body.get("encoding_format"))]
        if call.request is not None and call.request.surface in _API_TYPES:
            found["openai.api.type"] = _API_TYPES[call.request.surface]
        return found

    def of_metric(self, call: Call, reply: Any = None) -> dict[str, Any]:
        """What tells one series from another: few values each."""
        found = {**self._client, "gen_ai.operation.name": _operation(call), "gen_ai.request.model": call.model}
        if reply is not None and reply.model:
            found["gen_ai.response.model"] = reply.model
        return found

    def of_usage(self, bills: Sequence[Usage]) -> dict[str, Any]:
        """What all answers of a call used; a call that asked again has several."""
        if not bills:
            return {}
        found = {
            "gen_ai.usage.input_tokens": sum(bill.prompt_tokens for bill in bills),
            "gen_ai.usage.output_tokens": sum(bill.completion_tokens for bill in bills),
        }
        rare = {
            "gen_ai.usage.cache_read.input_tokens": sum(bill.cached_tokens for bill in bills),
            "gen_ai.usage.reasoning.output_tokens": sum(bill.reasoning_tokens for bill in bills),
        }
        return found | {name: value for name, value in rare.items() if value}

    def of_reply(self, reply: Any) -> dict[str, Any]:
        """What a reply says of itself."""
        name = reply.payload.get("id")
        found: dict[str, Any] = {"llmkit.cached": True} if reply.cached else {}
        if reply.model:
            found["gen_ai.response.model"] = reply.model
        if isinstance(name, str):
            found["gen_ai.response.id"] = name
        if isinstance(reply, Completion):
            found["gen_ai.response.finish_reasons"] = _finish_reasons(reply)
        elif reply.vectors:
            found["gen_ai.embeddings.dimension.count"] = len(reply.vectors[0])
        if reply.degraded is not None:
            found["llmkit.degraded"] = reply.degraded.kind
        return found

    def of_content(self, call: Call, reply: object) -> dict[str, Any]:
        """What was said, as JSON, without what looks like a secret."""
        body: Mapping[str, Any] = {} if call.request is None else call.request.body
        found = {"gen_ai.input.messages": _asked(body)}
        if body.get("instructions"):
            found["gen_ai.system_instructions"] = [{"type": "text", "content": body["instructions"]}]
        if isinstance(reply, Completion):
            found["gen_ai.output.messages"] = [_answered(reply)]
        return {name: cleaned(json.dumps(value, ensure_ascii=False)) for name, value in found.items() if value}


def _operation(call: Call) -> str:
    return _OPERATIONS["chat" if call.request is None else call.request.surface]


def _asked(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    said = body.get("messages", body.get("prompt", body.get("input", [])))
    if isinstance(said, str):
        return [{"role": "user", "parts": [{"type": "text", "content": said}]}]
    return [_message(message) for message in said if isinstance(message, Mapping) and "role" in message]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role, content = str(message["role"]), message.get("content")
    if role == "tool":
        parts = [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}]
        return {"role": role, "parts": parts}
    parts = list(_parts(content)) + [
        _call(call.get("id"), call["function"].get("name"), call["function"].get("arguments"))
        for call in message.get("tool_calls") or ()
        if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping)
    ]
    return {"role": role, "parts": parts}


def _parts(content: object) -> Iterable[dict[str, Any]]:
    """Text as it is; of pictures and sound only that they were there."""
    if isinstance(content, str):
        yield {"type": "text", "content": content}
    elif isinstance(content, list | tuple):
        for part in content:
            if isinstance(part, Mapping):
                text = part.get("text")
                yield {"type": "text", "content": text} if isinstance(text, str) else {"type": str(part.get("type"))}


def _call(identity: object, name: object, arguments: object) -> dict[str, Any]:
    return {"type": "tool_call", "id": identity, "name": name, "arguments": arguments}


def _finish_reasons(reply: Completion) -> list[str]:
    """That of every choice: the others than the first nobody has checked yet."""
    choices = reply.payload.get("choices") or ()
    reasons = [choice.get("finish_reason") for choice in choices if isinstance(choice, Mapping)]
    return [str(reason) for reason in (reasons or [reply.finish_reason]) if reason]


def _answered(reply: Completion) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"type": "text", "content": reply.text}] if reply.text else []
    parts += [_call(call.id, call.name, call.arguments) for call in reply.tool_calls]
    return {"role": "assistant", "parts": parts, "finish_reason": reply.finish_reason or ""}
