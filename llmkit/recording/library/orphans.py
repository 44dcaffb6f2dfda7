"""Cassettes of tests that are gone, found without running any: from the place of the file to a test in the source.

A file is judged by what is there: `tests/test_x.py` is parsed, never imported, and where that can't tell whether a
test exists (it may be inherited, or imported with a star) the cassette stays.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from llmkit.recording.library.project import Project
from llmkit.recording.naming import may_be_of

_SCOPE = re.compile(r"__(session|package|module|class)__")
_LIKE_A_MODULE = re.compile(r"test_.*|.*_test")
_NOT_SOURCE = frozenset({"node_modules", "site-packages", "build", "dist", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Orphan:
    """A cassette at ``path`` that no test can play; ``test`` is the node id, or the cassette's name, it was for."""

    path: Path
    test: str
    reason: str


@dataclass(frozen=True)
class TestSource:
    """The tests of a module, as far as its text tells; each is a path of class names that ends with a function."""

    __test__ = False

    names: frozenset[tuple[str, ...]] = frozenset()
    open_classes: frozenset[tuple[str, ...]] = frozenset()
    has_star: bool = False

    @classmethod
    def parse(cls, text: str) -> TestSource | None:
        """Read the source of a module, or return None if it is no Python of this version."""
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return None
        names: set[tuple[str, ...]] = set()
        opened: set[tuple[str, ...]] = set()
        has_star = _collect(tree.body, (), names, opened)
        return cls(frozenset(names), frozenset(opened), has_star)

    def may_have(self, classes: Sequence[str], file: str) -> bool:
        """Tell whether a cassette named ``file``, below the directories ``classes``, can be that of a test here."""
        if self.has_star:
            return True
        scope = self.scope(classes)
        if scope is None:
            return False
        if scope in self.open_classes:
            return True
        return any(name[:-1] == scope and may_be_of(file, name[-1]) for name in self.names)

    def scope(self, classes: Sequence[str]) -> tuple[str, ...] | None:
        """Return the path of the class whose cassettes lie below the directories ``classes``, None if it is gone."""
        path: tuple[str, ...] = ()
        for part in classes:
            if path in self.open_classes:
                return path
            below = [name for name in self.names if name[:-1] == path and may_be_of(part, name[-1])]
            if not below:
                return None
            path = below[0]
        return path


def _collect(
    body: Iterable[ast.stmt], path: tuple[str, ...], names: set[tuple[str, ...]], opened: set[tuple[str, ...]]
) -> bool:
    """Add what ``body`` defines; tell whether it imports names that can't be known."""
    has_star = False
    for node in body:
        for name in _defined(node):
            has_star |= name == "*"
            names.add((*path, name))
        if isinstance(node, ast.ClassDef):
            if any(not (isinstance(base, ast.Name) and base.id == "object") for base in node.bases):
                opened.add((*path, node.name))
            has_star |= _collect(node.body, (*path, node.name), names, opened)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.ExceptHandler)]
            statements = [
                one for child in inner for one in (child.body if isinstance(child, ast.ExceptHandler) else [child])
            ]
            has_star |= _collect(statements, path, names, opened)
    return has_star


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


@dataclass(frozen=True)
class Tests:
    """The tests of a project, read from its sources as they are asked for."""

    __test__ = False

    project: Project
    _modules: dict[Path, TestSource | None] = field(default_factory=dict)

    def orphan(self, path: Path) -> Orphan | None:
        """Tell why the cassette at ``path`` has no test; None if it has one, or if nothing tells."""
        path = path.absolute()
        if not path.is_relative_to(self.project.cassettes) or not self.sources:
            return None
        *directories, file = path.relative_to(self.project.cassettes).with_suffix("").parts
        if file == "__session__":
            return None
        place = self._place(directories)
        found = self._lost(path, *place, file) if place else self._unnamed(path, [*directories, file])
        return None if found is None or (place and self._is_named([*directories, file])) else found

    def module(self, path: Path) -> Path | None:
        """Return the test module, there or gone, that the cassette at ``path`` is of, if its place tells."""
        place = self._place(self._parts_of(path)[:-1])
        return place[0] if place else None

    def test_of(self, path: Path) -> str:
        """Return the node id of the test that the cassette at ``path`` is of, or its name where no module is known."""
        *directories, file = self._parts_of(path)
        place = self._place(directories)
        if place is None:
            return "/".join([*directories, file])
        return "::".join([place[0].relative_to(self.project.root).as_posix(), *place[1], *_parts(file)])

    def _parts_of(self, path: Path) -> tuple[str, ...]:
        path = path.absolute()
        is_inside = path.is_relative_to(self.project.cassettes)
        return (path.relative_to(self.project.cassettes) if is_inside else Path(path.name)).with_suffix("").parts

    def source(self, module: Path) -> TestSource | None:
        """Return the tests of ``module``, or None if it can't be read."""
        if module not in self._modules:
            self._modules[module] = TestSource.parse(_text(module))
        return self._modules[module]

    @cached_property
    def sources(self) -> list[Path]:
        """The Python files of the project, without what is installed, built or hidden."""
        found = []
        for directory, below, files in os.walk(self.project.root):
            below[:] = [name for name in below if not name.startswith(".") and name not in _NOT_SOURCE]
            below[:] = [name for name in below if not Path(directory, name, "pyvenv.cfg").exists()]
            found += [Path(directory, name) for name in files if name.endswith(".py")]
        return found

    @cached_property
    def _texts(self) -> dict[Path, str]:
        return {path: _text(path) for path in self.sources}

    def _place(self, directories: Sequence[str]) -> tuple[Path, list[str]] | None:
        """Return the test module that ``directories`` lead to, there or gone, and the classes below it."""
        here = self.project.root
        for position, part in enumerate(directories):
            module, below = here / f"{part}.py", list(directories[position + 1 :])
            if module.is_file() or (here / part).is_file():
                return (module if module.is_file() else here / part), below
            if not (here / part).is_dir():
                return (module, below) if _LIKE_A_MODULE.fullmatch(part) else None
            here /= part
        return None

    def _lost(self, path: Path, module: Path, classes: Sequence[str], file: str) -> Orphan | None:
        shown = module.relative_to(self.project.root).as_posix()
        if _SCOPE.fullmatch(file):
            return self._lost_scope(path, module, classes, shown)
        *dotted, name = _parts(file)
        test = "::".join([shown, *classes, *dotted, name])
        if not module.is_file():
            return Orphan(path, test, f"{shown} is gone")
        source = self.source(module) if module.suffix == ".py" else None
        if source is None or source.may_have(classes, file) or source.may_have([*classes, *dotted], name):
            return None
        return Orphan(path, test, f"{shown} has no such test")

    def _lost_scope(self, path: Path, module: Path, classes: Sequence[str], shown: str) -> Orphan | None:
        test = "::".join([shown, *classes])
        if not module.is_file():
            return Orphan(path, test, f"{shown} is gone")
        source = self.source(module) if module.suffix == ".py" else None
        if source is None or source.has_star or source.scope(classes) is not None:
            return None
        return Orphan(path, test, f"{shown} has no such class")

    def _unnamed(self, path: Path, parts: Sequence[str]) -> Orphan | None:
        if parts[-1] == "__package__":
            directory = "/".join(parts[:-1])
            is_there = (self.project.root / directory).is_dir()
            return None if is_there else Orphan(path, directory, f"the directory {directory} is gone")
        if self._is_named(parts) or self._is_named(parts[-1:]):
            return None
        return Orphan(path, "/".join(parts), "no Python file of the project names this cassette")

    def _is_named(self, parts: Sequence[str]) -> bool:
        """Tell whether a string in the project's sources has the name that ``parts`` make."""
        name = "/".join(parts)
        return any(name in text and _has_string(text, name) for text in self._texts.values())


def _parts(file: str) -> list[str]:
    """Return the name of a test after that of its class: pytest-recording writes both into the file's name."""
    function, bracket, parameters = file.partition("[")
    *classes, name = function.split(".")
    return [*classes, name + bracket + parameters]


def _has_string(text: str, name: str) -> bool:
    try:
        nodes = ast.walk(ast.parse(text))
        return any(isinstance(one, ast.Constant) and isinstance(one.value, str) and name in one.value for one in nodes)
    except (SyntaxError, ValueError, RecursionError):
        return True


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
