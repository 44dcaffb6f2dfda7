"""What a template asks for, read off its syntax before it is rendered: variables with their lines, and includes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes
from jinja2.compiler import Frame
from jinja2.meta import TrackingCodeGenerator

from llmkit.templates.engine import Environment
from llmkit.templates.sources import Source

_MAY_LACK_TESTS = ("defined", "undefined")
_MAY_LACK_FILTERS = ("default", "d")


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a template reads a variable."""

    name: str
    source: Source
    line: int


@dataclass(frozen=True, slots=True)
class Reference:
    """Another template that one includes, extends or imports; `sees` is whether it sees the variables."""

    name: str
    line: int
    sees: bool
    may_lack: bool


class _Reader(TrackingCodeGenerator):
    """Goes through a template as if to compile it, and notes where it reads what it was given."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.found: list[tuple[str, int]] = []

    def visit_Name(self, node: nodes.Name, frame: Frame) -> None:  # noqa: N802 - jinja2's name
        super().visit_Name(node, frame)
        load = frame.symbols.find_load(frame.symbols.find_ref(node.name) or "")
        if node.ctx == "load" and load == ("resolve", node.name):
            self.found.append((node.name, node.lineno))


def uses(tree: nodes.Template, source: Source, environment: Environment) -> list[Use]:
    """Where the template reads variables that it does not set itself, in the order of its lines.

    `range` and the like are jinja2's own where they are called, and variables where they are not.
    """
    reader = _Reader(environment)
    reader.visit(tree)
    called = {call.node.name for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Name)}
    found = [(name, line) for name, line in reader.found if not (name in called and name in environment.globals)]
    return [Use(name, source, line) for name, line in sorted(found, key=lambda each: each[1])]


def may_lack(tree: nodes.Template) -> set[str]:
    """The variables that the template itself looks after: `x is defined`, or `x | default(…)`."""
    tested = [test.node for test in tree.find_all(nodes.Test) if test.name in _MAY_LACK_TESTS]
    filtered = [each.node for each in tree.find_all(nodes.Filter) if each.name in _MAY_LACK_FILTERS]
    return {node.name for node in [*tested, *filtered] if isinstance(node, nodes.Name)}


def bound(tree: nodes.Template) -> set[str]:
    """The names that a template itself gives a value, somewhere: in loops, sets, macros and imports."""
    names = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    names |= {node.name for node in tree.find_all(nodes.Macro)}
    names |= {node.target for node in tree.find_all(nodes.Import)}
    for node in tree.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in node.names}
    return names


def has_blocks(tree: nodes.Template) -> bool:
    """Whether parts of it are rendered elsewhere, or out of order."""
    return next(tree.find_all((nodes.Block, nodes.Extends)), None) is not None


def references(tree: nodes.Template, source: Source) -> Iterator[Reference]:
    """The templates that it names; raises TemplateInvalid where a name is not written out."""
    kinds = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
    for node in tree.find_all(kinds):
        sees = getattr(node, "with_context", True)
        for name in _names(node, source):
            yield Reference(name, node.lineno, sees, getattr(node, "ignore_missing", False))


def _names(node: Any, source: Source) -> list[str]:
    written = node.template
    names = written.value if isinstance(written, nodes.Const) else None
    if isinstance(written, nodes.Tuple | nodes.List) and all(isinstance(item, nodes.Const) for item in written.items):
        names = [item.value for item in written.items if isinstance(item, nodes.Const)]
    names = [names] if isinstance(names, str) else names
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        kind = type(node).__name__.lower().removeprefix("from")
        raise source.error(f"what it {kind}s is not written out: name the template in quotes", line=node.lineno)
    return names
