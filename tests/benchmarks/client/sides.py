"""Who is compared: our clients, the official SDK's, and the SDK's own HTTP client alone.

They send over sockets, or into a transport in this process that answers at once: what is measured there is their own
work, without the HTTP connection's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import httpx2
import openai

from llmkit import AsyncClient, Client

KEY = "never-sent-anywhere"
MODEL = "gpt-4o"
NOWHERE = "http://127.0.0.1:1/v1"
PATH = "/chat/completions"


@dataclass(frozen=True, slots=True)
class Reply(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The body of a reply, in pieces as they are read."""

    pieces: Callable[[], Iterator[bytes]]

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces():
            yield piece


def transport(reply: Reply, content_type: str = "application/json") -> httpx2.MockTransport:
    """A transport in this process that gives the same reply to every request."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, stream=reply)

    return httpx2.MockTransport(answer)


@dataclass(frozen=True)
class Sides:
    """Everybody's clients of one server: that at `url`, or `inside` this process."""

    url: str = NOWHERE
    inside: httpx2.MockTransport | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @cached_property
    def ours(self) -> Client:
        """Our client."""
        client = Client(api_key=KEY, base_url=self.url, model=MODEL)
        self._put_inside(client)
        return client

    @cached_property
    def ours_async(self) -> AsyncClient:
        """Our client for code that awaits."""
        client = AsyncClient(api_key=KEY, base_url=self.url, model=MODEL)
        self._put_inside(client)
        return client

    @cached_property
    def http(self) -> httpx2.Client:
        """The SDK's HTTP client."""
        return openai.DefaultHttpxClient(transport=self.inside)

    @cached_property
    def http_async(self) -> httpx2.AsyncClient:
        """The SDK's asynchronous HTTP client."""
        return openai.DefaultAsyncHttpxClient(transport=self.inside)

    @cached_property
    def sdk(self) -> openai.OpenAI:
        """The SDK, with an HTTP client of its own."""
        http = openai.DefaultHttpxClient(transport=self.inside)
        return openai.OpenAI(api_key=KEY, base_url=self.url, max_retries=0, http_client=http)

    @cached_property
    def sdk_async(self) -> openai.AsyncOpenAI:
        """The SDK's asynchronous client, with an HTTP client of its own."""
        http = openai.DefaultAsyncHttpxClient(transport=self.inside)
        return openai.AsyncOpenAI(api_key=KEY, base_url=self.url, max_retries=0, http_client=http)

    def plain(self, messages: list[dict[str, Any]]) -> dict[str, Callable[[], Any]]:
        """One call of each, for code that does not await."""
        body = {"messages": messages, "model": MODEL}
        create: Any = self.sdk.chat.completions.create
        return {
            "ours": lambda: self.ours.chat(messages),
            "create()": lambda: create(messages=messages, model=MODEL),
            "post()": lambda: json.loads(self.sdk.post(PATH, body=body, cast_to=httpx2.Response).content),
            "HTTP alone": lambda: self.http.post(f"{self.url}{PATH}", json=body).json(),
        }

    def awaited(self, messages: list[dict[str, Any]]) -> dict[str, Callable[[], Awaitable[Any]]]:
        """One call of each, for code that awaits."""
        body = {"messages": messages, "model": MODEL}
        create: Any = self.sdk_async.chat.completions.create

        async def post() -> object:
            return json.loads((await self.sdk_async.post(PATH, body=body, cast_to=httpx2.Response)).content)

        async def alone() -> object:
            return (await self.http_async.post(f"{self.url}{PATH}", json=body)).json()

        return {
            "ours": lambda: self.ours_async.chat(messages),
            "create()": lambda: create(messages=messages, model=MODEL),
            "post()": post,
            "HTTP alone": alone,
        }

    def run(self, count: int, make: Callable[[], Awaitable[Any]]) -> Callable[[], None]:
        """`count` calls, one after the other, in one run of the event loop."""

        async def work() -> None:
            for _ in range(count):
                await make()

        return lambda: self.loop.run_until_complete(work())

    def together(self, count: int, width: int, make: Callable[[], Awaitable[Any]]) -> Callable[[], None]:
        """`count` calls, of which `width` are under way at any time."""

        async def some(share: int) -> None:
            for _ in range(share):
                await make()

        async def work() -> None:
            await asyncio.gather(*(some(count // width) for _ in range(width)))

        return lambda: self.loop.run_until_complete(work())

    def _put_inside(self, client: Client | AsyncClient) -> None:
        """Puts the transport where ours builds its own, since its users have none to give."""
        if self.inside is not None:
            http = partial(openai.DefaultAsyncHttpxClient, transport=self.inside, follow_redirects=False)
            vars(client.services.transport)["_http_client"] = http


@contextmanager
def sides(*, url: str = NOWHERE, inside: httpx2.MockTransport | None = None) -> Iterator[Sides]:
    """Everybody's clients, closed at the end."""
    found = Sides(url, inside)
    with ExitStack() as stack:
        stack.callback(found.loop.close)
        yield found
        found.ours.close()
        found.sdk.close()
        found.http.close()
        for closing in (found.ours_async.aclose(), found.sdk_async.close(), found.http_async.aclose()):
            found.loop.run_until_complete(closing)
        found.loop.run_until_complete(found.loop.shutdown_asyncgens())


def conversation(count: int, text: str) -> list[dict[str, Any]]:
    """So many messages of that text."""
    return [{"role": "user" if number % 2 == 0 else "assistant", "content": text} for number in range(count)]
