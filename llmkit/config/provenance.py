"""Where settings came from: for messages about wrong ones, for `llmkit doctor`, and for names that are nearly right."""

import difflib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import SecretStr, ValidationError

from llmkit.config.fields import without_secrets
from llmkit.config.files import DOTENV
from llmkit.errors import ConfigError, excerpt

if TYPE_CHECKING:
    from llmkit.config.settings import Settings

Source = tuple[dict[str, Any], Callable[[str], str]]
"""The values of a source, under names or variables; and how to speak of it, given a field's name."""

DEFAULT = "the default"

_OTHERS = frozenset(
    {
        "LLMKIT_CACHE_DIR",
        "LLMKIT_SEAL",
        "LLMKIT_LIVE",
        "LLMKIT_LOG",
        "LLMKIT_LIVE_MODEL",
        "LLMKIT_LIVE_EMBEDDING_MODEL",
        "LLMKIT_LIVE_DEPLOYMENT",
    }
)
"""Variables of llmkit that are no settings of a client."""
_FOREIGN = {
    "AZURE_OPENAI_KEY": "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_API_BASE": "AZURE_OPENAI_ENDPOINT",
    "AZURE_OPENAI_API_VERSION": "OPENAI_API_VERSION",
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "OPENAI_KEY": "OPENAI_API_KEY",
    "OPENAI_ORGANIZATION": "OPENAI_ORG_ID",
    "OPENAI_PROJECT": "OPENAI_PROJECT_ID",
}
"""Names by which others know our variables: a hint where ours is missing, for many programs share an environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One setting as it may be shown: `shown` is *** for a secret, `source` says where it came from."""

    name: str
    shown: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Misspelt:
    """A variable that is no setting, where it stands, and the setting it is nearest to, if any."""

    name: str
    source: str
    near: str | None


def origins(settings: "Settings", **arguments: Any) -> list[Origin]:
    """Every setting with where it came from; tables entry by entry. Give the arguments that it was loaded with."""
    kind = type(settings)
    found = kind.sources({name: value for name, value in arguments.items() if value is not None})
    return [origin for name in kind.model_fields for origin in _of_field(settings, name, found)]


def _of_field(settings: "Settings", name: str, sources: list[Source]) -> list[Origin]:
    value, kind = getattr(settings, name), type(settings)
    if isinstance(value, dict) and value:
        return [
            Origin(name=f"{name}.{key}", shown=_shown(entry), source=_holder(kind, name, sources, key=key))
            for key, entry in value.items()
        ]
    return [Origin(name=name, shown=_shown(value), source=_holder(kind, name, sources))]


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return without_secrets(text) if "://" in text else "***" if text else "none"
    if callable(value):
        return "a function"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return "none" if value is None or value == {} else str(value)


def _holder(kind: "type[Settings]", name: str, sources: list[Source], *, key: str | None = None) -> str:
    """The first source that has the field, or the entry `key` of it."""
    for values, told in sources:
        for spelling in (name, kind.variable(name)):
            if spelling in values and (key is None or key in values[spelling]):
                return told(name)
    return DEFAULT


def explained(error: ValidationError, kind: "type[Settings]", arguments: dict[str, Any]) -> ConfigError:
    """The error in words: which field, where its value came from, the value if it is no secret, and the fix."""
    problem = error.errors(include_url=False, include_context=False)[0]
    location = problem["loc"] or ("api_key",)  # a model as a whole is refused for want of a key alone
    name = kind.field_name(str(location[0]))
    description = kind.model_fields[name].description
    if problem["type"] == "missing" or not problem["loc"]:
        return ConfigError(
            f"{name} is missing: pass {name}=…, set the environment variable {kind.variable(name)}, or write it to "
            f"llmkit.toml{_table(kind)}. It is {description}{_foreign(kind.variable(name))}{_unread()}"
        )
    value, source = _value(kind, name, arguments)
    value = _seen_address(value) if isinstance(value, str) and name in ("base_url", "endpoint") else value
    value = {**value, "extra_headers": "***"} if isinstance(value, dict) and "extra_headers" in value else value
    shown = "" if name in kind.hidden else f" = {excerpt(value)}"
    entry = "".join(f"[{part!r}]" for part in location[1:]) if isinstance(value, dict) else ""
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return ConfigError(f"{name}{shown}, from {source}, is not valid: {entry and f'{entry} '}{reason}. "
                       f"It has to be {description}")  # fmt: skip


def _seen_address(text: str) -> str:
    """The address without secrets; *** for what looks as a key does, and may be one in the wrong place."""
    return "***" if re.fullmatch(r"[\w-]{16,}", text.strip()) else without_secrets(text)


def _value(kind: "type[Settings]", name: str, arguments: dict[str, Any]) -> tuple[object, str]:
    for values, told in kind.sources(arguments):
        for spelling in (name, kind.variable(name)):
            if spelling in values:
                return values[spelling], told(name)
    return None, DEFAULT


def _table(kind: "type[Settings]") -> str:
    return f" (table [{kind.table}])" if kind.table else ""


def _foreign(variable: str) -> str:
    """That the environment has the variable by a name that others use."""
    seen = {name for name, ours in _FOREIGN.items() if ours == variable} & (set(os.environ) | set(_dotenv()))
    return "".join(f". {name} is set, but llmkit does not read that name" for name in sorted(seen))


def _unread() -> str:
    """That `.env` has a line which cannot be read, and might be the one."""
    try:
        with DOTENV.open(encoding="utf-8-sig") as file:
            line = next((one.original.line for one in parse_stream(file) if one.error), None)
    except (OSError, UnicodeError):
        return ""
    return f". Also, line {line} of {DOTENV.resolve()} cannot be read: is a quote missing?" if line else ""


def nearest(name: str, kind: "type[Settings]") -> str:
    """A question after the setting that was meant, or the list of them."""
    known = sorted(kind.model_fields)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f": {', '.join(known)}"


def misspelt(kinds: "Iterable[type[Settings]]") -> list[Misspelt]:
    """Variables named LLMKIT_… that are no settings, in the environment and in `.env`."""
    kinds = list(kinds)
    known = {kind.variable(name) for kind in kinds for name in kind.model_fields} - {"LLMKIT_TOKEN_PROVIDER"}
    places = {"the environment": [name for name in os.environ if name.startswith("LLMKIT_")]}
    places[str(DOTENV.resolve())] = [name for name in _dotenv() if name.startswith("LLMKIT_")]
    return [
        Misspelt(name=name, source=source, near=_meant(name, kinds, sorted(known)))
        for source, names in places.items()
        for name in sorted(set(names) - known - _OTHERS)
    ]


def _meant(name: str, kinds: "Iterable[type[Settings]]", known: list[str]) -> str | None:
    """The variables of the setting that `name` names, else the variable whose name is nearest."""
    field = name.removeprefix("LLMKIT_").lower()
    own = [kind.variable(field) for kind in kinds if field in kind.model_fields and field != "token_provider"]
    return " or ".join(dict.fromkeys(own)) or next(iter(difflib.get_close_matches(name, known, n=1)), None)


def _dotenv() -> dict[str, str | None]:
    try:
        return dotenv_values(DOTENV, encoding="utf-8", interpolate=False) if DOTENV.is_file() else {}
    except (OSError, UnicodeError):
        return {}  # loading the settings says so
