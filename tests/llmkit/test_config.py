"""Settings: which source wins, and what an error says about a wrong one."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from llmkit import ConfigError
from llmkit.config import AzureSettings, OpenAISettings, Settings

KEY = "sk-canary-5f3a9d"
NAMES = (
    "OPENAI_API_KEY OPENAI_BASE_URL OPENAI_ORG_ID OPENAI_PROJECT_ID AZURE_OPENAI_ENDPOINT AZURE_OPENAI_API_KEY "
    "OPENAI_API_VERSION LLMKIT_MODEL LLMKIT_DEADLINE_S LLMKIT_MAX_ATTEMPTS"
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings anywhere, in an empty working directory."""
    for name in NAMES.split():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_arguments_beat_environment_beats_dotenv_beats_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("llmkit.toml").write_text('model = "file"\ndeadline_s = 1\nmax_attempts = 1\norganization = "file"\n')
    Path(".env").write_text("LLMKIT_MODEL=dotenv\nLLMKIT_DEADLINE_S=2\nLLMKIT_MAX_ATTEMPTS=2\nUNRELATED=x\n")
    monkeypatch.setenv("LLMKIT_MODEL", "environment")
    monkeypatch.setenv("LLMKIT_DEADLINE_S", "3")
    settings = OpenAISettings.load(api_key=KEY, model="argument", max_attempts=None)
    assert (settings.model, settings.deadline_s, settings.max_attempts, settings.organization) == (
        "argument",
        3,
        2,
        "file",
    )


def test_the_official_names_of_openai_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"  {KEY}\n")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj")
    settings = OpenAISettings.load()
    assert settings.api_key.get_secret_value() == KEY
    assert (settings.base_url, settings.organization, settings.project) == ("http://localhost:8000/v1", "org", "proj")


def test_the_official_names_of_azure_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    settings = AzureSettings.load()
    assert settings.api_key.get_secret_value() == KEY
    assert (settings.endpoint, settings.api_version) == ("https://me.openai.azure.com", "2024-10-21")


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    assert OpenAISettings.load(api_key=KEY).base_url == "https://api.openai.com/v1"


def test_an_unrelated_api_key_variable_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "of something else")
    monkeypatch.setenv("MODEL", "of something else")
    with pytest.raises(ConfigError):
        OpenAISettings.load()
    assert OpenAISettings.load(api_key=KEY).model is None


def test_azure_reads_its_own_table_of_the_file() -> None:
    Path("llmkit.toml").write_text(
        'model = "chat"\napi_key = "of-openai"\n'
        '[azure]\nendpoint = "https://me"\napi_key = "of-azure"\nmodel = "deployed"\n'
    )
    azure, openai = AzureSettings.load(), OpenAISettings.load()
    assert (azure.api_key.get_secret_value(), azure.model) == ("of-azure", "deployed")
    assert (openai.api_key.get_secret_value(), openai.model) == ("of-openai", "chat")


def test_a_missing_key_says_where_to_put_one() -> None:
    with pytest.raises(ConfigError) as caught:
        OpenAISettings.load()
    for hint in ("api_key is missing", "OPENAI_API_KEY", "llmkit.toml", "platform.openai.com/api-keys"):
        assert hint in str(caught.value)


def test_a_missing_endpoint_says_where_to_put_one() -> None:
    with pytest.raises(ConfigError, match=r"endpoint is missing.*AZURE_OPENAI_ENDPOINT"):
        AzureSettings.load(api_key=KEY)


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("argument", "the argument deadline_s="),
        ("environment", "the environment variable LLMKIT_DEADLINE_S"),
        ("dotenv", "LLMKIT_DEADLINE_S in {folder}/.env"),
        ("file", "{folder}/llmkit.toml"),
    ],
)
def test_a_wrong_value_names_its_source_and_the_fix(
    source: str, origin: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if source == "environment":
        monkeypatch.setenv("LLMKIT_DEADLINE_S", "-1")
    if source == "dotenv":
        Path(".env").write_text("LLMKIT_DEADLINE_S=-1\n")
    if source == "file":
        Path("llmkit.toml").write_text("deadline_s = -1\n")
    with pytest.raises(ConfigError) as caught:
        OpenAISettings.load(api_key=KEY, deadline_s=-1 if source == "argument" else None)
    assert "deadline_s = " in str(caught.value)
    assert "-1" in str(caught.value)
    assert f"from {origin.format(folder=tmp_path)}, is not valid" in str(caught.value)
    assert "seconds above 0, for example 30" in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadline_s": "soon"},
        {"deadline_s": float("inf")},
        {"max_attempts": 0},
        {"max_attempts": 1.5},
        {"model": ""},
        {"base_url": "localhost:8000"},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        OpenAISettings.load(api_key=KEY, **wrong)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:abc/v1",
        "http://[::1/v1",
        "http://exämple..com/v1",
        "http://x\ty/v1",
        "http://a b/v1",
        "http://",
        "https:///v1",
        "ftp://host/v1",
        "http://host/v1?api-version=1",
        "http://host/v1#there",
    ],
)
def test_an_address_that_cannot_be_called_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url = "):
        OpenAISettings.load(api_key=KEY, base_url=url)
    with pytest.raises(ConfigError, match="endpoint = "):
        AzureSettings.load(api_key=KEY, endpoint=url)


@pytest.mark.parametrize(
    "url", ["HTTPS://host/v1", " https://host/v1\n", "http://[::1]:8000/v1", "http://bücher.de/v1"]
)
def test_an_address_may_be_spelt_in_any_way_that_works(url: str) -> None:
    assert OpenAISettings.load(api_key=KEY, base_url=url).base_url == url.strip()


@pytest.mark.parametrize(
    "url",
    [
        "http://user:canary-pw@host/v1",
        "http://canary-pw@host/v1",
        "http://user:can/ary-pw@host/v1",
        "http://host/v1?api_key=canary-pw",
        "http://host/v1#canary-pw",
    ],
)
def test_credentials_in_an_address_are_refused_unseen(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL") as caught:
        OpenAISettings.load(api_key=KEY)
    assert "***" in str(caught.value)
    assert "can" not in str(caught.value).replace("cannot", "")
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ("https://me", "https://me"),
        ("https://me/", "https://me"),
        ("https://me/openai", "https://me"),
        ("https://me/openai/v1/", "https://me"),
        ("https://host/gateway/openai/", "https://host/gateway"),
        ("https://host/my-openai", "https://host/my-openai"),
    ],
)
def test_an_endpoint_may_have_azures_route_behind_it(given: str, endpoint: str) -> None:
    assert AzureSettings.load(api_key=KEY, endpoint=given).endpoint == endpoint


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    Path("llmkit.toml").mkdir()
    with pytest.raises(ConfigError, match=r"llmkit\.toml cannot be read: Is a directory"):
        OpenAISettings.load(api_key=KEY)


def test_azure_in_the_file_has_to_be_a_table() -> None:
    Path("llmkit.toml").write_text("azure = 5\n")
    with pytest.raises(ConfigError, match=r"sets azure = 5: it has to be a table"):
        OpenAISettings.load(api_key=KEY)


@pytest.mark.parametrize("name", [".env", "llmkit.toml"])
def test_a_file_that_is_no_text_is_named_and_its_bytes_are_not_shown(name: str) -> None:
    Path(name).write_bytes(f"OPENAI_API_KEY = '{KEY}".encode() + b"\xff'\n")
    with pytest.raises(ConfigError, match=re.escape(str(Path(name).resolve()))) as caught:
        OpenAISettings.load()
    assert caught.value.__context__ is None
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["sk canary\nsecond", "sk-canäry", "   "])
def test_a_key_that_cannot_be_sent_is_refused_unseen(key: str) -> None:
    with pytest.raises(ConfigError, match="api_key, from the argument") as caught:
        OpenAISettings.load(api_key=key)
    assert "can" not in str(caught.value).partition("valid:")[0].replace("characters that cannot", "")
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "complaint"), [("model = ", "is not valid TOML"), ("modle = 'x'\n", "sets 'modle' at the top")]
)
def test_a_wrong_file_is_named(text: str, complaint: str, tmp_path: Path) -> None:
    Path("llmkit.toml").write_text(text)
    with pytest.raises(ConfigError, match=complaint) as caught:
        OpenAISettings.load(api_key=KEY)
    assert str(tmp_path / "llmkit.toml") in str(caught.value)


def test_an_unknown_name_in_azures_table_is_told_the_known_ones() -> None:
    Path("llmkit.toml").write_text("[azure]\nregion = 'x'\n")
    with pytest.raises(ConfigError, match=r"'region' in \[azure\].*api_version.*endpoint"):
        AzureSettings.load(api_key=KEY, endpoint="https://me")


@pytest.mark.parametrize(
    "settings", [OpenAISettings.load(api_key=KEY), AzureSettings.load(api_key=KEY, endpoint="https://me")]
)
def test_the_key_shows_nowhere(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEY not in repr(settings) + str(settings) + settings.model_dump_json() + repr(settings.model_dump())
    assert KEY.encode() not in pickle.dumps(settings)
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "another")
    assert "another" not in repr(pickle.loads(pickle.dumps(settings)))
