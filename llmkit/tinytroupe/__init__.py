"""A drop-in for TinyTroupe's module `tinytroupe.openai_utils`, as of TinyTroupe 0.3.0.

    import sys
    import llmkit.tinytroupe
    sys.modules["tinytroupe.openai_utils"] = llmkit.tinytroupe  # before anything imports TinyTroupe
    import tinytroupe.agent

Names, texts, configuration, cache file and waits are TinyTroupe's (https://github.com/microsoft/TinyTroupe, commit
1b9b1f4); so is the habit to return None and log why. Its bugs are left out: `docs/guides/tinytroupe.md` names them.

The modules imported here are part of the surface: what replaces one of them on this module is used from then on.
"""

import configparser as configparser
import json as json
import logging
import os as os
import pickle as pickle
import time as time
from collections.abc import Mapping
from configparser import ConfigParser
from typing import Any

import openai as openai
import tiktoken as tiktoken
from openai import AzureOpenAI, OpenAI

from llmkit.tinytroupe import settings, utils
from llmkit.tinytroupe.calls import LLMCall
from llmkit.tinytroupe.clients import AzureClient, OpenAIClient
from llmkit.tinytroupe.errors import InvalidRequestError, NonTerminalError
from llmkit.tinytroupe.redaction import WithoutKeys

__all__ = [
    "AzureClient",
    "AzureOpenAI",
    "InvalidRequestError",
    "LLMCall",
    "NonTerminalError",
    "OpenAI",
    "OpenAIClient",
    "client",
    "config",
    "default",
    "force_api_cache",
    "force_api_type",
    "force_default_value",
    "logger",
    "register_client",
    "utils",
]

logger = logging.getLogger("tinytroupe")
logger.addFilter(WithoutKeys())

config: ConfigParser = utils.read_config_file()
default: dict[str, Any] = settings.defaults(config)

_configured = dict(default)
_forced: dict[str, Any] = {}
_CONFIGURED: Any = object()

_api_type_to_client: dict[Any, Any] = {}
_api_type_override: str | None = None


def default_value(key: str) -> Any:
    """What holds for an argument that a call leaves out: what was forced, else what the configuration says now."""
    value = default[key]
    forced = key in _forced and _forced[key] == value
    return value if forced or value != _configured[key] else settings.defaults(utils.read_config_file())[key]


def setting(name: str) -> str | None:
    """An entry of the section `[OpenAI]`, None if it has none."""
    entries: Mapping[str, str] = settings.section(utils.read_config_file())
    return entries.get(name)


def register_client(api_type: str, client: Any) -> None:
    """Let `client` answer where the configuration or `force_api_type` says `api_type`."""
    _api_type_to_client[api_type] = client


def _get_client_for_api_type(api_type: str | None) -> Any:
    try:
        return _api_type_to_client[api_type]
    except KeyError:
        raise ValueError(f"API type {api_type} is not supported. Please check the 'config.ini' file.") from None


def client() -> Any:
    """The client for the API type that was forced, else for the configured one; ValueError if none is registered."""
    api_type = setting("API_TYPE") if _api_type_override is None else _api_type_override
    logger.debug("Using API type %s.", api_type)
    return _get_client_for_api_type(api_type)


def force_api_type(api_type: str) -> None:
    """Use the client registered for `api_type`, whatever the configuration says."""
    global _api_type_override
    _api_type_override = api_type


def force_api_cache(cache_api_calls: bool, cache_file_name: str = _CONFIGURED) -> None:  # noqa: FBT001 - TinyTroupe's
    """Let every registered client keep its replies in that file, or none."""
    name = default_value("cache_file_name") if cache_file_name is _CONFIGURED else cache_file_name
    for each in _api_type_to_client.values():
        each.set_api_cache(cache_api_calls, name)


def force_default_value(key: str, value: Any) -> None:
    """Use `value` from the next call on, whatever the configuration says; ValueError for a key that `default` lacks."""
    if key not in default:
        raise ValueError(f"Key {key} is not a valid configuration key.")
    default[key] = _forced[key] = value


register_client("openai", OpenAIClient())
register_client("azure", AzureClient())
