"""Writes docs/reference/: the public names of llmkit, with their signatures and what their docstrings say.

python scripts/write_reference.py, after a change of a signature or a docstring. The source is read, not imported.
Public is what a module without `_` in its name exports (`__all__`, or else what it defines). A package with `__all__`
hides its modules, but for those that it exports, and that README and guides import.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import griffe

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "reference"
ELSEWHERE = {
    "cli": "`llmkit --help`",
    "pytest_plugin": "[recording](../guides/recording.md)",
    "diagnosis": "`llmkit doctor --help`",
    "vocabulary": "what `tokens` reads",
}
WIDTH = 100
HEAD = """# Reference

Generated from the source by `python scripts/write_reference.py`: every public name, its signature and its docstring.
Elsewhere: {elsewhere}.

| module | what it is for |
|---|---|
{modules}

## Names of `llmkit`

{names}
"""

Item: TypeAlias = griffe.Class | griffe.Function | griffe.Attribute | griffe.TypeAlias


@dataclass(frozen=True, slots=True)
class Page:
    """A public module and the names that are documented on its page."""

    module: griffe.Module
    items: Mapping[str, Item]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.module.path.removeprefix('llmkit').removeprefix('.') or 'index'}.md"


@dataclass(slots=True)
class Reference:
    """All pages, and where a name is documented."""

    pages: list[Page]
    places: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for page in self.pages:
            self.places.setdefault(page.module.path, page.file)
            for name, item in page.items.items():
                for path in (item.path, f"{page.module.path}.{name}"):
                    self.places.setdefault(path, f"{page.file}#{name.lower()}")
        for name, item in exported(self.pages[0].module):
            self.places.setdefault(f"llmkit.{name}", self.places[item.path])

    def linked(self, text: str) -> str:
        """Return ``text`` with links at the documented names between backticks."""
        return re.sub(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)", lambda match: self.link(match[1]), text)

    def link(self, name: str, path: str | None = None) -> str:
        """Return a link to ``name`` where it is documented, and the name alone where it is not."""
        place = self.places.get(path or name) or self.places.get(f"llmkit.{name}")
        return f"[`{name}`]({place})" if place else f"`{name}`"


def read(root: Path = ROOT) -> Reference:
    """Return the reference of the package below ``root``."""
    package = griffe.load(
        "llmkit",
        search_paths=[root],
        try_relative_path=False,
        allow_inspection=False,
        resolve_aliases=True,
        resolve_external=False,
    )
    assert isinstance(package, griffe.Module)
    imported = imported_by_docs(root)
    pages = [Page(module, dict(exported(module))) for module in public(package, imported)]
    there = {item.path for page in pages for item in page.items.values()}
    rest = {name: item for name, item in exported(package) if item.path not in there}
    return Reference([Page(package, rest), *(page for page in pages if page.items)])


def imported_by_docs(root: Path) -> set[str]:
    """Return the paths that README and guides import from."""
    text = "\n".join(path.read_text("utf-8") for path in [root / "README.md", *(root / "docs").glob("guides/*.md")])
    found = set(re.findall(r"^[ >]*import (llmkit[\w.]*)", text, re.MULTILINE))
    for module, names in re.findall(r"^[ >]*from (llmkit[\w.]*) import ([\w, ]+)", text, re.MULTILINE):
        found |= {module, *(f"{module}.{name.strip()}" for name in names.split(","))}
    return found


def public(package: griffe.Module, imported: set[str]) -> Iterator[griffe.Module]:
    """Yield the public modules below ``package``, by name."""
    for name, module in sorted(package.modules.items()):
        if module.is_alias or name.startswith("_") or (package.path == "llmkit" and name in ELSEWHERE):
            continue
        is_open = package.path == "llmkit" or package.exports is None
        if is_open or module.path in imported:
            yield module
            yield from public(module, imported)


def exported(module: griffe.Module) -> Iterator[tuple[str, Item]]:
    """Yield what ``module`` exports: what `__all__` names, else what it defines; classes and functions first."""
    names = [str(name) for name in module.exports or ()] or [
        name for name, member in module.members.items() if not (name.startswith("_") or member.is_alias)
    ]
    found = [(name, item) for name in names if (item := _item(module.members[name])) is not None]
    yield from sorted(found, key=lambda each: isinstance(each[1], griffe.Attribute))


def _item(member: griffe.Object | griffe.Alias) -> Item | None:
    """Return what stands behind a member; None for modules, type variables and what other packages define."""
    if member.is_alias:
        if not str(getattr(member, "target_path", "")).startswith("llmkit."):
            return None
        member = member.final_target  # type: ignore[union-attr] # what is an alias has a target
    if isinstance(member, griffe.Attribute) and "TypeVar(" in str(member.value):
        return None
    return member if isinstance(member, Item) else None


def written(reference: Reference) -> dict[str, str]:
    """Return the text of each file."""
    index, *pages = reference.pages
    return {index.file: _index(reference), **{page.file: _page(page, reference) for page in pages}}


def _index(reference: Reference) -> str:
    index, *pages = reference.pages
    modules = [f"| [`{page.module.path}`]({page.file}) | {_first(page.module, reference)} |" for page in pages]
    names = sorted(str(name) for name in index.module.exports or ())
    elsewhere = ", ".join(f"{name} ({place})" for name, place in ELSEWHERE.items())
    head = HEAD.format(elsewhere=elsewhere, modules="\n".join(modules), names=" · ".join(map(reference.link, names)))
    return "\n".join([head, *_items(index, reference)]).rstrip() + "\n"


def _first(module: griffe.Module, reference: Reference) -> str:
    """Return the first paragraph of what a module says of itself, on one line."""
    return reference.linked(" ".join(_told(module).split("\n\n")[0].split())).replace("|", "\\|")


def _page(page: Page, reference: Reference) -> str:
    source = page.module.relative_package_filepath.as_posix()
    lines = [f"# `{page.module.path}`", "", f"[Source](../../{source}) · [all modules](index.md)", ""]
    lines += [*_docstring(page.module, reference), *_items(page, reference)]
    return "\n".join(lines).rstrip() + "\n"


def _items(page: Page, reference: Reference) -> Iterator[str]:
    for name, item in page.items.items():
        yield from (f"## {name}", "")
        if isinstance(item, griffe.Class):
            yield from _class(name, item, reference)
        elif isinstance(item, griffe.Function):
            yield from _function(name, item, reference)
        else:
            yield from ("```python", _attribute(name, item), "```", "", *_docstring(item, reference))


def _class(name: str, item: griffe.Class, reference: Reference) -> Iterator[str]:
    bases = [reference.link(str(base), getattr(base, "canonical_path", None)) for base in item.bases]
    shown = [base for base in bases if "](" in base]
    yield from ("```python", f"class {_signature(name, item.parameters)}", "```", "")
    if shown:
        yield from (f"A kind of {', '.join(shown)}.", "")
    yield from _docstring(item, reference)
    yield from _attributes(item, reference)
    for method in _own(item):
        if isinstance(method, griffe.Function):
            yield from (f"### {name}.{method.name}", "", *_function(method.name, method, reference))


def _own(item: griffe.Class) -> Iterator[griffe.Object]:
    """Yield the public members of a class, those of private bases in its module among them."""
    for name, member in item.all_members.items():
        found = member.final_target if member.is_alias else member  # type: ignore[union-attr] # as above
        holder = found.parent.path if found.parent else ""
        if not name.startswith("_") and (holder == item.path or holder.startswith(f"{item.module.path}._")):
            assert isinstance(found, griffe.Object)
            yield found


def _attributes(item: griffe.Class, reference: Reference) -> Iterator[str]:
    """Yield a list of what the signature does not tell: properties, and fields that are no parameters."""
    given = {parameter.name for parameter in item.parameters}
    lines = [
        _bullet(each, reference)
        for each in _own(item)
        if isinstance(each, griffe.Attribute) and each.name not in given and each.name != "model_config"
    ]
    if lines:
        yield from (*lines, "")


def _bullet(attribute: griffe.Attribute, reference: Reference) -> str:
    kind = f": {attribute.annotation}" if attribute.annotation is not None else ""
    told = " ".join((attribute.docstring.value if attribute.docstring else "").split())
    return f"- `{attribute.name}{kind}`" + (f": {reference.linked(told)}" if told else "")


def _function(name: str, item: griffe.Function, reference: Reference) -> Iterator[str]:
    prefix = "async def" if "async" in item.labels else "def"
    returns = f" -> {item.returns}" if item.returns is not None else ""
    yield from ("```python", f"{prefix} {_signature(name, item.parameters, returns)}", "```", "")
    yield from _docstring(item, reference)


def _attribute(name: str, item: griffe.Attribute | griffe.TypeAlias) -> str:
    annotation = getattr(item, "annotation", None)
    value = " ".join(str(item.value).split())
    short = value if len(value) <= WIDTH else f"{value[:WIDTH]}…"
    return f"{name}{f': {annotation}' if annotation is not None else ''} = {short}"


def _signature(name: str, parameters: griffe.Parameters, returns: str = "") -> str:
    """Return a signature on one line, or with a line for each parameter where that is too long."""
    shown = list(_parameters(parameter for parameter in parameters if parameter.name not in ("self", "cls")))
    line = f"{name}({', '.join(shown)}){returns}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {each}," for each in shown), f"){returns}"])


def _parameters(parameters: Iterable[griffe.Parameter]) -> Iterator[str]:
    kinds, before = griffe.ParameterKind, None
    for parameter in parameters:
        if before is kinds.positional_only and parameter.kind is not before:
            yield "/"
        if parameter.kind is kinds.keyword_only and before not in (kinds.keyword_only, kinds.var_positional):
            yield "*"
        before = parameter.kind
        yield _parameter(parameter)
    if before is kinds.positional_only:
        yield "/"


def _parameter(parameter: griffe.Parameter) -> str:
    kinds = griffe.ParameterKind
    stars = "*" if parameter.kind is kinds.var_positional else "**" if parameter.kind is kinds.var_keyword else ""
    typed = f"{stars}{parameter.name}" + (f": {parameter.annotation}" if parameter.annotation is not None else "")
    if stars or parameter.default is None:
        return typed
    return f"{typed}{' = ' if parameter.annotation is not None else '='}{parameter.default}"


def _docstring(item: griffe.Object, reference: Reference) -> Iterator[str]:
    if item.docstring:
        yield from (reference.linked(_told(item)), "")


def _told(item: griffe.Object) -> str:
    """Return the docstring; a module's keeps its indented examples, which look like the indentation of a body."""
    if isinstance(item, griffe.Module) and isinstance(item.filepath, Path):
        return (ast.get_docstring(ast.parse(item.filepath.read_text("utf-8")), clean=False) or "").strip()
    return item.docstring.value if item.docstring else ""


def main() -> int:
    """Write every page, and remove those of modules that are gone."""
    texts = written(read())
    PAGES.mkdir(exist_ok=True)
    for path in PAGES.glob("*.md"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (PAGES / name).write_text(text, encoding="utf-8")
    print(f"{len(texts)} pages in {PAGES.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
