"""The one module that imports openai: it sends requests over the SDK's HTTP client, and speaks our errors alone.

Of the SDK it takes the client, with its addresses, headers, proxies and certificates, and its HTTP library. It goes
around `create()`, which inspects each message for 0.1 ms, and around `post()`, which costs twice what sending does; a
test compares the bytes. It imports neither httpx nor httpx2, so that it runs on SDK 2.x and 3.x alike.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from llmkit.config import AzureSettings, Credential, OpenAISettings, without_secrets
from llmkit.errors import ConfigError, ConnectionFailed, LLMError, NotFound, TimedOut, excerpt, from_api
from llmkit.policies.retry import quota_reset_s, retry_after_s
from llmkit.requests import Request
from llmkit.responses import error_object

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

CONNECT_S = 5.0  # a host that does not answer at all is tried again before the deadline
PATHS = {
    "chat": "chat/completions",
    "completions": "completions",
    "embeddings": "embeddings",
    "responses": "responses",
}
_ON_DEPLOYMENTS = frozenset({"chat", "completions", "embeddings"})  # Azure has the others beside them
_DRAIN_S = 0.05
_TIMEOUTS = {"connect": CONNECT_S, "read": None, "write": None, "pool": None}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class _Line:
    """What one event loop sends with: the SDK's client, its HTTP client, and the headers that all requests share."""

    sdk: "openai.AsyncOpenAI"
    http: Any
    headers: Any
    urls: dict[str, Any] = field(default_factory=dict)


class Transport:
    """Sends requests for one client, on whatever event loop it is used; each loop has its own connections.

    Connections are closed by `aclose`, with their event loop, or when this object is forgotten, whichever comes first.
    """

    def __init__(self, settings: OpenAISettings | AzureSettings) -> None:
        import openai

        library = _http_library(openai.DefaultAsyncHttpxClient)
        self._openai = openai
        self._library = library
        self._network_errors = (library.HTTPError, library.StreamError)
        self._settings = settings
        self._credential = Credential(settings)
        self._certificates: Any = None
        self._routed = isinstance(settings, AzureSettings) and settings.api_version is not None
        self._check_address(library)
        self._lock = threading.Lock()
        self._lines: dict[asyncio.AbstractEventLoop, tuple[_Line, AsyncGenerator[None, None]]] = {}

    async def prepare(self) -> None:
        """Makes ready to send on the running event loop; raises ConfigError where the environment does not allow it."""
        await self._line()

    async def open(self, request: Request, *, attempt: int = 1) -> "Response":
        """Sends the request and returns its reply when the headers are there; raises an LLMError for any failure."""
        reply = Response(await self.translated(self._sent(request, attempt)), self)
        if 200 <= reply.status_code < 300:
            return reply
        raise await self._refusal(reply)

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        with self._lock:
            _, opened = self._lines.pop(asyncio.get_running_loop(), (None, None))
        if opened is not None:
            await opened.aclose()

    async def _sent(self, request: Request, attempt: int) -> Any:
        line = await self._line()
        # not by build_request(), which merges headers for 0.1 ms, nor with `content`, which looks them through again
        message = self._library.Request(
            "POST",
            self._address(line, request),
            headers=line.headers,
            stream=self._library.ByteStream(request.content),
            extensions={"timeout": _TIMEOUTS},
        )
        message.headers["content-length"] = str(len(request.content))
        if attempt > 1:
            message.headers["x-stainless-retry-count"] = str(attempt - 1)
        if self._credential.is_token:
            message.headers["Authorization"] = f"Bearer {await self._credential.token()}"
        return await line.http.send(message, stream=True)

    def _address(self, line: _Line, request: Request) -> Any:
        """The URL of the request: on Azure's older routes the deployment stands in the path."""
        path = PATHS[request.surface]
        if self._routed and request.surface in _ON_DEPLOYMENTS:
            path = f"deployments/{quote(request.model, safe='')}/{path}"
        url = line.urls.get(path)
        if url is None:
            version = f"?api-version={quote(str(self._settings.api_version))}" if self._routed else ""  # type: ignore[union-attr] # only Azure's are
            url = line.urls[path] = self._library.URL(f"{str(line.sdk.base_url).rstrip('/')}/{path}{version}")
        return url

    async def _line(self) -> _Line:
        """What sends on the running loop, for its connections cannot move to another."""
        loop = asyncio.get_running_loop()
        known = self._lines.get(loop)
        if known is not None:
            return known[0]
        line = self._built()
        opened = _opened(line.sdk)
        await anext(opened)
        with self._lock:
            self._lines = {known: line for known, line in self._lines.items() if not known.is_closed()}
            self._lines[loop] = line, opened
        return line

    def _check_address(self, library: Any) -> None:
        """Has the HTTP library read the address as it will when it sends; it refuses more than `config` knows of."""
        try:
            library.URL(self._settings.address)
        except (library.InvalidURL, ValueError) as error:
            raise ConfigError(f"{self._settings.address!r} is no address that can be called: {error}") from None

    def _built(self) -> _Line:
        http = self._http_client()
        sdk = self._sdk_client(http)
        headers = {name: value for name, value in sdk.default_headers.items() if isinstance(value, str)}
        if not self._credential.is_token:
            name, value = ("api-key", "{}") if self._routed else ("Authorization", "Bearer {}")
            headers[name] = value.format(self._credential.key)
        own = {"host": sdk.base_url.netloc.decode("ascii"), **http.headers}
        return _Line(sdk, http, self._shared(own, headers | {"x-stainless-retry-count": "0"}))

    def _shared(self, own: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        """The headers of all requests: the HTTP library's own, such as the encodings that it accepts, and ours."""
        try:
            return self._library.Headers({**own, **{name.lower(): value for name, value in headers.items()}})
        except UnicodeEncodeError as error:
            wrong = error.object[error.start : error.end]
        raise ConfigError(f"A header cannot say {wrong!r}: organization, project and key have to be ASCII")

    def _sdk_client(self, http: Any) -> "openai.AsyncOpenAI":
        settings = self._settings
        secret: Any = self._credential.token if self._credential.is_token else self._credential.key
        options: dict[str, Any] = {"max_retries": 0, "http_client": http}
        if isinstance(settings, OpenAISettings):
            return self._openai.AsyncOpenAI(
                api_key=secret,
                base_url=settings.base_url,
                organization=settings.organization,
                project=settings.project,
                **options,
            )
        if not self._routed:
            return self._openai.AsyncOpenAI(api_key=secret, base_url=f"{settings.endpoint}/openai/v1/", **options)
        named = {"azure_ad_token_provider": secret} if self._credential.is_token else {"api_key": secret}
        return self._openai.AsyncAzureOpenAI(
            azure_endpoint=settings.endpoint, api_version=settings.api_version, **named, **options
        )

    def _http_client(self) -> Any:
        """Built of what the environment says of proxies and certificates, all of which it reads here."""
        try:
            # to read the certificates takes 20 ms, too long for each event loop
            self._certificates = self._certificates or self._library.create_ssl_context()
            # a redirect would be a second request, and could carry the key to another host
            return self._openai.DefaultAsyncHttpxClient(
                verify=self._certificates,
                follow_redirects=False,
                timeout=self._openai.Timeout(None, connect=CONNECT_S),
            )
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
        failure = self.ours(caught)
        del caught  # a traceback may show the variables of every frame
        raise self.cleaned(failure)

    def ours(self, error: Exception) -> LLMError:
        """What an error of the SDK or its HTTP library is to us; what a recorder says in its stead is passed on."""
        if isinstance(error, LLMError):
            return error
        if not isinstance(error, self._network_errors):
            return LLMError(f"The request to {self._host} ended in an unknown way: {_named(error)}")
        reason = error.__cause__ or error
        return reason if isinstance(reason, LLMError) else self._broken(error)

    def _broken(self, error: BaseException) -> ConnectionFailed:
        return ConnectionFailed(f"The connection to {self._host} failed: {_named(error)}")

    async def _refusal(self, reply: "Response") -> LLMError:
        """The error that a reply tells; its text stays in here, and out of the traceback."""
        try:
            text = (await reply.read()).decode("utf-8", "replace")
        finally:
            await reply.close()
        return self.cleaned(self._refused(reply, text))

    def _refused(self, reply: "Response", text: str) -> LLMError:
        headers, status = reply.headers, reply.status_code
        facts = {"status_code": status, **_facts(headers, status_code=status)}
        if 300 <= status < 400:
            location = excerpt(without_secrets(self.hidden(headers.get("location", "nowhere"))))
            return NotFound(f"The API redirects to {location}: set base_url (or endpoint) to that", **facts)
        return from_api(error_object(text, hide=self.hidden), **facts)

    def cleaned(self, error: LLMError) -> LLMError:
        """The error alone: without the key, which some servers repeat, and without what could lead to it.

        That is what it was raised from, and its traceback so far, whose frames hold the reply.
        """
        error.__cause__ = error.__context__ = error.__traceback__ = None
        error.args = (self.hidden(error.message),)
        for name, fact in vars(error).items():
            if isinstance(fact, str):
                setattr(error, name, self.hidden(fact))
        return error

    def hidden(self, text: str) -> str:
        """`text` with *** for the key. It comes before any cut, for a part of the key is no longer found."""
        return self._credential.hidden(text)

    def hidden_in_answers(self, text: str) -> str:
        """The same of what the model said, but for a key that is a word: such are placeholders."""
        return text if self._credential.key.isalpha() else self.hidden(text)

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
        self.headers: Mapping[str, str] = reply.headers
        self.status_code: int = reply.status_code
        request_id = _request_id(reply.headers)
        self.request_id = request_id and transport.hidden(request_id)
        kind = transport.hidden(self.headers.get("content-type", ""))  # before any key in it is spelt in small letters
        self.content_type = kind.partition(";")[0].strip().lower()

    def spoilt(self, error: LLMError) -> LLMError:
        """The error that this reply turned out to hold, with what is known of the reply."""
        error.request_id = self.request_id
        if not isinstance(error, ConnectionFailed | TimedOut):
            error.status_code = self.status_code
        return self._transport.cleaned(error)

    async def read(self) -> bytes:
        """The whole body."""
        return bytes(await self._transport.translated(self._reply.aread()))

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives; once begun, it goes on where it was left."""
        if self._chunks is None:
            self._chunks = aiter(self._reply.aiter_bytes())
        failure: LLMError | None = None
        try:
            async for data in self._chunks:
                yield data
        except Exception as error:  # noqa: BLE001 - as in `translated`, but at no cost for each piece
            failure = self._transport.ours(error)
        if failure is not None:
            raise self._transport.cleaned(failure)

    async def close(self, *, drain: bool = False) -> None:
        """Gives the connection back; `drain` waits an instant for the body's end, so that it can be used again."""
        try:
            if drain and self._chunks is not None:
                async with asyncio.timeout(_DRAIN_S):
                    async for _ in self._chunks:
                        pass
        except Exception:  # noqa: BLE001, S110 - then the connection is closed instead
            pass
        try:
            await self._transport.translated(self._reply.aclose())
        except LLMError:
            pass  # what was asked for has been read, or has failed already


async def _opened(client: "openai.AsyncOpenAI") -> AsyncGenerator[None, None]:
    """Keeps `client` open. An event loop closes its generators when it ends, or when they are forgotten."""
    try:
        yield
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
