"""Where a project keeps its cassettes and what it says about them in pytest's configuration, read without pytest.

See https://docs.pytest.org/en/stable/reference/customize.html for the files and their order.
"""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmkit.recording.errors import RecordingError
from llmkit.recording.replies.prices import Prices
from llmkit.recording.scrubbing.leaks import NOTHING, Allowed

_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_SECTIONS = {"setup.cfg": "tool:pytest"}
_DIRECTORY = "cassettes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The directory ``root`` of a project, ``cassettes`` below it, and its settings that concern recordings.

    ``config`` is the file that they were read from, None if there is none.
    """

    root: Path
    cassettes: Path
    config: Path | None = None
    allowed: Allowed = NOTHING
    prices: Prices = field(default_factory=Prices)
    max_age_days: float | None = None

    @classmethod
    def around(cls, path: Path, *, root: Path | None = None) -> Project:
        """Return the project that ``path`` lies in; its settings are those of the nearest configuration of pytest.

        Without ``root``, it is the directory of that configuration if ``path`` lies where its cassettes are, and else
        the one that holds the nearest directory named ``cassettes``. Raises `RecordingError` for a setting that can't
        be read.
        """
        start = (root or path).absolute()
        config, settings = next(filter(None, map(_settings_of, (start, *start.parents))), (None, {}))
        named = str(settings.get("llmkit_cassettes") or _DIRECTORY)
        if root is None:
            root = _root_of(start, config, named)
        is_own = config is not None and config.parent == root
        return cls._made(root.absolute(), named if is_own else _DIRECTORY, config, settings)

    @classmethod
    def _made(cls, root: Path, cassettes: str, config: Path | None, settings: Mapping[str, Any]) -> Project:
        try:
            days = str(settings.get("llmkit_max_age_days") or "")
            return cls(
                root=root,
                cassettes=root / cassettes,
                config=config,
                allowed=Allowed.parse(_lines(settings.get("llmkit_allowed_secrets"))),
                prices=Prices.parse(_lines(settings.get("llmkit_prices"))),
                max_age_days=float(days) if days else None,
            )
        except ValueError as error:
            raise RecordingError(f"{config}: {error}") from None


def _root_of(path: Path, config: Path | None, named: str) -> Path:
    if config is not None and path.is_relative_to(config.parent / named):
        return config.parent
    holders = (directory.parent for directory in (path, *path.parents) if directory.name == _DIRECTORY)
    fallback = config.parent if config else path if path.is_dir() else path.parent
    return next(holders, fallback)


def _settings_of(directory: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """Return the file in ``directory`` that configures pytest, and what it says."""
    for name in _FILES:
        path = directory / name
        if path.is_file() and (settings := _read(path)) is not None:
            return path, settings
    return None


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
        return _from_toml(path, text) if path.suffix == ".toml" else _from_ini(path, text)
    except (OSError, ValueError, configparser.Error) as error:
        raise RecordingError(f"{path}: it can't be read: {error}") from None


def _from_toml(path: Path, text: str) -> Mapping[str, Any] | None:
    document: Any = tomllib.loads(text)
    if path.name != "pyproject.toml":
        return document.get("pytest") or {}
    settings = document.get("tool", {}).get("pytest")
    return None if settings is None else settings.get("ini_options", settings)


def _from_ini(path: Path, text: str) -> Mapping[str, Any] | None:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.read_string(text)
    section = _SECTIONS.get(path.name, "pytest")
    if parser.has_section(section):
        return dict(parser.items(section))
    return {} if path.name.endswith("pytest.ini") else None


def _lines(value: object) -> Iterator[str]:
    values = value if isinstance(value, list) else [value or ""]
    for one in values:
        yield from str(one).splitlines()
