"""The bill of a reply."""

from dataclasses import dataclass

from llmkit.responses.reading import is_count

_IN_CHAT = ("prompt_tokens", "completion_tokens")
_IN_RESPONSES = ("input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The billed tokens; `cached_tokens` are part of the prompt's, `reasoning_tokens` of the completion's."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


def usage(billed: object) -> Usage | None:
    """The billed tokens, None where the API did not tell them as numbers: an answer is worth more than its bill."""
    if not isinstance(billed, dict):
        return None
    prompt, answer = _IN_RESPONSES if "input_tokens" in billed else _IN_CHAT
    asked, answered, total = billed.get(prompt) or 0, billed.get(answer) or 0, billed.get("total_tokens") or 0
    if not (is_count(asked) and is_count(answered) and is_count(total)):
        return None
    return Usage(
        prompt_tokens=asked,
        completion_tokens=answered,
        total_tokens=total or asked + answered,
        cached_tokens=_count(billed.get(f"{prompt}_details"), "cached_tokens"),
        reasoning_tokens=_count(billed.get(f"{answer}_details"), "reasoning_tokens"),
    )


def _count(fields: object, name: str) -> int:
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if is_count(value) else 0
