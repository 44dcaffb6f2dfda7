"""jinja2, sandboxed and strict, which yields what a template says piece by piece instead of one text.

The sandbox keeps templates from attributes that begin with `_`, from changing what they were given, from formatting
tricks, and counts their loops. It can't bound all memory that an expression takes: templates from strangers belong
into a process of their own, with limits.
"""

import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from jinja2 import StrictUndefined, Template, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.loaders import DictLoader
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from llmkit.errors import TemplateInvalid, excerpt
from llmkit.templates.content import Image, Part
from llmkit.templates.guards import (
    guarded,
    is_small_power,
    join,
    joined_text,
    multiplying,
    refuse_huge,
    refuse_long,
    refuse_long_replacement,
    refuse_long_sum,
    replace,
)
from llmkit.templates.pieces import Begin, Inserted, Messages, Piece, Pieces, Said, joined, shown
from llmkit.templates.values import text_of

MOST_STEPS = 1_000_000
"""How many steps all loops, calls and inclusions of one rendering may take together."""
_CALL_STEPS = 10
"""How many a call or an inclusion counts for, since it takes as long as so many of a loop."""

# random makes prompts that no recording matches; the others format, at any width, or make markup
_NO_FILTERS = ("center", "escape", "e", "forceescape", "format", "pprint", "random", "safe", "urlize", "xmlattr")
_NO_METHODS = frozenset({"format", "format_map"})


@dataclass(slots=True)
class Run:
    """One rendering: the steps of its loops, and what of its variables was not there, with template and line."""

    steps: int = 0
    missing: list[tuple[str | None, int | None, str]] = field(default_factory=list)

    def step(self, count: int = 1) -> None:
        """Count some; raises TemplateInvalid when they are too many."""
        self.steps += count
        if self.steps > MOST_STEPS:
            raise TemplateInvalid(f"its loops and calls take more than {MOST_STEPS:,} steps")


_run: ContextVar[Run] = ContextVar("llmkit template run")


def place_of(frame: FrameType | None) -> tuple[str | None, int | None]:
    """The name of the template that runs in this frame or the nearest that called it, and the line it is at."""
    while frame is not None and "__jinja_template__" not in frame.f_globals:
        frame = frame.f_back
    if frame is None:
        return None, None
    template = frame.f_globals["__jinja_template__"]
    return template.name, template.get_corresponding_lineno(frame.f_lineno)


def place_in(trace: TracebackType | None) -> tuple[str | None, int | None]:
    """The innermost place in a template that a traceback passes through."""
    place: tuple[str | None, int | None] = (None, None)
    while trace is not None:
        if template := trace.tb_frame.f_globals.get("__jinja_template__"):
            place = template.name, template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return place


class _Generator(NativeCodeGenerator):
    """Writes code that yields values, and keeps those of expressions apart from the template's text."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Any, finalize: Any) -> Any:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)


class _Concatenations(NodeTransformer):
    """Lets the environment put together what `~` does, so that it sees how long it gets."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - jinja2's name
        """The call instead."""
        self.generic_visit(node)
        concatenated = nodes.EnvironmentAttribute("concatenated", lineno=node.lineno)
        operands = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Call(concatenated, [operands], [], None, None, lineno=node.lineno)


def _piece(value: object) -> object:
    """What `{{ value }}` yields."""
    if isinstance(value, Begin | Inserted | Pieces | Image | Part):
        return value
    if isinstance(value, Undefined):
        _run.get().missing.append((*place_of(sys._getframe(1)), _missing_name(value)))  # noqa: SLF001 - no other way to learn the line
        return Said()
    return Said(text_of(value))


def _missing_name(value: Undefined) -> str:
    """What is missing, for a message; a variable itself, or a part of its value."""
    held, name = value._undefined_obj, value._undefined_name  # noqa: SLF001 - jinja2 tells it in no other way
    if isinstance(held, Mapping) and not value._undefined_hint:  # noqa: SLF001
        return f"{name!r} is not in the value, which has {', '.join(map(repr, held)) or 'nothing'}"
    return str(value._undefined_message)  # noqa: SLF001


class Environment(ImmutableSandboxedEnvironment):
    """What templates are compiled with: the templates of one directory, by name."""

    code_generator_class = _Generator
    concat = staticmethod(joined)  # type: ignore[assignment] # jinja2 declares that it makes text
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, templates: Mapping[str, str]) -> None:
        super().__init__(
            loader=DictLoader(templates),
            undefined=StrictUndefined,
            finalize=_piece,
            extensions=[Messages, "jinja2.ext.loopcontrols"],
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            cache_size=-1,
        )
        self.filters = {name: guarded(each) for name, each in self.filters.items() if name not in _NO_FILTERS}
        self.filters |= {"replace": replace, "join": join}
        for name, at in (("indent", 0), ("wordwrap", 1)):  # the second is given the environment first
            self.filters[name] = multiplying(self.filters[name], at=at)
        self.globals.pop("lipsum")

    def _generate(self, source: nodes.Template, *args: Any, **options: Any) -> str:
        """The code of a template, whose loops are counted."""
        for loop in source.find_all(nodes.For):
            if loop.recursive:
                raise TemplateSyntaxError("recursive loops are not counted, so there are none", loop.lineno)
            counted = nodes.EnvironmentAttribute("counted", lineno=loop.lineno)
            loop.iter = nodes.Call(counted, [loop.iter], [], None, None, lineno=loop.lineno)
        source = _Concatenations().visit(source)
        source.set_environment(self)
        return super()._generate(source, *args, **options)

    @staticmethod
    def counted(items: object) -> Iterator[object]:
        """The items of a loop, as long as the rendering has steps left."""
        if isinstance(items, Undefined):
            raise TemplateInvalid(_missing_name(items))
        if isinstance(items, str | bytes) or not isinstance(items, Iterable):
            raise TemplateInvalid(f"a loop runs over {shown(items)}: it has to be a list, not a text or a number")
        run = _run.get()
        for item in items:
            run.step()
            yield item

    @staticmethod
    def concatenated(items: Iterable[object]) -> str:
        """What `~` makes of its operands."""
        return joined_text("", items)

    def get_template(self, *args: Any, **kwargs: Any) -> Template:
        """A template by its name; while one is rendered, that is an inclusion."""
        if run := _run.get(None):
            run.step(_CALL_STEPS)
        return super().get_template(*args, **kwargs)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may read the attribute."""
        return super().is_safe_attribute(obj, attr, value) and not (isinstance(obj, str) and attr in _NO_METHODS)

    def wrap_str_format(self, value: Any) -> None:
        """Nothing: formatting is refused, since a width in it takes any amount of memory."""

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - jinja2 calls it with keywords of its own
        """Call something, unless it is a method of a text with a number that would make it huge."""
        if run := _run.get(None):
            run.step(_CALL_STEPS)
        text = getattr(__obj, "__self__", None)
        if isinstance(text, str):
            refuse_huge(args)
            if __obj.__name__ == "replace":
                refuse_long_replacement(text, *args)
            if __obj.__name__ == "join" and len(args) == 1:
                return joined_text(text, args[0])
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`+`, `*`, `**` or `%`, unless what it makes would be huge."""
        if isinstance(left, str) and operator == "%":
            raise SecurityError("% formats no texts here: use ~ and filters")
        if operator == "+":
            refuse_long_sum(left, right)
        if operator == "*":
            refuse_long(left, right)
        if operator == "**" and not is_small_power(left, right):
            raise SecurityError(f"{excerpt(left)} ** {excerpt(right)} is too large")
        return super().call_binop(context, operator, left, right)

    def pieces(self, name: str, variables: Mapping[str, object]) -> Generator[Piece, None, None]:
        """What the template says; only within `running`."""
        template = self.get_template(name)
        said: Any = template.root_render_func(template.new_context(dict(variables)))
        return said  # type: ignore[no-any-return] # jinja2 declares that it yields text


@contextmanager
def running() -> Iterator[Run]:
    """One rendering, from its first piece to its last."""
    run = Run()
    token = _run.set(run)
    try:
        yield run
    finally:
        _run.reset(token)


def standing_at(pieces: Generator[Piece, None, None]) -> tuple[str | None, int | None]:
    """The template and line at which a generator of pieces, or the one that it passes on to, stands still."""
    innermost: Any = pieces
    while isinstance(innermost.gi_yieldfrom, Generator):
        innermost = innermost.gi_yieldfrom
    return place_of(innermost.gi_frame)
