"""What a setting may be: addresses, keys, lists and tables, as a file or a variable spells them."""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

TokenProvider = Callable[[], str | Awaitable[str]]

_STORES = ("redis", "rediss", "unix", "valkey", "valkeys")
_CALLS_OWN = ("messages", "model", "input", "prompt", "stream")
_SDKS = ("timeout", "max_retries", "extra_headers", "extra_query", "extra_body")
_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def without_secrets(text: str) -> str:
    """`text` with *** for what addresses in it may hide: user names, passwords and queries."""
    return re.sub(r"(?<=\S)[?#][^\s'\"]*", "?***", re.sub(r"((?:\w+:)?//|^)[^\s'\"]*@", r"\1***@", text))


def pairs(text: object) -> object:
    """The table that `text` spells: JSON, or `name=value,name=value` with JSON values; anything else as it is.

    A value that isn't JSON is a text, as in `chat=gpt-4o`.
    """
    if not isinstance(text, str):
        return text
    if text.lstrip().startswith("{"):
        return _json(text)
    entries = [entry.partition("=") for entry in text.split(",") if entry.strip()]
    if not all(name.strip() and equals for name, equals, _ in entries):
        return text
    return {name.strip(): _json(value.strip()) for name, _, value in entries}


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _names(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _json(value)
    return [name.strip() for name in value.split(",") if name.strip()]


def _header_safe(key: SecretStr) -> SecretStr:
    value = key.get_secret_value().strip()
    if not (value.isascii() and value.isprintable() and value):
        raise ValueError("it is empty, or holds characters that cannot be sent")
    if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
        raise ValueError("it stands in quotes, which would be sent with it: leave them out")
    if value.startswith(("https://", "http://", "Bearer ")):
        raise ValueError("it begins as an address or a header does: give the key alone")
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


def _store(url: SecretStr) -> SecretStr:
    """The address of a Redis or Valkey server; a secret, for it may hold a password."""
    text = url.get_secret_value().strip()
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _STORES:
        raise ValueError(f"it does not begin with one of {', '.join(f'{name}://' for name in _STORES)}")
    if not rest:
        raise ValueError("it names no host")
    if scheme != "unix":
        _check_port(urlsplit(text))
    return SecretStr(text)


def _cache(value: object) -> object:
    """True, False, or the path of a SQLite file."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise ValueError("it is empty")
    return _SWITCH.get(value.strip().lower(), _home_path(value.strip()))


def _home_path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("there is no such user") from None


def _parameters(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if name in (*_CALLS_OWN, *_SDKS):
            raise ValueError(f"{name!r} is no default parameter: each call says it, or a setting of its own")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("JSON cannot say it, and so no request") from None
    return value


Key = Annotated[SecretStr, AfterValidator(_header_safe)]
Url = Annotated[str, AfterValidator(_http_url)]
Endpoint = Annotated[Url, AfterValidator(_azure_endpoint)]
StoreUrl = Annotated[SecretStr, AfterValidator(_store)]
Cache = Annotated[bool | Path, NoDecode, BeforeValidator(_cache)]
Names = Annotated[tuple[Annotated[str, AfterValidator(str.strip)], ...], NoDecode, BeforeValidator(_names)]
Parameters = Annotated[dict[str, Any], NoDecode, BeforeValidator(pairs), AfterValidator(_parameters)]
Deployments = Annotated[dict[str, str], NoDecode, BeforeValidator(pairs)]
