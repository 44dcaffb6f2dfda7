"""Completions of before chat, as in https://platform.openai.com/docs/api-reference/completions.

Bodies and streams as recorded from api.openai.com by openllmetry (`test_completions`, `test_finish_reasons`); what
`logprobs` and `echo` look like is OpenAI's specification.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmkit.tokens import encoding_for
from mockserver import problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating import usage
from mockserver.generating.prose import text_about
from mockserver.parameters import (
    array,
    boolean,
    check_all,
    check_known,
    decimal,
    either,
    integer,
    obj,
    require,
    sound,
    string,
)
from mockserver.surfaces import Operation, Result, Setting, Spent
from mockserver.surfaces.logprobs import Logprobs

_BIG = 2**63 - 1
_USUAL_TOKENS = 16
_END = "<|endoftext|>"  # what a request without a prompt goes on from

_PARAMETERS = {
    "best_of": integer(1, 20),
    "echo": boolean,
    "frequency_penalty": decimal(-2, 2),
    "logit_bias": obj,
    "logprobs": integer(0, 5),
    "max_tokens": integer(0, _BIG),
    "n": integer(1, 128),
    "presence_penalty": decimal(-2, 2),
    "seed": integer(-(2**63), _BIG),
    "stop": either("one of a string or an array of strings", {str: None, list: array(4, string, least=0)}),
    "stream": boolean,
    "stream_options": obj,
    "suffix": string,
    "temperature": decimal(0, 2),
    "top_p": decimal(0, 1),
    "user": string,
}
_KNOWN = frozenset({"model", "prompt", *_PARAMETERS})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """What follows one prompt; `shown` is the prompt where it is echoed."""

    shown: str
    text: str
    finish_reason: str
    tokens: int


def check(call: Call, model: Model) -> None:
    """Refuse what the API refuses."""
    body = call.body
    require(body, ["prompt"])
    check_known(body, _KNOWN)
    _check_prompt(body["prompt"], model)
    check_all(body, _PARAMETERS)
    most, wanted = body.get("best_of"), body.get("n") or 1
    if most is not None and most < wanted:
        # as quoted in public bug reports
        message = (
            "You requested that the server return more choices than it will generate (HINT: you must set 'n' (currently"
            f" {wanted}) to be at most 'best_of' (currently {most}), or omit either parameter if you don't specifically"
            " want to use them.)"
        )
        raise problems.error(400, message)
    if body.get("stream_options") is not None and body.get("stream") is not True:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise problems.error(400, message, param="stream_options")


def estimate(call: Call, model: Model) -> int:
    """The prompts' tokens, and as many as each of their completions may have."""
    prompts, body = _prompts(call.body.get("prompt"), model.name), sound(call.body, _PARAMETERS)
    count = (body.get("best_of") or body.get("n") or 1) * len(prompts)
    return sum(usage.text_tokens(one, model=model.name) for one in prompts) + count * _limit(body)


def answer(call: Call, setting: Setting) -> Result:
    """What goes on from each prompt, whole or in chunks."""
    if setting.lenient:
        call = replace(call, body=sound(call.body, _PARAMETERS))
    model, prompts = setting.model, _prompts(call.body.get("prompt"), setting.model.name)
    counts = [usage.text_tokens(one, model=model.name) for one in prompts]
    _check_length(max(counts), _limit(call.body), model)
    choices = list(_choices(prompts, call, setting))
    generated = sum(choice.tokens for choice in choices)
    rejected = max((call.body.get("best_of") or 1) - (call.body.get("n") or 1), 0) * len(prompts) * _limit(call.body)
    spent = Spent(prompt=sum(counts), completion=generated + rejected)
    if call.stream:
        return Result(chunks=tuple(_chunks(call, setting, choices, spent)), spent=spent)
    parts = [_part(call, setting, choice, index) for index, choice in enumerate(choices)]
    return Result(body={**_head(call, setting), "choices": parts, "usage": _cost(spent)}, spent=spent)


def _check_prompt(value: Any, model: Model) -> None:
    """A text, a list of texts, a list of token ids, or a list of such lists."""
    if isinstance(value, str) or value is None:
        return
    # worded like the refusal of an embedding's input; unverified here
    wrong = problems.error(
        400, "'$.prompt' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
    )
    if not isinstance(value, list) or not value:
        raise wrong
    lists = [one for one in value if isinstance(one, list)]
    numbers = [number for one in lists or [value] for number in one if type(number) is int]
    flat = all(isinstance(one, str) for one in value) or len(numbers) == len(value)
    if not (flat or (len(lists) == len(value) and len(numbers) == sum(map(len, lists)))):
        raise wrong
    most = encoding_for(model.name).eot_token  # as recorded, not the last id that there is
    for number in numbers:
        if not 0 <= number <= most:
            message = f"Invalid token in prompt: {number}. Minimum value is 0, maximum value is {most} (inclusive)."
            raise problems.error(400, message)


def _prompts(value: Any, model: str) -> list[str]:
    if isinstance(value, list) and value:
        several = value if not all(type(one) is int for one in value) else [value]
        return [_prompt(one, model) for one in several]
    return [_prompt(value, model)]


def _prompt(value: Any, model: str) -> str:
    if isinstance(value, list):
        return usage.text_of((number for number in value if type(number) is int), model=model)
    return value if isinstance(value, str) and value else _END


def _check_length(prompt: int, limit: int, model: Model) -> None:
    if model.window and prompt + limit > model.window:
        raise problems.prompt_too_long(model.window, prompt=prompt, completion=limit)


def _limit(body: Mapping[str, Any]) -> int:
    limit = body.get("max_tokens")
    return _USUAL_TOKENS if limit is None else int(limit)


def _choices(prompts: Sequence[str], call: Call, setting: Setting) -> Iterator[_Choice]:
    count = call.body.get("n") or 1
    for index in range(count * len(prompts)):
        yield _choice(prompts[index // count], call, setting, index)


def _choice(prompt: str, call: Call, setting: Setting, index: int) -> _Choice:
    scripted, model = setting.scripted, setting.model.name
    said = scripted.text
    if said is None:
        said = "\n\n" + text_about(prompt, setting.dice(call, f"choice {index}"))
    stopped = _until_stop(said, call.body.get("stop"))
    text = usage.first_tokens(stopped, _limit(call.body), model=model)
    return _Choice(
        shown=prompt if call.body.get("echo") is True else "",
        text=text,
        finish_reason=scripted.finish_reason or ("length" if text != stopped else "stop"),
        tokens=usage.text_tokens(text, model=model),
    )


def _until_stop(text: str, stop: str | list[str] | None) -> str:
    ends = [text.find(one) for one in ([stop] if isinstance(stop, str) else stop or []) if one and one in text]
    return text[: min(ends)] if ends else text


def _head(call: Call, setting: Setting) -> dict[str, Any]:
    return {
        "id": f"cmpl-{setting.dice(call, 'completion').token(29)}",
        "object": "text_completion",
        "created": setting.created,
        "model": setting.model.snapshot,
    }


def _cost(spent: Spent) -> dict[str, int]:
    return {
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.completion,
        "total_tokens": spent.total,
    }


def _part(call: Call, setting: Setting, choice: _Choice, index: int) -> dict[str, Any]:
    odds = _odds(call, setting, index)
    likely = None
    if odds is not None:
        shown = [*usage.tokens(choice.shown, model=setting.model.name)]
        is_first_unlikely = bool(shown) and not setting.lenient  # the SDK's strict types know no null there
        said = [*shown, *usage.tokens(choice.text, model=setting.model.name)]
        likely = _likely(said, odds, echoed=is_first_unlikely)
    text = choice.shown + choice.text
    return {"text": text, "index": index, "logprobs": likely, "finish_reason": choice.finish_reason}


def _chunks(call: Call, setting: Setting, choices: Sequence[_Choice], spent: Spent) -> Iterator[dict[str, Any]]:
    """A chunk for each piece of text; the last one says why it ends, and bears no text where the model stopped."""
    wants_usage = (call.body.get("stream_options") or {}).get("include_usage") is True
    head = _head(call, setting)
    unpriced: dict[str, Any] = {"usage": None} if wants_usage else {}
    for index, choice in enumerate(choices):
        for part in _streamed(call, setting, choice, index):
            yield {**{name: head[name] for name in ("id", "object", "created")}, "choices": [part]} | {
                "model": head["model"],
                **unpriced,
            }
    if wants_usage:
        yield {**head, "choices": [], "usage": _cost(spent)}


def _streamed(call: Call, setting: Setting, choice: _Choice, index: int) -> Iterator[dict[str, Any]]:
    odds, model, offset = _odds(call, setting, index), setting.model.name, 0
    pieces = [*usage.pieces(choice.shown, model=model), *usage.pieces(choice.text, model=model)]
    if choice.finish_reason != "length" or not pieces:
        pieces.append(usage.Piece("", ()))
    for number, piece in enumerate(pieces):
        likely = None if odds is None else _likely(piece.tokens, odds, offset=offset)
        offset += len(piece.text)
        reason = choice.finish_reason if number == len(pieces) - 1 else None
        yield {"text": piece.text, "index": index, "logprobs": likely, "finish_reason": reason}


def _odds(call: Call, setting: Setting, index: int) -> Logprobs | None:
    count = call.body.get("logprobs")
    return None if count is None else Logprobs(int(count), setting.dice(call, f"logprobs {index}"))


def _likely(tokens: Sequence[bytes], odds: Logprobs, *, offset: int = 0, echoed: bool = False) -> dict[str, Any]:
    """The four lists of before chat; nothing is likely before the first token of an echoed prompt."""
    entries = odds.of(tokens)["content"]
    starts = [offset]
    for token in tokens:
        starts.append(starts[-1] + len(token.decode(errors="ignore")))
    values: list[Any] = [entry["logprob"] for entry in entries]
    tops: list[Any] = [{top["token"]: top["logprob"] for top in entry["top_logprobs"]} for entry in entries]
    if echoed and entries:
        values[0] = tops[0] = None
    return {
        "tokens": [entry["token"] for entry in entries],
        "token_logprobs": values,
        "top_logprobs": tops if odds.count else None,
        "text_offset": starts[:-1],
    }


OPERATIONS = (
    Operation(
        method="POST",
        path="/completions",
        surface="completions",
        name="create",
        answer=answer,
        check=check,
        estimate=estimate,
        kinds=("completion",),
    ),
)
