"""The only module that imports openai: builds its client, sends, and translates its errors.

The SDK's retries are switched off and its parsing is passed by: what a reply is worth is judged in `responses` and
`streaming`. Works with openai 2.20 to 3.x, whatever HTTP library they run on.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from llmkit.config import AzureSettings, OpenAISettings, without_secrets
from llmkit.errors import ConfigError, ConnectionFailed, DeadlineExceeded, LLMError, NotFound, excerpt, from_api
from llmkit.policies.retry import quota_reset_s, retry_after_s
from llmkit.requests import Request
from llmkit.responses import error_object

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

CONNECT_S = 5.0  # a host that does not answer at all is tried again before the deadline
_DRAIN_S = 0.05
_SHORTEST_KEY = 8  # a shorter one is a placeholder, and may well be a word of the message
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class Transport:
    """Sends requests for one client, on whatever event loop it is used; each loop has its own connections.

    Connections are closed by `aclose`, with their event loop, or when this object is forgotten, whichever comes first.
    """

    def __init__(self, settings: OpenAISettings | AzureSettings) -> None:
        import openai

        library = _http_library(openai.DefaultAsyncHttpxClient)
        self._openai = openai
        self._network_errors = (openai.APIConnectionError, library.HTTPError, library.StreamError)
        self._settings = settings
        self._check_address(library)
        self._lock = threading.Lock()
        self._clients: dict[asyncio.AbstractEventLoop, AsyncGenerator[openai.AsyncOpenAI, None]] = {}

    async def prepare(self) -> None:
        """Makes ready to send on the running event loop; raises ConfigError where the environment does not allow it."""
        await self._client()

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

    def _check_address(self, library: Any) -> None:
        """Has the HTTP library read the address as it will when it sends; it refuses more than `config` knows of."""
        try:
            library.URL(self._settings.address)
        except (library.InvalidURL, ValueError) as error:
            raise ConfigError(f"{self._settings.address!r} is no address that can be called: {error}") from None

    def _build(self) -> "openai.AsyncOpenAI":
        settings = self._settings
        options: dict[str, Any] = {
            "api_key": settings.api_key.get_secret_value(),
            "max_retries": 0,
            "timeout": self._openai.Timeout(None, connect=CONNECT_S),
            "http_client": self._http_client(),
        }
        if isinstance(settings, OpenAISettings):
            return self._openai.AsyncOpenAI(
                base_url=settings.base_url, organization=settings.organization, project=settings.project, **options
            )
        if settings.api_version is None:
            return self._openai.AsyncOpenAI(base_url=f"{settings.endpoint}/openai/v1/", **options)
        return self._openai.AsyncAzureOpenAI(
            azure_endpoint=settings.endpoint, api_version=settings.api_version, azure_ad_token=None, **options
        )

    def _http_client(self) -> Any:
        """Built of what the environment says of proxies and certificates, all of which it reads here."""
        try:
            # a redirect would be a second request, and could carry the key to another host
            return self._openai.DefaultAsyncHttpxClient(follow_redirects=False)
        except Exception as error:  # noqa: BLE001 - whatever a wrong variable raises, ssl and proxies know many ways
            reason, names = _named(error), _CERTIFICATES if isinstance(error, OSError) else _PROXIES
        raise ConfigError(f"The environment variables {_set(names)} do not allow any connection: {reason}")

    async def translated(self, pending: Awaitable[T]) -> T:
        """The result of `pending`; what the SDK or its HTTP library raises becomes ours, without a link to theirs."""
        try:
            return await pending
        except Exception as error:  # noqa: BLE001 - none of theirs may reach the caller: they hold the key
            caught = error
        # from here on, and not above: an error raised while handling another keeps it, with the request and its headers
        failure = self._ours(caught)
        del caught  # a traceback may show the variables of every frame
        raise self.cleaned(failure)

    def _ours(self, error: Exception) -> LLMError:
        if isinstance(error, LLMError):
            return error
        if isinstance(error, self._openai.APIStatusError):
            return self._refused(error)
        if isinstance(error, self._network_errors):
            return self._broken(error.__cause__ or error)
        return LLMError(f"The request to {self._host} ended in an unknown way: {_named(error)}")

    def _refused(self, error: "openai.APIStatusError") -> LLMError:
        headers = error.response.headers
        facts = {"status_code": error.status_code, **_facts(headers, status_code=error.status_code)}
        if 300 <= error.status_code < 400:
            location = excerpt(without_secrets(self.hidden(headers.get("location", "nowhere"))))
            return NotFound(f"The API redirects to {location}: set base_url (or endpoint) to that", **facts)
        return from_api(error_object(self.hidden(error.response.text)), **facts)

    def _broken(self, error: BaseException) -> LLMError:
        """A connection that failed; what a recorder says in its stead is passed on as it is."""
        if isinstance(error, LLMError):
            return error
        return ConnectionFailed(f"The connection to {self._host} failed: {_named(error)}")

    def cleaned(self, error: LLMError) -> LLMError:
        """The error alone: without the key, which some servers repeat, and without what could lead to it.

        That is what it was raised from, and its traceback so far, whose frames hold the reply.
        """
        error.__cause__ = error.__context__ = error.__traceback__ = None
        error.args = (self.hidden(error.message),)
        for name in ("code", "type", "param", "request_id"):
            fact = getattr(error, name)
            setattr(error, name, fact and self.hidden(fact))
        return error

    def hidden(self, text: str) -> str:
        """`text` with *** for the key. It comes before any cut, for a part of the key is no longer found."""
        key = self._settings.api_key.get_secret_value()
        return text.replace(key, "***") if len(key) >= _SHORTEST_KEY else text

    def hidden_bytes(self, data: bytes) -> bytes:
        """The same of a body that is not known to be text."""
        return self.hidden(data.decode("latin-1")).encode("latin-1")

    @property
    def _host(self) -> str:
        """Where requests go, without the path, which may be private too."""
        parts = urlsplit(self._settings.address)
        return f"{parts.scheme}://{parts.netloc}"


class Response:
    """A reply whose headers have arrived."""

    def __init__(self, reply: Any, transport: Transport) -> None:
        self._reply = reply
        self._transport = transport
        self._chunks: AsyncIterator[bytes] | None = None
        self.status_code: int = reply.status_code
        request_id = _request_id(reply.headers)
        self.request_id = request_id and transport.hidden(request_id)
        self.content_type = str(reply.headers.get("content-type", "")).partition(";")[0].strip().lower()

    def spoilt(self, error: LLMError) -> LLMError:
        """The error that this reply turned out to hold, with what is known of the reply."""
        error.request_id = self.request_id
        if not isinstance(error, ConnectionFailed | DeadlineExceeded):
            error.status_code = self.status_code
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
        try:
            await self._transport.translated(self._reply.close())
        except LLMError:
            pass  # what was asked for has been read, or has failed already


async def _opened(client: "openai.AsyncOpenAI") -> AsyncGenerator["openai.AsyncOpenAI", None]:
    """Lends `client` again and again. An event loop closes its generators when it ends, or when they are forgotten."""
    try:
        while True:
            yield client
    finally:
        await client.close()


def _http_library(client: type) -> Any:
    """The HTTP library of the SDK: httpx2 from openai 3 on, httpx before."""
    name = next(
        base.__module__.partition(".")[0] for base in client.__mro__ if not base.__module__.startswith("openai")
    )
    return sys.modules[name]


def _named(error: BaseException) -> str:
    """What an error of others says, with its class, for their words alone often say nothing."""
    text = without_secrets(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _set(names: tuple[str, ...]) -> str:
    """Those of these environment variables that are set, and to what."""
    found = {name: os.environ.get(name) or os.environ.get(name.lower()) for name in names}
    return ", ".join(f"{name}={without_secrets(value)!r}" for name, value in found.items() if value)


def _facts(headers: Mapping[str, str], *, status_code: int) -> dict[str, Any]:
    asked_s = retry_after_s(headers, now=datetime.now(UTC))
    return {
        "request_id": _request_id(headers),
        "retry_after_s": quota_reset_s(headers, status_code=status_code) if asked_s is None else asked_s,
        "should_retry": {"true": True, "false": False}.get(headers.get("x-should-retry") or ""),
    }


def _request_id(headers: Mapping[str, str]) -> str | None:
    return headers.get("x-request-id") or headers.get("apim-request-id")
