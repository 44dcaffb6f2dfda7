"""Settings from files and variables that careless people wrote. Row 1.I2."""

from __future__ import annotations

import traceback
import warnings
from pathlib import Path

import pytest

from llmkit import ConfigError
from llmkit.config import AzureSettings, OpenAISettings

KEY = "sk-canary-5f3a9d7c1e"


pytestmark = pytest.mark.usefixtures("bare")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("llmkit.toml", f'api_key = "{KEY}"\nmodel = "gpt-4o"\n'),
        (".env", f"OPENAI_API_KEY={KEY}\nLLMKIT_MODEL=gpt-4o\n"),
        ("config.ini", "[OpenAI]\nMODEL=gpt-4o\n"),
    ],
)
def test_a_file_that_begins_with_a_byte_order_mark_is_read(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8-sig")
    assert OpenAISettings.load(**{} if "KEY" in text.upper() else {"api_key": KEY}).model == "gpt-4o"


@pytest.mark.parametrize(
    "variable", ["LLMKIT_API_KEY", "LLMKIT_BASE_URL", "LLMKIT_ENDPOINT", "LLMKIT_API_VERSION", "LLMKIT_TOKEN_PROVIDER"]
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_setting_is_read_by_its_own_variable_alone(
    variable: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One provider's key or address must not be taken for the other's."""
    if place == ".env":
        Path(".env").write_text(f"{variable}=https://elsewhere\n")
    else:
        monkeypatch.setenv(variable, "https://elsewhere")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        openai = OpenAISettings.load(api_key=KEY)
        azure = AzureSettings.load(api_key=KEY, endpoint="https://me")
        assert (openai.base_url, azure.endpoint, azure.api_version) == (
            "https://api.openai.com/v1",
            "https://me",
            None,
        )
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            OpenAISettings.load()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("LLMKIT_BASE_URL", "OPENAI_BASE_URL"),
        ("LLMKIT_ENDPOINT", "AZURE_OPENAI_ENDPOINT"),
        ("LLMKIT_API_KEY", "OPENAI_API_KEY or AZURE_OPENAI_API_KEY"),
    ],
)
def test_the_variable_that_was_meant_is_named(variable: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "https://elsewhere")
    with pytest.warns(UserWarning, match=f"{variable}, .*did you mean {meant}[?]"):
        OpenAISettings.load(api_key=KEY)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LLMKIT_DEFAULTS", '{"a":' * 20_000),
        ("LLMKIT_FALLBACK", "[" * 20_000),
        ("LLMKIT_CACHE", "~nobody-of-that-name/cache.sqlite"),
    ],
)
def test_a_value_that_cannot_be_read_is_a_short_error_of_ours(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=variable) as caught:
        OpenAISettings.load(api_key=KEY)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", [f"rpm = {'9' * 5000}", "model = 'x'\n[defaults]\nseed = 1" + "0" * 5000])
def test_a_number_of_thousands_of_digits_is_a_broken_file(text: str) -> None:
    Path("llmkit.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"llmkit\.toml"):
        OpenAISettings.load(api_key=KEY)


def test_a_key_of_the_file_is_in_no_frame_of_an_error() -> None:
    """Error trackers send what frames hold."""
    Path("llmkit.toml").write_text(f'api_key = "{KEY}"\nrmp = 3\n[azure]\napi_key = "{KEY}"\n')
    with pytest.raises(ConfigError) as caught:
        OpenAISettings.load()
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert KEY not in "".join(trace.format())


@pytest.mark.parametrize("name", ["endpoint", "base_url"])
def test_a_key_in_the_place_of_an_address_is_not_shown(name: str) -> None:
    kind = AzureSettings if name == "endpoint" else OpenAISettings
    with pytest.raises(ConfigError, match=name) as caught:
        kind.load(api_key=KEY, **{name: KEY})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", [f'"{KEY}"', f"'{KEY}'", "https://me.openai.azure.com", f"Bearer {KEY}"])
def test_what_is_no_key_though_it_could_be_sent_is_refused_unseen(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's --env-file keeps quotes, and whoever swaps key and address sees a 401 for hours."""
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as caught:
        OpenAISettings.load()
    assert key not in str(caught.value)


def test_a_line_of_dotenv_that_cannot_be_read_is_named_where_something_is_missing() -> None:
    Path(".env").write_text(f'LLMKIT_MODEL=gpt-4o\nOPENAI_API_KEY="{KEY}\n')
    with pytest.raises(ConfigError, match=r"line 2 of .*\.env") as caught:
        OpenAISettings.load()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f'extra_headers = {{Authorization = "Bearer {KEY}"}}',
        "timeout = 3",
        "temperature = nan",
        "metadata = {since = 2026-01-01}",
    ],
)
def test_what_no_request_can_say_is_no_default(text: str) -> None:
    Path("llmkit.toml").write_text(f"[defaults]\n{text}\n")
    with pytest.raises(ConfigError, match=r"defaults .*llmkit\.toml") as caught:
        OpenAISettings.load(api_key="another-key")
    assert KEY not in str(caught.value)
