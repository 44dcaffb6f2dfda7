"""What the server says, at no cost.

It is asked for its models, which is free; on Azure, and where it has no such list, the model or deployment is sent a
chat without messages, which every server refuses before it would work. What the refusal says is the answer.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from llmkit._transport import Response, Transport
from llmkit.config import AzureSettings, Credential, OpenAISettings, without_secrets
from llmkit.diagnosis.findings import Clients, Finding, names
from llmkit.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DeadlineExceeded,
    DeploymentNotFound,
    InvalidRequest,
    LLMError,
    MalformedResponse,
    ModelNotFound,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
)

_DATED = "2024-10-21"  # the last version before the route that needs none; every resource serves it
_UNKNOWN = "unknown_model"  # Azure's newer route, with status 400
_SKEW_S = 60.0  # tokens are refused some minutes before or after their time


async def findings(settings: Clients, *, timeout_s: float) -> list[Finding]:
    """What the server answers, as findings; the first failure ends it, for it would repeat itself."""
    found: list[Finding] = []
    credential = Credential(settings)
    try:
        if credential.is_token:
            await _in_time(credential.token(), timeout_s, "the token provider")
            found.append(Finding(about="credentials", status="ok", text="the token provider returned a token"))
        transport = _Probe(settings)
    except LLMError as error:
        return [*found, Finding(about="credentials", status="failure", text=error.message)]
    try:
        listed, answers = await _connected(transport, settings, timeout_s)
        found += answers
        if all(finding.status != "failure" for finding in found):
            for name in names(settings):
                found.append(await _answers(transport, settings, name, timeout_s, listed=listed))
            if settings.state_url is not None:
                found.append(await asyncio.to_thread(_state, settings.state_url.get_secret_value(), timeout_s))
    finally:
        await transport.aclose()
    return found


async def _connected(transport: "_Probe", settings: Clients, timeout_s: float) -> tuple[bool, list[Finding]]:
    """Whether the server is there and takes the key: the list of models is free. Also, whether it has such a list."""
    began = time.monotonic()
    try:
        headers = await _in_time(_list_models(transport), timeout_s, settings.address)
    except (NotFound, InvalidRequest, PermissionDenied) as error:
        return False, [_no_list(error, settings)]
    except LLMError as error:
        return False, [_failed(error, settings)]
    took = f"answered in {time.monotonic() - began:.2f} s"
    found = [Finding(about="connection", status="ok", text=f"{settings.address} {took}, and takes the credentials")]
    return True, found + _skew(headers.get("date"))


async def _list_models(transport: "_Probe") -> Mapping[str, str]:
    """Asks for the list of models; returns the headers of the answer."""
    reply = await transport.ask("GET", transport.models_url)
    try:
        listed = json.loads(await reply.read())
    except (ValueError, RecursionError):
        listed = None
    finally:
        await reply.close()
    if not (isinstance(listed, dict) and isinstance(listed.get("data"), list)):
        raise MalformedResponse(f"the answer is {reply.content_type or 'something'} that holds no list of models")
    return reply.headers


def _no_list(error: LLMError, settings: Clients) -> Finding:
    """A server without a list of models is still a server; but a wrong path looks the same."""
    if isinstance(error, PermissionDenied):
        text = f"{settings.address} takes the credentials, but does not show its models to them"
        return Finding(about="connection", status="note", text=text)
    lacks_path = isinstance(settings, OpenAISettings) and not urlsplit(settings.address).path
    return Finding(
        about="connection",
        status="note" if any(names(settings)) else "failure",  # else the models will tell
        text=f"{settings.address} answers, but has no list of models: {error.message}",
        advice=f"does the API begin at {settings.address}/v1?" if lacks_path else "is that where the API begins?",
    )


def _skew(told: str | None) -> list[Finding]:
    """Whether the server's clock and ours agree."""
    try:
        ahead_s = (datetime.now(UTC) - parsedate_to_datetime(told or "")).total_seconds()
    except (TypeError, ValueError):
        return []
    if abs(ahead_s) <= _SKEW_S:
        return []
    way = "ahead of" if ahead_s > 0 else "behind"
    return [
        Finding(
            about="clock",
            status="warning",
            text=f"this machine's clock is {abs(ahead_s):.0f} s {way} the server's",
            advice="tokens and waits depend on it: set it",
        )
    ]


async def _answers(transport: "_Probe", settings: Clients, name: str, timeout_s: float, *, listed: bool) -> Finding:
    """Whether the model or deployment is there: one of these questions tells, at no cost."""
    kind = "deployment" if isinstance(settings, AzureSettings) else "model"
    missing: LLMError = NotFound("the server knows no such address")
    for method, url, body in _free_questions(settings, name, listed=listed):
        try:
            reply = await _in_time(transport.ask(method, url, body), timeout_s, settings.address)
            await reply.close()
        except (ModelNotFound, DeploymentNotFound) as error:
            return _missing(error, settings, kind=kind, name=name)
        except NotFound as error:
            missing = error  # no such address; another may be there
            continue
        except InvalidRequest as error:
            if error.code == _UNKNOWN:
                return _missing(error, settings, kind=kind, name=name)
            # it is there, and wants something to do
        except (RateLimited, QuotaExceeded) as error:
            text = f"{name} cannot be told: {error.message}"
            return Finding(about=kind, status="warning", text=text, advice=_advice(error))
        except LLMError as error:
            return _failed(error, settings, about=kind)
        return Finding(about=kind, status="ok", text=f"{name} is there")
    return _missing(missing, settings, kind=kind, name=name)


def _missing(error: LLMError, settings: Clients, *, kind: str, name: str) -> Finding:
    known = ", ".join(settings.deployments) if kind == "deployment" else ""
    advice = f"deployments of llmkit.toml: {known}" if known else f"check the name of the {kind}"
    if not isinstance(error, ModelNotFound | DeploymentNotFound):
        advice = f"or is {settings.address} not where the API begins?"
    text = f"{settings.address} knows no {kind} {name!r}: {error.message}"
    return Finding(about=kind, status="failure", text=text, advice=advice)


def _failed(error: LLMError, settings: Clients, *, about: str = "connection") -> Finding:
    about = "credentials" if isinstance(error, AuthenticationFailed) else about
    text = f"{settings.address}: {error.message}"
    return Finding(about=about, status="failure", text=text, advice=_advice(error))


_ADVICE: list[tuple[type[LLMError], str]] = [
    (AuthenticationFailed, "the key or token is not the one of this address"),
    (DeadlineExceeded, "is a firewall or a proxy in between? A slow server gets more time by --timeout"),
    (ConnectionFailed, "check the address, the network, and the variables of proxies and certificates"),
    (MalformedResponse, "this is not the API's address, or a login page is in between"),
    (QuotaExceeded, "the account has no credit left"),
    (RateLimited, "too many requests at the moment; try again later"),
]


def _advice(error: LLMError) -> str:
    return next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "")


def _free_questions(
    settings: Clients, name: str, *, listed: bool
) -> Iterator[tuple[str, str, dict[str, object] | None]]:
    """Requests that cost nothing and show whether the model is there: method, URL, body.

    A server that lists its models tells of each by its name. A deployment is asked for nothing, which it refuses; its
    own path comes first, for there the name is looked at before the body is.
    """
    embeds = settings.spec(name).family == "embedding"
    surface, content = ("embeddings", "input") if embeds else ("chat/completions", "messages")
    nothing: dict[str, object] = {"model": name, content: []}
    quoted = quote(name, safe="")
    if isinstance(settings, OpenAISettings):
        if listed:
            yield "GET", f"{settings.address}/models/{quoted}", None
        yield "POST", f"{settings.address}/{surface}", nothing
        return
    version = quote(settings.api_version or _DATED)
    yield "POST", f"{settings.address}/openai/deployments/{quoted}/{surface}?api-version={version}", nothing
    if settings.api_version is None:
        yield "POST", f"{settings.address}/openai/v1/{surface}", nothing


def _state(url: str, timeout_s: float) -> Finding:
    """Whether the server for shared state answers."""
    import redis

    shown = without_secrets(url)
    failure = ""
    try:
        with redis.Redis.from_url(
            url.replace("valkey", "redis", 1), socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        ) as server:
            server.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        failure = f"{type(error).__name__}: {without_secrets(str(error))}"
    if failure:
        advice = "calls go on, each process with a state of its own"
        return Finding(about="state_url", status="failure", text=f"{shown} does not answer: {failure}", advice=advice)
    return Finding(about="state_url", status="ok", text=f"{shown} answers")


class _Probe(Transport):
    """A transport that also asks for what is no call to a model."""

    @property
    def models_url(self) -> str:
        """Where the list of models is."""
        settings = self._settings
        if isinstance(settings, OpenAISettings):
            return f"{settings.address}/models"
        version = settings.api_version
        return f"{settings.address}/openai/" + (f"models?api-version={quote(version)}" if version else "v1/models")

    async def ask(self, method: str, url: str, body: dict[str, object] | None = None) -> Response:
        """The reply to a request of any kind; raises an LLMError for any that is no success."""
        reply = Response(await self.translated(self._asked(method, url, body)), self)
        if 200 <= reply.status_code < 300:
            return reply
        try:
            text = (await reply.read()).decode("utf-8", "replace")
        finally:
            await reply.close()
        raise self.cleaned(self._refused(reply, text))

    async def _asked(self, method: str, url: str, body: dict[str, object] | None) -> Any:
        line = await self._line()
        headers = dict(line.headers)
        if self._credential.is_token:
            headers["Authorization"] = f"Bearer {await self._credential.token()}"
        elif isinstance(self._settings, AzureSettings):
            headers["api-key"] = self._credential.key  # the one header that all of Azure's routes take
        content = {} if body is None else {"content": json.dumps(body).encode()}
        return await line.http.send(line.http.build_request(method, url, headers=headers, **content), stream=True)


async def _in_time(pending: Any, timeout_s: float, who: str) -> Any:
    try:
        async with asyncio.timeout(timeout_s):
            return await pending
    except TimeoutError:
        pass
    raise DeadlineExceeded(f"no answer of {who} within {timeout_s:g} s")
