"""The real APIs, asked for a handful of tokens: only with LLMKIT_LIVE=1 and credentials, else skipped with a reason.

    LLMKIT_LIVE=1 OPENAI_API_KEY=… pytest tests/llmkit/test_live.py -rs
    LLMKIT_LIVE=1 AZURE_OPENAI_ENDPOINT=… AZURE_OPENAI_API_KEY=… LLMKIT_LIVE_DEPLOYMENT=… pytest …

Rows 1.T3, 5.T6. A whole run costs less than 300 tokens.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from llmkit import AuthenticationFailed, Client, ModelNotFound, NotFound, count_tokens
from llmkit.diagnosis import diagnose

MODEL = os.environ.get("LLMKIT_LIVE_MODEL", "gpt-6-luna")
EMBEDDING_MODEL = os.environ.get("LLMKIT_LIVE_EMBEDDING_MODEL", "text-embedding-3-small")
DEPLOYMENT = os.environ.get("LLMKIT_LIVE_DEPLOYMENT", "")
PROMPT = "Say the word blue."
NEEDED = {
    "openai": ("OPENAI_API_KEY",),
    "azure": ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "LLMKIT_LIVE_DEPLOYMENT"),
}

pytestmark = pytest.mark.live


def _reason(provider: str) -> str:
    """Why the tests of a provider cannot run here, "" if they can."""
    if os.environ.get("LLMKIT_LIVE") != "1":
        return "set LLMKIT_LIVE=1 to ask the real API, which costs some tokens"
    missing = [name for name in NEEDED[provider] if not os.environ.get(name)]
    return f"no credentials for {provider}: {', '.join(missing)} is not set" if missing else ""


@pytest.fixture(params=list(NEEDED))
def provider(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    if reason := _reason(chosen):
        pytest.skip(reason)
    return chosen


@pytest.fixture
def client(provider: str) -> Iterator[Client]:
    made = Client.azure(deployment=DEPLOYMENT) if provider == "azure" else Client(model=MODEL)
    with made as opened:
        yield opened


def test_a_chat_is_answered_and_its_prompt_counted(client: Client, provider: str) -> None:
    reply = client.chat(PROMPT, max_completion_tokens=200, deadline_s=60)
    assert reply.complete
    assert "blue" in reply.text.lower()
    if provider == "openai":  # what is behind a deployment, its name does not tell
        count = count_tokens([{"role": "user", "content": PROMPT}], model=MODEL)
        assert reply.usage is not None
        assert abs(reply.usage.prompt_tokens - count.tokens) <= count.margin


def test_a_stream_tells_its_usage(client: Client) -> None:
    with client.stream(PROMPT, max_completion_tokens=200, deadline_s=60) as stream:
        text = "".join(event.text for event in stream if event.text)
        reply = stream.reply
    assert "blue" in text.lower()
    assert reply.usage is not None


def test_the_doctor_finds_nothing_wrong(provider: str) -> None:
    model = DEPLOYMENT if provider == "azure" else MODEL
    found = diagnose("azure" if provider == "azure" else "openai", model=model, timeout_s=30)
    assert found.ok, [finding for finding in found.findings if finding.status == "failure"]


def test_a_model_that_is_not_there_is_an_error_of_its_own(client: Client) -> None:
    with pytest.raises(NotFound):
        client.chat(PROMPT, model="llmkit-no-such-model", max_completion_tokens=16, deadline_s=60)


def test_openai_embeds_and_refuses_a_wrong_key() -> None:
    if reason := _reason("openai"):
        pytest.skip(reason)
    with Client() as client:
        (vector,) = client.embed("blue", model=EMBEDDING_MODEL, deadline_s=60).vectors
        assert len(vector) == 1536
        with pytest.raises(ModelNotFound):
            client.chat(PROMPT, model="llmkit-no-such-model", max_completion_tokens=16, deadline_s=60)
    with Client(api_key="sk-wrong-0123456789", model=MODEL) as stranger, pytest.raises(AuthenticationFailed):
        stranger.chat(PROMPT, deadline_s=60)
