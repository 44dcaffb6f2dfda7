"""The `[OpenAI]` section of `config.ini`, typed.

It is a `configparser` section or, where a test stands in for it, a plain dict of strings: both are read alike.
"""

from collections.abc import Callable, Mapping
from configparser import ConfigParser, InterpolationError
from typing import Any

Config = ConfigParser | Mapping[str, Mapping[str, str]]

_Reader = Callable[[str], Any]


def _whole_if_it_is(text: str) -> int | float:
    """0 stays 0, since the number is part of every cache key; TinyTroupe itself can't read 0.9."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _switch(text: str) -> bool:
    return ConfigParser.BOOLEAN_STATES[text.lower()]


# what each default is called in the file, what it is without an entry there, and how its text is read
_ENTRIES: dict[str, tuple[str, str, _Reader]] = {
    "model": ("MODEL", "gpt-4", str),
    "max_tokens": ("MAX_TOKENS", "1024", int),
    "temperature": ("TEMPERATURE", "0.3", float),
    "top_p": ("TOP_P", "0", _whole_if_it_is),
    "frequency_penalty": ("FREQ_PENALTY", "0.0", float),
    "presence_penalty": ("PRESENCE_PENALTY", "0.0", float),
    "timeout": ("TIMEOUT", "30.0", float),
    "max_attempts": ("MAX_ATTEMPTS", "0.0", float),
    "waiting_time": ("WAITING_TIME", "0.5", float),
    "exponential_backoff_factor": ("EXPONENTIAL_BACKOFF_FACTOR", "5", float),
    "embedding_model": ("EMBEDDING_MODEL", "text-embedding-3-small", str),
    "cache_api_calls": ("CACHE_API_CALLS", "False", _switch),
    "cache_file_name": ("CACHE_FILE_NAME", "openai_api_cache.pickle", str),
}
_EXPECTED = {int: "a whole number", float: "a number", _whole_if_it_is: "a number", _switch: "True or False"}


def defaults(config: Config) -> dict[str, Any]:
    """The thirteen defaults of every call; ValueError names an entry that can't be read."""
    found = section(config)
    return {key: _read(found, *entry) for key, entry in _ENTRIES.items()}


def section(config: Config) -> Mapping[str, str]:
    """The entries of `[OpenAI]`; ValueError without one."""
    if "OpenAI" not in config:
        raise ValueError("config.ini has no section [OpenAI]. Add one, or remove the file to use what llmkit brings.")
    return config["OpenAI"]


def _read(found: Mapping[str, str], name: str, otherwise: str, reader: _Reader) -> Any:
    try:
        text = str(found.get(name, otherwise)).strip()
    except InterpolationError:
        raise ValueError(f"config.ini, [OpenAI], {name}: a single % has to be written as %%") from None
    try:
        return reader(text)
    except (ValueError, KeyError):
        raise ValueError(f"config.ini, [OpenAI], {name} = {text!r}: it has to be {_EXPECTED[reader]}") from None
