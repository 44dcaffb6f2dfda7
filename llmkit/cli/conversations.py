"""Interactions for people: as conversations, and as what changed in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from llmkit.cli.display import dollars, out, shown, styled
from llmkit.recording.interaction import Interaction
from llmkit.recording.library.comparison import Change
from llmkit.recording.library.masking import harmless
from llmkit.recording.library.summary import FIRST_REFUSAL, CassetteFile
from llmkit.recording.library.telling import told
from llmkit.recording.replies.conversation import Conversation, Turn, facts, render
from llmkit.recording.replies.prices import Prices

_STYLES = {
    "assistant": "green", "error": "red", "instructions": "magenta", "developer": "magenta", "system": "magenta",
    "tool": "yellow", "user": "cyan",
}  # fmt: skip
_MARKS = {"added": ("+", "green"), "gone": ("-", "red"), "changed": ("~", "yellow")}
_LINES = {"about": "dim", "before": "red", "after": "green"}


def show(chosen: Sequence[tuple[CassetteFile, int, Interaction]], prices: Prices) -> None:
    """Print each interaction of ``chosen``, under the name of its cassette and after its number."""
    path = None
    for cassette, number, one in chosen:
        if cassette.path != path:
            path = cassette.path
            out(styled(shown(path), "bold"), "")
        out(*_head(number, one, prices))
        conversation = render(one)
        out(*(line for turn in conversation.asked for line in _turn(turn)))
        out(styled("  ─────", "dim"), *(line for turn in conversation.replied for line in _turn(turn)))
        out(*_end(conversation), "")


def _head(number: int, one: Interaction, prices: Prices) -> Iterator[Text]:
    known = facts(one)
    model = known.asked if known.served in ("", known.asked) else f"{known.asked} → {known.served}"
    usage = known.usage
    parts = [f"{known.status}", model]
    if usage.model:
        parts += [f"{usage.prompt_tokens:,} in, {usage.completion_tokens:,} out", dollars(prices.cost(usage))]
    parts += [one.recorded_at, shown(one.test)]
    yield styled(f"{number}  {one.request.method} {harmless(one.request.uri)}", "bold")
    style = "red" if known.status >= FIRST_REFUSAL else "dim"
    yield styled("   " + " · ".join(harmless(part) for part in parts if part), style)


def _turn(turn: Turn) -> Iterator[Text]:
    label = turn.role + (f" (answers {turn.tool_call_id})" if turn.tool_call_id else "")
    yield styled(f"  {harmless(label)}", _STYLES.get(turn.role, "blue"))
    yield from (Text(f"    {line}") for line in harmless(turn.text).split("\n") if turn.text)
    for call in turn.tool_calls:
        yield Text.assemble(
            "    → ", (harmless(call.name), "bold"), f"({harmless(_compact(call.arguments))})", (f"  {call.id}", "dim")
        )
    if turn.finish and turn.finish not in ("stop", "completed"):
        yield styled(f"    [finished: {harmless(turn.finish)}]", "dim")


def _end(conversation: Conversation) -> Iterator[Text]:
    if conversation.ended:
        yield styled(f"  [broke off: {harmless(conversation.ended)}]", "yellow")


def _compact(arguments: str) -> str:
    """Return ``arguments`` in one line where they are an object."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return (
        ", ".join(f"{name}={json.dumps(of, ensure_ascii=False)}" for name, of in value.items())
        if isinstance(value, dict)
        else arguments
    )


def show_changes(changes: Iterable[Change]) -> None:
    """Print what differs between two cassettes."""
    for one in changes:
        mark, style = _MARKS[one.kind]
        out(styled(f"{mark} {_numbers(one)}: {harmless(one.about[0])}", f"bold {style}"))
        out(*(Text(line.text, style=_LINES.get(line.kind, "")) for line in told(one)), "")


def _numbers(one: Change) -> str:
    if one.kind != "changed":
        return f"interaction {one.before or one.after} {'was added' if one.after else 'is gone'}"
    moved = "" if one.before == one.after else f" (was {one.before})"
    return f"interaction {one.after}{moved} changed"
