"""The bill of a reply."""

from dataclasses import dataclass

from llmkit.responses.reading import is_count


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
    prompt, answer = ("input", "output") if "input_tokens" in billed else ("prompt", "completion")
    names = (f"{prompt}_tokens", f"{answer}_tokens", "total_tokens")
    if not all(is_count(billed.get(name) or 0) for name in names):
        return None
    asked, answered, total = (_count(billed, name) for name in names)
    return Usage(
        prompt_tokens=asked,
        completion_tokens=answered,
        total_tokens=total or asked + answered,
        cached_tokens=_count(billed.get(f"{prompt}_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(billed.get(f"{answer}_tokens_details"), "reasoning_tokens"),
    )


def _count(fields: object, name: str) -> int:
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if is_count(value) else 0
