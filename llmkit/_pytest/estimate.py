"""What a request could be billed, told before it is sent.

Its prompt is counted as the API will count it; its answer is as long as the limit that it asks for, or else as the
longest answer of the same model so far. What the API has counted beyond an earlier estimate (an image, a stored prompt)
is added to the next one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from llmkit.recording.addresses import AZURE, OPENAI, Address
from llmkit.recording.interaction import Request, Response
from llmkit.recording.replies.ledger import Usage

_UNKNOWN_ANSWER = 256  # tokens; the least that an answer without a limit is taken to have
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_BEYOND_MESSAGES = ("tools", "functions", "response_format", "prediction")
_BYTES_A_TOKEN = 3
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
        if limits:
            return max(limits) * (_count(body, "n") or 1)
        return max(self.longest.get(model, 0), _UNKNOWN_ANSWER * (_count(body, "n") or 1))


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
    from llmkit.errors import LLMError
    from llmkit.tokens import count_tokens  # reads the vocabulary, which most runs don't need

    messages = body.get("messages")
    if isinstance(messages, list) and model and not any(name in body for name in _BEYOND_MESSAGES):
        try:
            counted = count_tokens(messages, model=model)
            return counted.tokens + counted.margin
        except (LLMError, ValueError, TypeError, KeyError):
            pass  # what the API makes of such a request, it will say itself
    return len(request.body) // _BYTES_A_TOKEN


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
