"""The tool calls of a reply, checked against the tools that were offered."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from llmkit.errors import ConfigError, ParseFailed, excerpt
from llmkit.messages import Dumpable
from llmkit.parsers.json_text import value_of
from llmkit.parsers.places import failure
from llmkit.parsers.structured import misfit, problems_of
from llmkit.responses import Completion, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCall:
    """A tool call that is sound: a tool that was offered, with arguments that fit it."""

    id: str
    name: str
    arguments: dict[str, Any]


class ToolCalls:
    """The tool calls of a reply: `ToolCalls(tools)(reply)`, with `tools` as they are given to the API.

    Takes a Completion, or its `tool_calls`. Raises ParseFailed that names every call whose tool was not offered or
    whose arguments are no JSON object or do not fit the tool's schema, and where there is no call, unless `optional`;
    ConfigError, when it is made, for what is no tool.
    """

    takes_reply = True

    def __init__(self, tools: Iterable[Any], *, optional: bool = False) -> None:
        self._schemas = dict(_declared(tool) for tool in tools)
        self._optional = optional

    def __call__(self, reply: Completion | Iterable[ToolCall]) -> list[ParsedCall]:
        """The calls, in order."""
        calls = tuple(reply.tool_calls if isinstance(reply, Completion) else reply)
        said = reply.text if isinstance(reply, Completion) else ""
        if not calls and not self._optional:
            raise failure(f"the reply calls no tool; it says {excerpt(said)}", text=said)
        found, failures = [], []
        for call in calls:
            try:
                found.append(self.parsed(call))
            except ParseFailed as error:
                failures.append(error)
        if failures:
            raise _combined(failures)
        return found

    def parsed(self, call: ToolCall) -> ParsedCall:
        """One call; raises ParseFailed."""
        schema = self._schemas.get(call.name)
        if schema is None:
            near = get_close_matches(call.name, self._schemas, n=1)
            hint = f"did it mean {near[0]!r}? " if near else ""
            offered = ", ".join(map(repr, self._schemas))
            raise failure(f"tool {call.name!r} was not offered; {hint}They are {offered}", text=call.arguments)
        arguments = _arguments(call)
        problems = problems_of(schema, arguments)
        if problems:
            said = f"the arguments of {call.name!r} do not fit"
            raise misfit(problems, json_text=call.arguments, offset=0, text=call.arguments, said=said)
        return ParsedCall(id=call.id, name=call.name, arguments=arguments)

    def __repr__(self) -> str:
        return f"ToolCalls({', '.join(self._schemas)})"


def _arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments; an empty text is none, as models write it for tools without parameters."""
    try:
        arguments = value_of(call.arguments) if call.arguments.strip() else {}
    except ParseFailed as error:
        raise ParseFailed(
            f"the arguments of {call.name!r} are no JSON, {error.message}",
            text=call.arguments,
            position=error.position,
            path=error.path,
        ) from None
    if not isinstance(arguments, dict):
        raise failure(f"the arguments of {call.name!r} are {excerpt(arguments)}, not an object", text=call.arguments)
    return arguments


def _combined(failures: list[ParseFailed]) -> ParseFailed:
    [first, *more] = failures
    if not more:
        return first
    message = "\n".join([f"{len(failures)} tool calls are wrong", *(each.message for each in failures)])
    return ParseFailed(message, text=first.text, position=first.position, path=first.path)


def _declared(tool: object) -> tuple[str, Mapping[str, Any]]:
    """The name of a tool and the schema of its arguments, as chat completions or responses have them."""
    if isinstance(tool, Dumpable):
        tool = tool.model_dump(mode="json", exclude_unset=True)
    function = tool.get("function", tool) if isinstance(tool, Mapping) else {}
    name = function.get("name") if isinstance(function, Mapping) else None
    if not (isinstance(name, str) and name):
        raise ConfigError(f"{excerpt(tool)} is no tool: {json.dumps({'type': 'function', 'function': {'name': '…'}})}")
    schema = function.get("parameters") or {"type": "object"}
    problems_of(schema, {})
    return name, schema
