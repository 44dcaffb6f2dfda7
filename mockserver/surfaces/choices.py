"""The alternatives of a chat completion: what is said or called, and where it ends."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating import usage
from mockserver.generating.dice import Dice
from mockserver.generating.prose import text_about, text_from_results
from mockserver.surfaces import Setting, voices
from mockserver.surfaces import tools as toolbox
from mockserver.surfaces.choice import Choice
from mockserver.surfaces.citations import cited

# thoughts of 64 tokens each, up to four times as many as this; recorded counts of reasoning are multiples of 64
_EFFORTS = {"none": 0, "minimal": 0, "low": 1, "medium": 2, "high": 8, "xhigh": 16}
_THOUGHT = 64

_FRAME = 7  # around a call's name and arguments, as billed in recorded traffic


def choice_of(call: Call, setting: Setting, index: int) -> Choice:
    """The alternative number `index`, cut where `stop` or the token limit demands."""
    reasoning = _reasoning(call, setting, index)
    limit = most_tokens(call.body, setting.model)
    if reasoning >= limit:
        return Choice(text="", finish_reason="length", reasoning=limit)
    choice = _cut(_content(call, setting, index), call.body.get("stop"), limit - reasoning, setting.model.name)
    choice = voices.spoken(choice, call, setting, index) if call.body.get("modalities") else choice
    accepted, rejected = _predicted(call.body.get("prediction"), choice.text, setting.model.name)
    reason = setting.scripted.finish_reason or choice.finish_reason
    if reason == choice.finish_reason and not (reasoning or accepted or rejected):
        return choice
    return replace(choice, finish_reason=reason, reasoning=reasoning, accepted=accepted, rejected=rejected)


def most_tokens(body: Mapping[str, Any], model: Model) -> int:
    """The most tokens of one choice; a model that nobody knows has no limit of its own."""
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or model.output or 1_000_000)


def _reasoning(call: Call, setting: Setting, index: int) -> int:
    """Tokens thought; none for what a script says."""
    model, scripted = setting.model, setting.scripted
    if model.kind != "reasoning" or scripted.text is not None or scripted.tool_calls:
        return 0
    steps = _EFFORTS.get(call.body.get("reasoning_effort") or model.effort, 0)
    return _THOUGHT * steps * setting.dice(call, f"reasoning {index}").randint(1, 4) if steps else 0


def _predicted(prediction: Any, text: str | None, model: str) -> tuple[int, int]:
    """Tokens of a prediction that came true, up to where the text leaves it, and those that did not."""
    if not isinstance(prediction, Mapping) or text is None:
        return 0, 0
    return usage.common_tokens(text, _plain(prediction.get("content")), model=model)


def _cut(whole: Choice, stop: str | list[str] | None, limit: int, model: str) -> Choice:
    """The choice as far as `stop` and `limit` let it go, with what it costs."""
    if whole.text is None:
        return _cut_calls(whole, limit, model)
    text, tokens, is_cut = cut_text(_until_stop(whole.text, stop), limit, model)
    annotations = tuple(one for one in whole.annotations if one["url_citation"]["end_index"] <= len(text))
    if is_cut:
        return Choice(text=text, annotations=annotations, finish_reason="length", tokens=tokens)
    if not whole.tool_calls:
        return Choice(text=text, annotations=annotations, finish_reason=whole.finish_reason, tokens=tokens)
    called = _cut_calls(replace(whole, text=text, annotations=annotations), limit - tokens, model)
    return replace(called, tokens=tokens + called.tokens)


def cut_text(whole: str, limit: int, model: str) -> tuple[str, int, bool]:
    """The first `limit` tokens of a text, how many those are, and whether there were more."""
    text = usage.first_tokens(whole, limit, model=model)
    if text != whole:
        return text, limit, True
    return text, usage.text_tokens(text, model=model), False


def _cut_calls(whole: Choice, limit: int, model: str) -> Choice:
    """The calls that fit; the last one's arguments end where the limit is."""
    kept: list[Mapping[str, Any]] = []
    left = limit
    for call in whole.tool_calls:
        name, argued = _written(call)
        room = left - _FRAME - usage.text_tokens(name, model=model)
        text = usage.first_tokens(argued, max(room, 0), model=model)
        if room >= 0:
            kept.append(_rewritten(call, text))
        if room < 0 or text != argued:
            return replace(whole, tool_calls=tuple(kept), finish_reason="length", tokens=limit)
        left = room - usage.text_tokens(argued, model=model)
    return replace(whole, tokens=limit - left)


def _written(call: Mapping[str, Any]) -> tuple[str, str]:
    """A call's name and what it is called with."""
    made = call[call["type"]]
    return made["name"], made["input" if call["type"] == "custom" else "arguments"]


def _rewritten(call: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    kind = call["type"]
    return {**call, kind: {**call[kind], "input" if kind == "custom" else "arguments": text}}


def _content(call: Call, setting: Setting, index: int) -> Choice:
    """Text, or calls: scripted, or else what the request asks for."""
    scripted, body, dice = setting.scripted, call.body, setting.dice(call, f"choice {index}")
    if scripted.tool_calls:
        calls = tuple(toolbox.as_call(one["name"], one.get("arguments", {}), dice) for one in scripted.tool_calls)
        return Choice(text=scripted.text, tool_calls=calls, finish_reason="tool_calls")
    if scripted.text is not None:
        return Choice(text=scripted.text)
    wanted = toolbox.Wanted.of(body, answers_a_tool=_answers_a_tool(body))
    if wanted is not None:
        calls = tuple(toolbox.calls(wanted, prompt=said_by_user(body["messages"]), dice=dice))
        return Choice(tool_calls=calls, legacy=wanted.legacy, finish_reason=wanted.finish_reason)
    text = _text(body, dice)
    if "search" in setting.model.family:
        text, annotations = cited(text, said_by_user(body["messages"]), dice)
        return Choice(text=text, annotations=annotations)
    return Choice(text=text)


def _answers_a_tool(body: Mapping[str, Any]) -> bool:
    """Whether the conversation ends with the result of a tool, or with the assistant's own words."""
    messages = body["messages"]
    return bool(messages) and messages[-1]["role"] in ("tool", "function", "assistant")


def _text(body: Mapping[str, Any], dice: Dice) -> str:
    output = body.get("response_format") or {"type": "text"}
    prompt = said_by_user(body["messages"])
    if output["type"] == "json_schema":
        schema = output["json_schema"].get("schema") or {"type": "object"}
        value = toolbox.structured(schema, prompt=said(body), dice=dice, param="response_format")
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if output["type"] == "json_object":
        names = re.findall(r"[\"'`](\w{1,40})[\"'`]", said(body))[:8] or ["answer"]
        return json.dumps({name: text_about(prompt, dice) for name in names}, ensure_ascii=False, indent=2)
    results = list(_tool_results(body["messages"]))
    return text_from_results(results, dice) if results else text_about(prompt, dice)


def _tool_results(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Tools and what they gave, of the results at the end of the conversation."""
    asked = [message for message in messages if message["role"] == "assistant"]
    names = {one["id"]: one[one["type"]]["name"] for message in asked for one in message.get("tool_calls") or ()}
    latest: list[Mapping[str, Any]] = []
    for message in reversed(messages):
        if message["role"] not in ("tool", "function"):
            break
        latest.insert(0, message)
    for message in latest:
        yield str(names.get(message.get("tool_call_id"), message.get("name", "the tool"))), _plain(message["content"])


def said_by_user(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the user said last."""
    for message in reversed(messages):
        if message["role"] == "user":
            return _plain(message.get("content"))
    return ""


def said(body: Mapping[str, Any]) -> str:
    """Everything that the conversation says."""
    return "\n".join(_plain(message.get("content")) for message in body["messages"])


def _plain(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        return " ".join(str(part.get("text", "")) for part in parts)
    return content if isinstance(content, str) else ""


def _until_stop(text: str, stop: str | list[str] | None) -> str:
    ends = [text.find(one) for one in ([stop] if isinstance(stop, str) else stop or []) if one and one in text]
    return text[: min(ends)] if ends else text
