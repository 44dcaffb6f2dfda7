"""Making a conversation, or a text, as short as a model's window."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llmkit import vocabulary
from llmkit.errors import ConfigError, ContextOverflow, InvalidRequest, excerpt
from llmkit.messages import Message, conversation
from llmkit.models import spec_for
from llmkit.tokens.counts import TokenCount
from llmkit.tokens.messages import count_tokens
from llmkit.tokens.text import check_text, encoding_name, length, numbers_of

_KEPT = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A conversation that fits: what is left, what was dropped, both in order, and the count of what is left."""

    messages: list[dict[str, Any]]
    dropped: list[dict[str, Any]]
    count: TokenCount

    def __str__(self) -> str:
        what = f"{len(self.messages)} messages of {self.count} tokens"
        return f"{what}; dropped the {len(self.dropped)} oldest" if self.dropped else what


def fit_messages(
    messages: str | Iterable[Message],
    *,
    model: str,
    answer: int = 0,
    window: int | None = None,
    tools: Iterable[Mapping[str, Any]] | None = None,
    tool_choice: object = None,
    response_format: object = None,
) -> Fitted:
    """The conversation without as many of its oldest messages as it takes to fit.

    It fits when its count and margin, and `answer` tokens for the reply, are at most `window` tokens (the model's own
    if None). System and developer messages stay, and so does the last message; a call of a tool goes and stays together
    with its results.
    Raises ContextOverflow where even that is too long, ConfigError where nobody knows the model's window.
    """
    _check_number("window", window, least=1)
    _check_number("answer", answer, least=0)
    most = spec_for(model).context_window if window is None else window
    if most is None:
        raise ConfigError(f"Nobody knows the context window of {model!r}: say window=… in tokens")
    listed = conversation(messages)
    groups = _droppable(listed)
    offered = list(tools) if tools is not None else None

    def fitted(drops: int) -> Fitted:
        gone = {index for group in groups[:drops] for index in group}
        kept = [message for index, message in enumerate(listed) if index not in gone]
        count = count_tokens(kept, model=model, tools=offered, tool_choice=tool_choice, response_format=response_format)
        return Fitted(kept, [message for index, message in enumerate(listed) if index in gone], count)

    def is_short(found: Fitted) -> bool:
        return found.count.tokens + found.count.margin + answer <= most

    fewest, enough = 0, len(groups)
    best = fitted(0)
    if is_short(best):
        return best
    best = fitted(enough)
    if not is_short(best):
        raise ContextOverflow(
            f"The system messages and the last message have {best.count.tokens:,} tokens (give or take "
            f"{best.count.margin}), with {answer:,} for the answer more than the {most:,} of {model!r}: shorten them, "
            "for example with trim_text"
        )
    while enough - fewest > 1:
        middle = (fewest + enough) // 2
        found = fitted(middle)
        if is_short(found):
            best, enough = found, middle
        else:
            fewest = middle
    return best


def trim_text(text: str, *, model: str, tokens: int, keep: Literal["start", "end"] = "start") -> str:
    """The longest start (or end) of `text` with at most so many tokens; letters stay whole."""
    encoding = encoding_name(model)
    check_text(text)
    _check_number("tokens", tokens)
    if keep not in ("start", "end"):
        raise InvalidRequest(f"keep = {keep!r}: it has to be 'start' or 'end'")
    if tokens <= 0:
        return ""
    numbers = numbers_of(encoding, text)
    if len(numbers) <= tokens:
        return text
    for most in range(tokens, 0, -1):  # what is cut out of a text may split into more tokens than it did within it
        cut = numbers[:most] if keep == "start" else numbers[-most:]
        kept = vocabulary.encoding(encoding).decode_bytes(cut).decode(errors="ignore")
        if length(encoding, kept) <= tokens:
            return kept
    return ""


def _check_number(name: str, value: object, *, least: int | None = None) -> None:
    if value is None or (type(value) is int and (least is None or value >= least)):
        return
    bound = "" if least is None else f" from {least}"
    raise InvalidRequest(f"{name} = {excerpt(value)}: it has to be a number of tokens{bound}")


def _droppable(messages: list[dict[str, Any]]) -> list[list[int]]:
    """The messages that may go, oldest first, in groups that go together; without the last one's."""
    groups: list[list[int]] = []
    by_call: dict[str, list[int]] = {}
    for index, message in enumerate(messages):
        if message["role"] in _KEPT:
            continue
        group = _group_of(message, groups, messages, by_call)
        if group is None:
            group = []
            groups.append(group)
        group.append(index)
        by_call |= dict.fromkeys(_ids(message), group)
    last = len(messages) - 1
    return [group for group in groups if last not in group]


def _ids(message: Mapping[str, Any]) -> list[str]:
    """The ids of the calls of a message."""
    calls = message.get("tool_calls")
    ids = [call.get("id") for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []
    return [id_ for id_ in ids if isinstance(id_, str)]


def _group_of(
    message: Mapping[str, Any],
    groups: list[list[int]],
    messages: list[dict[str, Any]],
    by_call: dict[str, list[int]],
) -> list[int] | None:
    """The group that a result belongs to: that of its call, by id, or in the legacy form the call right before it."""
    if message["role"] == "tool":
        answered = message.get("tool_call_id")
        return by_call.get(answered) if isinstance(answered, str) else None
    if message["role"] == "function" and groups and messages[groups[-1][-1]].get("function_call"):
        return groups[-1]
    return None
