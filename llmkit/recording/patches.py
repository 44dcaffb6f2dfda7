"""Attributes that are replaced for a while, also in modules that are imported in the meantime."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Replacement = tuple[object, str, Callable[[Any], Any]]
"""An owner, the name of its attribute, and what makes the new value of the present one."""

_ABSENT = object()


class Patches:
    """Replacements by the name of the module whose import makes them possible."""

    def __init__(self, by_module: Mapping[str, Callable[[Any], Iterator[Replacement]]]) -> None:
        self._by_module = by_module
        self._awaited: set[str] = set()
        self._replaced: list[tuple[Any, str, object, object]] = []

    def put_in(self) -> None:
        """Replace in what is imported, and wait for the rest."""
        for name in self._by_module:
            self._awaited.add(name)
            if (module := sys.modules.get(name)) is not None:  # None says that it must not be imported
                self._patch(name, module)
        sys.meta_path.insert(0, self)

    def take_out(self) -> None:
        """Restore what nobody else has replaced since."""
        self._awaited.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        while self._replaced:
            owner, name, before, ours = self._replaced.pop()
            if vars(owner).get(name) is not ours:
                continue
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the import system's other finders find an awaited module, and patch it once it has run."""
        if name not in self._awaited:
            return None
        self._awaited.discard(name)  # the others may ask back
        found = (finder.find_spec(name, path, target) for finder in list(sys.meta_path) if finder is not self)
        spec = next((spec for spec in found if spec is not None), None)
        self._awaited.add(name)  # it may be imported anew
        if spec is not None:
            self._patch_when_run(name, spec.loader)
        return spec

    def _patch_when_run(self, name: str, loader: Any) -> None:
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            run(module)
            if self in sys.meta_path:  # else they were taken out meanwhile
                self._patch(name, module)

        loader.exec_module = exec_module

    def _patch(self, module_name: str, module: ModuleType) -> None:
        for owner, name, make in self._by_module[module_name](module):
            if not hasattr(owner, name):
                continue  # another platform or version, or a module that is being imported just now
            before = vars(owner).get(name, _ABSENT)
            ours = make(getattr(owner, name))
            setattr(owner, name, ours)
            self._replaced.append((owner, name, before, ours))
