"""From the arguments of a call to an errand that can be run: settings, model, request and options."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from llmkit._flow import Call, Observer, audience
from llmkit._gate import Gate
from llmkit._services import Errand, Services
from llmkit._transport import Transport
from llmkit.config import AzureSettings, OpenAISettings
from llmkit.errors import ConfigError, ContextOverflow, InvalidRequest
from llmkit.messages import Message
from llmkit.models import Surface, fitting
from llmkit.options import CallOptions, split
from llmkit.policies.budget import RetryBudget
from llmkit.policies.cache import CachePolicy, endpoint_identity
from llmkit.policies.circuit_breaker import CircuitBreaker
from llmkit.policies.fallback import Fallback, Target, fallback_of
from llmkit.policies.rate_limit import RateLimit
from llmkit.requests import (
    Request,
    Texts,
    chat_request,
    check,
    completion_request,
    embedding_request,
    response_request,
    text_count,
    tokens_of,
)
from llmkit.responses import completion, embedding, response, text_completion
from llmkit.stores import CacheStore, opened

if TYPE_CHECKING:
    from llmkit.telemetry import Telemetry

EMBEDDING_MODEL = "text-embedding-3-small"
"""What embeds where neither call nor client names an embedding model; on Azure, the deployment of that name."""

Messages = str | Iterable[Message]
Settings = OpenAISettings | AzureSettings


class Engine:
    """What both clients are made of.

    `settings` are ready-made ones, instead of all that `more` may hold: the settings of `provider`.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        deadline_s: float | None = None,
        first_token_s: float | None = None,
        idle_s: float | None = None,
        max_attempts: int | None = None,
        cache: "str | bool | CacheStore | None" = None,
        fallback: "str | Iterable[str] | Fallback | None" = None,
        rpm: int | None = None,
        tpm: int | None = None,
        settings: Settings | None = None,
        provider: type[Settings] = OpenAISettings,
        telemetry: "Telemetry | bool" = True,
        observers: Iterable[Observer] = (),
        **more: Any,
    ) -> None:
        if provider not in (OpenAISettings, AzureSettings):
            raise ConfigError(f"provider = {provider!r} is none: for Azure call Client.azure(…), else leave it out")
        plan = fallback if _is_plan(fallback) else None
        store = cache if hasattr(cache, "get_now") else None
        named = {"api_key": api_key, "base_url": base_url} if provider is OpenAISettings else {"api_key": api_key}
        self.settings = settings or provider.load(
            **named,
            model=model,
            deadline_s=deadline_s,
            first_token_s=first_token_s,
            idle_s=idle_s,
            max_attempts=max_attempts,
            cache=cache if store is None else None,
            fallback=fallback if plan is None else None,
            rpm=rpm,
            tpm=tpm,
            **more,
        )
        self.options = CallOptions(
            deadline_s=self.settings.deadline_s,
            first_token_s=self.settings.first_token_s,
            idle_s=self.settings.idle_s,
            max_attempts=self.settings.max_attempts,
            fallback=plan if plan is not None else self.settings.fallback,
        )
        self.services = _services(self.settings, store, (*self._watching(telemetry=telemetry), *observers))

    def chat_errand(
        self, messages: Messages, model: str | None, keywords: Mapping[str, Any], *, stream: bool = False
    ) -> Errand:
        """A chat completion."""
        options, given = split(keywords)
        name = self.model(model)
        parameters = self._with_defaults(name, "chat", given)
        request = chat_request(messages, model=name, stream=stream, parameters=parameters)
        return self._errand(request, options, completion)

    def completion_errand(self, prompt: Texts, model: str | None, keywords: Mapping[str, Any]) -> Errand:
        """A completion of the older kind."""
        options, given = split(keywords)
        name = self.model(model)
        parameters = self._with_defaults(name, "completions", given)
        return self._errand(completion_request(prompt, model=name, parameters=parameters), options, text_completion)

    def response_errand(
        self, question: Messages, model: str | None, keywords: Mapping[str, Any], *, stream: bool = False
    ) -> Errand:
        """A response of the Responses API."""
        options, given = split(keywords)
        name = self.model(model)
        parameters = self._with_defaults(name, "responses", given)
        request = response_request(question, model=name, stream=stream, parameters=parameters)
        return self._errand(request, options, response)

    def embedding_errand(self, texts: Texts, model: str | None, keywords: Mapping[str, Any]) -> Errand:
        """Embeddings."""
        options, given = split(keywords)
        name = self.embedding_model(model)
        request = embedding_request(texts, model=name, parameters=self._with_defaults(name, "embeddings", given))
        return self._errand(request, options, partial(embedding, texts=text_count(request)))

    def model(self, model: str | None) -> str:
        """The model of a call; raises ConfigError where none is chosen."""
        chosen = self.settings.model if model is None else _checked_name(model)
        if chosen is None:
            raise ConfigError(
                "No model is chosen: pass model=… to the call or to the client (deployment=… on Azure), "
                "set the environment variable LLMKIT_MODEL, or write model to llmkit.toml"
            )
        return chosen

    def embedding_model(self, model: str | None) -> str:
        """The client's own model if it embeds; a chat model can't, so beside one it is the embedding model."""
        if model is not None:
            return _checked_name(model)
        own = self.settings.model
        if self.settings.embedding_model is None and own and self.settings.spec(own).family == "embedding":
            return own
        return self.settings.embedding_model or EMBEDDING_MODEL

    def checked(self, request: Request) -> Request:
        """The request, if its model takes it."""
        return check(request, self.settings.spec(request.model))

    def _errand(self, request: Request, options: CallOptions | None, read: Callable[..., Any]) -> Errand:
        options = self.options if options is None else options.over(self.options)
        too_long = self._too_long(request, options)
        limit = self.services.gate.limit
        call = Call(
            options.limits,
            model=request.model,
            tokens=tokens_of(request, self.settings.spec(request.model)) if limit and limit.tpm else 0,
            observers=self.services.observers,
            request=request,
        )
        return Errand(request, options, call, read, self.checked, too_long=too_long)

    def _too_long(self, request: Request, options: CallOptions) -> ContextOverflow | None:
        """Why the model does not take the request, if that is left to a model with a larger window; else raises."""
        try:
            self.checked(request)
        except ContextOverflow as error:
            if not fallback_of(options.fallback).larger:
                raise
            return error
        return None

    def _with_defaults(self, model: str, surface: Surface, given: dict[str, Any]) -> dict[str, Any]:
        """The parameters of the call, and those of the client's defaults that the model takes."""
        defaults = self.settings.defaults
        return {**fitting(self.settings.spec(model), defaults, surface=surface), **given} if defaults else given

    def _watching(self, *, telemetry: "Telemetry | bool") -> Iterable[Observer]:  # noqa: ARG002 - the clients' to use
        """The observers that `telemetry` asks for; the engine itself has none."""
        return ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(_restored, type(self), self.settings, self.options), ()


def _restored(kind: type[Engine], settings: Settings, options: CallOptions) -> Engine:
    engine = kind(settings=settings)
    engine.options = options
    return engine


def _services(settings: Settings, store: Any, observers: tuple[Observer, ...]) -> Services:
    url = None if settings.state_url is None else settings.state_url.get_secret_value()
    identity = endpoint_identity(
        address=settings.address,
        **{name: getattr(settings, name, None) for name in ("api_version", "organization", "project")},
    )
    stores = opened(state_url=url, cache=settings.cache if store is None else store, endpoint=identity)
    gate = Gate(
        states=stores.states,
        endpoint=identity,
        breaker=CircuitBreaker() if settings.breaker else None,
        limit=RateLimit(rpm=settings.rpm, tpm=settings.tpm) if settings.rpm or settings.tpm else None,
        budget=RetryBudget(),
    )
    policy = CachePolicy() if settings.cache_ttl_s is None else _policy(settings.cache_ttl_s)
    return Services(Transport(settings), gate, stores, identity, policy, audience(observers))


def _policy(ttl_s: float) -> CachePolicy:
    return CachePolicy(fresh_s=ttl_s, keep_s=max(ttl_s, CachePolicy().keep_s))


def _is_plan(fallback: object) -> bool:
    """Whether it is more than names, which are all that settings hold."""
    return isinstance(fallback, Fallback | Target) or (
        isinstance(fallback, list | tuple) and any(isinstance(one, Target) for one in fallback)
    )


def _checked_name(model: object) -> str:
    if not (isinstance(model, str) and model.strip()):
        raise InvalidRequest(f"model = {model!r}: it has to be the name of a model or deployment, for example 'gpt-4o'")
    return model
