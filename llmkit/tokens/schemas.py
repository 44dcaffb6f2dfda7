"""Schemas as the models read them: tools declared in the style of TypeScript, formats of answers as compact JSON.

The style is that of https://github.com/openai/harmony (`json_schema_to_typescript`) and, before it, of
https://github.com/hmarr/openai-chat-tokens, both corrected against billed `usage`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmkit.errors import InvalidRequest, excerpt

# the API allows 10 levels and 5000 properties: https://platform.openai.com/docs/guides/structured-outputs
_DEEPEST, _MOST_PARTS = 40, 20_000
_SHALLOW = 300  # brackets of a JSON text that cannot be nested too deeply to be written
# what the API leaves out of a schema for the answer
_UNREAD = frozenset({
    "required", "additionalProperties", "$schema", "strict", "default", "format", "pattern",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
})  # fmt: skip
_NAMES = frozenset({"properties", "$defs", "definitions"})  # their keys are names, not words of JSON schema


def declarations(functions: Iterable[Mapping[str, Any]]) -> str:
    """The namespace that declares these functions (`name`, `description`, `parameters`)."""
    declared = "".join(f"{_function(function)}\n\n" for function in functions)
    return f"namespace functions {{\n\n{declared}}} // namespace functions"


def answer_format(json_schema: Mapping[str, Any]) -> str:
    """What a model is told of the schema (`name`, `description`, `schema`) that its answer has to conform to."""
    described = f"// {json_schema['description']}\n" if json_schema.get("description") else ""
    try:
        read = _read(json_schema.get("schema") or {})
    except RecursionError:
        raise InvalidRequest("The schema of response_format is nested too deeply to be counted") from None
    return f"# Response Formats\n\n## {json_schema.get('name', '')}\n\n{described}{compact(read)}"


def compact(value: object) -> str:
    """JSON without blanks; raises InvalidRequest for what JSON cannot say."""
    return spelt(value, separators=(",", ":"), ensure_ascii=False)


def spelt(value: object, **spelling: Any) -> str:
    """JSON in this spelling; raises InvalidRequest for what JSON cannot say."""
    try:
        return json.dumps(value, default=str, **spelling)
    except (RecursionError, TypeError, ValueError) as error:  # endless, or with keys or numbers of a strange kind
        raise InvalidRequest(f"{excerpt(value)} cannot be counted as JSON: {error}") from None


def compact_json(text: str) -> str:
    """JSON that somebody else has spelt, without its blanks; text that is no JSON as it is."""
    parsed = parsed_json(text)
    return text if parsed is text else compact(parsed)


def parsed_json(text: str) -> Any:
    """What a JSON text says; the text itself where it is none."""
    try:
        value = json.loads(text)
        if text.count("[") + text.count("{") > _SHALLOW:
            json.dumps(_within(value, levels=20))  # it is to be written again, within something else
    except (ValueError, RecursionError):
        return text
    return value


def _within(value: object, *, levels: int) -> object:
    for _ in range(levels):
        value = [value]
    return value


def _read(schema: Any, *, names: bool = False) -> Any:
    if isinstance(schema, Mapping):
        kept = {key: value for key, value in schema.items() if names or key not in _UNREAD}
        return {key: _read(value, names=key in _NAMES and not names) for key, value in kept.items()}
    return [_read(each) for each in schema] if isinstance(schema, list) else schema


def _function(function: Mapping[str, Any]) -> str:
    root = _mapping(function.get("parameters"))
    writer = _Writer(root)
    schema = writer.resolved(root)
    heading = "".join(f"{line}\n" for line in _heading(schema))
    takes = f"_: {heading}{writer.members(schema, 0)}" if _mapping(schema.get("properties")) else ""
    return "\n".join([*_comment(function.get("description")), f"type {function.get('name')} = ({takes}) => any;"])


def _comment(text: object) -> Iterator[str]:
    """Each line without its indentation; empty ones between others stay."""
    if isinstance(text, str) and text.strip():
        for line in text.strip().split("\n"):
            yield f"// {line.strip()}".rstrip()


def _heading(schema: Mapping[str, Any]) -> Iterator[str]:
    """The comment on a schema: its title, an empty line between, its description."""
    title, description = schema.get("title"), schema.get("description")
    yield from _comment(title)
    if title and description:
        yield "//"
    yield from _comment(description)


class _Writer:
    """Writes the types of one schema; what refers to itself, or grows without end, is `any` from some point on."""

    __slots__ = ("left", "root")

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.left = _MOST_PARTS

    def members(self, schema: Mapping[str, Any], depth: int) -> str:
        """On one line, unless one of the properties has a comment."""
        properties = self.properties(schema)
        if not properties:
            return "object"
        required = schema.get("required")
        needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        typed = {name: f"{name}{'' if name in needed else '?'}: {self.type(part, depth)}" for name, part in properties}
        if not self.is_commented(schema, depth):
            return f"{{ {', '.join(typed.values())} }}"
        lines = ["{"]
        for name, part in properties:
            default = f" // default: {_literal(part['default'])}" if "default" in part else ""
            lines += [*_heading(part), f"{typed[name]},{default}"]
        return "\n".join([*lines, "}"])

    def type(self, schema: Mapping[str, Any], depth: int) -> str:
        """The type that a property or an item has."""
        schema = self.resolved(schema)
        if self.is_too_much(depth):
            return "any"
        if "const" in schema:
            return _literal(schema["const"])
        if isinstance(schema.get("enum"), list):
            return " | ".join(map(_literal, schema["enum"]))
        if alternatives := _alternatives(schema):
            return " | ".join(self.type(each, depth + 1) for each in alternatives)
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(self.type({**schema, "type": each}, depth + 1) for each in kind)
        return self.named_type(kind, schema, depth)

    def named_type(self, kind: object, schema: Mapping[str, Any], depth: int) -> str:
        """The type that `type` names."""
        if kind == "integer":
            return "number"
        if kind == "array":
            items = _mapping(schema.get("items"))
            inner = self.type(items, depth + 1) if items else "any"
            return f"Array<\n{inner}\n>" if "\n" in inner else f"{inner}[]"
        if kind == "object" or (kind is None and "properties" in schema):
            return self.members(schema, depth + 1)
        return kind if isinstance(kind, str) else "any"

    def is_commented(self, schema: Mapping[str, Any], depth: int) -> bool:
        """Whether a property at any level has a title, a description or a default."""
        if self.is_too_much(depth):
            return False
        parts = [part for _, part in self.properties(schema)]
        alternatives = [self.resolved(each) for each in _alternatives(schema)]
        if any("default" in part for part in parts) or any(any(_heading(part)) for part in (*parts, *alternatives)):
            return True
        items = _mapping(schema.get("items"))
        inner = (*parts, *alternatives, self.resolved(items)) if items else (*parts, *alternatives)
        return any(self.is_commented(each, depth + 1) for each in inner)

    def properties(self, schema: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        """The properties by name, with what they refer to."""
        named = _mapping(schema.get("properties")).items()
        return [(str(name), self.resolved(_mapping(each))) for name, each in named]

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema with what its `$ref` points to."""
        for _ in range(_DEEPEST):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                break
            target: Any = self.root
            for step in reference.removeprefix("#").strip("/").split("/"):
                target = _mapping(_mapping(target).get(step)) if step else target
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def is_too_much(self, depth: int) -> bool:
        """Whether this part is nested too deeply, or one too many."""
        self.left -= 1
        return depth > _DEEPEST or self.left < 0


def _alternatives(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = schema.get("anyOf") or schema.get("oneOf")
    return [_mapping(each) for each in listed] if isinstance(listed, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _literal(value: object) -> str:
    return spelt(value, ensure_ascii=False)
