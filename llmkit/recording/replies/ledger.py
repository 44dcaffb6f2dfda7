"""What was recorded and replayed, in calls and billable tokens, as the replies report them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, field
from decimal import Decimal
from typing import Literal

from llmkit.recording.interaction import Response
from llmkit.recording.replies.content_coding import decoded

Which = Literal["recorded", "replayed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that one reply bills; ``model`` and ``service_tier`` are those that served.

    ``cached_tokens`` (read from the prompt cache) and ``cache_write_tokens`` are a part of ``prompt_tokens``, tokens of
    reasoning are a part of ``completion_tokens``.
    """

    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    service_tier: str = ""


@dataclass(slots=True)
class Ledger:
    """Calls and what they billed, by whether they were recorded (and paid for) or replayed.

    Equal usages are counted rather than summed up, because a long prompt may have a price of its own.
    """

    recorded: int = 0
    replayed: int = 0
    recorded_usages: Counter[Usage] = field(default_factory=Counter)
    replayed_usages: Counter[Usage] = field(default_factory=Counter)

    def record(self, response: Response) -> None:
        """Enter a reply that was recorded."""
        self.recorded += 1
        _enter(self.recorded_usages, response)

    def replay(self, response: Response) -> None:
        """Enter a reply that was replayed."""
        self.replayed += 1
        _enter(self.replayed_usages, response)

    def tokens(self, which: Which) -> tuple[int, int]:
        """Return the tokens that went in and those that came out."""
        usages = self._usages(which)
        return (
            sum(usage.prompt_tokens * times for usage, times in usages.items()),
            sum(usage.completion_tokens * times for usage, times in usages.items()),
        )

    def cost(self, price: Callable[[Usage], Decimal | None], which: Which) -> tuple[Decimal | None, frozenset[str]]:
        """Return what the calls cost in USD, and the models that ``price`` (say `Prices.cost`) has no price for.

        The cost is None where no call has one. The model "" stands for replies that report no usage.
        """
        usages = self._usages(which)
        priced = {usage: cost for usage in usages if (cost := price(usage)) is not None}
        unpriced = frozenset(usage.model for usage in usages if usage not in priced)
        if unpriced and not priced:
            return None, unpriced
        return sum((cost * usages[usage] for usage, cost in priced.items()), Decimal(0)), unpriced

    def add(self, facts: dict[str, object]) -> None:
        """Add what another ledger's `facts` say."""
        other = _Facts(**facts)  # type: ignore[arg-type]  # the facts of a Ledger, by way of JSON
        self.recorded += other.recorded
        self.replayed += other.replayed
        self.recorded_usages.update(_counted(other.recorded_usages))
        self.replayed_usages.update(_counted(other.replayed_usages))

    def facts(self) -> dict[str, object]:
        """Return plain values, fit for JSON."""
        return {
            "recorded": self.recorded,
            "replayed": self.replayed,
            "recorded_usages": _rows(self.recorded_usages),
            "replayed_usages": _rows(self.replayed_usages),
        }

    def _usages(self, which: Which) -> Counter[Usage]:
        return self.recorded_usages if which == "recorded" else self.replayed_usages


def usage_of(response: Response) -> Usage:
    """Return what ``response``, a JSON object or an event stream, reports as its usage; zeros where it reports none."""
    try:
        text = decoded(response).body.decode("utf-8")
    except UnicodeDecodeError:
        return Usage()
    if text.lstrip().startswith("{"):
        return _usage(_object(text)) or Usage()
    events = (_object(line[5:]) for line in reversed(text.split("\n")) if line.startswith("data:"))
    return next((usage for event in events if (usage := _usage(event))), Usage())


_Row = tuple[int, list[str | int]]


@dataclass(frozen=True, slots=True)
class _Facts:
    recorded: int
    replayed: int
    recorded_usages: list[_Row]
    replayed_usages: list[_Row]


def _enter(usages: Counter[Usage], response: Response) -> None:
    if response.status < 400:  # a refusal is a call, but is not billed
        usages[usage_of(response)] += 1


def _rows(usages: Counter[Usage]) -> list[_Row]:
    return [(times, list(astuple(usage))) for usage, times in usages.items()]


def _counted(rows: Iterable[_Row]) -> Counter[Usage]:
    names = Usage.__slots__
    return Counter({Usage(**dict(zip(names, values, strict=True))): times for times, values in rows})  # type: ignore[arg-type]  # by way of JSON


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
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    details = details if isinstance(details, dict) else {}
    return Usage(
        model=_text(reply, "model"),
        prompt_tokens=_count(usage, "prompt_tokens", "input_tokens"),
        completion_tokens=_count(usage, "completion_tokens", "output_tokens"),
        cached_tokens=_count(details, "cached_tokens"),
        cache_write_tokens=_count(details, "cache_write_tokens"),
        service_tier=_text(reply, "service_tier"),
    )


def _text(reply: dict[str, object], name: str) -> str:
    value = reply.get(name)
    return value if isinstance(value, str) else ""


def _count(usage: dict[str, object], *names: str) -> int:
    values = (usage.get(name) for name in names)
    return next((value for value in values if isinstance(value, int) and value >= 0), 0)
