"""Chat completions, as in https://platform.openai.com/docs/api-reference/chat/create.

Bodies as recorded from api.openai.com; what Azure adds is its dialect's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from mockserver import catalogue, problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating import usage
from mockserver.generating.dice import Dice
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
    sound,
    sound_items,
    string,
)
from mockserver.surfaces import Operation, Result, Setting, costs, voices
from mockserver.surfaces import tools as toolbox
from mockserver.surfaces.choice import Choice
from mockserver.surfaces.choices import choice_of, said
from mockserver.surfaces.chunks import chunks
from mockserver.surfaces.efforts import efforts_of
from mockserver.surfaces.logprobs import Logprobs
from mockserver.surfaces.messages import check_message, check_messages
from mockserver.surfaces.metadata import check_metadata
from mockserver.surfaces.stored_chat import store_completion

_BIG = 2**63 - 1
_MOST_LOGPROBS = 20
# what reasoning models do not take, and the value of it that changes nothing: that this passes is unverified
_SAMPLING = {"top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False, "logit_bias": {}}


def _check_top_logprobs(param: str, value: Any) -> None:
    integer(0, _BIG)(param, value)
    if value > _MOST_LOGPROBS:
        # as quoted in the tests of PaddlePaddle/FastDeploy
        message = f"Invalid value for '{param}': must be less than or equal to {_MOST_LOGPROBS}."
        raise problems.error(400, message, param=param)


# order matters: of several wrong parameters the first here is the one refused
_PARAMETERS = {
    "messages": check_messages,
    "tools": array(128, toolbox.check_tool),
    "functions": array(128, toolbox.check_function),
    "tool_choice": toolbox.check_tool_choice,
    "function_call": toolbox.check_function_call,
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
    "top_logprobs": _check_top_logprobs,
    "stream": boolean,
    "stream_options": obj,
    "parallel_tool_calls": boolean,
    "seed": integer(-(2**63), _BIG),
    "user": string,
    "store": boolean,
    "metadata": check_metadata,
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
_LISTS = {"messages": check_message, "tools": toolbox.check_tool, "functions": toolbox.check_function}


def check(call: Call, model: Model) -> None:
    """Refuse what the API refuses, first the shape of the request, then what the model lacks."""
    body = call.body
    require(body, ["messages"])
    check_known(body, _KNOWN)
    if body["messages"] is None:
        raise problems.invalid_type("messages", "an array of objects", None)
    check_all(body, _PARAMETERS)
    toolbox.check_choice_exists(body.get("tool_choice"), body.get("tools") or [])
    toolbox.check_function_exists(body.get("function_call"), body.get("functions") or [])
    _check_combinations(body)
    _check_model(body, model)


def estimate(call: Call, model: Model) -> int:
    """The prompt's tokens, and as many as the reply may have where the request says so."""
    body = sound_body(call.body)
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or 0
    return costs.prompt_tokens(body, model.name) + limit * (body.get("n") or 1)


def answer(call: Call, setting: Setting) -> Result:
    """A completion, whole or in chunks; kept for later where the request says `store`."""
    if setting.lenient:
        call = replace(call, body=sound_body(call.body))
    prompt = costs.prompt_tokens(call.body, setting.model.name)
    _check_length(call.body, prompt, setting.model)
    choices = [choice_of(call, setting, index) for index in range(call.body.get("n") or 1)]
    spent = costs.spent(call.body, prompt, choices, setting.model.name)
    bill = costs.bill(spent, choices, speaks=voices.speaks(call, setting))
    if call.body.get("store") is True:
        store_completion(setting, call, completion_of(call, setting, choices, bill))
    if call.stream:
        return Result(chunks=tuple(chunks_of(call, setting, choices, bill)), spent=spent)
    return Result(body=completion_of(call, setting, choices, bill), spent=spent)


def sound_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a server that refuses nothing makes of a body: parameters that the API would refuse are as good as absent.

    Of messages and tools only those that it would refuse.
    """
    left = sound(body, {name: check for name, check in _PARAMETERS.items() if name not in _LISTS})
    left |= {name: sound_items(body.get(name), check) for name, check in _LISTS.items() if name in body}
    return {**left, "messages": left.get("messages", [])}


def _check_length(body: Mapping[str, Any], prompt: int, model: Model) -> None:
    if not model.window:
        return
    if prompt > model.window:
        raise problems.context_length_exceeded(model.window, prompt)
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or 0
    if prompt + limit > model.window:
        raise problems.context_overflow(model.window, prompt=prompt, completion=limit)


def _check_combinations(body: Mapping[str, Any]) -> None:
    """Parameters that do not go together; all four as quoted in public bug reports and clients' tests."""
    if body.get("stream_options") is not None and body.get("stream") is not True:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise problems.error(400, message, param="stream_options")
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise problems.error(400, message, code="invalid_parameter_combination")
    if body.get("top_logprobs") is not None and body.get("logprobs") is not True:
        message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
        raise problems.error(400, message, param="top_logprobs")
    wanted_format = (body.get("response_format") or {}).get("type")
    if wanted_format == "json_object" and "json" not in said(body).lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise problems.error(400, message, param="messages")


def _check_model(body: Mapping[str, Any], model: Model) -> None:
    """What the model lacks: first what its family does, then what reasoning models do, then limits."""
    if model.only not in ("", "chat"):
        # as remembered from public bug reports
        message = f"This model is only supported in v1/{model.only} and not in v1/chat/completions."
        raise problems.error(404, message, param="model")
    for refusal in catalogue.refusals():
        if refusal.applies(model, body):
            raise problems.error(refusal.status, refusal.message, param=refusal.param, code=refusal.code)
    if body.get("web_search_options") is not None and "search" not in model.family:
        raise problems.error(400, "Web search options not supported with this model.", param="web_search_options")
    if model.kind == "reasoning":
        _check_reasoning(body, model)
    elif body.get("reasoning_effort") is not None:
        # as quoted in public bug reports
        raise problems.unknown_arguments(["reasoning_effort"])
    if "audio" in model.family and not _has_sound(body):
        message = "This model requires that either input content or output modality contain audio."
        raise problems.error(400, message, param="model", code="invalid_value")
    for name in ("max_tokens", "max_completion_tokens"):
        if (body.get(name) or 0) > model.output:
            raise _too_many_tokens(name, body[name], model)


def _has_sound(body: Mapping[str, Any]) -> bool:
    contents = [message["content"] for message in body["messages"] if isinstance(message.get("content"), list)]
    heard = any(part["type"] == "input_audio" for content in contents for part in content)
    return heard or "audio" in (body.get("modalities") or ())


def _too_many_tokens(name: str, wanted: int, model: Model) -> problems.Problem:
    # as quoted in public bug reports
    message = (
        f"{name} is too large: {wanted}. This model supports at most {model.output} completion tokens, whereas you"
        f" provided {wanted}."
    )
    return problems.error(400, message, param=name, code="invalid_value")


def _check_reasoning(body: Mapping[str, Any], model: Model) -> None:
    """Reasoning models take no sampling parameters; `stop` is refused since gpt-5, but not by the o series."""
    if body.get("max_tokens") is not None:
        raise problems.unsupported_parameter("max_tokens", instead="max_completion_tokens")
    if model.generation >= (5, 0) and body.get("stop") is not None:
        raise problems.unsupported_parameter("stop")
    if model.family in ("o1-mini", "o1-preview"):
        for index, message in enumerate(body["messages"]):
            if message["role"] in ("system", "developer"):
                raise problems.unsupported_value(f"messages[{index}].role", f"'{message['role']}'")
    _check_effort(body.get("reasoning_effort"), model)
    if model.generation < (5, 1):
        _check_sampling(body)


def _check_effort(effort: str | None, model: Model) -> None:
    efforts = efforts_of(model)
    if effort is not None and effort not in efforts:
        # as quoted in Kilo-Org/cloud#3807
        reason = f" Supported values are: {problems.listing(efforts)}."
        raise problems.unsupported_value("reasoning_effort", f"'{effort}'", reason=reason)


def _check_sampling(body: Mapping[str, Any]) -> None:
    for name, harmless in _SAMPLING.items():
        # as quoted of `top_p` in aandrew-me/tgpt#333 and of penalties in simonw/llm#731; of the others unverified
        if body.get(name) not in (None, harmless):
            raise problems.unsupported_parameter(name)
    if body.get("temperature") not in (None, 1):
        reason = " Only the default (1) value is supported."
        raise problems.unsupported_value("temperature", body["temperature"], reason=reason)


def completion_of(call: Call, setting: Setting, choices: Sequence[Choice], cost: Mapping[str, Any]) -> dict[str, Any]:
    """The object `chat.completion`."""
    return {
        **_head(call, setting, "chat.completion"),
        "choices": [_whole(call, setting, choice, index) for index, choice in enumerate(choices)],
        "usage": cost,
        **_tail(setting),
    }


def _whole(call: Call, setting: Setting, choice: Choice, index: int) -> dict[str, Any]:
    logprobs = _logprobs(call, setting, index)
    text = None if choice.voice is not None else choice.text
    tokens = None if text is None or logprobs is None else usage.tokens(text, model=setting.model.name)
    likely = _likely(logprobs, tokens, setting)
    return {"index": index, "message": _message(choice), **likely, "finish_reason": choice.finish_reason}


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text if choice.voice is None else None}
    if choice.legacy and choice.tool_calls:
        message["function_call"] = choice.tool_calls[0]["function"]
    elif choice.tool_calls:
        message["tool_calls"] = list(choice.tool_calls)
    message |= {"refusal": None, "annotations": list(choice.annotations)}
    return message if choice.voice is None else {**message, "audio": choice.voice}


def chunks_of(
    call: Call, setting: Setting, choices: Sequence[Choice], cost: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The chunks of a stream: one delta each, then the cost if `stream_options` asks for it."""
    wants_usage = (call.body.get("stream_options") or {}).get("include_usage") is True
    head = {**_head(call, setting, "chat.completion.chunk"), **_tail(setting)}
    unpriced: dict[str, Any] = {"usage": None} if wants_usage else {}
    for index, choice in enumerate(choices):
        logprobs = _logprobs(call, setting, index)
        for chunk in chunks(choice, model=setting.model.name):
            likely = _likely(logprobs, chunk.tokens, setting)
            part = {"index": index, "delta": chunk.delta, **likely, "finish_reason": chunk.finish_reason}
            yield {**head, "choices": [part], **unpriced}
    if wants_usage:
        yield {**head, "choices": [], "usage": cost}


def _head(call: Call, setting: Setting, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{setting.dice(call, 'completion').token(29)}",
        "object": kind,
        "created": setting.created,
        "model": setting.model.snapshot,
    }


def _tail(setting: Setting) -> dict[str, Any]:
    return {"service_tier": "default", "system_fingerprint": _fingerprint(setting.model.snapshot)}


@cache
def _fingerprint(snapshot: str) -> str:
    """The same for every reply of a model."""
    return f"fp_{Dice(0, 'fingerprint', snapshot).hexadecimal(10)}"


def _logprobs(call: Call, setting: Setting, index: int) -> Logprobs | None:
    """What makes the log probabilities of a choice, None where the request does not ask for them."""
    if call.body.get("logprobs") is not True:
        return None
    return Logprobs(call.body.get("top_logprobs") or 0, setting.dice(call, f"logprobs {index}"))


def _likely(logprobs: Logprobs | None, tokens: Iterable[bytes] | None, setting: Setting) -> dict[str, Any]:
    """The entry `logprobs` of a choice, null without text; recorded replies of reasoning models not asked lack it."""
    if logprobs is None and setting.model.kind == "reasoning":
        return {}
    return {"logprobs": None if logprobs is None or tokens is None else logprobs.of(tokens)}


OPERATIONS = (
    Operation(
        method="POST",
        path="/chat/completions",
        surface="chat",
        name="create",
        answer=answer,
        check=check,
        estimate=estimate,
        kinds=("chat", "reasoning"),
    ),
)
