"""Settings: arguments, then environment, then `.env` in the working directory, then `llmkit.toml` there.

The first that has a setting wins. The environment variables are those of the official SDK (OPENAI_API_KEY,
AZURE_OPENAI_ENDPOINT, …) and LLMKIT_<NAME> for the rest. In `llmkit.toml`, the settings of Azure stand in a table
`[azure]`, all others at the top.

An address holds no secrets: one with a user name, a password or a query is refused. The HTTP library would send the
password in the key's stead, a query would end up amid the path, and both would show wherever the address does.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from llmkit.errors import ConfigError

FILE = Path("llmkit.toml")


def _header_safe(key: SecretStr) -> SecretStr:
    value = key.get_secret_value().strip()
    if not (value.isascii() and value.isprintable() and value):
        raise ValueError("it is empty, or holds characters that cannot be sent")
    return SecretStr(value)


def _http_url(url: str) -> str:
    """The address without blanks around it and slashes after it; a request's path is appended to it."""
    url = url.strip()
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ValueError("it holds a blank or a control character")
    parts = urlsplit(url)  # raises ValueError for brackets that hold no IPv6 address
    if parts.scheme not in ("http", "https"):
        raise ValueError("it does not begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("it holds a user name or password; give the key as api_key")
    if "?" in url or "#" in url:
        raise ValueError("it has a query or fragment, which the path of a request cannot follow")
    _check_host(parts.hostname or "")
    _check_port(parts)
    return url.rstrip("/")


def _check_host(host: str) -> None:
    if not host:
        raise ValueError("it names no host")
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"{host!r} is no name of a host") from None


def _check_port(parts: SplitResult) -> None:
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("its port is no number from 0 to 65535") from None


def _azure_endpoint(url: str) -> str:
    """The resource's own address, where its route was given with it: the route depends on the API version."""
    return re.sub(r"/openai(/v1)?$", "", url)


def without_secrets(text: str) -> str:
    """`text` with *** for what addresses in it may hide: user names, passwords and queries."""
    return re.sub(r"(?<=\S)[?#][^\s'\"]*", "?***", re.sub(r"((?:\w+:)?//|^)[^\s'\"]*@", r"\1***@", text))


Key = Annotated[SecretStr, AfterValidator(_header_safe)]
Url = Annotated[str, AfterValidator(_http_url)]
Endpoint = Annotated[Url, AfterValidator(_azure_endpoint)]


class Settings(BaseSettings):
    """What every client needs: which model, and how long and how often to try.

    A field's description says how to set it; error messages quote it. A pickle leaves the keys out: where it is
    unpickled, they come from the environment there.
    """

    model_config = SettingsConfigDict(
        env_prefix="LLMKIT_",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )
    table: ClassVar[str | None] = None

    model: str | None = Field(None, min_length=1, description="a model's name, for example 'gpt-4o'")
    embedding_model: str | None = Field(
        None, min_length=1, description="a model for embeddings, or on Azure its deployment, for example 'embeddings'"
    )
    deadline_s: float = Field(120.0, gt=0, allow_inf_nan=False, description="seconds above 0, for example 30")
    max_attempts: int = Field(4, ge=1, le=100, description="a number of requests from 1 to 100, for example 4")

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """The settings from all sources; an argument that is None is not given.

        Raises a ConfigError that names the field, where its value came from, the value if it is no secret, and the fix.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        failure: ConfigError
        try:
            return cls(**given)
        except ValidationError as error:
            failure = cls._explain(error, given)
        except (OSError, UnicodeError) as error:
            failure = ConfigError(f"{Path('.env').resolve()} cannot be read as UTF-8 text: {_reason(error)}")
        raise failure

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic calls it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments > environment > .env > llmkit.toml."""
        return init_settings, env_settings, dotenv_settings, InitSettingsSource(settings_cls, cls._file())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.model_dump(exclude=set(self._secrets())))

    @classmethod
    def _secrets(cls) -> list[str]:
        return [name for name, field in cls.model_fields.items() if field.annotation is SecretStr]

    @classmethod
    def _file(cls) -> dict[str, Any]:
        """What `llmkit.toml` says to this class; raises ConfigError for broken TOML and unknown names."""
        data = _toml()
        azure = data.pop("azure", {})
        if not isinstance(azure, dict):
            raise ConfigError(f"{FILE.resolve()} sets azure = {azure!r}: it has to be a table, [azure]")
        _check_names(data, OpenAISettings, where="at the top")
        _check_names(azure, AzureSettings, where="in [azure]")
        common = {name: value for name, value in data.items() if name in Settings.model_fields}
        return common | azure if cls.table == "azure" else data

    @classmethod
    def _explain(cls, error: ValidationError, arguments: dict[str, Any]) -> ConfigError:
        problem = error.errors(include_url=False, include_context=False)[0]
        name = cls._field_name(str(problem["loc"][0]))
        field = cls.model_fields[name]
        variable = cls._variable(name)
        if problem["type"] == "missing":
            return ConfigError(
                f"{name} is missing: pass {name}=…, set the environment variable {variable}, or write it to "
                f"llmkit.toml. It is {field.description}"
            )
        value, source = cls._origin(name, arguments)
        value = without_secrets(value) if isinstance(value, str) and name in ("base_url", "endpoint") else value
        shown = "" if name in cls._secrets() else f" = {value!r}"
        reason = str(problem["msg"]).removeprefix("Value error, ")
        return ConfigError(f"{name}{shown}, from {source}, is not valid: {reason}. It has to be {field.description}")

    @classmethod
    def _origin(cls, name: str, arguments: dict[str, Any]) -> tuple[object, str]:
        variable = cls._variable(name)
        sources: list[tuple[dict[str, Any], str]] = [
            (arguments, f"the argument {name}="),
            (EnvSettingsSource(cls)(), f"the environment variable {variable}"),
            (DotEnvSettingsSource(cls)(), f"{variable} in {Path('.env').resolve()}"),
            (cls._file(), str(FILE.resolve())),
        ]
        for values, source in sources:
            for spelling in (name, variable):
                if spelling in values:
                    return values[spelling], source
        return None, "the default"

    @classmethod
    def _variable(cls, name: str) -> str:
        alias = cls.model_fields[name].validation_alias
        return str(alias) if alias else f"LLMKIT_{name.upper()}"

    @classmethod
    def _field_name(cls, location: str) -> str:
        return next((name for name in cls.model_fields if location in (name, cls._variable(name))), location)


class OpenAISettings(Settings):
    """How to reach OpenAI, or a server that speaks as it does."""

    api_key: Key = Field(
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


class AzureSettings(Settings):
    """How to reach an Azure OpenAI resource; without `api_version`, by its v1 route, which needs none.

    The routes begin at `endpoint`, which may have a path, such as a gateway's.
    """

    table: ClassVar[str | None] = "azure"

    endpoint: Endpoint = Field(
        validation_alias="AZURE_OPENAI_ENDPOINT",
        description="the resource's URL, for example https://my-resource.openai.azure.com",
    )
    api_key: Key = Field(
        validation_alias="AZURE_OPENAI_API_KEY",
        description="one of the two keys of the resource, under 'Keys and Endpoint' in the Azure portal",
    )
    api_version: str | None = Field(
        None, validation_alias="OPENAI_API_VERSION", description="a version, for example '2024-10-21'"
    )

    @property
    def address(self) -> str:
        """Where requests go."""
        return self.endpoint


def _toml() -> dict[str, Any]:
    failure: ConfigError
    try:
        return tomllib.loads(FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        failure = ConfigError(f"{FILE.resolve()} cannot be read: {_reason(error)}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        failure = ConfigError(f"{FILE.resolve()} is not valid TOML: {error}")
    raise failure  # here, for the error above may hold the file's bytes, and these a key


def _reason(error: OSError | UnicodeError) -> str:
    """Why a file could not be read, without its bytes, which may be a key."""
    return str(error.strerror if isinstance(error, OSError) else getattr(error, "reason", error))


def _check_names(values: dict[str, Any], settings: type[Settings], *, where: str) -> None:
    unknown = sorted(set(values) - set(settings.model_fields))
    if unknown:
        known = ", ".join(sorted(settings.model_fields))
        raise ConfigError(f"{FILE.resolve()} sets {unknown[0]!r} {where}, which is none of the settings: {known}")


def _restore(settings: type[Settings], values: dict[str, Any]) -> Settings:
    return settings.load(**values)
