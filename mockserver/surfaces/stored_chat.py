"""Chat completions that were created with `store`: listed, read, given other metadata, deleted.

See https://platform.openai.com/docs/api-reference/chat/list and what follows it; objects as in its examples. No traffic
of it is known to be recorded, and the text of the 404 is unverified.
"""

import re
from collections.abc import Mapping
from typing import Any

from mockserver import problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.parameters import require
from mockserver.surfaces import Operation, Place, Result, Setting
from mockserver.surfaces.metadata import check_metadata
from mockserver.surfaces.paging import Paging

_KIND = "chat.completion"
_PLACES: tuple[Place, ...] = ("openai", "resource", "azure_v1")
_PAGING = Paging(order="asc")
_METADATA = re.compile(r"metadata\[(.+)\]")


def store_completion(setting: Setting, call: Call, body: Mapping[str, Any]) -> None:
    """Keep the completion `body` if its request asks for it; a stream's is kept as it would have come whole."""
    if call.body.get("store") is not True:
        return
    asked = call.body
    metadata = asked.get("metadata")
    completion = {
        **body,
        "request_id": call.request_id,
        "metadata": metadata if isinstance(metadata, dict) else {},
        "tool_choice": asked.get("tool_choice"),
        "tools": asked.get("tools"),
        "response_format": asked.get("response_format"),
        "seed": asked.get("seed"),
        "temperature": _number(asked.get("temperature"), 1.0),
        "top_p": _number(asked.get("top_p"), 1.0),
        "presence_penalty": _number(asked.get("presence_penalty"), 0.0),
        "frequency_penalty": _number(asked.get("frequency_penalty"), 0.0),
        "input_user": asked.get("user"),
    }
    messages = [message for message in asked.get("messages") or () if isinstance(message, dict)]
    setting.store.put(_KIND, completion["id"], {"completion": completion, "messages": messages})


def _number(value: Any, default: float) -> Any:
    return default if value is None else value


def list_all(call: Call, setting: Setting) -> Result:
    """A page of the completions of one model, and with certain metadata, where the request asks for that."""
    wanted = {fit[1]: text for name, text in call.query.items() if (fit := _METADATA.fullmatch(name))}
    model = call.query.get("model")
    completions = [kept["completion"] for kept in setting.store.all(_KIND)]
    fitting = [
        each for each in completions if model in (None, each["model"]) and wanted.items() <= each["metadata"].items()
    ]
    return _PAGING.page(call, setting, fitting)


def check_list(call: Call, _model: Model) -> None:
    """Refuse a wrong limit or order."""
    _PAGING.check(call)


def retrieve(call: Call, setting: Setting) -> Result:
    """One completion."""
    return Result(body=_found(call, setting)["completion"])


def check_update(call: Call, _model: Model) -> None:
    """Refuse an update that is none of metadata."""
    require(call.body, ["metadata"])
    if call.body["metadata"] is not None:
        check_metadata("metadata", call.body["metadata"])


def update(call: Call, setting: Setting) -> Result:
    """The completion with other metadata."""
    kept = _found(call, setting)
    metadata = call.body.get("metadata")
    completion = {**kept["completion"], "metadata": metadata if isinstance(metadata, dict) else {}}
    while not setting.store.update(_KIND, completion["id"], kept, {**kept, "completion": completion}):
        known = setting.store.get(_KIND, completion["id"])
        if known is None:  # made up, or deleted meanwhile
            break
        kept, completion = known, {**known["completion"], "metadata": completion["metadata"]}
    return Result(body=completion)


def delete(call: Call, setting: Setting) -> Result:
    """Forget a completion."""
    name = _found(call, setting)["completion"]["id"]
    setting.store.delete(_KIND, name)
    return Result(body={"object": "chat.completion.deleted", "id": name, "deleted": True})


def messages(call: Call, setting: Setting) -> Result:
    """A page of the messages that a completion answered."""
    kept = _found(call, setting)
    name = kept["completion"]["id"]
    listed = [_message(f"{name}-{index}", message) for index, message in enumerate(kept["messages"])]
    return _PAGING.page(call, setting, listed)


def _message(name: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as it is listed: content in parts stands beside its text."""
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    if parts is not None:
        content = "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict)) or None
    return {
        "id": name,
        "role": message.get("role"),
        "content": content,
        "name": message.get("name"),
        "content_parts": parts,
    }


def _found(call: Call, setting: Setting) -> dict[str, Any]:
    """What is kept of the completion that the path names; a lenient server makes one up."""
    name = call.ids["completion_id"]
    kept = setting.store.get(_KIND, name)
    if kept is not None:
        return kept
    if setting.lenient:
        return {"completion": _made_up(setting, name), "messages": []}
    raise problems.error(404, f"No chat completion found with id '{name}'.")  # worded like the 404 of batches


def _made_up(setting: Setting, name: str) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None, "annotations": []}
    return {
        "id": name,
        "object": "chat.completion",
        "created": setting.created,
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "metadata": {},
    }


def _operation(method: str, path: str, name: str, **rest: Any) -> Operation:
    return Operation(method=method, path=path, surface="stored_chat", name=name, places=_PLACES, model=None, **rest)


_ONE = "/chat/completions/{completion_id}"

OPERATIONS = (
    _operation("GET", "/chat/completions", "list", answer=list_all, check=check_list),
    _operation("GET", _ONE, "retrieve", answer=retrieve),
    _operation("POST", _ONE, "update", answer=update, check=check_update),
    _operation("DELETE", _ONE, "delete", answer=delete),
    _operation("GET", f"{_ONE}/messages", "messages", answer=messages, check=check_list),
)
