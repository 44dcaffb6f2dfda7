"""Keys and tokens: which is sent, how often a provider is asked, and that neither shows.

Rows 1.I2, 1.T2, H7.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit import AuthenticationFailed, ConfigError
from llmkit.config import AzureSettings, Credential, OpenAISettings

KEY = "sk-canary-5f3a9d"
ENDPOINT = "https://me.openai.azure.com"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "LLMKIT_AUTH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def credential(**arguments: Any) -> Credential:
    return Credential(AzureSettings.load(endpoint=ENDPOINT, **arguments))


def test_a_key_is_a_key() -> None:
    found = credential(api_key=KEY)
    assert (found.is_token, found.key) == (False, KEY)


def test_a_provider_makes_a_key_needless_on_either_provider() -> None:
    for settings in (
        AzureSettings.load(endpoint=ENDPOINT, token_provider=lambda: KEY),
        OpenAISettings.load(token_provider=lambda: KEY),
    ):
        assert Credential(settings).is_token
        assert settings.api_key.get_secret_value() == ""


def test_entra_makes_a_key_needless_and_survives_a_pickle() -> None:
    settings = AzureSettings.load(endpoint=ENDPOINT, auth="entra")
    assert Credential(settings).is_token
    assert pickle.loads(pickle.dumps(settings)).auth == "entra"


def test_without_key_provider_and_entra_the_way_to_entra_is_named() -> None:
    with pytest.raises(ConfigError, match=r"AZURE_OPENAI_API_KEY.*auth='entra'"):
        AzureSettings.load(endpoint=ENDPOINT)


def sync_provider(tokens: list[str]) -> Callable[[], str]:
    return lambda: tokens.pop(0)


def async_provider(tokens: list[str]) -> Callable[[], Any]:
    async def provide() -> str:
        return tokens.pop(0)

    return provide


def awaitable_provider(tokens: list[str]) -> Callable[[], Any]:
    return lambda: async_provider(tokens)()


@pytest.mark.parametrize("provider", [sync_provider, async_provider, awaitable_provider])
def test_a_provider_is_asked_for_each_request(provider: Callable[[list[str]], Any]) -> None:
    async def twice(found: Credential) -> list[str]:
        return [await found.token(), await found.token()]

    assert asyncio.run(twice(credential(token_provider=provider(["first-token", "second-token"])))) == [
        "first-token",
        "second-token",
    ]


async def test_a_slow_provider_does_not_block_the_loop() -> None:
    gate = threading.Event()

    def provide() -> str:
        assert gate.wait(10)
        return "a-token-at-last"

    pending = asyncio.create_task(credential(token_provider=provide).token())
    await asyncio.sleep(0)
    gate.set()  # the loop runs on while the provider waits, or this line would never be reached
    assert await pending == "a-token-at-last"


@pytest.mark.parametrize("token", ["", "   ", None, 7, "two\nlines", "tökén"])
async def test_what_is_no_token_is_an_error_without_it(token: Any) -> None:
    with pytest.raises(AuthenticationFailed, match="No token: the provider returned") as caught:
        await credential(token_provider=lambda: token).token()
    assert caught.value.__context__ is None


async def test_a_provider_that_fails_is_an_error_of_ours_without_its_frames() -> None:
    def provide() -> str:
        raise RuntimeError("the vault is closed\nand so on")

    with pytest.raises(AuthenticationFailed, match=r"raised RuntimeError: the vault is closed and so on$") as caught:
        await credential(token_provider=provide).token()
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_tokens_are_hidden_as_keys_are() -> None:
    found = credential(token_provider=sync_provider(["token-of-today", "token-of-tomorrow"]), api_key=KEY)
    await found.token()
    await found.token()
    assert found.hidden(f"a token-of-today b token-of-tomorrow c {KEY}") == "a *** b *** c ***"


async def test_a_token_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    settings = AzureSettings.load(endpoint=ENDPOINT, token_provider=lambda: "token-canary")
    found = Credential(settings)
    with caplog.at_level(logging.DEBUG):
        await found.token()
    assert "canary" not in repr(found) + repr(settings) + caplog.text + repr(settings.model_dump())
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(found)


async def test_entra_takes_the_default_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("azure.identity")
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "MSI_ENDPOINT", "IDENTITY_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")  # no command lines, no metadata server
    with pytest.raises(AuthenticationFailed, match="EnvironmentCredential"):
        await credential(auth="entra").token()
