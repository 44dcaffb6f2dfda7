"""Chat completions: https://platform.openai.com/docs/api-reference/chat/create

Bodies and chunks as recorded from api.openai.com; what Azure adds is its dialect's.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mockserver import problems, usage
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generation import Dice, text_about, text_from_results
from mockserver.parameters import (
    array,
    boolean,
    check_all,
    check_known,
    decimal,
    either,
    integer,
    obj,
    one_of,
    require,
    string,
)
from mockserver.surfaces import Result, Setting
from mockserver.surfaces import tools as toolbox
from mockserver.surfaces.messages import check_messages

_BIG = 2**63 - 1

# order matters: of several wrong parameters the first here is the one refused
_PARAMETERS = {
    "messages": check_messages,
    "tools": array(128, toolbox.check_tool),
    "functions": array(128, toolbox.check_function),
    "tool_choice": toolbox.check_tool_choice,
    "function_call": either("one of a string or an object", {str: None, dict: None}),
    "response_format": toolbox.check_response_format,
    "max_tokens": integer(1, _BIG),
    "max_completion_tokens": integer(1, _BIG),
    "stop": either("one of a string or an array of strings", {str: None, list: array(4, string, least=0)}),
    "n": integer(1, 128),
    "temperature": decimal(0, 2),
    "top_p": decimal(0, 1),
    "frequency_penalty": decimal(-2, 2),
    "presence_penalty": decimal(-2, 2),
    "logprobs": boolean,
    "top_logprobs": integer(0, 20),
    "stream": boolean,
    "stream_options": obj,
    "parallel_tool_calls": boolean,
    "seed": integer(-(2**63), _BIG),
    "user": string,
    "store": boolean,
    "metadata": obj,
    "logit_bias": obj,
    "modalities": array(2, one_of("text", "audio")),
    "audio": obj,
    "prediction": obj,
    "reasoning_effort": one_of("none", "minimal", "low", "medium", "high", "xhigh"),
    "verbosity": one_of("low", "medium", "high"),
    "service_tier": one_of("auto", "default", "flex", "scale", "priority", "fast"),
    "web_search_options": obj,
    "safety_identifier": string,
    "prompt_cache_key": string,
    "prompt_cache_retention": one_of("in_memory", "24h"),
    "prompt_cache_options": obj,
    "moderation": obj,
}
_KNOWN = frozenset({"model", *_PARAMETERS})

_DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}

# models from before Structured Outputs
_UNSTRUCTURED = ("gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "gpt-4-32k", "gpt-3.5-turbo-16k")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the alternatives: text or tool calls, why it ends, and its length in tokens."""

    text: str | None
    tool_calls: tuple[Mapping[str, Any], ...]
    finish_reason: str
    tokens: int


class Chat:
    """The chat surface."""

    name = "chat"

    def check(self, call: Call, model: Model) -> None:
        """Refuse what the API refuses, first the shape of the request, then what the model lacks."""
        body = call.body
        require(body, ["messages"])
        check_known(body, _KNOWN)
        if body["messages"] is None:
            raise problems.invalid_type("messages", "an array of objects", None)
        check_all(body, _PARAMETERS)
        toolbox.check_choice_exists(body.get("tool_choice"), body.get("tools") or [])
        _check_combinations(body)
        _check_model(body, model)

    def result(self, call: Call, setting: Setting) -> Result:
        """A completion, whole or in chunks."""
        prompt_tokens = usage.prompt_tokens(call.body["messages"], model=setting.model.name)
        if prompt_tokens > setting.model.window:
            raise problems.context_length_exceeded(setting.model.window, prompt_tokens)
        choices = [_choice(call, setting, index) for index in range(call.body.get("n") or 1)]
        completion_tokens = sum(choice.tokens for choice in choices)
        cost = _usage(prompt_tokens, completion_tokens)
        if call.stream:
            chunks = tuple(_chunks(call, setting, choices, cost))
            return Result(chunks=chunks, tokens=cost["total_tokens"])
        return Result(body=_completion(call, setting, choices, cost), tokens=cost["total_tokens"])


def _check_combinations(body: Mapping[str, Any]) -> None:
    if body.get("stream_options") is not None and body.get("stream") is not True:
        # unverified wording
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise problems.error(400, message, param="stream_options")
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        # unverified wording
        message = (
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
            " Use 'max_completion_tokens' instead."
        )
        raise problems.error(400, message, param="max_tokens", code="invalid_parameter_combination")
    if (body.get("response_format") or {}).get("type") == "json_object" and "json" not in _everything(body).lower():
        # unverified wording
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise problems.error(400, message, param="messages")


def _check_model(body: Mapping[str, Any], model: Model) -> None:
    """What the model lacks: first what reasoning models do, then limits and formats."""
    if body.get("web_search_options") is not None and "search" not in model.family:
        raise problems.error(400, "Web search options not supported with this model.", param="web_search_options")
    if model.kind == "reasoning":
        _check_reasoning(body, model)
    for name in ("max_tokens", "max_completion_tokens"):
        if (body.get(name) or 0) > model.output:
            message = (
                f"{name} is too large: {body[name]}. This model supports at most {model.output} completion tokens,"
                f" whereas you provided {body[name]}."
            )
            raise problems.error(400, message, param=name, code="invalid_value")  # unverified wording
    if model.family in _UNSTRUCTURED and (body.get("response_format") or {}).get("type") == "json_schema":
        message = (
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model. Learn more about"
            " supported models at the Structured Outputs guide:"
            " https://platform.openai.com/docs/guides/structured-outputs"
        )
        raise problems.error(400, message)


def _check_reasoning(body: Mapping[str, Any], model: Model) -> None:
    """Reasoning models take no sampling parameters; `stop` is refused by the gpt-5 family but not by the o series."""
    if body.get("max_tokens") is not None:
        raise problems.unsupported_parameter("max_tokens", instead="max_completion_tokens")
    if model.family.startswith("gpt-5") and body.get("stop") is not None:
        raise problems.unsupported_parameter("stop")
    if model.family in ("o1-mini", "o1-preview"):
        for index, message in enumerate(body["messages"]):
            if message["role"] in ("system", "developer"):
                raise problems.unsupported_value(f"messages[{index}].role", f"'{message['role']}'")
    if body.get("temperature") not in (None, 1) and not model.family.startswith("gpt-5."):
        reason = " Only the default (1) value is supported."
        raise problems.unsupported_value("temperature", body["temperature"], reason=reason)


def _choice(call: Call, setting: Setting, index: int) -> Choice:
    """What is said in the alternative `index`, cut where `stop` or the token limit demands."""
    dice = setting.dice(call, f"choice {index}")
    text, calls = _content(call, setting, dice)
    limit = call.body.get("max_completion_tokens") or call.body.get("max_tokens") or setting.model.output
    reason = "tool_calls" if calls else "stop"
    if text is not None:
        text = _until_stop(text, call.body.get("stop"))
        text, cut = _shortened(text, limit, setting.model.name)
        reason = "length" if cut else reason
    tokens = usage.text_tokens(text or "", model=setting.model.name) + sum(
        usage.text_tokens(json.dumps(one), model=setting.model.name) for one in calls
    )
    return Choice(
        text=text, tool_calls=calls, finish_reason=setting.scripted.finish_reason or reason, tokens=min(tokens, limit)
    )


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
        value = toolbox.structured(schema, prompt=_everything(body), dice=dice, param="response_format")
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if output["type"] == "json_object":
        names = re.findall(r"[\"'`](\w{1,40})[\"'`]", _everything(body))[:8] or ["answer"]
        return json.dumps({name: text_about(prompt, dice) for name in names}, ensure_ascii=False, indent=2)
    results = list(_tool_results(body))
    return text_from_results(results, dice) if results else text_about(prompt, dice)


def _tool_results(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Tools and what they gave, of the results at the end of the conversation."""
    names = {
        one["id"]: one[one["type"]]["name"] for message in body["messages"] for one in message.get("tool_calls") or ()
    }
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


def _everything(body: Mapping[str, Any]) -> str:
    return "\n".join(_plain(message.get("content")) for message in body["messages"])


def _plain(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, list):
        return " ".join(part.get("text") or "" for part in content)
    return content or ""


def _until_stop(text: str, stop: str | list[str] | None) -> str:
    ends = [text.find(one) for one in ([stop] if isinstance(stop, str) else stop or []) if one and one in text]
    return text[: min(ends)] if ends else text


def _shortened(text: str, limit: int, model: str) -> tuple[str, bool]:
    short = usage.first_tokens(text, limit, model=model)
    return short, short != text


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        **_DETAILS,
    }


def _completion(call: Call, setting: Setting, choices: list[Choice], cost: Mapping[str, Any]) -> dict[str, Any]:
    dice = setting.dice(call, "completion")
    return {
        "id": f"chatcmpl-{dice.token(29)}",
        "object": "chat.completion",
        "created": int(setting.now),
        "model": setting.model.snapshot,
        "choices": [_whole(choice, index, setting) for index, choice in enumerate(choices)],
        "usage": cost,
        "service_tier": "default",
        "system_fingerprint": _fingerprint(setting),
    }


def _whole(choice: Choice, index: int, setting: Setting) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text}
    if choice.tool_calls:
        message["tool_calls"] = list(choice.tool_calls)
    message |= {"refusal": None, "annotations": []}
    # recorded reasoning models leave the key out
    logprobs = {} if setting.model.kind == "reasoning" else {"logprobs": None}
    return {"index": index, "message": message, **logprobs, "finish_reason": choice.finish_reason}


def _fingerprint(setting: Setting) -> str:
    return f"fp_{Dice(0, 'fingerprint', setting.model.snapshot).hexadecimal(10)}"


def _chunks(call: Call, setting: Setting, choices: list[Choice], cost: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a stream: one delta each, then the cost if `stream_options` asks for it."""
    wants_usage = (call.body.get("stream_options") or {}).get("include_usage") is True
    head = {
        "id": f"chatcmpl-{setting.dice(call, 'completion').token(29)}",
        "object": "chat.completion.chunk",
        "created": int(setting.now),
        "model": setting.model.snapshot,
        "service_tier": "default",
        "system_fingerprint": _fingerprint(setting),
    }
    tail: dict[str, Any] = {"usage": None} if wants_usage else {}
    for index, choice in enumerate(choices):
        for delta, reason in _deltas(choice, setting.model.name):
            part = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
            yield {**head, "choices": [part], **tail}
    if wants_usage:
        yield {**head, "choices": [], "usage": cost}


def _deltas(choice: Choice, model: str) -> Iterator[tuple[dict[str, Any], str | None]]:
    """What each chunk of one choice adds, and why the last one ends."""
    if choice.text is None and len(choice.tool_calls) == 1:
        yield (
            {"role": "assistant", "content": None, "tool_calls": [_opened(choice.tool_calls[0], 0)], "refusal": None},
            None,
        )
    else:
        content = "" if choice.text is not None else None
        yield {"role": "assistant", "content": content, "refusal": None}, None
    for piece in usage.pieces(choice.text or "", model=model):
        yield {"content": piece}, None
    for index, call in enumerate(choice.tool_calls):
        yield from _call_deltas(call, index, opened=choice.text is None and len(choice.tool_calls) == 1, model=model)
    yield {}, choice.finish_reason


def _call_deltas(
    call: Mapping[str, Any], index: int, *, opened: bool, model: str
) -> Iterator[tuple[dict[str, Any], None]]:
    """A call is opened with its name and empty arguments, which then follow in pieces; a lone call opens with the role."""
    if not opened:
        yield {"tool_calls": [_opened(call, index)]}, None
    kind, field = ("custom", "input") if call["type"] == "custom" else ("function", "arguments")
    for piece in usage.pieces(call[kind][field], model=model):
        yield {"tool_calls": [{"index": index, kind: {field: piece}}]}, None


def _opened(call: Mapping[str, Any], index: int) -> dict[str, Any]:
    kind, field = ("custom", "input") if call["type"] == "custom" else ("function", "arguments")
    return {"index": index, "id": call["id"], "type": kind, kind: {"name": call[kind]["name"], field: ""}}
