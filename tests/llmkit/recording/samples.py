"""Interactions as the API makes them, for tests of what is done with them."""

from __future__ import annotations

import json
from typing import Any

from llmkit.recording.interaction import Interaction, Request, Response

KEY = "sk-proj-" + "aB3dE6gH9jK2mN5pQ8sT1vW4"
"""Has the shape of a key, and is none."""


def chat(prompt: str = "Hello", answer: str = "Hi", **facts: Any) -> Interaction:
    """A chat completion of 10 tokens in and 5 out; ``facts`` are those of `reply`, ``recorded_at``, ``test``."""
    recorded_at, test = facts.pop("recorded_at", "2026-11-01T10:00:00+00:00"), facts.pop("test", "")
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}
    return Interaction(request=request(asked), response=reply(answer, **facts), recorded_at=recorded_at, test=test)


def request(body: Any, path: str = "/v1/chat/completions") -> Request:
    return Request(
        method="POST",
        uri=f"https://api.openai.com{path}",
        headers={"content-type": ["application/json"]},
        body=json.dumps(body, indent=2, ensure_ascii=False).encode(),  # as a cassette keeps it
    )


def reply(answer: str, *, status: int = 200, identity: str = "chatcmpl-1", model: str = "gpt-4o-mini") -> Response:
    body = {
        "id": identity,
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
    refusal = {"error": {"message": answer, "type": "invalid_request_error", "param": None, "code": None}}
    headers = {"content-type": ["application/json"], "x-request-id": [identity]}
    return Response(
        status=status, reason="OK", headers=headers, body=json.dumps(refusal if status >= 400 else body).encode()
    )


def streamed(prompt: str, *words: str, identity: str = "chatcmpl-1") -> Interaction:
    """A chat completion in as many chunks as there are ``words``, which come 100 ms after one another."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in words)]
    events = [_event(identity, delta, None) for delta in deltas] + [_event(identity, {}, "stop")]
    frames = [*(f"data: {json.dumps(event)}\n\n".encode() for event in events), b"data: [DONE]\n\n"]
    asked = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    return Interaction(
        request=request(asked),
        response=Response(
            status=200,
            reason="OK",
            headers={"content-type": ["text/event-stream"]},
            body=b"".join(frames),
            headers_ms=80,
            chunks=tuple((100 * number, len(frame)) for number, frame in enumerate(frames, 1)),
        ),
        recorded_at="2026-11-01T10:00:00+00:00",
    )


def _event(identity: str, delta: dict[str, str], finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": identity,
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [choice],
    }
