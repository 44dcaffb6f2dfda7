"""Named misbehaviours, grouped by where they act: on responses, streams and connections.

A fault is a function that takes keyword options and returns what becomes of an answer; `@register` turns it into a
maker of steps, known to Python, YAML and the admin API under its own name. That is all that adding one takes.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # for type checkers and editors only: at run time every module of this folder is loaded by itself
    from mockserver.faults.bodies import *  # noqa: F403
    from mockserver.faults.connections import *  # noqa: F403
    from mockserver.faults.registry import Effect, Kind
    from mockserver.faults.responses import *  # noqa: F403
    from mockserver.faults.streams import *  # noqa: F403
    from mockserver.scripting.steps import Step


def names() -> list[str]:
    """Every fault there is, sorted."""
    return sorted(kinds())


def kinds() -> "dict[str, Kind]":
    """Every fault there is, by name: where it acts and what it takes."""
    from mockserver.faults.registry import REGISTRY

    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__name__}.{module.name}")
    return REGISTRY


def make(name: str, **options: Any) -> "Step":
    """A step with the fault called `name`; KeyError if there is none, ValueError for a value it cannot take."""
    return _known(name).step(**options)


def maker(name: str) -> "Callable[..., Effect]":
    """The function behind a fault, whose signature says what it takes."""
    return _known(name).make


def _known(name: str) -> "Kind":
    try:
        return kinds()[name]
    except KeyError:
        from mockserver.scripting.options import suggestion

        raise KeyError(f"unknown fault {name!r}; {suggestion(name, names())}") from None


def __getattr__(name: str) -> "Callable[..., Step]":
    if name.startswith("_") or name not in kinds():
        raise AttributeError(f"there is no fault {name!r}; there are {', '.join(names())}" if name[0] != "_" else name)
    return kinds()[name].step


def __dir__() -> list[str]:
    return ["kinds", "make", "maker", "names", *names()]


class _Makers(ModuleType):
    """A module that can be called: `fault("hang")` is `fault.hang()`, for a name out of JSON, YAML or a list."""

    def __call__(self, name: str, /, **options: Any) -> "Step":
        return make(name, **options)


sys.modules[__name__].__class__ = _Makers
