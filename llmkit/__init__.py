"""A resilient client for OpenAI and Azure OpenAI, with offline token counts and recording for tests.

    from llmkit import Client

    with Client(model="gpt-4o", deadline_s=30) as client:
        print(client.chat("Hi").text)

Names are loaded when they are first used: importing llmkit imports neither openai nor pydantic, and does no I/O.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit import models, parsers, recording, templates
    from llmkit._streams import AsyncStream
    from llmkit.client import AsyncClient, Client, Stream
    from llmkit.errors import (
        Attempt,
        AuthenticationFailed,
        BulkFailed,
        CircuitOpen,
        ConfigError,
        ConnectionFailed,
        ContentFiltered,
        ContextOverflow,
        DeadlineExceeded,
        DeploymentNotFound,
        FirstTokenTimeout,
        IdleTimeout,
        InvalidRequest,
        LLMError,
        MalformedResponse,
        ModelNotFound,
        NotFound,
        Overloaded,
        ParseFailed,
        PermissionDenied,
        QuotaExceeded,
        RateLimited,
        ServerError,
        StreamTruncated,
        TemplateInvalid,
        TimedOut,
    )
    from llmkit.options import CallOptions
    from llmkit.responses import Completion, Embedding, ToolCall, Usage
    from llmkit.shared_client import default_client, reset_default_client, set_default_client
    from llmkit.streaming import StreamEvent
    from llmkit.tokens import (
        Calibration,
        Fitted,
        TokenCount,
        count_inputs,
        count_response_tokens,
        count_text,
        count_tokens,
        fit_messages,
        trim_text,
    )

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "Attempt",
    "AuthenticationFailed",
    "BulkFailed",
    "Calibration",
    "CallOptions",
    "CircuitOpen",
    "Client",
    "Completion",
    "ConfigError",
    "ConnectionFailed",
    "ContentFiltered",
    "ContextOverflow",
    "DeadlineExceeded",
    "DeploymentNotFound",
    "Embedding",
    "FirstTokenTimeout",
    "Fitted",
    "IdleTimeout",
    "InvalidRequest",
    "LLMError",
    "MalformedResponse",
    "ModelNotFound",
    "NotFound",
    "Overloaded",
    "ParseFailed",
    "PermissionDenied",
    "QuotaExceeded",
    "RateLimited",
    "ServerError",
    "Stream",
    "StreamEvent",
    "StreamTruncated",
    "TemplateInvalid",
    "TimedOut",
    "TokenCount",
    "ToolCall",
    "Usage",
    "count_inputs",
    "count_response_tokens",
    "count_text",
    "count_tokens",
    "default_client",
    "fit_messages",
    "models",
    "parsers",
    "recording",
    "reset_default_client",
    "set_default_client",
    "templates",
    "trim_text",
]

_HOMES = {
    "_streams": ("AsyncStream",),
    "client": ("AsyncClient", "Client", "Stream"),
    "options": ("CallOptions",),
    "responses": ("Completion", "Embedding", "ToolCall", "Usage"),
    "shared_client": ("default_client", "reset_default_client", "set_default_client"),
    "streaming": ("StreamEvent",),
    "tokens": (
        "Calibration",
        "Fitted",
        "TokenCount",
        "count_inputs",
        "count_response_tokens",
        "count_text",
        "count_tokens",
        "fit_messages",
        "trim_text",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'llmkit' has no attribute {name!r}")
    if name in ("models", "parsers", "recording", "templates"):
        return import_module(f"llmkit.{name}")
    value: object = getattr(import_module(f"llmkit.{_HOME.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
