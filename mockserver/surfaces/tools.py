"""Tools and structured outputs: checks of the schemas that a chat request brings, and the call that answers it.

Rules of strict schemas: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import jsonschema_rs

from mockserver import problems
from mockserver.generating.dice import Dice
from mockserver.generating.prose import text_about, words_of
from mockserver.generating.schemas import Unsatisfiable, conforming
from mockserver.parameters import array, boolean, check_all, either, obj, one_of, require, string
from mockserver.surfaces.messages import check_name

Tool = dict[str, Any]


def check_tool(param: str, value: Any) -> None:
    """Refuse a malformed entry of `tools`."""
    obj(param, value)
    require(value, ["type"], within=param)
    one_of("function", "custom")(f"{param}.type", value["type"])
    require(value, [value["type"]], within=param)
    if value["type"] == "function":
        check_function(f"{param}.function", value["function"])
        return
    obj(f"{param}.custom", value["custom"])
    _check_own_name(f"{param}.custom", value["custom"])


def check_function(param: str, value: Any) -> None:
    """Refuse a malformed function, also as an entry of the older `functions`."""
    obj(param, value)
    _check_own_name(param, value)
    check_all(value, {f"{name}": check for name, check in {"description": string, "strict": boolean}.items()})
    parameters = value.get("parameters")
    if parameters is None:
        return
    obj(f"{param}.parameters", parameters)
    complaint = _complaint(parameters, strict=value.get("strict") is True, of_function=True)
    if complaint:
        message = f"Invalid schema for function '{value['name']}': {complaint}"
        raise problems.error(400, message, param=f"{param}.parameters", code="invalid_function_parameters")


def _check_own_name(param: str, value: Mapping[str, Any]) -> None:
    require(value, ["name"], within=param)
    string(f"{param}.name", value["name"])
    check_name(f"{param}.name", value["name"])


def check_response_format(param: str, value: Any) -> None:
    """Refuse a malformed `response_format`."""
    obj(param, value)
    require(value, ["type"], within=param)
    one_of("json_object", "json_schema", "text")(f"{param}.type", value["type"])
    if value["type"] == "json_schema":
        require(value, ["json_schema"], within=param)
        _check_named_schema(f"{param}.json_schema", value["json_schema"])


def _check_named_schema(param: str, value: Any) -> None:
    obj(param, value)
    _check_own_name(param, value)
    schema = value.get("schema")
    if schema is None:
        return
    obj(f"{param}.schema", schema)
    complaint = _complaint(schema, strict=value.get("strict") is True, of_function=False)
    if complaint:
        message = f"Invalid schema for response_format '{value['name']}': {complaint}"
        raise problems.error(400, message, param="response_format")


def check_tool_choice(param: str, value: Any) -> None:
    """Refuse a malformed `tool_choice`; whether its function exists is for `check_choice_exists`."""
    either("one of a string or an object", {str: one_of("none", "auto", "required"), dict: None})(param, value)
    if isinstance(value, dict):
        require(value, ["type"], within=param)
        one_of("function", "custom", "allowed_tools")(f"{param}.type", value["type"])
        require(value, [value["type"]], within=param)
        obj(f"{param}.{value['type']}", value[value["type"]])
        if value["type"] == "allowed_tools":
            _check_allowed(f"{param}.allowed_tools", value["allowed_tools"])


def _check_allowed(param: str, value: Any) -> None:
    """Refuse a malformed list of allowed tools; the field is as in OpenAI's specification, its refusals unverified."""
    require(value, ["mode", "tools"], within=param)
    one_of("auto", "required")(f"{param}.mode", value["mode"])
    array(128, _check_reference)(f"{param}.tools", value["tools"])


def _check_reference(param: str, value: Any) -> None:
    obj(param, value)
    require(value, ["type"], within=param)
    one_of("function", "custom")(f"{param}.type", value["type"])
    require(value, [value["type"]], within=param)
    obj(f"{param}.{value['type']}", value[value["type"]])
    require(value[value["type"]], ["name"], within=f"{param}.{value['type']}")


def check_function_call(param: str, value: Any) -> None:
    """Refuse a malformed `function_call`, the older `tool_choice`."""
    either("one of a string or an object", {str: one_of("none", "auto"), dict: None})(param, value)
    if isinstance(value, dict):
        require(value, ["name"], within=param)


def check_function_exists(choice: Any, functions: Sequence[Tool]) -> None:
    """Refuse a choice without functions, or of one that is not among them."""
    # worded like the refusals of `tool_choice`; unverified
    if choice is not None and not functions:
        message = "Invalid value for 'function_call': 'function_call' is only allowed when 'functions' are specified."
        raise problems.error(400, message, param="function_call")
    if isinstance(choice, dict) and choice["name"] not in [function["name"] for function in functions]:
        message = (
            f"Invalid value for 'function_call': no function named '{choice['name']}' was specified in the 'functions'"
            " parameter."
        )
        raise problems.error(400, message, param="function_call")


def check_choice_exists(choice: Any, tools: Sequence[Tool]) -> None:
    """Refuse a choice without tools, or of a function that is not among them."""
    # both as quoted in public bug reports
    if choice is not None and not tools:
        message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        raise problems.error(400, message, param="tool_choice")
    wanted = named(choice)
    if wanted is not None and wanted not in [name_of(tool) for tool in tools]:
        message = (
            f"Invalid value for 'tool_choice': no function named '{wanted}' was specified in the 'tools' parameter."
        )
        raise problems.error(400, message, param="tool_choice")


def named(choice: Any) -> Any:
    """The name of the one tool that a `tool_choice` demands, None if it demands none in particular."""
    if not isinstance(choice, dict) or choice.get("type") not in ("function", "custom"):
        return None
    return choice[choice["type"]].get("name", "")


def name_of(tool: Tool) -> str:
    """The name of an entry of `tools`."""
    return str(tool[tool["type"]]["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The calls that a request asks for: of which tools, of how many at most, and why the reply ends with them."""

    tools: tuple[Tool, ...]
    many: bool
    finish_reason: str
    legacy: bool = False

    @classmethod
    def of(cls, body: Mapping[str, Any], *, answers_a_tool: bool) -> Self | None:
        """What the request wants called, None where it is to be answered in words."""
        if body.get("functions") and not body.get("tools"):
            return cls._of_functions(
                body["functions"], body.get("function_call") or "auto", answers_a_tool=answers_a_tool
            )
        choice = body.get("tool_choice") or "auto"
        tools, mode = _allowed(body.get("tools") or [], choice)
        if not tools or mode == "none" or (mode == "auto" and answers_a_tool):
            return None
        if named(choice) is not None:
            # recorded replies to a demand for one function end with "stop"
            return cls(tools=tools, many=False, finish_reason="stop")
        return cls(tools=tools, many=body.get("parallel_tool_calls") is not False, finish_reason="tool_calls")

    @classmethod
    def _of_functions(cls, functions: Sequence[Tool], choice: Any, *, answers_a_tool: bool) -> Self | None:
        tools: tuple[Tool, ...] = tuple({"type": "function", "function": function} for function in functions)
        if isinstance(choice, dict):
            tools = tuple(tool for tool in tools if name_of(tool) == choice.get("name"))
            return cls(tools=tools, many=False, finish_reason="stop", legacy=True) if tools else None
        if choice == "none" or answers_a_tool:
            return None
        return cls(tools=tools, many=False, finish_reason="function_call", legacy=True)


def _allowed(tools: Sequence[Tool], choice: Any) -> tuple[tuple[Tool, ...], str]:
    """The tools that may be called, and whether one must be: "none", "auto" or "required"."""
    if not isinstance(choice, dict):
        return tuple(tools), choice
    if choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        names = [name_of(tool) for tool in allowed.get("tools") or ()]
        return tuple(tool for tool in tools if name_of(tool) in names), allowed.get("mode") or "auto"
    return tuple(tool for tool in tools if name_of(tool) == named(choice)), "required"


def functions_of(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is declared to the model, whichever way."""
    return [tool[tool["type"]] for tool in body.get("tools") or ()] + list(body.get("functions") or ())


def demanded(body: Mapping[str, Any]) -> str | None:
    """The function that the request demands by name, None if it demands none in particular."""
    choice = body.get("tool_choice") if body.get("tools") else body.get("function_call")
    if isinstance(choice, dict) and "type" not in choice:
        return str(choice.get("name", ""))
    name = named(choice)
    return None if name is None else str(name)


def calls(wanted: Wanted, *, prompt: str, dice: Dice) -> Iterator[dict[str, Any]]:
    """Calls of the tools that fit `prompt` best, with arguments that their schemas allow.

    Several are called only if they share words with the prompt, each at least half as many as the best.
    """
    fits = [_fit(tool, prompt) for tool in wanted.tools]
    best = max(fits)
    chosen = [index for index, fit in enumerate(fits) if wanted.many and best and 2 * fit >= best]
    for index in chosen or [fits.index(best)]:
        place = f"functions[{index}].parameters" if wanted.legacy else f"tools[{index}].function.parameters"
        yield _call_of(wanted.tools[index], place, prompt=prompt, dice=dice)


def _call_of(tool: Tool, place: str, *, prompt: str, dice: Dice) -> dict[str, Any]:
    if tool["type"] == "custom":
        made = {"name": name_of(tool), "input": text_about(prompt, dice)}
        return {"id": f"call_{dice.token(24)}", "type": "custom", "custom": made}
    schema = tool["function"].get("parameters") or {"type": "object", "properties": {}}
    arguments = structured(schema, prompt=prompt, dice=dice, param=place)
    return as_call(name_of(tool), arguments, dice)


def as_call(name: str, arguments: Any, dice: Dice) -> dict[str, Any]:
    """A call of a function; its arguments are compact JSON as in recorded replies."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    return {"id": f"call_{dice.token(24)}", "type": "function", "function": {"name": name, "arguments": text}}


def structured(schema: Any, *, prompt: str, dice: Dice, param: str) -> Any:
    """A value that conforms to `schema`; Problem, in the server's own voice, where it finds none."""
    try:
        return conforming(schema, prompt=prompt, dice=dice)
    except Unsatisfiable as exc:
        message = (
            f"mockserver makes no value for this schema: {_shortened(str(exc))}."
            " This is a limit of the mock server, not an answer of the API. Script what it is to say: reply(text),"
            " reply(tool_calls=[…]), or a whole body with reply(json=…)."
        )
        raise problems.error(400, message, kind="mockserver_limit", param=param, code="schema_not_covered") from exc


def _shortened(text: str) -> str:
    return text if len(text) <= 400 else f"{text[:400]}…"


def _fit(tool: Tool, prompt: str) -> int:
    """How many words of its name and description the prompt shares."""
    described = f"{name_of(tool).replace('_', ' ')} {tool[tool['type']].get('description') or ''}".lower()
    stems = {word[:5] for word in words_of(described)}
    return len(stems & {word.lower()[:5] for word in words_of(prompt)})


def _complaint(schema: Mapping[str, Any], *, strict: bool, of_function: bool) -> str:
    """What is wrong with a schema, in the API's words; empty if nothing is."""
    if of_function and schema.get("type") != "object":
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
    if of_function and "properties" not in schema and not strict:
        return "In context=(), object schema missing properties."
    if not jsonschema_rs.meta.is_valid(dict(schema)):
        return "In context=(), the schema is not a valid JSON Schema."  # unverified
    if not _resolvable(schema):
        return "In context=(), reference can only point to definitions defined at the top level of the schema."
    return next(_looseness(schema, ()), "") if strict else ""


def _resolvable(schema: Mapping[str, Any]) -> bool:
    try:
        jsonschema_rs.validator_for(dict(schema), validate_formats=True)
    except (jsonschema_rs.ReferencingError, jsonschema_rs.ValidationError, ValueError):
        return False
    return True


def _looseness(schema: Any, context: tuple[str, ...]) -> Iterator[str]:
    """Where a schema is not as strict as `strict` demands: closed objects with every property required."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        yield from _open_object(schema, context)
    for key in ("properties", "$defs", "definitions"):
        for name, part in schema[key].items() if isinstance(schema.get(key), dict) else ():
            yield from _looseness(part, (*context, key, name))
    yield from _looseness(schema.get("items"), (*context, "items"))
    for index, part in enumerate(schema["anyOf"] if isinstance(schema.get("anyOf"), list) else ()):
        yield from _looseness(part, (*context, "anyOf", str(index)))


def _open_object(schema: Mapping[str, Any], context: tuple[str, ...]) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield f"In context={context}, 'additionalProperties' is required to be supplied and to be false."
    absent = [name for name in schema.get("properties", {}) if name not in schema.get("required", ())]
    if absent:
        yield (
            f"In context={context}, 'required' is required to be supplied and to be an array including every key in"
            f" properties. Missing '{absent[0]}'."
        )
