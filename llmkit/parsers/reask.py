"""Asking again after a reply that its parser refused: what is said to the model, and when to stop. Nothing here sends.

Never after a reply that was cut off: the next would be cut off too, and paid for. Never more than a bound.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from llmkit.errors import ConfigError, ParseFailed
from llmkit.responses import Completion

T = TypeVar("T")

MOST_ASKED = 10
"""The largest bound that is taken for one."""


@dataclass(frozen=True, slots=True)
class Again:
    """Ask again, with these messages after those of the last request."""

    messages: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Give up, and why."""

    reason: str


def parsed(parse: Callable[..., T], reply: Completion) -> T:
    """What a parser makes of a reply: of its text, or of all of it if the parser asks for that by `takes_reply`.

    Raises ParseFailed, also for a reply that was cut off, for its beginning may parse and mean something else, and
    where a parser of another kind refuses by a ValueError, as `json.loads`, `int` and pydantic do.
    """
    if not reply.complete:
        raise ParseFailed(
            f"The reply is not complete (finish reason {reply.finish_reason!r}), so it is not parsed",
            text=reply.text,
            position=len(reply.text),
        )
    try:
        return parse(reply if getattr(parse, "takes_reply", False) else reply.text)
    except ValueError as error:
        position = error.pos if isinstance(error, json.JSONDecodeError) else None
        raise ParseFailed(f"The parser refused the reply: {error}", text=reply.text, position=position) from error


def decide(failed: ParseFailed, reply: Completion, *, asked: int, most: int) -> Again | Stop:
    """What follows the refusal of a reply, after `asked` requests (1 is the first) of at most `most`.

    Raises ConfigError for a bound that is none.
    """
    if type(most) is not int or not 1 <= most <= MOST_ASKED:
        raise ConfigError(f"{most!r} requests for a reply that parses: the bound has to be from 1 to {MOST_ASKED}")
    if not reply.complete:
        return Stop(f"the reply was cut off ({reply.finish_reason}): the next would be too")
    if is_cut_off(failed):
        return Stop("the reply ends before it is complete: the next would too")
    if asked >= most:
        return Stop(f"all {most} requests are used up")
    return Again(tuple(_messages(failed, reply)))


def is_cut_off(failed: ParseFailed) -> bool:
    """Whether what failed is that the text ends: the trouble begins where it has no more characters."""
    return failed.position is not None and bool(failed.text.strip()) and failed.position >= len(failed.text)


def _messages(failed: ParseFailed, reply: Completion) -> Iterable[dict[str, Any]]:
    """The reply as it came, and what is wrong with it; each tool call has to be answered by its id."""
    if not reply.tool_calls:
        yield {"role": "assistant", "content": reply.text or reply.refusal or ""}
        yield {"role": "user", "content": _request(failed)}
        return
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in reply.tool_calls
    ]
    yield {"role": "assistant", "content": reply.text or None, "tool_calls": calls}
    for call in reply.tool_calls:
        yield {"role": "tool", "tool_call_id": call.id, "content": _request(failed)}


def _request(failed: ParseFailed) -> str:
    return (
        f"That reply could not be read. {failed.message}\n\n"
        "Give the whole reply again with this corrected, and nothing else: no apology, no explanation."
    )
