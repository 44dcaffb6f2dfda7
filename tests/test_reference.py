"""docs/reference/ is as the code is. Row 5.I7."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import llmkit
from scripts import write_reference

REFERENCE = write_reference.read()
TEXTS = write_reference.written(REFERENCE)
PACKAGE = """\
'''What it is for.

    an(example)
'''
from llmkit._engine import Base
from os import path

__all__ = ["Thing", "ask"]
LIMIT = 3


class Thing(Base):
    '''A thing; see `ask`.'''

    def __init__(self, size: int = 1, *, colour: str | None = None, **more: object) -> None: ...

    @property
    def area(self) -> float:
        '''How large it is.'''

    async def grow(self, by_how_much: float, and_in_how_many_steps: int, /, *others: int) -> "Thing":
        '''Grows.'''

    def _shrink(self) -> None: ...


def ask(thing: Thing) -> str:
    '''Asks a `llmkit.Thing`.'''
"""


def test_the_reference_is_as_the_code_is() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in write_reference.PAGES.glob("*.md")}
    drifted = sorted(name for name in {*there, *TEXTS} if there.get(name) != TEXTS.get(name))
    assert drifted == [], "run python scripts/write_reference.py"


@pytest.mark.parametrize("name", llmkit.__all__)
def test_every_name_of_the_package_is_documented(name: str) -> None:
    place = REFERENCE.places[f"llmkit.{name}"]
    text = TEXTS[place.partition("#")[0]]
    assert inspect.ismodule(getattr(llmkit, name)) or f"\n## {name}\n" in text


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_the_links_of_a_page_lead_somewhere(name: str) -> None:
    for file, anchor in re.findall(r"\]\(([\w./]+\.md)(?:#([\w-]+))?\)", TEXTS[name]):
        text = TEXTS.get(file) or (write_reference.PAGES / file).read_text(encoding="utf-8")
        heads = {re.sub(r"[^\w -]", "", head).lower() for head in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
        assert not anchor or anchor in heads, (file, anchor)


def test_a_page_shows_signatures_docstrings_and_nothing_private(tmp_path: Path) -> None:
    package = tmp_path / "llmkit"
    package.mkdir()
    (tmp_path / "README.md").write_text("")
    (package / "__init__.py").write_text("from llmkit.things import Thing\n__all__ = ['Thing']\n")
    (package / "_engine.py").write_text("class Base:\n    def start(self): ...\n")
    (package / "things.py").write_text(PACKAGE)
    texts = write_reference.written(write_reference.read(tmp_path))
    assert "| [`llmkit.things`](things.md) | What it is for. |" in texts["index.md"]
    assert "[`Thing`](things.md#thing)" in texts["index.md"]
    assert (
        texts["things.md"].partition("\n\n")[2]
        == """\
[Source](../../llmkit/things.py) · [all modules](index.md)

What it is for.

    an(example)

## Thing

```python
class Thing(size: int = 1, *, colour: str | None = None, **more: object)
```

A thing; see `ask`.

- `area: float`: How large it is.

### Thing.grow

```python
async def grow(by_how_much: float, and_in_how_many_steps: int, /, *others: int) -> Thing
```

Grows.

## ask

```python
def ask(thing: Thing) -> str
```

Asks a [`llmkit.Thing`](things.md#thing).
"""
    )
