"""What was recorded and replayed, in calls and billable tokens, as the replies report them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from llmkit.recording.interaction import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that one reply bills; ``model`` is the one that served."""

    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class Ledger:
    """Calls and tokens, by whether they were recorded (and paid for) or replayed."""

    recorded: int = 0
    replayed: int = 0
    recorded_tokens: Counter[str] = field(default_factory=Counter)
    replayed_tokens: Counter[str] = field(default_factory=Counter)

    def record(self, response: Response) -> None:
        """Enter a reply that was recorded."""
        self.recorded += 1
        _enter(self.recorded_tokens, usage_of(response))

    def replay(self, response: Response) -> None:
        """Enter a reply that was replayed."""
        self.replayed += 1
        _enter(self.replayed_tokens, usage_of(response))

    def add(self, facts: dict[str, object]) -> None:
        """Add what another ledger's `facts` say."""
        other = Ledger(**facts)  # type: ignore[arg-type]  # the facts of a Ledger, by way of JSON
        self.recorded += other.recorded
        self.replayed += other.replayed
        self.recorded_tokens.update(other.recorded_tokens)
        self.replayed_tokens.update(other.replayed_tokens)

    def facts(self) -> dict[str, object]:
        """Return plain values, fit for JSON."""
        return {
            "recorded": self.recorded,
            "replayed": self.replayed,
            "recorded_tokens": dict(self.recorded_tokens),
            "replayed_tokens": dict(self.replayed_tokens),
        }


def usage_of(response: Response) -> Usage:
    """Return what ``response``, a JSON object or an event stream, reports as its usage; zeros where it reports none."""
    try:
        text = response.body.decode("utf-8")
    except UnicodeDecodeError:
        return Usage()
    if text.lstrip().startswith("{"):
        return _usage(_object(text)) or Usage()
    events = (_object(line[5:]) for line in reversed(text.splitlines()) if line.startswith("data:"))
    return next((usage for event in events if (usage := _usage(event))), Usage())


def _enter(tokens: Counter[str], usage: Usage) -> None:
    # a model and a direction make one key, because JSON, the way between processes, has no tuples
    tokens[f"{usage.model} in"] += usage.prompt_tokens
    tokens[f"{usage.model} out"] += usage.completion_tokens


def _object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _usage(reply: dict[str, object]) -> Usage | None:
    inner = reply.get("response")  # the events of the Responses API wrap the reply
    reply = inner if isinstance(inner, dict) else reply
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        return None
    return Usage(
        model=str(reply.get("model") or ""),
        prompt_tokens=_count(usage, "prompt_tokens", "input_tokens"),
        completion_tokens=_count(usage, "completion_tokens", "output_tokens"),
    )


def _count(usage: dict[str, object], *names: str) -> int:
    values = (usage.get(name) for name in names)
    return next((value for value in values if isinstance(value, int)), 0)
