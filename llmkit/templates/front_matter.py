"""The head of a template file, between two lines of `---`: YAML, read strictly and with its lines.

It is YAML 1.2 as people expect it: `no` is a text, `2024-10-21` too. A key twice, an unknown key, an alias: errors.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import yaml

from llmkit.errors import TemplateInvalid, excerpt
from llmkit.templates.sources import Source

_FENCE = re.compile(r"---[ \t]*\n(?P<head>.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
KEYS = ("name", "description", "version", "model", "parameters", "inputs", "sample", "examples", "metadata")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands in the head of a template, each with the line of its key in `lines`, by dotted path."""

    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    source: Source

    def line(self, *path: str) -> int | None:
        """The line of a key, by its path; of the nearest key above it where it has none."""
        while path:
            if found := self.lines.get(".".join(path)):
                return found
            path = path[:-1]
        return None

    def error(self, message: str, *path: str) -> TemplateInvalid:
        """What is wrong with the value at this path."""
        return self.source.error(message, line=self.line(*path))

    def mapping(self, *path: str) -> dict[str, Any]:
        """The mapping at this path, empty where there is none; raises TemplateInvalid for anything else."""
        value: Any = self.values
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.error(f"{'.'.join(path)} = {excerpt(value)}: it has to be a mapping of names to values", *path)
        return value

    def text(self, key: str) -> str | None:
        """The text of a key at the top, None where there is none; raises TemplateInvalid for anything else."""
        value = self.values.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and key == "version":
            return str(value)
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        raise self.error(f"{key} = {excerpt(value)}: it has to be a text", key)


def split(source: Source) -> tuple[Head, Source]:
    """The head of a template, and its body with blank lines in place of the head, so that lines keep their numbers."""
    found = _FENCE.match(source.text)
    if found is None:
        if re.match(r"---[ \t]*\n", source.text):
            raise source.error("its head begins with --- and never ends: close it with another line of ---", line=1)
        return Head(source=source), source
    values, lines = _read(found["head"], source)
    blank = "\n" * found[0].count("\n")
    return Head(values=values, lines=lines, source=source), Source(source.name, blank + source.text[found.end() :])


def check_keys(head: Head, known: tuple[str, ...]) -> None:
    """Raises TemplateInvalid for a key at the top that nothing reads."""
    for key in head.values:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(known)}"
            raise head.error(f"{key!r} is no key of a template's head; {hint}", key)


class _Loader(yaml.SafeLoader):
    """Reads YAML 1.2's core: fewer texts that turn out to be something else."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call] # untyped in the stubs
            raise yaml.MarkedYAMLError(None, None, "aliases are not read here", event.start_mark)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def _read(text: str, source: Source) -> tuple[dict[str, Any], dict[str, int]]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines = dict(_lines(node, source)) if node is not None else {}
        values = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else min(mark.line + 2, text.count("\n") + 1)
        hint = "a text that holds any of : ? , # [ ] { } may have to be in quotes"
        raise source.error(f"its head is no YAML: {error.problem}; {hint}", line=line) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise source.error(f"its head is no YAML: {error}") from None
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        raise source.error(f"its head is {excerpt(values)}: it has to be `key: value` in each line", line=2)
    return values, lines


def _lines(node: Any, source: Source, path: tuple[str, ...] = ()) -> Any:
    """Each key's path and line; the document begins in line 2, below the first ---."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield ".".join((*path, str(index))), item.start_mark.line + 2
            yield from _lines(item, source, (*path, str(index)))
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 2
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            raise source.error("a key of its head is no text: put it in quotes", line=line)
        if key.value in seen:
            raise source.error(f"{key.value!r} stands twice in its head", line=line)
        seen.add(key.value)
        yield ".".join((*path, key.value)), line
        yield from _lines(value, source, (*path, key.value))
