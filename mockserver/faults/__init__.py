"""Named misbehaviours, grouped by where they act: on responses, streams and connections.

A fault is a function that takes keyword options and returns what becomes of an answer; `@register` turns it into a
maker of steps, known to Python, YAML and the admin API under its own name. That is all that adding one takes.
"""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mockserver.faults.registry import REGISTRY
from mockserver.steps import Step

if TYPE_CHECKING:
    # for type checkers and editors only: at run time every module of this folder is loaded by itself
    from mockserver.faults.connections import *  # noqa: F403
    from mockserver.faults.responses import *  # noqa: F403
    from mockserver.faults.streams import *  # noqa: F403


def names() -> list[str]:
    """Every fault there is, sorted."""
    return sorted(_loaded())


def make(name: str, **options: Any) -> Step:
    """A step with the fault called `name`; KeyError if there is none, ValueError for a value it cannot take."""
    return _loaded()[name](**options)


def _loaded() -> dict[str, Callable[..., Step]]:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__name__}.{module.name}")
    return REGISTRY


def __getattr__(name: str) -> Callable[..., Step]:
    if name.startswith("_") or name not in _loaded():
        raise AttributeError(f"there is no fault {name!r}; there are {', '.join(names())}" if name[0] != "_" else name)
    return REGISTRY[name]


def __dir__() -> list[str]:
    return ["make", "names", *names()]
