"""Where settings come from: five sources, entry by entry, and what is said of the one that holds a value.

Rows 1.I2, 1.I3, 1.T1, 1.T2, 1.T4, H7.
"""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigError, models
from llmkit.config import AzureSettings, OpenAISettings, Settings, load, misspelt, origins
from llmkit.config.fields import pairs

KEY = "sk-canary-5f3a9d"
ENDPOINT = "https://me.openai.azure.com"
INI = """
[OpenAI]
API_TYPE=azure
AZURE_API_VERSION=2024-08-01-preview
MODEL=ini
EMBEDDING_MODEL=ini-embedding
MAX_TOKENS=1024
TEMPERATURE=0.3
FREQ_PENALTY=0.0
TIMEOUT=60
MAX_ATTEMPTS=5
CACHE_API_CALLS=False

[Simulation]
PARALLEL_AGENT_ACTIONS=True
"""


pytestmark = pytest.mark.usefixtures("bare")


def test_each_source_beats_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows 1.I3 and 1.T1: arguments, environment, .env, llmkit.toml, config.ini."""
    Path("config.ini").write_text(INI)
    seen = [OpenAISettings.load(api_key=KEY).model]
    Path("llmkit.toml").write_text('model = "toml"\n')
    seen.append(OpenAISettings.load(api_key=KEY).model)
    Path(".env").write_text("LLMKIT_MODEL=dotenv\n")
    seen.append(OpenAISettings.load(api_key=KEY).model)
    monkeypatch.setenv("LLMKIT_MODEL", "environment")
    seen.append(OpenAISettings.load(api_key=KEY).model)
    seen.append(OpenAISettings.load(api_key=KEY, model="argument").model)
    assert seen == ["ini", "toml", "dotenv", "environment", "argument"]


def test_a_key_follows_the_same_order_under_its_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("llmkit.toml").write_text('api_key = "of-toml-1"\n')
    monkeypatch.setenv("OPENAI_API_KEY", "of-environment")
    assert OpenAISettings.load().api_key.get_secret_value() == "of-environment"
    assert OpenAISettings.load(api_key="of-argument").api_key.get_secret_value() == "of-argument"


def test_defaults_are_merged_parameter_by_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 1.I2: default parameters."""
    Path("config.ini").write_text(INI)
    Path("llmkit.toml").write_text("[defaults]\ntemperature = 0.1\ntop_p = 0.5\nseed = 1\n")
    monkeypatch.setenv("LLMKIT_DEFAULTS", "temperature=0.7, stop=END")
    settings = OpenAISettings.load(api_key=KEY, defaults={"seed": 2})
    assert settings.defaults == {
        "seed": 2,
        "temperature": 0.7,
        "stop": "END",
        "top_p": 0.5,
        "max_tokens": 1024,
        "frequency_penalty": 0.0,
    }


def test_azures_table_adds_to_the_common_defaults_and_has_its_own_deployments() -> None:
    Path("llmkit.toml").write_text(
        'deadline_s = 9\n[defaults]\ntemperature = 0.1\nseed = 1\n[deployments]\nfast = "gpt-4o-mini"\n'
        f'[azure]\nendpoint = "{ENDPOINT}"\n[azure.defaults]\nseed = 2\n[azure.deployments]\nchat = "gpt-4.1"\n'
    )
    azure, openai = AzureSettings.load(api_key=KEY), OpenAISettings.load(api_key=KEY)
    assert (azure.defaults, azure.deployments) == ({"temperature": 0.1, "seed": 2}, {"chat": "gpt-4.1"})
    assert (openai.defaults, openai.deployments) == ({"temperature": 0.1, "seed": 1}, {"fast": "gpt-4o-mini"})
    assert azure.deadline_s == 9


def test_names_on_another_server_are_no_deployments_of_azure() -> None:
    Path("llmkit.toml").write_text(f'[deployments]\nfast = "gpt-4o-mini"\n[azure]\nendpoint = "{ENDPOINT}"\n')
    assert AzureSettings.load(api_key=KEY).deployments == {}


def test_deployments_stand_for_models() -> None:
    settings = AzureSettings.load(
        api_key=KEY, endpoint=ENDPOINT, deployments={"chat": "gpt-4.1", "vectors": "text-embedding-3-large"}
    )
    assert (settings.model_of("chat"), settings.model_of("gpt-4o")) == ("gpt-4.1", "gpt-4o")
    assert (settings.spec("vectors").family, settings.spec("chat").max_output) == ("embedding", 32_768)


def test_tinytroupes_file_gives_what_it_has_settings_for() -> None:
    Path("config.ini").write_text(INI)
    settings = AzureSettings.load(api_key=KEY, endpoint=ENDPOINT)
    assert (settings.model, settings.embedding_model, settings.max_attempts, settings.api_version) == (
        "ini",
        "ini-embedding",
        5,
        "2024-08-01-preview",
    )
    assert settings.deadline_s == 120  # its TIMEOUT bounds one request, and not the call
    assert settings.provider == "azure"


@pytest.mark.parametrize("text", ["[server]\nmodel = x\n", "no section at all", "[OpenAI]\n", "[server\n"])
def test_another_programs_file_is_left_alone(text: str) -> None:
    Path("config.ini").write_text(text)
    assert OpenAISettings.load(api_key=KEY).model is None


def test_a_broken_file_of_tinytroupes_is_named_without_its_lines(tmp_path: Path) -> None:
    Path("config.ini").write_text(f"[OpenAI]\nMODEL\n{KEY}\n[OpenAI]\n")
    with pytest.raises(ConfigError) as caught:
        OpenAISettings.load(api_key=KEY)
    assert str(tmp_path / "config.ini") in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_wrong_value_of_tinytroupes_file_is_named() -> None:
    Path("config.ini").write_text("[OpenAI]\nMAX_ATTEMPTS=many\n")
    with pytest.raises(ConfigError, match=r"max_attempts = 'many', from .*config\.ini, is not valid"):
        OpenAISettings.load(api_key=KEY)


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("LLMKIT_FIRST_TOKEN_S", "5", "first_token_s", 5.0),
        ("LLMKIT_IDLE_S", "2.5", "idle_s", 2.5),
        ("LLMKIT_RPM", "500", "rpm", 500),
        ("LLMKIT_TPM", "200000", "tpm", 200_000),
        ("LLMKIT_BREAKER", "off", "breaker", False),
        ("LLMKIT_CACHE", "answers.db", "cache", Path("answers.db")),
        ("LLMKIT_CACHE", "true", "cache", True),
        ("LLMKIT_CACHE", "No", "cache", False),
        ("LLMKIT_FALLBACK", "gpt-4o-mini, gpt-4.1", "fallback", ("gpt-4o-mini", "gpt-4.1")),
        ("LLMKIT_FALLBACK", '["a", "b"]', "fallback", ("a", "b")),
        ("LLMKIT_DEPLOYMENTS", "chat=gpt-4o,vectors=text-embedding-3-small", "deployments",
         {"chat": "gpt-4o", "vectors": "text-embedding-3-small"}),
        ("LLMKIT_DEFAULTS", '{"temperature": 0, "stop": ["a", "b"]}', "defaults",
         {"temperature": 0, "stop": ["a", "b"]}),
    ],
)  # fmt: skip
def test_a_variable_spells_any_setting(
    variable: str, text: str, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(OpenAISettings.load(api_key=KEY), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("first_token_s", 0),
        ("idle_s", float("nan")),
        ("rpm", 0),
        ("tpm", -5),
        ("breaker", "perhaps"),
        ("cache", ""),
        ("cache", 7),
        ("fallback", [1]),
        ("defaults", "temperature"),
        ("defaults", {"messages": []}),
        ("deployments", {"chat": 4}),
        ("deployments", "chat"),
        ("state_url", "http://host"),
        ("state_url", "redis://"),
        ("state_url", "redis://host:port/0"),
        ("provider", "aws"),
        ("token_provider", "a token"),
        ("cache_ttl_s", 0),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: object) -> None:
    """Row 1.T4: invalid configurations."""
    with pytest.raises(ConfigError, match=f"{name}.* from the argument {name}=, is not valid") as caught:
        OpenAISettings.load(api_key=KEY, **{name: value})
    assert "It has to be" in str(caught.value)


def test_an_unknown_argument_is_told_the_nearest_setting() -> None:
    with pytest.raises(ConfigError, match="modle is no setting of OpenAISettings; did you mean 'model'"):
        OpenAISettings.load(api_key=KEY, modle="gpt-4o")


def test_an_unknown_name_in_the_file_is_told_the_nearest_setting() -> None:
    Path("llmkit.toml").write_text("dedline_s = 3\n")
    with pytest.raises(ConfigError, match=r"'dedline_s' at the top.*Did you mean 'deadline_s'"):
        OpenAISettings.load(api_key=KEY)


def test_the_name_that_another_program_uses_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_KEY", KEY)
    with pytest.raises(ConfigError, match=r"AZURE_OPENAI_API_KEY.*AZURE_OPENAI_KEY is set, but llmkit does not read"):
        AzureSettings.load(endpoint=ENDPOINT)


def test_a_misspelt_variable_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKIT_DEADLINES", "3")
    with pytest.warns(UserWarning, match=r"LLMKIT_DEADLINES, in the environment, is no setting.*LLMKIT_DEADLINE_S\?"):
        OpenAISettings.load(api_key=KEY)


def test_a_misspelt_name_in_dotenv_is_found_too(tmp_path: Path) -> None:
    Path(".env").write_text("LLMKIT_TMP=100\nLLMKIT_CACHE_DIR=x\nUNRELATED=1\n")
    assert [(one.name, one.source, one.near) for one in misspelt([OpenAISettings])] == [
        ("LLMKIT_TMP", str(tmp_path / ".env"), "LLMKIT_TPM")
    ]


def test_known_variables_are_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKIT_CACHE_DIR", "/somewhere")
    monkeypatch.setenv("LLMKIT_STATE_URL", "redis://localhost")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OpenAISettings.load(api_key=KEY)


def test_every_setting_tells_where_it_came_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("config.ini").write_text("[OpenAI]\nMAX_TOKENS=9\n")
    Path("llmkit.toml").write_text("[defaults]\ntemperature = 0.1\n")
    Path(".env").write_text("LLMKIT_RPM=5\n")
    monkeypatch.setenv("LLMKIT_STATE_URL", f"redis://:{KEY}@host/0")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    settings = OpenAISettings.load(model="gpt-4o")
    found = {one.name: (one.shown, one.source) for one in origins(settings, model="gpt-4o")}
    assert found["model"] == ("gpt-4o", "the argument model=")
    assert found["api_key"] == ("***", "the environment variable OPENAI_API_KEY")
    assert found["state_url"] == ("redis://***@host/0", "the environment variable LLMKIT_STATE_URL")
    assert found["rpm"] == ("5", f"LLMKIT_RPM in {tmp_path / '.env'}")
    assert found["defaults.temperature"] == ("0.1", str(tmp_path / "llmkit.toml"))
    assert found["defaults.max_tokens"] == ("9", str(tmp_path / "config.ini"))
    assert found["deadline_s"] == ("120.0", "the default")
    assert KEY not in str(found)


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({"OPENAI_API_KEY": KEY}, OpenAISettings),
        ({"AZURE_OPENAI_ENDPOINT": ENDPOINT, "AZURE_OPENAI_API_KEY": KEY}, AzureSettings),
        ({"OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": ENDPOINT, "AZURE_OPENAI_API_KEY": KEY}, OpenAISettings),
        ({"OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": ENDPOINT, "AZURE_OPENAI_API_KEY": KEY,
          "LLMKIT_PROVIDER": "azure"}, AzureSettings),
    ],
)  # fmt: skip
def test_the_provider_is_the_one_that_is_set_up(
    variables: dict[str, str], kind: type[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert type(load()) is kind


def test_models_of_the_file_are_known_from_then_on() -> None:
    Path("llmkit.toml").write_text('[models.house]\nlike = "gpt-4o"\ncontext_window = 32_000\n')
    try:
        OpenAISettings.load(api_key=KEY)
        assert (models.spec_for("house").known, models.spec_for("house").context_window) == (True, 32_000)
    finally:
        models.reset()


def test_a_wrong_model_of_the_file_is_named(tmp_path: Path) -> None:
    Path("llmkit.toml").write_text("[models.house]\ncontext = 32_000\n")
    with pytest.raises(ConfigError, match=r"llmkit\.toml: the model 'house' has 'context'.*context_window"):
        OpenAISettings.load(api_key=KEY)


def test_a_pickle_keeps_what_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = AzureSettings.load(
        api_key=KEY, endpoint=ENDPOINT, state_url="redis://h/0", token_provider=lambda: KEY, rpm=7
    )
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "another-key")
    again = pickle.loads(pickle.dumps(settings))
    assert (again.rpm, again.endpoint, again.token_provider) == (7, ENDPOINT, None)
    assert again.state_url.get_secret_value() == "redis://h/0"
    assert again.api_key.get_secret_value() == "another-key"


def test_a_pickle_drops_the_password_of_the_state() -> None:
    settings = OpenAISettings.load(api_key=KEY, state_url=f"redis://:{KEY}@h/0")
    assert KEY.encode() not in pickle.dumps(settings)
    assert KEY not in repr(settings) + str(settings.model_dump())


@given(st.dictionaries(st.text(min_size=1), st.none() | st.booleans() | st.integers() | st.text(), min_size=1))
def test_any_table_can_be_spelt_in_a_variable(table: dict[str, object]) -> None:
    """A law: JSON in a variable is the table it spells."""
    assert pairs(json.dumps(table)) == table
