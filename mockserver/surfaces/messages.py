"""Checks of chat messages, as the API refuses them."""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from mockserver import problems
from mockserver.parameters import array, either, obj, one_of, require, string

Message = dict[str, Any]

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_PARTS = ("text", "image_url", "input_audio", "refusal", "audio", "file")
_NAME = re.compile(r"[a-zA-Z0-9_-]+")


def check_messages(param: str, value: Any) -> None:
    """Refuse what is no conversation."""
    _check_list(param, value)
    _check_tool_answers(value)


def check_message(param: str, value: Any) -> None:
    """Refuse a message that is malformed in itself."""
    obj(param, value)
    require(value, ["role"], within=param)
    _check_role(f"{param}.role", value["role"])
    if isinstance(value.get("name"), str):
        check_name(f"{param}.name", value["name"])
    elif "name" in value and value["name"] is not None:
        string(f"{param}.name", value["name"])
    _CHECKS_BY_ROLE.get(value["role"], _check_spoken)(param, value)


_check_list = array(2048, check_message)
_check_role = one_of(*_ROLES)
_check_kind = either("one of a string or array of objects", {str: None, list: None})


def billed(message: Mapping[str, Any]) -> Message:
    """The fields of a checked message that count; others may be there and mean nothing."""
    called = ("tool_calls", "function_call") if message["role"] == "assistant" else ("tool_call_id",)
    names = ["role", "name", *called]
    content = message.get("content")
    if isinstance(content, list):
        content = [{"type": part["type"], part["type"]: part[part["type"]]} for part in content]
    return {**{name: message[name] for name in names if message.get(name) is not None}, "content": content}


def check_name(param: str, name: str) -> None:
    """Refuse a name of a message or function that has other letters than the API allows."""
    if _NAME.fullmatch(name) is None:
        # as quoted in public bug reports
        message = (
            f"Invalid '{param}': string does not match pattern."
            " Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise problems.error(400, message, param=param, code="invalid_value")


def _check_spoken(param: str, message: Message) -> None:
    """Of a system, developer or user message: content there must be."""
    _check_content(param, message)


def _check_assistant(param: str, message: Message) -> None:
    if message.get("tool_calls") is not None:
        array(128, _check_tool_call)(f"{param}.tool_calls", message["tool_calls"])
    if message.get("function_call") is not None:
        _check_function(f"{param}.function_call", message["function_call"])
    if message.get("content") is None:
        if message.get("tool_calls") or message.get("function_call") or message.get("refusal") or message.get("audio"):
            return
        raise _null_content(param)
    _check_content(param, message)


def _check_tool(param: str, message: Message) -> None:
    require(message, ["tool_call_id"], within=param)
    string(f"{param}.tool_call_id", message["tool_call_id"])
    _check_content(param, message)


def _check_function_result(param: str, message: Message) -> None:
    if not message.get("name"):
        text = "Missing parameter 'name': messages with role 'function' must have a 'name'."
        raise problems.error(400, text, param=_dotted(param, "name"))
    _check_content(param, message)


_CHECKS_BY_ROLE: Mapping[str, Callable[[str, Message], None]] = {
    "assistant": _check_assistant,
    "tool": _check_tool,
    "function": _check_function_result,
}


def _check_content(param: str, message: Message) -> None:
    content = message.get("content")
    if content is None:
        raise _null_content(param)
    _check_kind(f"{param}.content", content)
    for index, part in enumerate(content if isinstance(content, list) else ()):
        _check_part(f"{param}.content[{index}]", part)
        if message["role"] == "tool" and part["type"] == "image_url":
            raise problems.error(
                400,
                f"Invalid '{param}'. Image URLs are only allowed for messages with role 'user', but this message with"
                " role 'tool' contains an image URL.",
                param=param,
                code="invalid_value",
            )


def _null_content(param: str) -> problems.Problem:
    # as quoted in public bug reports
    return problems.error(
        400, "Invalid value for 'content': expected a string, got null.", param=_dotted(param, "content")
    )


def _dotted(param: str, name: str) -> str:
    """The older spelling of a path that some refusals keep: `messages.[0].name`."""
    return f"{param.replace('[', '.[', 1)}.{name}"


def _check_part(param: str, part: Any) -> None:
    obj(param, part)
    require(part, ["type"], within=param)
    one_of(*_PARTS)(f"{param}.type", part["type"])
    kind = part["type"]
    require(part, [kind], within=param)
    if kind in ("text", "refusal"):
        string(f"{param}.{kind}", part[kind])
        return
    obj(f"{param}.{kind}", part[kind])
    if kind == "image_url":
        _check_image(f"{param}.image_url", part[kind])
    if kind == "file":
        _check_file(f"{param}.file", part[kind])


def _check_image(param: str, image: Message) -> None:
    require(image, ["url"], within=param)
    if not isinstance(image["url"], str):
        raise problems.invalid_type(f"{param}.url", "a base64-encoded data URL", image["url"])
    if image["url"].startswith("data:") and not _is_image(image["url"].partition(",")[2]):
        message = (
            "You uploaded an unsupported image. Please make sure your image has of one the following formats:"
            " ['png', 'jpeg', 'gif', 'webp']."
        )
        raise problems.error(400, message, code="invalid_image_format")


def _is_image(encoded: str) -> bool:
    """Whether base64 data begins like one of the four formats; the rest of it is none of our business."""
    try:
        start = base64.b64decode(encoded[:32], validate=True)
    except ValueError:
        return False
    return start.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8")) or start[8:12] == b"WEBP"


def _check_file(param: str, file: Message) -> None:
    """A file is named by its id, or by a name and its data."""
    if not ("filename" in file and "file_data" in file):
        require(file, ["file_id"], within=param)
    for name in ("file_id", "filename", "file_data"):
        if file.get(name) is not None:
            string(f"{param}.{name}", file[name])
    kind = (file.get("file_data") or "").partition(";")[0]
    if kind.startswith("data:") and kind != "data:application/pdf":
        message = (
            f"Invalid file data: '{param}.file_data'. Expected a base64-encoded data URL with an application/pdf MIME"
            " type (e.g. 'data:application/pdf;base64,SGVsbG8sIFdvcmxkIQ=='), but got unsupported MIME type"
            f" '{kind.removeprefix('data:')}'."
        )
        raise problems.error(400, message, param=f"{param}.file_data", code="invalid_value")


def _check_tool_call(param: str, call: Any) -> None:
    obj(param, call)
    require(call, ["id", "type"], within=param)
    string(f"{param}.id", call["id"])
    one_of("function", "custom")(f"{param}.type", call["type"])
    require(call, [call["type"]], within=param)
    if call["type"] == "function":
        _check_function(f"{param}.function", call["function"])
        return
    obj(f"{param}.custom", call["custom"])
    for name in ("name", "input"):
        require(call["custom"], [name], within=f"{param}.custom")
        string(f"{param}.custom.{name}", call["custom"][name])


def _check_function(param: str, function: Any) -> None:
    obj(param, function)
    for name in ("name", "arguments"):
        require(function, [name], within=param)
        string(f"{param}.{name}", function[name])


def _check_tool_answers(messages: list[Message]) -> None:
    """Each call must be answered before anything else is said, and only what was called may be answered."""
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise _unasked_result(index)
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            break
        waiting = [call["id"] for call in message.get("tool_calls") or ()] if message["role"] == "assistant" else []
    if waiting:
        raise problems.error(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            param="messages",
        )


def _unasked_result(index: int) -> problems.Problem:
    # as quoted in public bug reports, its spelling included
    return problems.error(
        400,
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        param=f"messages.[{index}].role",
    )
