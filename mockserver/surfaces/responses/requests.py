"""Checks of requests for a response, as the API refuses them.

Texts, params and codes as recorded from api.openai.com on /v1/responses by pydantic-ai, ruby_llm, rig, genai, chatlas,
dd-trace-js and others; what was never recorded is marked.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mockserver import catalogue, problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.parameters import (
    Check,
    array,
    boolean,
    check_all,
    decimal,
    either,
    integer,
    obj,
    one_of,
    require,
    string,
)
from mockserver.surfaces import tools as toolbox
from mockserver.surfaces.efforts import efforts_of
from mockserver.surfaces.metadata import check_metadata
from mockserver.surfaces.responses.conversation import Item, items_of, kind_of, said

_BIG = 2**63 - 1
_LEAST_OUTPUT = 16
_ROLES = ("assistant", "system", "developer", "user")
_PARTS = ("input_text", "input_image", "output_text", "refusal", "input_file", "computer_screenshot", "summary_text")
_ITEMS = (
    *("additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call", "compaction"),
    *("computer_call", "computer_call_output", "custom_tool_call", "custom_tool_call_output", "file_search_call"),
    *("function_call", "function_call_output", "image_generation_call", "item_reference", "local_shell_call"),
    *("local_shell_call_output", "mcp_approval_request", "mcp_approval_response", "mcp_call", "mcp_list_tools"),
    *("message", "reasoning", "shell_call", "shell_call_output", "tool_search_call", "tool_search_output"),
    "web_search_call",
)
# what an item of a type cannot be without; of others nothing is demanded
_REQUIRED = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "item_reference": ("id",),
}
# known, and not served: the last recorded replies of api.openai.com
_ABSENT = ("gpt-5-chat-latest", "gpt-5.1-chat-latest")
_SEARCHES = ("web_search_preview", "web_search", "mcp", "file_search")  # that deep research needs one of
_CONTEXTS = ("auto", "current_turn")  # that every model takes; gpt-5.6 was recorded with `all_turns`, too
_LATEST = (5, 6)


def _check_parts(param: str, value: Any) -> None:
    array(10_000, _check_part, least=0)(param, value)


_CONTENT: Check = either("one of a string or array of objects", {str: None, list: _check_parts})


def check_item(param: str, value: Any) -> None:
    """Refuse a malformed item of the input."""
    obj(param, value)
    kind = kind_of(value)
    if kind not in _ITEMS:
        raise problems.invalid_value(param, kind, _ITEMS)
    role = value.get("role")
    if kind == "message" and "role" in value and role not in _ROLES:
        raise problems.invalid_value(param, role, _ROLES)
    require(value, _REQUIRED.get(kind, ()), within=param)
    if kind == "message":
        _CONTENT(f"{param}.content", value["content"])
    for name in ("call_id", "name", "arguments"):
        if kind.startswith("function_call") and name in value:
            string(f"{param}.{name}", value[name])
    if value.get("call_id") is not None:  # of some other items it may be null, of none anything but a text
        string(f"{param}.call_id", value["call_id"])


def _check_part(param: str, value: Any) -> None:
    obj(param, value)
    require(value, ["type"], within=param)
    one_of(*_PARTS)(f"{param}.type", value["type"])
    if value["type"] in ("input_text", "output_text"):
        require(value, ["text"], within=param)
        string(f"{param}.text", value["text"])
    if value["type"] == "input_file" and isinstance(value.get("file_data"), str):
        _check_file(f"{param}.file_data", value["file_data"])


def _check_file(param: str, data: str) -> None:
    kind = data.partition(";")[0].removeprefix("data:")
    if data.startswith("data:") and kind.startswith(("audio/", "video/")):
        message = (
            f"Invalid file data: '{param}'. Expected a base64-encoded data URL with a valid file MIME type (e.g."
            f" 'data:text/plain;base64,SGVsbG8sIFdvcmxkIQ=='), but got unsupported MIME type '{kind}'. Please see"
            " https://platform.openai.com/docs/assistants/tools/file-search#supported-files for supported file types."
        )
        raise problems.error(400, message, param=param, code="invalid_value")


def check_tool(param: str, value: Any) -> None:
    """Refuse a malformed tool; of the hosted ones only what they cannot be without is looked at."""
    obj(param, value)
    require(value, ["type"], within=param)
    string(f"{param}.type", value["type"])
    if value["type"] == "function":
        toolbox.check_function(param, value)
    elif value["type"] == "custom":
        require(value, ["name"], within=param)
    elif value["type"] == "file_search":
        require(value, ["vector_store_ids"], within=param)


def _check_choice(param: str, value: Any) -> None:
    either("one of a string or an object", {str: one_of("none", "auto", "required"), dict: None})(param, value)
    if isinstance(value, dict):
        require(value, ["type"], within=param)
        if value["type"] in ("function", "custom"):
            require(value, ["name"], within=param)


def _check_text(param: str, value: Any) -> None:
    obj(param, value)
    if value.get("format") is not None:
        _check_format(f"{param}.format", value["format"])
    check_all(value, {"verbosity": one_of("low", "medium", "high")})


def _check_format(param: str, value: Any) -> None:
    obj(param, value)
    require(value, ["type"], within=param)
    one_of("json_object", "json_schema", "text")(f"{param}.type", value["type"])
    if value["type"] != "json_schema":
        return
    require(value, ["name", "schema"], within=param)
    try:
        toolbox.check_response_format(param, {"type": "json_schema", "json_schema": value})
    except problems.Problem as problem:
        if "Invalid schema" in problem.error["message"]:
            message = problem.error["message"]
            raise problems.error(400, message, param=f"{param}.schema", code="invalid_json_schema") from problem
        raise problems.Problem(400, {**problem.error, "param": f"{param}.name"}) from problem


def _check_reasoning(param: str, value: Any) -> None:
    obj(param, value)
    words = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    check_all(value, {"effort": lambda name, one: one_of(*words)(f"{param}.{name}", one)})


_INPUT: Check = either(
    "one of a string or an array of input items", {str: None, list: array(100_000, check_item, least=0)}
)

# order matters: of several wrong parameters the first here is the one refused
_PARAMETERS: dict[str, Check] = {
    "input": _INPUT,
    "instructions": string,
    "tools": array(128, check_tool, least=0),
    "tool_choice": _check_choice,
    "text": _check_text,
    "max_output_tokens": integer(_LEAST_OUTPUT, _BIG),
    "max_tool_calls": integer(1, _BIG),
    "temperature": decimal(0, 2),
    "top_p": decimal(0, 1),
    "top_logprobs": integer(0, 20),
    "stream": boolean,
    "stream_options": obj,
    "parallel_tool_calls": boolean,
    "store": boolean,
    "background": boolean,
    "previous_response_id": string,
    "conversation": either("one of a string or an object", {str: None, dict: None}),
    "include": array(20, string, least=0),
    "metadata": check_metadata,
    "reasoning": _check_reasoning,
    "truncation": one_of("auto", "disabled"),
    "service_tier": one_of("auto", "default", "flex", "scale", "priority", "fast"),
    "user": string,
    "safety_identifier": string,
    "prompt": obj,
    "prompt_cache_key": string,
    "prompt_cache_retention": one_of("in_memory", "24h"),
    "prompt_cache_options": obj,
    "context_management": array(100, obj, least=0),
    "moderation": obj,
    "image": obj,
    "access_programs": obj,
    "personality": string,
}


def check(call: Call, model: Model) -> None:
    """Refuse what the API refuses to answer, first for the shape of the request, then for what the model lacks."""
    body = call.body
    _check_known(body)
    require(body, ["model"])
    if model.family in _ABSENT and call.dialect == "openai":
        raise problems.error(404, f"Model not found {model.name}", param="model")
    if not any(body.get(name) is not None for name in ("prompt", "previous_response_id", "conversation")):
        require(body, ["input"])
    check_all(body, _PARAMETERS)
    _check_combinations(body)
    _check_json(body)
    _check_model(body, model)


def check_count(call: Call, _model: Model) -> None:
    """Refuse a request to count tokens: nothing is required of it."""
    _check_known(call.body)
    check_all(call.body, _PARAMETERS)


def check_compact(call: Call, _model: Model) -> None:
    """Refuse a request to compact a conversation."""
    _check_known(call.body)
    require(call.body, ["model"])
    check_all(call.body, _PARAMETERS)


def check_calls(items: list[Item]) -> None:
    """Refuse results that nobody asked for, and calls without results."""
    answered = {item.get("call_id") for item in items if kind_of(item).endswith("_call_output")}
    asked = {item.get("call_id") for item in items if kind_of(item) in ("function_call", "custom_tool_call")}
    for item in items:
        kind, name = kind_of(item), item.get("call_id")
        # both as quoted in public bug reports
        if kind == "function_call_output" and name not in asked:
            raise _refused_input(f"No tool call found for function call output with call_id {name}.")
        if kind == "function_call" and name not in answered:
            raise _refused_input(f"No tool output found for function call {name}.")


def check_reasoning(items: list[Item]) -> None:
    """Refuse reasoning that leads to nothing."""
    for index, item in enumerate(items):
        if kind_of(item) == "reasoning" and _ends_reasoning(items[index + 1 : index + 2]):
            raise _refused_input(
                f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item."
            )


def _ends_reasoning(following: list[Item]) -> bool:
    """Whether the model did not say what it had thought about."""
    return not following or following[0].get("role") in ("user", "system", "developer")


def _refused_input(message: str) -> problems.Problem:
    return problems.error(400, message, param="input")


def _check_known(body: Mapping[str, Any]) -> None:
    unknown = next((name for name in body if name != "model" and name not in _PARAMETERS), None)
    if unknown == "response_format":
        message = (
            "Unsupported parameter: 'response_format'. In the Responses API, this parameter has moved to 'text.format'."
            " Try again with the new parameter. See the API documentation for more information:"
            " https://platform.openai.com/docs/api-reference/responses/create."
        )
        raise problems.error(400, message, code="unsupported_parameter")
    if unknown is not None:
        raise problems.error(400, f"Unknown parameter: '{unknown}'.", param=unknown, code="unknown_parameter")


def _check_combinations(body: Mapping[str, Any]) -> None:
    if body.get("previous_response_id") is not None and body.get("conversation") is not None:
        # unverified in wording
        message = (
            "Mutually exclusive parameters. Ensure you are only providing one of: 'previous_response_id' or"
            " 'conversation'."
        )
        raise problems.error(400, message, code="mutually_exclusive_parameters")


def _check_json(body: Mapping[str, Any]) -> None:
    wanted = ((body.get("text") or {}).get("format") or {}).get("type")
    # instructions do not count: recorded with the word in them
    if wanted == "json_object" and "json" not in said(items_of(body.get("input"))).lower():
        raise _refused_input(
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type"
            " 'json_object'."
        )


def _check_model(body: Mapping[str, Any], model: Model) -> None:
    reasoning = body.get("reasoning") or {}
    if "deep-research" in model.family and not any(tool["type"] in _SEARCHES for tool in body.get("tools") or ()):
        message = "Deep research models require at least one of 'web_search_preview', 'mcp', or 'file_search' tools."
        raise problems.error(400, message, param="tools")
    if model.kind == "reasoning":
        _check_thinker(body, reasoning, model)
    elif reasoning.get("effort") is not None:
        raise problems.unsupported_parameter("reasoning.effort")
    if ((body.get("text") or {}).get("format") or {}).get("type") == "json_schema" and _lacks_schemas(model):
        message = (
            "Invalid parameter: 'text.format' of type 'json_schema' is not supported with model version"
            f" `{model.name}`."
        )
        raise problems.error(400, message, param="text.format")


def _check_thinker(body: Mapping[str, Any], reasoning: Mapping[str, Any], model: Model) -> None:
    """Reasoning models take some efforts, no sampling parameters and no log probabilities."""
    efforts = efforts_of(model)
    effort = reasoning.get("effort")
    if effort is not None and effort not in efforts:
        raise _unsupported("reasoning.effort", effort, efforts, model)
    context = reasoning.get("context")
    if context not in (None, *_CONTEXTS) and model.generation < _LATEST:
        raise _unsupported("reasoning.context", context, _CONTEXTS, model)
    if reasoning.get("mode") not in (None, "standard") and model.generation < _LATEST:
        message = "`reasoning.mode` is not supported with this model."
        raise problems.error(400, message, param="reasoning.mode", code="unsupported_value")
    if body.get("top_logprobs"):
        message = "logprobs are not supported with reasoning models."
        raise problems.error(400, message, param="top_logprobs", code="unsupported_parameter")
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1) and model.generation < (5, 1):
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            raise problems.error(400, message, param=name)


def _unsupported(param: str, value: object, supported: Iterable[str], model: Model) -> problems.Problem:
    listed = problems.listing(supported)
    message = (
        f"Unsupported value: '{value}' is not supported with the '{model.name}' model. Supported values are: {listed}."
    )
    return problems.error(400, message, param=param, code="unsupported_value")


def _lacks_schemas(model: Model) -> bool:
    """Whether the family is one of those that refuse schemas in chat, too."""
    refusing = [one for one in catalogue.refusals() if one.value == "json_schema"]
    return any(model.family in one.families for one in refusing)
