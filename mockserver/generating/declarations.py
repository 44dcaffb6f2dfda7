"""Tools as the models see them: declarations in the style of TypeScript, whose tokens are billed with the prompt.

The API documents none of this. The layout is the one that https://github.com/hmarr/openai-chat-tokens found, corrected
against the `usage` billed in recorded traffic; `tests/contract/test_billed_tools.py` holds it to it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def declarations(functions: Iterable[Mapping[str, Any]]) -> str:
    """The namespace that declares these functions (`name`, `description`, `parameters`)."""
    lines = ["namespace functions {", ""]
    for function in functions:
        lines += [*_declaration(function), ""]
    return "\n".join([*lines, "} // namespace functions"])


def begins_bare(function: Mapping[str, Any]) -> bool:
    """Whether its first parameter stands without a comment: billed a token less, for what reason ever."""
    parameters = function.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
    if not isinstance(properties, Mapping) or not properties:
        return False
    name, part = next(iter(properties.items()))
    return name[:1].isalpha() and not (isinstance(part, Mapping) and (part.get("description") or part.get("title")))


def _declaration(function: Mapping[str, Any]) -> Iterator[str]:
    yield from _comment(function.get("description"))
    name, parameters = function.get("name"), function.get("parameters")
    schema: Mapping[str, Any] = parameters if isinstance(parameters, Mapping) else {}
    members = list(_members(schema, 0))
    if not members:
        yield f"type {name} = () => any;"
        return
    heading = list(_heading(schema))
    yield f"type {name} = (_: {heading[0] if heading else '{'}"
    if heading:
        yield from heading[1:]
        yield "{"
    yield from members
    yield "}) => any;"


def _heading(schema: Mapping[str, Any]) -> Iterator[str]:
    """The comment on a schema: its title, an empty line between, its description."""
    title, description = schema.get("title"), schema.get("description")
    if title:
        yield from _comment(title)
    if title and description:
        yield "//"
    yield from _comment(description)


def _comment(text: Any) -> Iterator[str]:
    """Each line that is not blank, without its indentation."""
    for line in str(text or "").splitlines():
        if line.strip():
            yield f"// {line.strip()}"


def _members(schema: Mapping[str, Any], depth: int) -> Iterator[str]:
    required, properties = schema.get("required"), schema.get("properties")
    for name, part in properties.items() if isinstance(properties, Mapping) else ():
        part = part if isinstance(part, Mapping) else {}
        indent = " " * depth
        yield from (f"{indent}{line}" for line in _heading(part))
        mark = "" if isinstance(required, list) and name in required else "?"
        default = f" // default: {json.dumps(part['default'])}" if part.get("default") is not None else ""
        yield f"{indent}{name}{mark}: {_type(part, depth)},{default}"


def _type(schema: Any, depth: int) -> str:
    schema = schema if isinstance(schema, Mapping) else {}
    options = schema.get("enum")
    if isinstance(options, list):
        return " | ".join(json.dumps(option, ensure_ascii=False) for option in options)
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(alternatives, list):
        return " | ".join(_type(each, depth) for each in alternatives)
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": each}, depth) for each in kind)
    match kind:
        case "integer":
            return "number"
        case "array":
            return f"{_type(schema['items'], depth)}[]" if isinstance(schema.get("items"), Mapping) else "any[]"
        case "object":
            inner = list(_members(schema, depth + 2))
            return "\n".join(["{", *inner, f"{' ' * depth}}}"]) if inner else "object"
        case str():
            return kind
    return "any"
