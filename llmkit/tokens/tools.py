"""What tools, the choice among them and a format for the answer are billed."""

from collections.abc import Iterable, Mapping
from typing import Any

from llmkit.errors import InvalidRequest, excerpt
from llmkit.tokens.counts import Tally
from llmkit.tokens.rules import HOSTED, Rules, Surface
from llmkit.tokens.schemas import answer_format, compact, declarations
from llmkit.tokens.text import length

_INSTRUCTIONS = "# Instructions\n\n"
_SEEN = 200  # letters at the end of the instructions that tell how they merge with what follows
_EXAMPLE = "{'type': 'function', 'function': {'name': …, 'description': …, 'parameters': …}}"
# words of a schema that were seen too rarely to be sure how they are billed, and by how much that may be off
_DOUBTFUL = {
    "anyOf": 2,
    "oneOf": 3,
    "allOf": 6,
    "format": 9,
    "const": 2,
    "examples": 12,
    "patternProperties": 6,
    "not": 4,
}


def functions_of(tools: object) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The functions among these tools, and the other tools. Raises InvalidRequest for what is no list of tools."""
    if tools is None:
        return [], []
    if isinstance(tools, Mapping | str) or not isinstance(tools, Iterable):
        raise InvalidRequest(f"tools is {excerpt(tools)}: it has to be a list of tools like {_EXAMPLE}")
    functions: list[Mapping[str, Any]] = []
    others: list[Mapping[str, Any]] = []
    for index, tool in enumerate(tools):
        if not isinstance(tool, Mapping):
            raise InvalidRequest(f"tools[{index}] is {excerpt(tool)}: it has to be a tool like {_EXAMPLE}")
        function = tool.get("function", tool if tool.get("type", "function") == "function" else None)
        (functions if isinstance(function, Mapping) else others).append(function or tool)
    return functions, others


def add_instructions(
    tally: Tally,
    functions: list[Mapping[str, Any]],
    schema: Mapping[str, Any] | None,
    *,
    system: str | None,
    encoding: str,
    rules: Rules,
    surface: Surface,
) -> None:
    """Add what declares tools and the answer's schema to the model.

    `system` is the text of the first message, if that is a system message.
    """
    if not functions and not schema:
        return
    joins = surface.joined is not None and system is not None
    if joins:
        tally.add(_seam(str(system), encoding, rules))
    added = surface.joined if joins and surface.joined else surface.alone
    if functions:
        undescribed = rules.reasons and not functions[0].get("description")
        declared = length(encoding, declarations(functions)) + (0 if rules.reasons else _dates(functions))
        tally.add(added.tools + surface.hidden + declared - undescribed, 1 + sum(map(_doubt, functions)))
    if schema:
        beside = added.format if not functions else surface.format_with_tools
        tally.add(length(encoding, answer_format(schema)) + beside, 1 + min(_doubt(schema), 4))


def add_choice(tally: Tally, choice: object, *, encoding: str, rules: Rules) -> None:
    """Add what `tool_choice` costs: a name on models that don't reason, next to nothing elsewhere."""
    if rules.reasons or choice is None:
        return
    if choice == "none":
        tally.add(1, 1)
    elif isinstance(choice, Mapping):
        named = choice.get("function") if isinstance(choice.get("function"), Mapping) else choice
        name = named.get("name") if isinstance(named, Mapping) else None
        if isinstance(name, str):
            tally.add(7 + length(encoding, f".{name}"), 1)


def schema_of(response_format: object) -> Mapping[str, Any] | None:
    """The schema that the answer has to conform to (`name`, `schema`), from either endpoint's spelling."""
    if not isinstance(response_format, Mapping) or response_format.get("type") != "json_schema":
        return None
    schema = response_format.get("json_schema", response_format)
    return schema if isinstance(schema, Mapping) else None


def _seam(system: str, encoding: str, rules: Rules) -> int:
    """What instructions grow by when a section follows them: the blank line may merge with how they end."""
    end = system[-_SEEN:]
    grown = length(encoding, f"{end}\n\n#") - length(encoding, f"{end}") - 1
    if rules.reasons:
        start = system[:_SEEN]
        grown += length(encoding, f"{_INSTRUCTIONS}{start}") - length(encoding, start)
    return grown


def _doubt(value: object) -> int:
    """How far off the count of a schema may be, by the words in it."""
    text = compact(value)
    return sum(worth * text.count(f'"{word}":') for word, worth in _DOUBTFUL.items() if word in text)


def add_others(tally: Tally, tools: Iterable[Mapping[str, Any]], *, encoding: str, rules: Rules) -> None:
    """Add tools that are no functions: nobody knows how they are declared, so it is an estimate."""
    for tool in tools:
        hosted = HOSTED.get(str(tool.get("type")))
        about = length(encoding, compact(tool))
        tally.add(*(hosted[rules.reasons] if hosted else (about + 20, about // 2 + 60)))


def _dates(functions: object) -> int:
    """What the formats of dates are billed on models that don't reason, in words that nobody has seen."""
    text = compact(functions)
    return sum(8 * text.count(f'"format":"{name}"') for name in ("date", "date-time", "time"))
