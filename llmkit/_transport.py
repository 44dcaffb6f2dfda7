"""The only module that imports openai: builds its client, sends, and translates its errors.

The SDK's retries are switched off and its parsing is passed by: what a reply is worth is judged in `responses` and
`streaming`. Works with openai 2.20 to 3.x, whatever HTTP library they run on.
"""

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin

from llmkit.config import AzureSettings, OpenAISettings
from llmkit.errors import ConnectionFailed, DeadlineExceeded, LLMError, NotFound, excerpt, from_api
from llmkit.policies.retry import retry_after_s
from llmkit.requests import Request

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

CONNECT_S = 5.0  # a host that does not answer at all is tried again before the deadline
_DRAIN_S = 0.05
_SHORTEST_KEY = 8  # a shorter one is a placeholder, and may well be a word of the message


class Transport:
    """Sends requests for one client, on whatever event loop it is used; each loop has its own connections.

    Connections are closed by `aclose`, with their event loop, or when this object is forgotten, whichever comes first.
    """

    def __init__(self, settings: OpenAISettings | AzureSettings) -> None:
        import openai

        self._openai = openai
        self._network_errors = _network_errors(openai.DefaultAsyncHttpxClient)
        self._settings = settings
        self._lock = threading.Lock()
        self._clients: dict[asyncio.AbstractEventLoop, AsyncGenerator[openai.AsyncOpenAI, None]] = {}

    async def open(self, request: Request) -> "Response":
        """Sends the request and returns its reply when the headers are there; raises an LLMError for any failure."""
        client = await self._client()
        surface: Any = client.chat.completions if request.surface == "chat" else client.embeddings
        required = {"messages": ()} if request.surface == "chat" else {"input": ""}
        # as an argument each message costs 0.1 ms of inspection by the SDK; in extra_body it is sent as it is
        pending = surface.with_streaming_response.create(
            model=request.model, **required, **({"stream": True} if request.streamed else {}), extra_body=request.body
        )
        reply = await self.translated(pending.__aenter__())
        return Response(reply, self)

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        with self._lock:
            opened = self._clients.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.aclose()

    async def _client(self) -> "openai.AsyncOpenAI":
        """The SDK's client for the running loop, for its connections cannot move to another."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._clients = {known: opened for known, opened in self._clients.items() if not known.is_closed()}
            opened = self._clients.get(loop)
            if opened is None:
                opened = self._clients[loop] = _opened(self._build())
        return await anext(opened)

    def _build(self) -> "openai.AsyncOpenAI":
        import openai

        settings = self._settings
        options: dict[str, Any] = {
            "api_key": settings.api_key.get_secret_value(),
            "max_retries": 0,
            "timeout": openai.Timeout(None, connect=CONNECT_S),
            # a redirect would be a second request, and could carry the key to another host
            "http_client": openai.DefaultAsyncHttpxClient(follow_redirects=False),
        }
        if isinstance(settings, OpenAISettings):
            return openai.AsyncOpenAI(
                base_url=settings.base_url, organization=settings.organization, project=settings.project, **options
            )
        if settings.api_version is None:
            return openai.AsyncOpenAI(base_url=urljoin(settings.endpoint, "/openai/v1/"), **options)
        return openai.AsyncAzureOpenAI(
            azure_endpoint=settings.endpoint, api_version=settings.api_version, azure_ad_token=None, **options
        )

    async def translated(self, pending: Awaitable[T]) -> T:
        """The result of `pending`; what the SDK or its HTTP library raises becomes ours, without a link to theirs."""
        openai = self._openai
        try:
            return await pending
        except openai.APIStatusError as error:
            failure = self._refused(error)
        except openai.APIConnectionError as error:
            failure = self._broken(error.__cause__ or error)
        except self._network_errors as error:
            failure = self._broken(error)
        # here, and not above: an error raised while handling another keeps it, with the request and its headers
        raise self.cleaned(failure)

    def _refused(self, error: "openai.APIStatusError") -> LLMError:
        headers = error.response.headers
        facts = {"status_code": error.status_code, **_facts(headers)}
        if 300 <= error.status_code < 400:
            location = excerpt(headers.get("location", "nowhere"))
            return NotFound(f"The API redirects to {location}: set base_url (or endpoint) to that", **facts)
        return from_api(error.body if error.body is not None else error.response.text, **facts)

    def _broken(self, error: BaseException) -> LLMError:
        """A connection that failed; what a recorder says in its stead is passed on as it is."""
        if isinstance(error, LLMError):
            return error
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return ConnectionFailed(f"The connection to {self._host} failed: {reason}")

    def cleaned(self, error: LLMError) -> LLMError:
        """The error alone: without what it was raised from, and without the key, which some servers repeat."""
        error.__cause__ = error.__context__ = None
        error.args = (self._hidden(error.message),)
        for name in ("code", "type", "param", "request_id"):
            fact = getattr(error, name)
            setattr(error, name, fact and self._hidden(fact))
        return error

    def _hidden(self, text: str) -> str:
        key = self._settings.api_key.get_secret_value()
        return text.replace(key, "***") if len(key) >= _SHORTEST_KEY else text

    @property
    def _host(self) -> str:
        settings = self._settings
        return settings.base_url if isinstance(settings, OpenAISettings) else settings.endpoint


class Response:
    """A reply whose headers have arrived."""

    def __init__(self, reply: Any, transport: Transport) -> None:
        self._reply = reply
        self._transport = transport
        self._chunks: AsyncIterator[bytes] | None = None
        facts = _facts(reply.headers)
        self.request_id: str | None = facts["request_id"]
        self.content_type = str(reply.headers.get("content-type", "")).partition(";")[0].strip().lower()

    def spoilt(self, error: LLMError) -> LLMError:
        """The error that this reply turned out to hold, with what is known of the reply."""
        error.request_id = self.request_id
        if not isinstance(error, ConnectionFailed | DeadlineExceeded):
            error.status_code = 200
        return self._transport.cleaned(error)

    async def read(self) -> bytes:
        """The whole body."""
        return bytes(await self._transport.translated(self._reply.read()))

    async def read_some(self) -> bytes | None:
        """The next bytes of the body, as they arrive; None at its end."""
        if self._chunks is None:
            self._chunks = aiter(self._reply.iter_bytes())
        data: bytes | None = await self._transport.translated(anext(self._chunks, None))
        return data

    async def close(self, *, drain: bool = False) -> None:
        """Gives the connection back; `drain` waits an instant for the body's end, so that it can be used again."""
        try:
            if drain:
                async with asyncio.timeout(_DRAIN_S):
                    while await self.read_some() is not None:
                        pass
        except (TimeoutError, LLMError):
            pass  # then the connection is closed instead
        await self._reply.close()


async def _opened(client: "openai.AsyncOpenAI") -> AsyncGenerator["openai.AsyncOpenAI", None]:
    """Lends `client` again and again. An event loop closes its generators when it ends, or when they are forgotten."""
    try:
        while True:
            yield client
    finally:
        await client.close()


def _network_errors(client: type) -> tuple[type[Exception], ...]:
    """What the HTTP library of the SDK raises: httpx2 from openai 3 on, httpx before."""
    library = next(
        base.__module__.partition(".")[0] for base in client.__mro__ if not base.__module__.startswith("openai")
    )
    module: Any = sys.modules[library]
    return module.HTTPError, module.StreamError


def _facts(headers: Mapping[str, str]) -> dict[str, Any]:
    asked = headers.get("x-should-retry")
    return {
        "request_id": headers.get("x-request-id") or headers.get("apim-request-id"),
        "retry_after_s": retry_after_s(headers, now=datetime.now(UTC)),
        "should_retry": {"true": True, "false": False}.get(asked or ""),
    }
