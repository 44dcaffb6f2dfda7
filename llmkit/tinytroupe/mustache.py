"""Mustache templates, as TinyTroupe writes its prompts: https://mustache.github.io/mustache.5.html.

Variables (`{{a.b}}` escapes for HTML, `{{{a}}}` and `{{&a}}` don't), sections, inverted sections, comments, partials
and other delimiters. There are no lambdas. A name that is missing renders as nothing, as the language has it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Partials = Callable[[str], str]

_OPENING, _CLOSING = frozenset("#^"), frozenset("/")
_OWN_LINE = _OPENING | _CLOSING | frozenset("!>=")  # tags that take their line with them if they are alone on it
_KINDS = _OWN_LINE | frozenset("&{")
_ESCAPES = str.maketrans({"&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;"})


class MustacheError(SyntaxError):
    """A tag is not closed, or closes what is not open; the message names the line."""


@dataclass(frozen=True, slots=True)
class _Tag:
    kind: str
    name: str
    line: int
    indent: str = ""


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    inverted: bool
    inside: "_Nodes"


_Nodes = list["str | _Tag | _Section"]


def render(template: str, data: object, *, partials: Partials = lambda _name: "") -> str:
    """The template with `data` filled in; `partials` gives the text of a partial by its name."""
    return _text(_parse(template), (data,), partials)


def _parse(template: str) -> _Nodes:
    open_: list[tuple[_Tag, _Nodes]] = []
    nodes: _Nodes = []
    for token in _tokens(template):
        if isinstance(token, str) or token.kind not in _OPENING | _CLOSING:
            nodes.append(token)
        elif token.kind in _OPENING:
            open_.append((token, nodes))
            nodes = []
        else:
            if not open_ or open_[-1][0].name != token.name:
                last = f"the open one is {open_[-1][0].name!r}" if open_ else "none is open"
                raise MustacheError(f"line {token.line}: {token.name!r} is closed, and {last}")
            (begun, outside), inside = open_.pop(), nodes
            nodes = [*outside, _Section(begun.name, begun.kind == "^", inside)]
    if open_:
        raise MustacheError(f"line {open_[-1][0].line}: the section {open_[-1][0].name!r} is never closed")
    return nodes


def _tokens(template: str) -> Iterator[str | _Tag]:
    left, right, position = "{{", "}}", 0
    while (start := template.find(left, position)) >= 0:
        inside = start + len(left)
        kind = template[inside : inside + 1]
        kind = kind if kind in _KINDS else ""
        close = {"{": "}", "=": "="}.get(kind, "") + right
        end = template.find(close, inside + len(kind))
        line = template.count("\n", 0, start) + 1
        if end < 0:
            raise MustacheError(f"line {line}: the tag {template[start : start + 20]!r} is not closed by {close!r}")
        name, stop = template[inside + len(kind) : end].strip(), end + len(close)
        before, after = _own_line(template, start, stop) if kind in _OWN_LINE else (start, stop)
        yield template[position:before]
        if kind == "=":
            left, right = _delimiters(name, line)
        elif kind != "!":
            yield _Tag(kind, name, line, indent=template[before:start])
        position = after
    yield template[position:]


def _own_line(template: str, start: int, stop: int) -> tuple[int, int]:
    """Where the line of a tag begins and ends if the tag is alone on it; else where the tag does."""
    begin = template.rfind("\n", 0, start) + 1
    newline = template.find("\n", stop)
    rest = template[stop:] if newline < 0 else template[stop:newline]
    alone = not template[begin:start].strip() and not rest.strip()
    return (begin, stop if newline < 0 else newline + 1) if alone else (start, stop)


def _delimiters(text: str, line: int) -> tuple[str, str]:
    parts = text.split()
    if len(parts) != 2:
        raise MustacheError(f"line {line}: {text!r} has to be two delimiters, as in {{{{=<% %>=}}}}")
    return parts[0], parts[1]


def _text(nodes: Sequence[str | _Tag | _Section], scopes: tuple[object, ...], partials: Partials) -> str:
    return "".join(_rendered(node, scopes, partials) for node in nodes)


def _rendered(node: str | _Tag | _Section, scopes: tuple[object, ...], partials: Partials) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, _Section):
        return "".join(_text(node.inside, inner, partials) for inner in _scopes_of(node, scopes))
    if node.kind == ">":
        indented = re.sub(r"(?m)^(?=.)", node.indent, partials(node.name))
        return _text(_parse(indented), scopes, partials)
    text = str(_look_up(node.name, scopes))
    return text if node.kind else text.translate(_ESCAPES)


def _scopes_of(section: _Section, scopes: tuple[object, ...]) -> Iterable[tuple[object, ...]]:
    """The scopes of each time that a section is rendered."""
    value = _look_up(section.name, scopes)
    if callable(value):
        raise TypeError(f"{section.name!r} is {value!r}: a section takes data, not a function")
    if section.inverted:
        return () if value else (scopes,)
    if isinstance(value, Iterator) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return ((item, *scopes) for item in value)
    return ((value, *scopes),) if value else ()


def _look_up(name: str, scopes: tuple[object, ...]) -> Any:
    """The value of a dotted name in the innermost scope that has it; empty for None and where none has."""
    if name == ".":
        return scopes[0]
    for scope in scopes:
        try:
            value: Any = scope
            for part in name.split("."):
                value = _member(value, part)
        except (AttributeError, LookupError, ValueError):
            continue
        return value if value or value is False or value == 0 else ""
    return ""


def _member(value: Any, name: str) -> Any:
    """An entry of a mapping, an attribute of an object, or an item of a list by its number."""
    try:
        return value[name]
    except TypeError:
        pass
    try:
        return getattr(value, name)
    except AttributeError:
        return value[int(name)] if hasattr(value, "__getitem__") else _missing(name)


def _missing(name: str) -> Any:
    raise KeyError(name)
