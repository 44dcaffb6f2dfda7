# ruff: noqa: FBT001, FBT002 - the signatures are TinyTroupe's
"""The clients: one message out, one dict back, or None and a line in the log.

What a test or an application may replace (`OpenAI`, `AzureOpenAI`, `openai`, `tiktoken`, `time`, `utils`, `default`) is
looked up on the package when it is used, never before.
"""

import os
from time import monotonic
from typing import Any

from llmkit import tinytroupe as home
from llmkit.tinytroupe import cache_file, counting
from llmkit.tinytroupe.errors import InvalidRequestError, NonTerminalError

_CONFIGURED: Any = object()  # an argument that nobody gave: what force_default_value or config.ini says
_STEERING = ("OPENAI_", "AZURE_OPENAI_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")

Params = dict[str, Any]


class OpenAIClient:
    """Talks with OpenAI, or whatever `OPENAI_BASE_URL` names, with the key in `OPENAI_API_KEY`.

    Subclasses override the methods `_raw_…` to reach other APIs.
    """

    client: Any = None
    api_cache: dict[str, Any]
    _made_from: tuple[Any, int] | None = None
    _file: cache_file.Watched | None = None

    def __init__(self, cache_api_calls: bool = _CONFIGURED, cache_file_name: str = _CONFIGURED) -> None:
        home.logger.debug("Initializing %s", type(self).__name__)
        self.set_api_cache(_given("cache_api_calls", cache_api_calls), cache_file_name)

    def set_api_cache(self, cache_api_calls: bool, cache_file_name: str = _CONFIGURED) -> None:
        """Keep replies in that file, and take them from there; or don't."""
        self.cache_api_calls = cache_api_calls
        self.cache_file_name = _given("cache_file_name", cache_file_name)
        self._file = None
        if cache_api_calls:
            self.api_cache = self._load_cache()
        else:
            self.__dict__.pop("api_cache", None)

    def send_message(
        self,
        current_messages: list[dict[str, Any]],
        model: str = _CONFIGURED,
        temperature: float = _CONFIGURED,
        max_tokens: int = _CONFIGURED,
        top_p: float = _CONFIGURED,
        frequency_penalty: float = _CONFIGURED,
        presence_penalty: float = _CONFIGURED,
        stop: list[str] | str | None = _CONFIGURED,
        timeout: float = _CONFIGURED,
        max_attempts: float = _CONFIGURED,
        waiting_time: float = _CONFIGURED,
        exponential_backoff_factor: float = _CONFIGURED,
        n: int = 1,
        echo: bool = False,  # noqa: ARG002 - TinyTroupe takes it, and never used it
    ) -> dict[str, Any] | None:
        """The answer's message as a dict, or None when no attempt brought one; the log says why.

        `timeout` and `waiting_time` are seconds. A request that is not in the cache waits `waiting_time` first; after a
        refusal for its rate it waits again, and `waiting_time` grows by the factor.
        """
        model = _given("model", model)
        # the cache key is the text of this dict: its order and the spelling of its numbers must stay
        params: Params = {
            "messages": current_messages,
            "temperature": _given("temperature", temperature),
            "max_tokens": _given("max_tokens", max_tokens),
            "top_p": _given("top_p", top_p),
            "frequency_penalty": _given("frequency_penalty", frequency_penalty),
            "presence_penalty": _given("presence_penalty", presence_penalty),
            "stop": [] if stop is _CONFIGURED else stop,
            "timeout": _given("timeout", timeout),
            "stream": False,
            "n": n,
        }
        self._setup_from_config()
        return self._insist(
            model,
            params,
            attempts=_given("max_attempts", max_attempts),
            wait_s=_given("waiting_time", waiting_time),
            factor=_given("exponential_backoff_factor", exponential_backoff_factor),
        )

    def _insist(
        self, model: str, params: Params, *, attempts: float, wait_s: float, factor: float
    ) -> dict[str, Any] | None:
        key = str((model, params))  # before anything can change what it is made of
        made = 0
        while made < attempts:
            made += 1
            try:
                return self._attempt(key, model, params, wait_s)
            except (InvalidRequestError, home.openai.BadRequestError) as exc:
                home.logger.error("[%s] Invalid request error, won't retry: %s", made, _told(exc))
                return None
            except home.openai.RateLimitError as exc:
                home.logger.warning("[%s] Rate limit error, waiting a bit and trying again. %s", made, _told(exc))
                wait_s = _back_off(wait_s, factor)
            except NonTerminalError as exc:
                home.logger.error("[%s] Non-terminal error: %s", made, _told(exc))
                wait_s = _back_off(wait_s, factor)
            except Exception as exc:  # noqa: BLE001 - TinyTroupe's contract: whatever it is, try again, and say so
                home.logger.error("[%s] Error: %s", made, _told(exc))
        home.logger.error("Failed to get response after %s attempts.", attempts)
        return None

    def _attempt(self, key: str, model: str, params: Params, wait_s: float) -> dict[str, Any]:
        self._log_count(params["messages"], model)
        began = monotonic()
        if self.cache_api_calls and key in self.api_cache:
            answer = self.api_cache[key]
        else:
            home.logger.info("Waiting %s seconds before next API request (to avoid throttling)...", wait_s)
            home.time.sleep(wait_s)
            home.logger.debug("Calling model with client class %s.", type(self).__name__)
            response = self._raw_model_call(model, dict(params))
            answer = home.utils.sanitize_dict(self._raw_model_response_extractor(response))
            self._keep(key, answer)
        home.logger.debug("Got response in %.2f seconds: %s", monotonic() - began, answer)
        return home.utils.sanitize_dict(answer)  # a copy: what the caller does with it must not reach the cache

    def _raw_model_call(self, model: str, chat_api_params: Params) -> Any:
        """Send one request; subclasses for other APIs override this."""
        return self._sdk().chat.completions.create(**{**chat_api_params, "model": model})

    def _raw_model_response_extractor(self, response: Any) -> Any:
        """The message of a reply as a dict; subclasses for other APIs override this."""
        return response.choices[0].message.to_dict()

    def _count_tokens(self, messages: list[dict[str, Any]], model: str) -> int | None:
        """The tokens of `messages`, see `counting`; None, and a log line, where they can't be counted.

        NotImplementedError for a model that tiktoken knows and that is not for chats.
        """
        try:
            return counting.count(messages, model, tiktoken=home.tiktoken)
        except NotImplementedError:
            raise
        except Exception as exc:  # noqa: BLE001 - a count for the log must not stop the request
            home.logger.error("Error counting tokens: %s", exc)
            return None

    def _log_count(self, messages: list[dict[str, Any]], model: str) -> None:
        try:
            count = self._count_tokens(messages, model)
            home.logger.debug("Sending messages to OpenAI API. Token count=%s.", count)
        except NotImplementedError:
            home.logger.debug("Token count not implemented for model %s.", model)

    def get_embedding(self, text: str, model: str = _CONFIGURED) -> list[float]:
        """The vector of `text`; raises what the API call raises."""
        response = self._raw_embedding_model_call(text, _given("embedding_model", model))
        vector: list[float] = self._raw_embedding_model_response_extractor(response)
        return vector

    def _raw_embedding_model_call(self, text: str, model: str) -> Any:
        """Send one request; subclasses for other APIs override this."""
        return self._sdk().embeddings.create(input=[text], model=model)

    def _raw_embedding_model_response_extractor(self, response: Any) -> Any:
        """The vector of a reply; subclasses for other APIs override this."""
        return response.data[0].embedding

    def _save_cache(self) -> None:
        """Write the cache file; where it is no cache of ours, or the cache can't be pickled, say so and leave it."""
        try:
            self._watched().write(dict(self.api_cache))
        except Exception as exc:  # noqa: BLE001 - pickle raises nearly anything, and the reply is paid for
            home.logger.error("The cache was not saved to %r: %s", self.cache_file_name, exc)

    def _load_cache(self) -> dict[str, Any]:
        """What the cache file holds, without running anything in it; empty, and a log line, if it is refused."""
        try:
            return self._watched().read()
        except cache_file.CacheRefused as exc:
            home.logger.error(str(exc))
            return {}

    def _watched(self) -> cache_file.Watched:
        if self._file is None or self._file.path != self.cache_file_name:
            self._file = cache_file.Watched(self.cache_file_name)
        return self._file

    def _keep(self, key: str, answer: dict[str, Any]) -> None:
        """Add an answer to the cache, and what other processes have put into the file meanwhile."""
        if self.cache_api_calls:
            with cache_file.locked(self.cache_file_name):
                self.api_cache = {**self._load_cache(), **self.api_cache, key: answer}
                self._save_cache()

    def _setup_from_config(self) -> None:
        """Make the SDK's client; `send_message` calls this each time, so that a new key is used."""
        self._connect(home.OpenAI, api_key=os.getenv("OPENAI_API_KEY"))

    def _connect(self, sdk: Any, **arguments: str | None) -> None:
        """Make `client`, unless it is there and was made from the same: it takes 20 ms, and a connection of its own."""
        steering = frozenset(item for item in os.environ.items() if item[0].startswith(_STEERING))
        made_from = sdk, hash((steering, frozenset(arguments.items())))  # a hash, for there are keys among them
        if self.client is None or made_from != self._made_from:
            self.client = sdk(**arguments)
            self.client.max_retries = 0  # `send_message` retries; twice over would be nine requests for three attempts
            self._made_from = made_from

    def _sdk(self) -> Any:
        if self.client is None:
            self._setup_from_config()
        return self.client


class AzureClient(OpenAIClient):
    """Talks with the resource at `AZURE_OPENAI_ENDPOINT`, key in `AZURE_OPENAI_KEY`; a model is a deployment."""

    def _setup_from_config(self) -> None:
        self._connect(
            home.AzureOpenAI,
            azure_endpoint=os.getenv("AZURE_OPENAI_ENDPOINT"),
            api_version=home.setting("AZURE_API_VERSION"),
            api_key=os.getenv("AZURE_OPENAI_KEY"),
        )


def _given(key: str, value: Any) -> Any:
    return home.default_value(key) if value is _CONFIGURED else value


def _back_off(wait_s: float, factor: float) -> float:
    """Wait, and return how long to wait next."""
    home.logger.info("Request failed. Waiting %s seconds between requests...", wait_s)
    home.time.sleep(wait_s)
    return wait_s * factor


def _told(exc: Exception) -> str:
    """What an error says, with what the API says about it; since SDK 3 the text alone has no code."""
    facts = {name: getattr(exc, name, None) for name in ("status_code", "code", "type", "param", "request_id")}
    told = ", ".join(f"{name} {value!r}" for name, value in facts.items() if value is not None)
    return f"{exc} ({told})" if told else str(exc) or type(exc).__name__
