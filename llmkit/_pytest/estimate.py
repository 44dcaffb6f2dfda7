"""What a request could be billed, told before it is sent.

Its prompt is counted as the API will count it, images, sounds and files at their most; its answer is as long as the
limit that it asks for, or else half as long again as the longest answer of the same model so far. What the API has
counted beyond an earlier estimate (a stored prompt) is added to the next one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from llmkit.models import spec_for
from llmkit.recording.addresses import AZURE, OPENAI, Address
from llmkit.recording.interaction import Request, Response
from llmkit.recording.replies.ledger import Usage

_UNKNOWN_ANSWER = 256  # tokens; the least that an answer without a limit is taken to have
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_BEYOND_MESSAGES = ("tools", "functions", "response_format", "prediction")
_BYTES_A_TOKEN = 3
_MEDIA = {"image_url", "input_image", "input_audio", "file", "input_file", "image", "document"}
_STORED = ("file_id", "file_url")
_ANY_IMAGE = 40_000  # tokens; the most that any model of today takes for one
_ANY_FILE = 128_000  # tokens, of one that the API reads from elsewhere, where the model's window is not known
# of the provider's addresses these bill no tokens when they are asked, though they name no model
_UNBILLED = frozenset({
    "assistants", "containers", "conversations", "files", "moderations", "threads", "uploads", "vector_stores",
})  # fmt: skip
_BILLED_BELOW = frozenset({"responses", "runs"})
_MODEL_FIELD = re.compile(rb'name="model"[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]+)\r\n')
_PROVIDERS = frozenset({Address.of(OPENAI), Address.of(AZURE)})


@dataclass(slots=True)
class Experience:
    """Tokens by model: those of the longest answer, and the most that a prompt had beyond what was estimated."""

    longest: dict[str, int] = field(default_factory=dict)
    beyond: dict[str, int] = field(default_factory=dict)

    def estimate(self, request: Request, response: Response | None = None) -> Usage:
        """Return what ``request`` could be billed at most; with a ``response``, what a reply of that size is billed."""
        body, model = _json(request), model_of(request)
        answer = self._answer(body, model) if response is None else _size(response)
        return Usage(
            model=model,
            prompt_tokens=_prompt_tokens(body, model, request) + self.beyond.get(model, 0),
            completion_tokens=answer if _is_answered(request) else 0,
        )

    def learn(self, request: Request, usage: Usage) -> None:
        """Take note of what ``request`` was billed."""
        body, model = _json(request), model_of(request)
        missed = usage.prompt_tokens - _prompt_tokens(body, model, request)
        self.beyond[model] = max(self.beyond.get(model, 0), missed)
        self.longest[model] = max(self.longest.get(model, 0), usage.completion_tokens)

    def _answer(self, body: Mapping[str, Any], model: str) -> int:
        limits = [count for name in _LIMITS if (count := _count(body, name))]
        answers = max(_count(body, "n"), _count(body, "best_of"), 1) * _prompts(body)
        if limits:
            return max(limits) * answers
        likely = max(self.longest.get(model, 0) * 3 // 2, _UNKNOWN_ANSWER * answers)
        most = spec_for(model).max_output
        return min(likely, most * answers) if most else likely


def is_billed(request: Request) -> bool:
    """Tell whether ``request`` may cost something: it names a model, or asks the provider for what it may bill."""
    if request.method.upper() != "POST":
        return False
    if model_of(request):
        return True
    words = set(urlsplit(request.uri).path.split("/"))
    is_unbilled = bool(words & _UNBILLED) and not words & _BILLED_BELOW
    return Address.of(request.uri) in _PROVIDERS and not is_unbilled


def model_of(request: Request) -> str:
    """Return the model that ``request`` asks for, or Azure's deployment; "" if it names none."""
    named = _json(request).get("model")
    if isinstance(named, str) and named:
        return named
    if field_of_form := _MODEL_FIELD.search(request.body):
        return field_of_form[1].decode("utf-8", "replace").strip()
    return urlsplit(request.uri).path.partition("/deployments/")[2].partition("/")[0]


def _size(response: Response) -> int:
    """Return about how many tokens ``response`` has: an event of a stream brings one or two."""
    events = response.body.count(b"data:")
    return events * 2 if events else len(response.body) // _BYTES_A_TOKEN


def _is_answered(request: Request) -> bool:
    return not urlsplit(request.uri).path.endswith("/embeddings")


def _prompt_tokens(body: Mapping[str, Any], model: str, request: Request) -> int:
    if not body:
        return len(request.body) // _BYTES_A_TOKEN
    from llmkit.tokens import count_text  # reads the vocabulary, which most runs don't need

    media: list[Mapping[str, Any]] = []
    text = _without_media({name: body[name] for name in body if name != "messages"}, media)
    messages = body.get("messages")
    if messages is None:
        return count_text(_spelt(text), model=model) + sum(_media_tokens(one, model) for one in media)
    beyond = {name: text[name] for name in _BEYOND_MESSAGES if name in text}
    in_messages: list[Mapping[str, Any]] = []
    plain = _without_media(messages, in_messages)
    tokens = _message_tokens(plain, model) + (count_text(_spelt(beyond), model=model) if beyond else 0)
    return tokens + sum(_media_tokens(one, model) for one in (*media, *in_messages))


def _message_tokens(messages: Any, model: str) -> int:
    from llmkit.errors import LLMError
    from llmkit.tokens import count_text, count_tokens

    try:
        counted = count_tokens(messages, model=model)
        return counted.tokens + counted.margin
    except (LLMError, ValueError, TypeError, KeyError):
        return count_text(_spelt(messages), model=model)  # what the API makes of such a request, it will say itself


def _without_media(value: Any, media: list[Mapping[str, Any]]) -> Any:
    """Return ``value`` without its images, sounds and files, which go to ``media``."""
    if isinstance(value, list):
        kept = (_without_media(one, media) for one in value if not _is_media(one, media))
        return list(kept)
    if isinstance(value, dict):
        return {name: _without_media(one, media) for name, one in value.items()}
    return value


def _is_media(value: Any, media: list[Mapping[str, Any]]) -> bool:
    if not isinstance(value, dict) or value.get("type") not in _MEDIA:
        return False
    media.append(value)
    return True


def _media_tokens(part: Mapping[str, Any], model: str) -> int:
    """Return the most that a part could be billed: for a file that is stored elsewhere, the model's whole window."""
    spec = spec_for(model)
    if "image" in str(part["type"]):
        return (spec.image_tokens or (0, _ANY_IMAGE))[1]
    text = _spelt(part)
    if any(f'"{name}"' in text for name in _STORED):
        return spec.context_window or _ANY_FILE
    return len(text) // 2


def _prompts(body: Mapping[str, Any]) -> int:
    """Return how many prompts a completion answers: one, unless it has a list of texts or of lists of tokens."""
    prompt = body.get("prompt")
    return len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1


def _spelt(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _count(body: Mapping[str, Any], name: str) -> int:
    """Return the positive number ``name``, or 0."""
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _json(request: Request) -> Mapping[str, Any]:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
