"""Both clients in both dialects, asked in one way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from llmkit import AsyncClient, Client, Completion, StreamEvent
from mockserver import MockServer

KEY = "sk-integration-3f9c"
STREAMS = ("stream", "stream_response")


class Caller:
    """Calls a function of a client by its name, and reads what is a stream to its end."""

    def __init__(self, server: MockServer, *, dialect: str, is_async: bool, **options: Any) -> None:
        kind: type[AsyncClient | Client] = AsyncClient if is_async else Client
        if dialect == "azure":
            self.client: AsyncClient | Client = kind.azure(endpoint=server.url, api_key=KEY, **options)
        elif dialect == "azure, dated":
            self.client = kind.azure(endpoint=server.url, api_key=KEY, api_version="2025-04-01-preview", **options)
        else:
            self.client = kind(base_url=server.openai_url, api_key=KEY, **options)
        self.events: Sequence[StreamEvent] = ()

    def ask(self, function: str, *arguments: Any, **options: Any) -> Any:
        """What the function returns; of a stream its whole reply, and `events` has what came before it."""
        made = getattr(self.client, function)
        if isinstance(self.client, AsyncClient):
            return asyncio.run(self._awaited(function, made(*arguments, **options)))
        if function not in STREAMS:
            return made(*arguments, **options)
        with made(*arguments, **options) as stream:
            self.events = list(stream)
            return stream.reply

    async def _awaited(self, function: str, call: Any) -> Any:
        assert isinstance(self.client, AsyncClient)
        async with self.client:
            if function not in STREAMS:
                return await call
            async with call as stream:
                self.events = [event async for event in stream]
                reply: Completion = stream.reply
                return reply

    def close(self) -> None:
        """Close the connections; those of the async client close with each call."""
        if isinstance(self.client, Client):
            with closing(self.client):
                pass
