"""The settings themselves, as pydantic checks them."""

import warnings
from functools import partial
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from llmkit import models
from llmkit.config import files, provenance
from llmkit.config.fields import (
    Cache,
    Deployments,
    Endpoint,
    Key,
    Names,
    Parameters,
    StoreUrl,
    TokenProvider,
    Url,
    pairs,
)
from llmkit.errors import ConfigError
from llmkit.models import ModelSpec, spec_for

Provider = Literal["openai", "azure"]

_TABLES = ("defaults", "deployments")
_NO_KEY = SecretStr("")


class _Decoded(EnvSettingsSource):
    """Environment variables, tables among them spelt as JSON or `name=value,name=value`.

    They become tables here already, and not when they are checked, so that entries of several sources are merged.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """By the field's own variable alone: pydantic would also take LLMKIT_API_KEY, for either provider."""
        alias = field.validation_alias
        variable = str(alias or f"LLMKIT_{field_name}").lower()
        value = None if field_name == "token_provider" else self.env_vars.get(variable)
        return value, str(alias or field_name), False

    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:  # noqa: FBT001 - pydantic's
        if field_name in _TABLES:
            return pairs(value)
        return super().prepare_field_value(field_name, field, value, value_is_complex)


class _DecodedFile(_Decoded, DotEnvSettingsSource):
    """The same in `.env`."""


class Settings(BaseSettings):
    """What every client needs: which model, how long and how often to try, and what it keeps between calls.

    A field's description says how to set it; error messages quote it. A pickle leaves the keys out, and what holds or
    makes one: where it is unpickled, they come from the environment there.
    """

    model_config = SettingsConfigDict(
        env_prefix="LLMKIT_",
        env_file=str(files.DOTENV),
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )
    table: ClassVar[str | None] = None
    hidden: ClassVar[frozenset[str]] = frozenset({"api_key", "state_url", "token_provider"})

    provider: Provider | None = Field(None, description="'openai' or 'azure'")
    model: str | None = Field(None, min_length=1, description="a model's name, for example 'gpt-4o'")
    embedding_model: str | None = Field(
        None, min_length=1, description="a model for embeddings, or on Azure its deployment, for example 'embeddings'"
    )
    deployments: Deployments = Field(
        {},
        description="a table of the server's own names and the models behind them, for example chat = 'gpt-4o'; "
        "in a variable chat=gpt-4o,embeddings=text-embedding-3-small",
    )
    defaults: Parameters = Field(
        {},
        description="a table of parameters for every call that does not set them, for example temperature = 0.2; "
        "in a variable temperature=0.2,max_tokens=500",
    )
    deadline_s: float = Field(120.0, gt=0, allow_inf_nan=False, description="seconds above 0, for example 30")
    first_token_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="seconds above 0 to the first word of a stream, for example 10"
    )
    idle_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="seconds above 0 between words of a stream, for example 20"
    )
    max_attempts: int = Field(4, ge=1, le=100, description="a number of requests from 1 to 100, for example 4")
    fallback: Names = Field(
        (), description="models (on Azure deployments) to ask when one fails, in this order, for example gpt-4o-mini"
    )
    cache: Cache = Field(
        default=False, description="the path of a SQLite file, true for the cache of state_url, or false for none"
    )
    cache_ttl_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="seconds above 0 that a cached answer lives, for example 86400"
    )
    breaker: bool = Field(default=True, description="true or false: whether to spare a server that keeps failing")
    rpm: int | None = Field(None, ge=1, description="requests a minute, 1 at least, for example 500")
    tpm: int | None = Field(None, ge=1, description="tokens a minute, 1 at least, for example 200000")
    state_url: StoreUrl | None = Field(
        None, description="a Redis or Valkey server for cache, limits and breaker, for example redis://localhost:6379/0"
    )
    token_provider: TokenProvider | None = Field(
        None,
        repr=False,
        exclude=True,
        description="a function without arguments that returns a bearer token, or awaits one; an argument only",
    )

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """The settings from all sources; an argument that is None is not given.

        Raises a ConfigError that names the field, where its value came from, the value if it is no secret, and the fix.
        Models in `[models]` of `llmkit.toml` are known from here on.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        _check_arguments(cls, given)
        _warn_of_misspelt()
        failure: ConfigError
        try:
            settings = cls(**given)
        except ValidationError as error:
            failure = provenance.explained(error, cls, given)
        except (OSError, UnicodeError) as error:
            failure = ConfigError(f"{files.DOTENV.resolve()} cannot be read as UTF-8 text: {files.reason(error)}")
        else:
            models.register_all(files.toml().get("models", {}), origin=str(files.FILE.resolve()))
            return settings
        raise failure

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic calls it by name
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments > environment > .env > llmkit.toml > config.ini."""
        written = [InitSettingsSource(settings_cls, values) for values, _ in cls.written()]
        return init_settings, _Decoded(settings_cls), _DecodedFile(settings_cls), *written

    @classmethod
    def sources(cls, arguments: dict[str, Any]) -> list[provenance.Source]:
        """Every source with the values that it has for this class, the one that wins first."""
        return [
            (arguments, lambda name: f"the argument {name}="),
            (_Decoded(cls)(), lambda name: f"the environment variable {cls.variable(name)}"),
            (_DecodedFile(cls)(), lambda name: f"{cls.variable(name)} in {files.DOTENV.resolve()}"),
            *cls.written(),
        ]

    @classmethod
    def written(cls) -> list[provenance.Source]:
        """What `llmkit.toml` and `config.ini` say to this class; raises ConfigError for broken ones, unknown names."""
        return [
            (cls._toml(), lambda _: str(files.FILE.resolve())),
            (files.ini(), lambda _: str(files.INI.resolve())),
        ]

    @classmethod
    def _toml(cls) -> dict[str, Any]:
        data = files.toml()
        azure, _ = data.pop("azure", {}), data.pop("models", {})
        if not isinstance(azure, dict):
            raise ConfigError(f"{files.FILE.resolve()} sets azure = {azure!r}: it has to be a table, [azure]")
        files.check_names(data, _settable(OpenAISettings), where="at the top")
        files.check_names(azure, _settable(AzureSettings), where="in [azure]")
        if cls.table != "azure":
            return data
        common = {name: value for name, value in data.items() if name in Settings.model_fields}
        # deployments are names on one server: those of another have no meaning here
        merged = {"defaults": _merged(common.get("defaults"), azure.get("defaults"))} if "defaults" in azure else {}
        common.pop("deployments", None)
        return common | azure | merged

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable of a field."""
        alias = cls.model_fields[name].validation_alias
        return str(alias) if alias else f"LLMKIT_{name.upper()}"

    @classmethod
    def field_name(cls, location: str) -> str:
        """The field of which pydantic speaks, by its name or its variable."""
        return next((name for name in cls.model_fields if location in (name, cls.variable(name))), location)

    def model_of(self, name: str) -> str:
        """The model behind a deployment; a name that is no deployment of ours is taken for a model."""
        return self.deployments.get(name, name)

    def spec(self, name: str) -> ModelSpec:
        """What is known of the model behind `name`, a model or a deployment."""
        return spec_for(self.model_of(name))

    def __reduce__(self) -> tuple[Any, ...]:
        kept = self.model_dump(exclude=set(self.hidden))
        if self.state_url is not None and "@" not in (url := self.state_url.get_secret_value()):
            kept["state_url"] = url
        return partial(type(self).load, **kept), ()


class OpenAISettings(Settings):
    """How to reach OpenAI, or a server that speaks as it does."""

    api_key: Key = Field(
        _NO_KEY,
        validate_default=False,
        validation_alias="OPENAI_API_KEY",
        description="a key from https://platform.openai.com/api-keys; any text will do for a server that asks for none",
    )
    base_url: Url = Field(
        "https://api.openai.com/v1",
        validation_alias="OPENAI_BASE_URL",
        description="a URL, for example https://api.openai.com/v1",
    )
    organization: str | None = Field(None, validation_alias="OPENAI_ORG_ID", description="an organization's id")
    project: str | None = Field(None, validation_alias="OPENAI_PROJECT_ID", description="a project's id")

    @property
    def address(self) -> str:
        """Where requests go."""
        return self.base_url

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if not self.api_key.get_secret_value() and self.token_provider is None:
            raise ValueError("missing")
        return self


class AzureSettings(Settings):
    """How to reach an Azure OpenAI resource; without `api_version`, by its v1 route, which needs none.

    The routes begin at `endpoint`, which may have a path, such as a gateway's. `api_key` is empty where tokens of
    Microsoft Entra ID stand in its place.
    """

    table: ClassVar[str | None] = "azure"

    endpoint: Endpoint = Field(
        validation_alias="AZURE_OPENAI_ENDPOINT",
        description="the resource's URL, for example https://my-resource.openai.azure.com",
    )
    api_key: Key = Field(
        _NO_KEY,
        validate_default=False,
        validation_alias="AZURE_OPENAI_API_KEY",
        description="one of the two keys of the resource, under 'Keys and Endpoint' in the Azure portal; "
        "or auth='entra' to use Microsoft Entra ID instead",
    )
    auth: Literal["key", "entra"] = Field(
        "key", description="'key', or 'entra' for tokens of azure-identity's DefaultAzureCredential"
    )
    api_version: str | None = Field(
        None, validation_alias="OPENAI_API_VERSION", description="a version, for example '2024-10-21'"
    )

    @property
    def address(self) -> str:
        """Where requests go."""
        return self.endpoint

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if not self.api_key.get_secret_value() and self.token_provider is None and self.auth == "key":
            raise ValueError("missing")
        return self


def load(**arguments: Any) -> OpenAISettings | AzureSettings:
    """The settings of the provider that is configured: by `provider`, else by which of the two has a key or endpoint.

    OpenAI is taken where both have, or neither.
    """
    chosen = Settings.load(provider=arguments.pop("provider", None)).provider or _likely_provider()
    failure: ConfigError
    try:
        return (AzureSettings if chosen == "azure" else OpenAISettings).load(**arguments)
    except ConfigError as error:
        failure = error
    if chosen is None and "OPENAI_API_KEY" in failure.message:
        failure = ConfigError(
            f"{failure.message}. For Azure OpenAI, set AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY"
        )
    raise failure


def _likely_provider() -> Provider | None:
    if _has(OpenAISettings, "OPENAI_API_KEY", "api_key"):
        return "openai"
    return "azure" if _has(AzureSettings, "AZURE_OPENAI_ENDPOINT", "endpoint", "AZURE_OPENAI_API_KEY") else None


def _has(settings: type[Settings], *names: str) -> bool:
    return any(not values.keys().isdisjoint(names) for values, _ in settings.sources({}))


def _settable(settings: type[Settings]) -> set[str]:
    """The names that a file may set."""
    return set(settings.model_fields) - {"token_provider"}


def _merged(*tables: Any) -> Any:
    """The entries of all tables, the last winning; what is none is left for pydantic to refuse."""
    wrong = next((table for table in tables if table is not None and not isinstance(table, dict)), None)
    return {name: value for table in tables for name, value in (table or {}).items()} if wrong is None else wrong


def _check_arguments(settings: type[Settings], given: dict[str, Any]) -> None:
    for name in given:
        if name not in settings.model_fields:
            raise ConfigError(f"{name} is no setting of {settings.__name__}{provenance.nearest(name, settings)}")


def _warn_of_misspelt() -> None:
    for found in provenance.misspelt([OpenAISettings, AzureSettings]):
        if found.near:
            warnings.warn(
                f"{found.name}, in {found.source}, is no setting of llmkit; did you mean {found.near}?", stacklevel=4
            )
