"""Chat completions that were stored: listed, read, changed in their metadata, deleted.

See https://platform.openai.com/docs/api-reference/chat/list and the types of openai-python; what a refusal says is
unverified.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mockserver import problems
from mockserver.calls import Call
from mockserver.generating.dice import Dice
from mockserver.surfaces import Operation, Place, Result, Setting

_KIND = "chat.completion"
_MESSAGES = "chat.completion.messages"
_MOST, _USUAL = 100, 20


def keep(call: Call, setting: Setting, completion: Mapping[str, Any]) -> None:
    """Store a completion, and the messages that it answers."""
    made = {**completion, "metadata": call.body.get("metadata") or {}}
    setting.store.put(_KIND, made["id"], made)
    listed = [
        {**message, "id": f"{made['id']}-{index}", "content": _text(message.get("content")), "content_parts": None}
        for index, message in enumerate(call.body["messages"])
    ]
    setting.store.put(_MESSAGES, made["id"], {"messages": listed})


def _text(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")


def _found(call: Call, setting: Setting) -> dict[str, Any]:
    name = call.ids["completion_id"]
    known = setting.store.get(_KIND, name)
    if known is not None:
        return known
    if setting.lenient:
        return _made_up(name, setting)
    raise problems.error(404, f"No chat completion found with id '{name}'.", param=None)


def _made_up(name: str, setting: Setting) -> dict[str, Any]:
    """A completion that nobody asked for."""
    dice = Dice(setting.seed, _KIND, name)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "Nothing was stored under this id.",
        "refusal": None,
        "annotations": [],
    }
    return {
        "id": name,
        "object": _KIND,
        "created": setting.created,
        "model": setting.model.snapshot or "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 8, "total_tokens": 16},
        "service_tier": "default",
        "system_fingerprint": f"fp_{dice.hexadecimal(10)}",
        "metadata": {},
    }


def retrieve(call: Call, setting: Setting) -> Result:
    """One completion."""
    return Result(body=_found(call, setting))


def update(call: Call, setting: Setting) -> Result:
    """One completion with other metadata."""
    changed = {**_found(call, setting), "metadata": call.body.get("metadata") or {}}
    setting.store.put(_KIND, changed["id"], changed)
    return Result(body=changed)


def delete(call: Call, setting: Setting) -> Result:
    """Forget one completion."""
    name = _found(call, setting)["id"]
    setting.store.delete(_KIND, name)
    setting.store.delete(_MESSAGES, name)
    return Result(body={"object": "chat.completion.deleted", "id": name, "deleted": True})


def everything(call: Call, setting: Setting) -> Result:
    """All completions, or those of one model or with some metadata."""
    model = call.query.get("model")
    wanted = {name[9:-1]: value for name, value in call.query.items() if name.startswith("metadata[")}
    kept = [
        one
        for one in setting.store.all(_KIND)
        if model in (None, one["model"]) and wanted.items() <= one["metadata"].items()
    ]
    return Result(body=_page(call, kept))


def messages(call: Call, setting: Setting) -> Result:
    """What a completion answers."""
    name = _found(call, setting)["id"]
    kept = setting.store.get(_MESSAGES, name) or {"messages": []}
    return Result(body=_page(call, kept["messages"]))


def _page(call: Call, listed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A part of a list, as `after`, `limit` and `order` ask for it."""
    ordered = list(listed) if call.query.get("order") != "desc" else list(reversed(listed))
    ids = [one["id"] for one in ordered]
    after = call.query.get("after")
    rest = ordered[ids.index(after) + 1 :] if after in ids else ordered
    limit = call.query.get("limit", "")
    shown = rest[: min(int(limit), _MOST) if limit.isdecimal() else _USUAL]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(shown) < len(rest),
    }


_PLACES: tuple[Place, ...] = ("openai", "azure_v1")
_ONE = "/chat/completions/{completion_id}"

OPERATIONS = tuple(
    Operation(method=method, path=path, surface="chat", name=name, answer=answer, places=_PLACES, model=None)
    for method, path, name, answer in (
        ("GET", "/chat/completions", "list", everything),
        ("GET", _ONE, "retrieve", retrieve),
        ("POST", _ONE, "update", update),
        ("DELETE", _ONE, "delete", delete),
        ("GET", f"{_ONE}/messages", "messages", messages),
    )
)
