"""``--record-budget``: the next call is not sent if it could cost more than is left.

What was spent is kept in a file, so that the processes of a distributed run share one budget. The next call is
estimated: its prompt by the tokens that the API will count, its answer by the limit that it asks for, or else by the
longest answer of the same model so far.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from llmkit._pytest.failures import BudgetReached
from llmkit.recording.cassette import locked
from llmkit.recording.interaction import Interaction, Request
from llmkit.recording.ledger import Usage, usage_of
from llmkit.recording.take import Asked

_UNKNOWN_ANSWER = 256  # tokens; what a first answer is taken to have if nothing limits it
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")

Price = Callable[[Usage], Decimal | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """What was spent, and what is reserved for calls that are on their way; in a file that processes share."""

    path: Path

    @contextmanager
    def open(self) -> Iterator[dict[str, str]]:
        """Read and write the sums, while no other process does."""
        with locked(self.path):
            sums = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
            yield sums
            self.path.write_text(json.dumps(sums), encoding="utf-8")

    def spent(self) -> Decimal:
        """Return what was spent so far, in USD."""
        with self.open() as sums:
            return Decimal(sums.get("spent", "0"))


@dataclass(slots=True, kw_only=True)
class Budget:
    """A sum in USD that a run may spend; ``price`` tells what a reply costs."""

    limit: Decimal
    price: Price
    till: Till
    reached: bool = False
    _longest: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _reserved: dict[int, Decimal] = field(default_factory=dict)

    def reserve(self, asked: Asked) -> None:
        """Set aside what ``asked`` could cost; raises `BudgetReached` if that is more than is left."""
        usage = self._estimate(asked.written)
        cost = self.price(usage)
        if cost is None:
            example = f"llmkit_prices = {usage.model} = 2.50 / 10.00"
            self._refuse(f"the model {usage.model!r} has no known price. Name it in USD a million tokens: {example}")
        with self.till.open() as sums:
            spent, reserved = (Decimal(sums.get(name, "0")) for name in ("spent", "reserved"))
            if spent + reserved + cost <= self.limit:
                sums["reserved"] = str(reserved + cost)
                self._reserved[id(asked)] = cost
                return
        self._refuse(
            f"${spent + reserved:.6f} of ${self.limit} are spent, and the next call could cost ${cost:.6f}. "
            "What was recorded so far is kept; go on with a larger --record-budget"
        )

    def _refuse(self, why: str) -> NoReturn:
        self.reached = True
        raise BudgetReached(f"the budget of this recording stops here: {why}")

    def enter(self, asked: Asked, interaction: Interaction) -> None:
        """Put what the reply to ``asked`` cost in the place of what was set aside for it."""
        usage = usage_of(interaction.response)
        self._longest[usage.model] = max(self._longest[usage.model], usage.completion_tokens)
        self._longest[_model(interaction.request)] = self._longest[usage.model]
        cost = self.price(usage) if interaction.response.status < 400 else Decimal(0)
        with self.till.open() as sums:
            aside = self._reserved.pop(id(asked), Decimal(0))
            sums["reserved"] = str(Decimal(sums.get("reserved", "0")) - aside)
            sums["spent"] = str(Decimal(sums.get("spent", "0")) + (aside if cost is None else cost))

    def _estimate(self, request: Request) -> Usage:
        body = _json(request)
        model = _model(request)
        limits = [body[name] for name in _LIMITS if isinstance(body.get(name), int)]
        answer = limits[0] if limits else self._longest.get(model) or _UNKNOWN_ANSWER
        count = body.get("n") if isinstance(body.get("n"), int) else 1
        is_answered = not request.uri.partition("?")[0].endswith("/embeddings")
        return Usage(
            model=model,
            prompt_tokens=_prompt_tokens(body, model, request),
            completion_tokens=answer * (count or 1) if is_answered else 0,
        )


def _prompt_tokens(body: Mapping[str, Any], model: str, request: Request) -> int:
    from llmkit.errors import LLMError
    from llmkit.tokens import count_tokens  # reads the vocabulary, which most runs don't need

    messages = body.get("messages")
    if isinstance(messages, list) and "tools" not in body:
        try:
            return count_tokens(messages, model=model).tokens
        except (LLMError, ValueError, TypeError, KeyError):
            pass  # an estimate needs no error: what the API makes of such a request, it will say itself
    return len(request.body) // 3


def _model(request: Request) -> str:
    """Return the model that ``request`` asks for, or Azure's deployment."""
    named = _json(request).get("model")
    deployment = request.uri.partition("/deployments/")[2].partition("/")[0]
    return str(named or deployment)


def _json(request: Request) -> Mapping[str, Any]:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
