"""The files that settings come from: `llmkit.toml`, and `config.ini` as TinyTroupe writes it.

`config.ini` is https://github.com/microsoft/TinyTroupe/blob/main/tinytroupe/config.ini; of its section `[OpenAI]` these
keys say what llmkit has a setting for. Its TIMEOUT is not among them: it bounds one request, and ours a call with all
its requests.
"""

import configparser
import difflib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from llmkit.errors import ConfigError

FILE = Path("llmkit.toml")
INI = Path("config.ini")
DOTENV = Path(".env")

SETTING_OF = {
    "API_TYPE": "provider",
    "MODEL": "model",
    "EMBEDDING_MODEL": "embedding_model",
    "MAX_ATTEMPTS": "max_attempts",
    "AZURE_API_VERSION": "api_version",
}
_SECRET = ("api_key", "state_url")
PARAMETER_OF = {
    "MAX_TOKENS": "max_tokens",
    "TEMPERATURE": "temperature",
    "TOP_P": "top_p",
    "FREQ_PENALTY": "frequency_penalty",
    "PRESENCE_PENALTY": "presence_penalty",
}


def toml() -> dict[str, Any]:
    """What `llmkit.toml` says, secrets wrapped; {} where there is none; raises ConfigError for a file that is none."""
    failure: ConfigError
    try:
        return _wrapped(tomllib.loads(FILE.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        return {}
    except OSError as error:
        failure = ConfigError(f"{FILE.resolve()} cannot be read: {reason(error)}")
    except (ValueError, RecursionError) as error:  # also for a number of thousands of digits
        failure = ConfigError(f"{FILE.resolve()} is not valid TOML: {error}")
    raise failure  # here, for the error above may hold the file's bytes, and these a key


def _wrapped(table: dict[str, Any]) -> dict[str, Any]:
    """The table with its secrets as such: error trackers send what the frames of an error hold."""
    return {
        name: SecretStr(value)
        if name in _SECRET and isinstance(value, str)
        else _wrapped(value)
        if name == "azure" and isinstance(value, dict)
        else value
        for name, value in table.items()
    }


def ini() -> dict[str, Any]:
    """What the section `[OpenAI]` of `config.ini` says, under the names of our settings.

    Any program may have a `config.ini`: one that can't be read is an error only if it has that section.
    """
    try:
        text = INI.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return {}
    if "[OpenAI]" not in text:
        return {}
    section = _section(text)
    values: dict[str, Any] = {setting: section[key] for key, setting in SETTING_OF.items() if section.get(key)}
    defaults = {name: _number(section[key]) for key, name in PARAMETER_OF.items() if section.get(key)}
    return values | ({"defaults": defaults} if defaults else {})


def _section(text: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    failure: ConfigError
    try:
        parser.read_string(text)
        return {key.upper(): value for key, value in parser["OpenAI"].items()} if "OpenAI" in parser else {}
    except configparser.Error as error:
        failure = ConfigError(f"{INI.resolve()} cannot be read, at its {_place(error)}")
    raise failure  # without the cause, which quotes lines that may hold a key


def _place(error: configparser.Error) -> str:
    errors = getattr(error, "errors", None)
    line = getattr(error, "lineno", None) or (errors[0][0] if errors else None)
    return f"line {line}" if line else "beginning"


def _number(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def reason(error: OSError | UnicodeError) -> str:
    """Why a file could not be read, without its bytes, which may be a key."""
    return str(error.strerror if isinstance(error, OSError) else getattr(error, "reason", error))


def check_names(values: dict[str, Any], known: Iterable[str], *, where: str) -> None:
    """Raises ConfigError for the first name in `values` that is none of the `known`, with the nearest of them."""
    names = sorted(known)
    for name in sorted(set(values) - set(names)):
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"{FILE.resolve()} sets {name!r} {where}, which is none of the settings: {', '.join(names)}.{hint}"
        )
