"""The alternatives of a chat completion: what is said or called, and where it ends."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mockserver.calls import Call
from mockserver.generating import usage
from mockserver.generating.dice import Dice
from mockserver.generating.prose import text_about, text_from_results
from mockserver.surfaces import Setting
from mockserver.surfaces import tools as toolbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the alternatives: text or tool calls, why it ends, and its length in tokens."""

    text: str | None
    tool_calls: tuple[Mapping[str, Any], ...]
    finish_reason: str
    tokens: int


def choice_of(call: Call, setting: Setting, index: int) -> Choice:
    """The alternative number `index`, cut where `stop` or the token limit demands."""
    text, calls = _content(call, setting, setting.dice(call, f"choice {index}"))
    model, cut = setting.model.name, False
    if text is not None:
        whole = _until_stop(text, call.body.get("stop"))
        limit = call.body.get("max_completion_tokens") or call.body.get("max_tokens") or setting.model.output
        text = usage.first_tokens(whole, limit, model=model)
        cut = text != whole
    reason = "length" if cut else "tool_calls" if calls else "stop"
    return Choice(
        text=text,
        tool_calls=calls,
        finish_reason=setting.scripted.finish_reason or reason,
        tokens=usage.text_tokens(text or "", model=model) + sum(_call_tokens(one, model) for one in calls),
    )


def _call_tokens(call: Mapping[str, Any], model: str) -> int:
    """Name and arguments in a frame of seven tokens, as billed in recorded traffic."""
    kind = call[call["type"]]
    return 7 + sum(usage.text_tokens(str(value), model=model) for value in kind.values())


def _content(call: Call, setting: Setting, dice: Dice) -> tuple[str | None, tuple[Mapping[str, Any], ...]]:
    """Text, or tool calls: scripted, or else what the request asks for."""
    scripted, body = setting.scripted, call.body
    if scripted.tool_calls:
        calls = tuple(toolbox.as_call(one["name"], one.get("arguments", {}), dice) for one in scripted.tool_calls)
        return scripted.text, calls
    if scripted.text is not None:
        return scripted.text, ()
    if _calls_for_a_tool(body):
        prompt = _said_by_user(body)
        return None, (toolbox.tool_call(body["tools"], prompt=prompt, choice=body.get("tool_choice"), dice=dice),)
    return _text(body, dice), ()


def _calls_for_a_tool(body: Mapping[str, Any]) -> bool:
    choice = body.get("tool_choice") or "auto"
    if not body.get("tools") or choice == "none":
        return False
    return choice != "auto" or body["messages"][-1]["role"] == "user"


def _text(body: Mapping[str, Any], dice: Dice) -> str:
    output = body.get("response_format") or {"type": "text"}
    prompt = _said_by_user(body)
    if output["type"] == "json_schema":
        schema = output["json_schema"].get("schema") or {"type": "object"}
        value = toolbox.structured(schema, prompt=said(body), dice=dice, param="response_format")
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if output["type"] == "json_object":
        names = re.findall(r"[\"'`](\w{1,40})[\"'`]", said(body))[:8] or ["answer"]
        return json.dumps({name: text_about(prompt, dice) for name in names}, ensure_ascii=False, indent=2)
    results = list(_tool_results(body))
    return text_from_results(results, dice) if results else text_about(prompt, dice)


def _tool_results(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Tools and what they gave, of the results at the end of the conversation."""
    asked = [message for message in body["messages"] if message["role"] == "assistant"]
    names = {one["id"]: one[one["type"]]["name"] for message in asked for one in message.get("tool_calls") or ()}
    latest: list[Mapping[str, Any]] = []
    for message in reversed(body["messages"]):
        if message["role"] not in ("tool", "function"):
            break
        latest.insert(0, message)
    for message in latest:
        yield str(names.get(message.get("tool_call_id"), message.get("name", "the tool"))), _plain(message["content"])


def _said_by_user(body: Mapping[str, Any]) -> str:
    """What the user said last."""
    return next(
        (_plain(message.get("content")) for message in reversed(body["messages"]) if message["role"] == "user"), ""
    )


def said(body: Mapping[str, Any]) -> str:
    """Everything that the conversation says."""
    return "\n".join(_plain(message.get("content")) for message in body["messages"])


def _plain(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part["type"] == "text")
    return content or ""


def _until_stop(text: str, stop: str | list[str] | None) -> str:
    ends = [text.find(one) for one in ([stop] if isinstance(stop, str) else stop or []) if one and one in text]
    return text[: min(ends)] if ends else text
