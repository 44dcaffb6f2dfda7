"""Which cassette belongs to a test, and which to a fixture of wider scope. No two names meet in one file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

_UNSAFE = re.compile(r"[^\w.,=+@ \[\]-]")
_LONGEST_NAME = 150  # bytes; file systems end at 255, and a temporary name is longer


def of_test(cassettes: Path, root: Path, item: pytest.Item) -> Path:
    """Return the cassette of a test: ``<test path>/<class>/<test name>.yaml``."""
    classes = [_file_name(node.name) for node in item.listchain() if isinstance(node, pytest.Class)]
    return cassettes.joinpath(_test_path(item.path, root), *classes, f"{_file_name(item.name)}.yaml")


def of_scope(cassettes: Path, root: Path, scope: str, node: pytest.Item | pytest.Collector) -> Path:
    """Return the cassette of the fixtures of ``scope``, where ``node`` is what they are set up for."""
    if scope == "session":
        return cassettes / "__session__.yaml"
    below = _test_path(node.path, root)
    if scope == "package":
        return cassettes / below / "__package__.yaml"
    if scope == "class":
        below = below / _file_name(node.name)
    return cassettes / below / f"__{scope}__.yaml"


def shown(path: Path, root: Path) -> str:
    """Return ``path`` as people read it, from ``root`` on."""
    return f"{path.relative_to(root)}/" if path.is_relative_to(root) else f"{path}/"


def _test_path(path: Path, root: Path) -> Path:
    try:
        relative = path.relative_to(root)
    except ValueError:  # collected from outside the rootdir
        relative = Path(_file_name(str(path)))
    return relative.with_suffix("") if relative.suffix == ".py" else relative


def _file_name(name: str) -> str:
    """Return ``name`` where it is a plain file name; another gets a part of its hash."""
    plain = _UNSAFE.sub("-", name)
    encoded = plain.encode("utf-8", "replace")
    if plain == name and len(encoded) <= _LONGEST_NAME and name.strip(". ") == name:
        return name
    shortened = encoded[:_LONGEST_NAME].decode("utf-8", "ignore").strip(". ")
    return f"{shortened}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
