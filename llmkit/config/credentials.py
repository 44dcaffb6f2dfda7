"""What proves to a server who asks: a key, or a token that is fetched anew for each request.

Tokens are those of Microsoft Entra ID (https://learn.microsoft.com/azure/ai-services/openai/how-to/managed-identity),
or of any function that makes some. A token is in no log, message or pickle.
"""

import asyncio
import inspect
from collections import deque
from typing import TYPE_CHECKING

from llmkit.config.fields import TokenProvider
from llmkit.errors import AuthenticationFailed, ConfigError

if TYPE_CHECKING:
    from llmkit.config.settings import AzureSettings, OpenAISettings

SCOPE = "https://cognitiveservices.azure.com/.default"

_SHORTEST = 8  # a shorter key is a placeholder, and may well be a word of the message
_REMEMBERED = 4  # tokens: a request that is still under way may have been sent with an older one


class Credential:
    """The key or token of one client; `is_token` tells which.

    A provider that is no coroutine function runs in a thread, since it may call a server of its own, and is asked
    before each request: it is expected to cache, as those of azure-identity do.
    """

    def __init__(self, settings: "OpenAISettings | AzureSettings") -> None:
        self._key = settings.api_key.get_secret_value()
        self._provider = settings.token_provider
        self._is_entra = self._provider is None and getattr(settings, "auth", "key") == "entra"
        self._seen: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def is_token(self) -> bool:
        """Whether a bearer token is sent, and no key."""
        return self._is_entra or self._provider is not None

    @property
    def key(self) -> str:
        """The key, "" where tokens are used."""
        return "" if self.is_token else self._key

    async def token(self) -> str:
        """A token for the next request.

        Raises AuthenticationFailed where the provider fails or returns none, ConfigError without azure-identity.
        """
        failure: AuthenticationFailed | ConfigError
        try:
            return self._checked(await self._fetched())
        except ModuleNotFoundError as error:
            failure = ConfigError(f"auth = 'entra' needs the package {error.name!r}: pip install 'llmkit[entra]'")
        except AuthenticationFailed as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a provider is anyone's code, and may raise anything
            failure = AuthenticationFailed(f"No token: the provider raised {type(error).__name__}: {_brief(error)}")
        raise failure  # here, without the error above as its context, whose frames hold what the provider knows

    async def _fetched(self) -> object:
        if self._provider is None:
            self._provider = await asyncio.to_thread(_default_provider)
        if inspect.iscoroutinefunction(self._provider):
            return await self._provider()
        token = await asyncio.to_thread(self._provider)
        return await token if inspect.isawaitable(token) else token

    def _checked(self, token: object) -> str:
        if not (isinstance(token, str) and token.strip() and token.isascii() and token.isprintable()):
            kind = "an empty text" if token == "" else "no token" if isinstance(token, str) else type(token).__name__
            raise AuthenticationFailed(f"No token: the provider returned {kind}, and not a bearer token")
        if token not in self._seen:
            self._seen.append(token)
        return token

    def hidden(self, text: str) -> str:
        """`text` with *** for the key and for the tokens of late. It comes before any cut, which could leave a part."""
        for secret in (self._key, *self._seen):
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, "***")
        return text

    def __repr__(self) -> str:
        return f"Credential({'token' if self.is_token else 'key'})"

    def __reduce__(self) -> str:
        raise TypeError("A credential cannot be pickled; settings can, and leave it out")


def _default_provider() -> TokenProvider:
    """The provider of azure-identity, which tries environment, managed identity, command lines and more, and caches."""
    from azure.identity import DefaultAzureCredential, get_bearer_token_provider

    return get_bearer_token_provider(DefaultAzureCredential(), SCOPE)


def _brief(error: Exception) -> str:
    """The beginning of what a provider says: azure-identity's goes on for pages."""
    return " ".join(str(error).split())[:400] or "nothing"
