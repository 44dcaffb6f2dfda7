"""jinja2, sandboxed and strict, which yields what a template says piece by piece instead of one text.

A piece is text of the template (`str`), text of a value (`Said`), the beginning of a message (`Begin`), messages that
the template inserts (`Inserted`), or an image. So a role can't be mistaken for text, nor text for a role: they are
different types, whatever characters the text holds.

The sandbox keeps templates from attributes that begin with `_`, from changing what they were given, from formatting
tricks, and counts their loops. It can't bound all memory that an expression takes: templates from strangers belong
into a process of their own, with limits.
"""

import functools
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.filters import do_replace
from jinja2.loaders import DictLoader
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.parser import Parser
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmkit.errors import TemplateInvalid, excerpt
from llmkit.messages import Dumpable, conversation
from llmkit.templates.content import Image, Part
from llmkit.templates.values import text_of

MOST_STEPS = 1_000_000
"""How many steps all loops of one rendering may take together."""
MOST_ITEMS = 1_000_000
"""How long a text or list may become by `*`, and the largest number that a filter or a method of a text takes."""
_MOST_BITS = 10_000

# random makes prompts that no recording matches; the others format, at any width, or make markup
_NO_FILTERS = ("center", "escape", "e", "forceescape", "format", "pprint", "random", "safe", "urlize", "xmlattr")
_NO_METHODS = frozenset({"format", "format_map"})
_INSERTABLE = ("user", "assistant", "tool")


class Said(str):
    """The text of a value: kept to the letter, where the template's own text loses the blanks at a message's edges."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Begin:
    """The beginning of a message; `fields` is what it has besides its content."""

    role: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Inserted:
    """Messages that a template takes from a variable, on purpose."""

    messages: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a macro or a block made, where that is more than text."""

    pieces: tuple[object, ...]

    def __str__(self) -> str:
        raise TemplateInvalid("it holds messages or images, so it can't be used as text: let {{ … }} have it as it is")


Piece = str | Begin | Inserted | Pieces | Image | Part


@dataclass(slots=True)
class Run:
    """One rendering: the steps of its loops, and what of its variables was not there, with template and line."""

    steps: int = 0
    missing: list[tuple[str | None, int | None, str]] = field(default_factory=list)


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


class _Messages(Extension):
    """The tags `message`, which a line with a role becomes, and `messages`, which inserts a conversation."""

    tags = {"message", "messages"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        """The call that makes a piece of the tag."""
        token = next(parser.stream)
        if token.value == "messages":
            call = self.call_method("inserted", [parser.parse_expression()], lineno=token.lineno)
        else:
            role = nodes.Const(parser.stream.expect("string").value)
            call = self.call_method("begin", [role], _keywords(parser), lineno=token.lineno)
        return nodes.Output([call], lineno=token.lineno)

    @staticmethod
    def begin(role: str, **fields: object) -> Begin:
        """The beginning of a message of this role."""
        return Begin(role, {name: _field(role, name, value) for name, value in fields.items()})

    @staticmethod
    def inserted(messages: object) -> Inserted:
        """A conversation, or pairs such as {"user": …, "assistant": …}; instructions can't come in this way."""
        if not isinstance(messages, list | tuple):
            raise TemplateInvalid(f"{{% messages … %}} takes a list of messages, not {_shown(messages)}")
        found = tuple(message for each in messages for message in _pair(each))
        for message in conversation(found):
            if message["role"] not in _INSERTABLE:
                raise TemplateInvalid(
                    f"{{% messages … %}} inserts messages of {', '.join(_INSERTABLE)}, not of {message['role']!r}: "
                    "what instructs the model is written in the template"
                )
        return Inserted(tuple(conversation(found)))


def _keywords(parser: Parser) -> list[nodes.Keyword]:
    found = []
    while parser.stream.skip_if("comma"):
        name = parser.stream.expect("name")
        parser.stream.expect("assign")
        found.append(nodes.Keyword(name.value, parser.parse_expression(), lineno=name.lineno))
    return found


def _field(role: str, name: str, value: object) -> object:
    """A field of a message besides its content, checked."""
    if (role, name) == ("assistant", "tool_calls"):
        if isinstance(value, list | tuple):
            return [_tool_call(call) for call in value]
        raise TemplateInvalid(f"tool_calls = {_shown(value)}: it has to be the list of a reply's tool calls")
    if name != "name" and (role, name) != ("tool", "tool_call_id"):
        raise TemplateInvalid(
            f"{role} has no {name!r}: every role has name, tool has tool_call_id, assistant has tool_calls"
        )
    if not (isinstance(value, str) and value):
        raise TemplateInvalid(f"{name} = {_shown(value)}: it has to be a text that is not empty")
    return str(value)


def _tool_call(call: object) -> dict[str, Any]:
    """A call as the API takes it back, from the API's own form or from an `llmkit.ToolCall`."""
    if isinstance(call, Dumpable):
        call = call.model_dump(mode="json", exclude_unset=True)
    if isinstance(call, Mapping):
        return dict(call)
    said = [getattr(call, name, None) for name in ("id", "name", "arguments")]
    if not all(isinstance(each, str) for each in said):
        raise TemplateInvalid(f"tool_calls holds {_shown(call)}, which is no tool call")
    return {"id": said[0], "type": "function", "function": {"name": said[1], "arguments": said[2]}}


def _pair(message: object) -> Iterator[Any]:
    """The messages of an example that is written as {role: text, …}; anything else as it is."""
    if isinstance(message, Mapping) and message and "role" not in message and set(message) <= set(_INSERTABLE):
        yield from ({"role": role, "content": content} for role, content in message.items())
    else:
        yield message


def _shown(value: object) -> str:
    return "a variable that is missing" if isinstance(value, Undefined) else excerpt(value)


def _joined(values: Iterable[object]) -> object:
    """What jinja2 joins for a macro or a block: a text, or pieces where that is more than text."""
    pieces = list(values)
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(map(str, pieces))
    return Pieces(tuple(pieces))


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
    concat = staticmethod(_joined)  # type: ignore[assignment] # jinja2 declares that it makes text
    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, templates: Mapping[str, str]) -> None:
        super().__init__(
            loader=DictLoader(templates),
            undefined=StrictUndefined,
            finalize=_piece,
            extensions=[_Messages, "jinja2.ext.loopcontrols"],
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            cache_size=-1,
        )
        self.filters = {name: _guarded(each) for name, each in self.filters.items() if name not in _NO_FILTERS}
        self.filters["replace"] = _replace
        self.globals.pop("lipsum")

    def _generate(self, source: nodes.Template, *args: Any, **options: Any) -> str:
        """The code of a template, whose loops are counted."""
        for loop in source.find_all(nodes.For):
            if loop.recursive:
                raise TemplateSyntaxError("recursive loops are not counted, so there are none", loop.lineno)
            counted = nodes.EnvironmentAttribute("counted", lineno=loop.lineno)
            loop.iter = nodes.Call(counted, [loop.iter], [], None, None, lineno=loop.lineno)
        source.set_environment(self)
        return super()._generate(source, *args, **options)

    @staticmethod
    def counted(items: object) -> Iterator[object]:
        """The items of a loop, as long as the rendering has steps left."""
        if isinstance(items, Undefined):
            raise TemplateInvalid(_missing_name(items))
        if isinstance(items, str | bytes) or not isinstance(items, Iterable):
            raise TemplateInvalid(f"a loop runs over {_shown(items)}: it has to be a list, not a text or a number")
        run = _run.get()
        for item in items:
            run.steps += 1
            if run.steps > MOST_STEPS:
                raise TemplateInvalid(f"its loops take more than {MOST_STEPS:,} steps")
            yield item

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may read the attribute."""
        return super().is_safe_attribute(obj, attr, value) and not (isinstance(obj, str) and attr in _NO_METHODS)

    def wrap_str_format(self, value: Any) -> None:
        """Nothing: formatting is refused, since a width in it takes any amount of memory."""

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - jinja2 calls it with keywords of its own
        """Call something, unless it is a method of a text with a number that would make it huge."""
        text = getattr(__obj, "__self__", None)
        if isinstance(text, str):
            _refuse_huge(args)
            if __obj.__name__ == "replace":
                _refuse_long_replacement(text, *args)
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`*`, `**` or `%`, unless what it makes would be huge."""
        if isinstance(left, str) and operator == "%":
            raise SecurityError("% formats no texts here: use ~ and filters")
        if operator == "*":
            _refuse_long(left, right)
        if operator == "**" and not _is_small_power(left, right):
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


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that refuses numbers that would make its result huge."""

    @functools.wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        _refuse_huge((*args[1:], *kwargs.values()))
        return function(*args, **kwargs)

    return filtered


def _replace(context: Any, value: object, old: str, new: str, count: int | None = None) -> str:
    """The filter `replace`, unless what it makes would be huge."""
    _refuse_long_replacement(str(value), old, new)
    return do_replace(context, str(value), old, new, count)


_replace.jinja_pass_arg = do_replace.jinja_pass_arg  # type: ignore[attr-defined] # as its decorator sets it


def _refuse_long_replacement(text: str, old: object = "", new: object = "", *_: object) -> None:
    if len(text) + text.count(str(old)) * len(str(new)) > MOST_ITEMS * 10:
        raise SecurityError("the text would be too long")


def _refuse_huge(arguments: Iterable[object]) -> None:
    for argument in arguments:
        if isinstance(argument, int) and abs(argument) > MOST_ITEMS:
            raise SecurityError(f"{argument} is too large a number here")


def _refuse_long(left: object, right: object) -> None:
    for items, times in ((left, right), (right, left)):
        if isinstance(items, str | list | tuple) and isinstance(times, int) and len(items) * times > MOST_ITEMS:
            raise SecurityError(f"{len(items):,} items times {times:,} is too many")


def _is_small_power(left: object, right: object) -> bool:
    if not (isinstance(left, int) and isinstance(right, int)):
        return True
    return abs(left).bit_length() * abs(right) <= _MOST_BITS
