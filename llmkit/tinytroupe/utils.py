"""What `openai_utils` uses of TinyTroupe's own module `utils`; the names are TinyTroupe's."""

import configparser
import functools
import json
import logging
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from llmkit.tinytroupe import mustache

_logger = logging.getLogger("tinytroupe")
_config: ConfigParser | None = None
_HERE = Path(__file__).parent
_P = ParamSpec("_P")
_T = TypeVar("_T")


def read_config_file(use_cache: bool = True, verbose: bool = True) -> ConfigParser:  # noqa: FBT001, FBT002 - TinyTroupe's
    """`config.ini` of the working directory, else TinyTroupe's own, else the one of this package.

    It is read once unless `use_cache` is False. ValueError if there is none, or if it can't be read. `verbose` logs
    which it is.
    """
    global _config
    if _config is None or not use_cache:
        _config = _read(_config_file(), verbose=verbose)
    return _config


def _config_file() -> Path:
    for folder in _folders():
        if (folder / "config.ini").exists():
            return folder / "config.ini"
    raise ValueError("Could not find config.ini file anywhere")


def _folders() -> Iterator[Path]:
    """Where files are looked for, in TinyTroupe's order: its own agents read the same `config.ini`."""
    yield Path.cwd()
    yield from _tinytroupe()
    yield _HERE


def _tinytroupe() -> Iterator[Path]:
    """The folder of an installed TinyTroupe, which is not imported for it."""
    try:
        spec = find_spec("tinytroupe")
    except ValueError:  # a stand-in of a test: a module that came from nowhere
        return
    yield from map(Path, (spec and spec.submodule_search_locations) or ())


def _read(path: Path, *, verbose: bool) -> ConfigParser:
    config = ConfigParser()
    failure: ValueError
    try:
        config.read(path, encoding="utf-8-sig")
    except UnicodeDecodeError:
        failure = ValueError(f"{path} is no text in UTF-8: save it as such")
    except configparser.Error as error:
        failure = ValueError(f"{path} cannot be read, at its {_place(error)}")
    else:
        if verbose:
            _logger.info("The configuration is %s", path)
        return config
    raise failure  # without the cause, which quotes lines that may hold a key


def _place(error: configparser.Error) -> str:
    errors = getattr(error, "errors", None)
    line = getattr(error, "lineno", None) or (errors[0][0] if errors else None)
    return f"line {line}" if line else "beginning"


def compose_initial_LLM_messages_with_templates(  # noqa: N802 - TinyTroupe's name
    system_template_name: str,
    user_template_name: str | None = None,
    rendering_configs: Mapping[str, Any] | None = None,
) -> list[dict[str, str]]:
    """A system message, and a user message if its template is named, rendered from mustache files.

    Templates are looked for in the folder `prompts` of the working directory, of an installed TinyTroupe, and of this
    package; FileNotFoundError says where. What is filled in stays inside its message.
    """
    named = [("system", system_template_name), ("user", user_template_name)]
    return [
        {"role": role, "content": mustache.render(_template(name), rendering_configs or {}, partials=_partial)}
        for role, name in named
        if name is not None
    ]


def _template(name: str) -> str:
    places = [folder / name for folder in _prompt_folders()]
    for place in places:
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise FileNotFoundError(f"There is no template {name!r}. Looked for: {', '.join(map(str, places))}")


def _partial(name: str) -> str:
    """The text of another template of the folder; nothing where it is missing, as mustache has it."""
    places = [folder / f"{name}.mustache" for folder in _prompt_folders()]
    return next((place.read_text(encoding="utf-8") for place in places if place.is_file()), "")


def _prompt_folders() -> Iterator[Path]:
    return (folder / "prompts" for folder in _folders())


def sanitize_dict(value: dict[str, Any]) -> dict[str, Any]:
    """A copy of plain JSON data, without characters that UTF-8 can't hold."""
    clean: dict[str, Any] = json.loads(sanitize_raw_string(json.dumps(value, ensure_ascii=False)))
    return clean


def sanitize_raw_string(value: str) -> str:
    """`value` without characters that UTF-8 can't hold: halves of surrogate pairs."""
    return value.encode("utf-8", "ignore").decode("utf-8")[: sys.maxsize]


def dedent(text: str) -> str:
    """`text` without the indentation that all its lines share, and without blanks around it."""
    return textwrap.dedent(text).strip()


def repeat_on_error(
    retries: int, exceptions: Sequence[type[BaseException]]
) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """A decorator: call the function while it raises one of `exceptions`, up to `retries` times; then let it raise."""
    if retries < 1:
        raise ValueError(f"retries = {retries!r}: a function has to be called at least once")

    def decorator(function: Callable[_P, _T]) -> Callable[_P, _T]:
        @functools.wraps(function)
        def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            for attempt in range(1, retries):
                try:
                    return function(*args, **kwargs)
                except tuple(exceptions) as exc:
                    _logger.debug("Exception occurred: %s. Retrying (%s/%s)...", exc, attempt, retries)
            return function(*args, **kwargs)

        return wrapper

    return decorator
