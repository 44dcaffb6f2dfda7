from __future__ import annotations

import pytest

from llmkit.recording.addresses import Address, Provider, is_loopback

LOCAL = Provider(openai_base_url="http://127.0.0.1:8000/v1", azure_endpoint="http://localhost:8000/")
GATEWAY = Provider(openai_base_url="https://llm.corp.example/proxy/v1/")
CHAT = "https://api.openai.com/v1/chat/completions"
AZURE_CHAT = "https://resource.openai.azure.com/openai/deployments/chat/chat/completions?api-version=1"


@pytest.mark.parametrize(
    ("provider", "url", "stable"),
    [
        (LOCAL, "http://127.0.0.1:8000/v1/chat/completions", CHAT),
        (LOCAL, "http://localhost:8000/openai/deployments/chat/chat/completions?api-version=1", AZURE_CHAT),
        (LOCAL, "http://127.0.0.1:8000/openai/v1/responses", "https://resource.openai.azure.com/openai/v1/responses"),
        (LOCAL, "http://127.0.0.1:8000/other", "https://resource.openai.azure.com/other"),
        (GATEWAY, "https://llm.corp.example/proxy/v1/chat/completions", CHAT),
        (GATEWAY, "https://LLM.corp.example:443/proxy/v1/chat/completions", CHAT),
        (GATEWAY, "https://llm.corp.example/health", "https://api.openai.com/health"),
        (Provider(), CHAT, CHAT),
        (GATEWAY, CHAT, CHAT),
        (Provider(), "http://127.0.0.1:9/v1/chat/completions", CHAT),
        (Provider(), "http://[::1]:9/x", "http://localhost:9/x"),
        (Provider(), AZURE_CHAT.replace("resource", "my-own"), AZURE_CHAT),
        (Provider(), AZURE_CHAT.replace("resource.openai.azure.com", "llm.corp.example"), AZURE_CHAT),
        (Provider(azure_endpoint="https://llm.corp.example"), "https://llm.corp.example/x",
         "https://resource.openai.azure.com/x"),
        (Provider(), "https://user:pw@Other.test:8443/x?b#c", "https://other.test:8443/x?b"),
        (Provider(openai_base_url="http://127.0.0.1:8000"), "http://127.0.0.1:8000/models",
         "https://api.openai.com/v1/models"),
    ],
)  # fmt: skip
def test_a_url_gets_its_stable_name(provider: Provider, url: str, stable: str) -> None:
    assert provider.stable(url) == stable


def test_a_stable_name_is_stable() -> None:
    assert LOCAL.stable(LOCAL.stable("http://127.0.0.1:8000/v1/models")) == "https://api.openai.com/v1/models"


def test_an_openai_base_url_on_an_azure_resource_counts_as_the_openai_address() -> None:
    provider = Provider(openai_base_url="https://mine.openai.azure.com/openai/v1/")
    assert provider.stable("https://mine.openai.azure.com/openai/v1/chat/completions") == CHAT


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "api.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]",
                                  "0.0.0.0", "::ffff:127.0.0.1", "::1%lo", ""])  # fmt: skip
def test_every_spelling_of_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.evil.test", "10.0.0.1", "128.0.0.1", "example.com", "::2"])
def test_other_hosts_are_not_taken_for_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_an_address_is_the_same_however_it_is_spelled() -> None:
    assert Address.of("http://LocalHost/") == Address.of("http://127.0.0.1:80/x") == Address("localhost", 80)


@pytest.mark.parametrize("url", ["ftp://a.test/", "not a url", "http://a.test:port/", ""])
def test_what_is_no_http_url_has_no_address(url: str) -> None:
    assert Address.of(url) is None


def test_the_provider_is_read_from_the_environment() -> None:
    provider = Provider.from_environment({"OPENAI_BASE_URL": " http://127.0.0.1:1/v1 ", "AZURE_OPENAI_ENDPOINT": ""})
    assert provider.addresses == {Address("localhost", 1)}
