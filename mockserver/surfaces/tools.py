"""Tools and structured outputs: checks of the schemas that a chat request brings, and the call that answers it.

Rules of strict schemas: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs

from mockserver import problems
from mockserver.generating.dice import Dice
from mockserver.generating.prose import text_about, words_of
from mockserver.generating.schemas import Unsatisfiable, conforming
from mockserver.parameters import boolean, check_all, either, obj, one_of, require, string
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
    if not isinstance(choice, dict) or choice["type"] == "allowed_tools":
        return None
    return choice[choice["type"]].get("name", "")


def name_of(tool: Tool) -> str:
    """The name of an entry of `tools`."""
    return str(tool[tool["type"]]["name"])


def tool_call(tools: Sequence[Tool], *, prompt: str, choice: Any, dice: Dice) -> dict[str, Any]:
    """The call of the tool that fits `prompt` best, or of the chosen one, with arguments that its schema allows."""
    wanted = named(choice)
    eligible = [tool for tool in tools if wanted is None or name_of(tool) == wanted]
    tool = max(eligible, key=lambda one: _fit(one, prompt))
    if tool["type"] == "custom":
        call = {"name": name_of(tool), "input": text_about(prompt, dice)}
        return {"id": f"call_{dice.token(24)}", "type": "custom", "custom": call}
    schema = tool["function"].get("parameters") or {"type": "object", "properties": {}}
    arguments = structured(schema, prompt=prompt, dice=dice, param=f"tools[{tools.index(tool)}].function.parameters")
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
