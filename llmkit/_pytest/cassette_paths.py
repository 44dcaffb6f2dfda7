"""Which cassette belongs to a test, and which to a fixture of wider scope. No two names meet in one file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmkit.recording.naming import file_name

_OUTSIDE = re.compile(r".*-[0-9a-f]{8}")

SCOPES = ("session", "package", "module", "class")


def of_test(cassettes: Path, root: Path, item: pytest.Item) -> Path:
    """Return the cassette of a test: ``<test path>/<class>/<test name>.yaml``."""
    classes = [file_name(node.name) for node in item.listchain() if isinstance(node, pytest.Class)]
    return cassettes.joinpath(_test_path(item.path, root), *classes, f"{file_name(item.name)}.yaml")


def named(cassettes: Path, name: str) -> Path:
    """Return the cassette that a marker calls ``name``."""
    return cassettes / f"{name}.yaml"


def of_scope(cassettes: Path, root: Path, scope: str, node: pytest.Item | pytest.Collector) -> Path:
    """Return the cassette of the fixtures of ``scope``, where ``node`` is what they are set up for."""
    if scope == "session":
        return cassettes / "__session__.yaml"
    below = _test_path(node.path, root)
    if scope == "package":
        return cassettes / below / "__package__.yaml"
    if scope == "class":
        below = below / file_name(node.name)
    return cassettes / below / f"__{scope}__.yaml"


def is_of_scope(path: Path) -> bool:
    """Tell whether ``path`` is the cassette of fixtures of wider scope."""
    return path.stem.removeprefix("__").removesuffix("__") in SCOPES and path.stem.startswith("__")


def modules_of(path: Path, cassettes: Path, root: Path) -> list[Path]:
    """Return the test files, there or not, to which the cassette at ``path`` could belong by its place."""
    below = path.relative_to(cassettes).parent
    return [root / name for place in (below, *below.parents) if place != Path() for name in _files_of(place)]


def is_of_doctest(path: Path) -> bool:
    """Tell whether ``path`` is of a doctest, which bears its module's name: only some runs collect them."""
    module = path.parent.name
    return f".{module}." in f".{path.stem}."


def is_from_outside(path: Path, cassettes: Path) -> bool:
    """Tell whether the cassette at ``path`` could be of a test that was collected from outside the rootdir."""
    return _OUTSIDE.fullmatch(path.relative_to(cassettes).parts[0]) is not None


def _files_of(place: Path) -> tuple[str, ...]:
    return (f"{place}.py", str(place)) if place.suffix else (f"{place}.py",)


def _test_path(path: Path, root: Path) -> Path:
    try:
        relative = path.relative_to(root)
    except ValueError:  # collected from outside the rootdir
        relative = Path(file_name(str(path)))
    return relative.with_suffix("") if relative.suffix == ".py" else relative
