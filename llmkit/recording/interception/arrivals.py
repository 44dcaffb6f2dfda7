"""Noticing that a module is imported, so that only the clients are patched that an application uses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Arrived = Callable[[ModuleType], None]


@contextmanager
def noticed(names: Collection[str], arrived: Arrived) -> Iterator[None]:
    """Call ``arrived`` with each module of ``names``: now if it is there, else when the block has imported it."""
    finder = _Finder(names, arrived)
    sys.meta_path.insert(0, finder)
    try:
        for name in names:
            if module := sys.modules.get(name):
                arrived(module)
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Finds nothing itself: it lets the loader that another finder found tell when it is done."""

    def __init__(self, names: Collection[str], arrived: Arrived) -> None:
        self._names = names
        self._arrived = arrived

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        others = (finder.find_spec for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next((found for find in others if (found := find(fullname, path, target)) is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Telling(spec.loader, self._arrived)
        return spec


class _Telling(Loader):
    """A loader that loads as another one does, and then tells."""

    def __init__(self, loader: Loader, arrived: Arrived) -> None:
        self._loader = loader
        self._arrived = arrived

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader  # as it would be without us
        self._loader.exec_module(module)
        self._arrived(module)
