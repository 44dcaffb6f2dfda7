"""What the calls of a run cost: so far, by test, and in the end with what replaying them saved."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from llmkit.recording.interaction import Response
from llmkit.recording.replies.ledger import Ledger
from llmkit.recording.replies.money import cost_of, digits_of, tokens_of
from llmkit.recording.replies.prices import Prices

_MOST_NAMED = 3


class Bill:
    """Sums up ledgers; ``verb`` is what was done with the calls that were sent, "" where none could be.

    What is verified is paid for too, and saves nothing.
    """

    def __init__(self, prices: Prices, *, verb: str) -> None:
        self.verb = verb
        self._prices = prices
        self._total = Ledger()
        self._by_test: dict[str, Ledger] = {}
        self._counted = Ledger()
        self._lock = threading.Lock()

    def count(self, response: Response) -> None:
        """Enter a reply of this process as soon as it is there."""
        with self._lock:  # the threads of a test may record at once
            self._counted.record(response)

    def enter(self, test: str, facts: dict[str, object]) -> None:
        """Enter the ledger of a test that is over."""
        ledger = Ledger()
        ledger.add(facts)
        self._total.add(facts)
        if ledger.recorded:
            self._by_test.setdefault(test, Ledger()).add(facts)

    def progress(self) -> str:
        """Return what was sent so far, in words, or "" if nothing was."""
        # the workers of a distributed run count for themselves, and only their tests are known here
        ledger = max(self._counted, self._total, key=lambda one: one.recorded)
        if not ledger.recorded:
            return ""
        cost = cost_of(ledger, self._prices, "recorded")
        calls = f"{ledger.recorded} call{'s' * (ledger.recorded != 1)}"
        return f"llmkit: {calls}, {tokens_of(ledger, 'recorded')}{f', {cost}' if cost else ''} so far"

    def table(self) -> Iterator[str]:
        """Yield the lines of a table of what was sent, by test; none if nothing was."""
        if not self._by_test:
            return
        ledgers = [*self._by_test.items(), ("total", self._total)]
        amounts = (ledger.cost(self._prices.cost, "recorded")[0] for _, ledger in ledgers)
        digits = digits_of(amount for amount in amounts if amount is not None)
        yield f"{'calls':>7} {'tokens in':>11} {'out':>11} {'cost':>13}  test"
        for name, ledger in ledgers:
            tokens_in, tokens_out = ledger.tokens("recorded")
            cost = cost_of(ledger, self._prices, "recorded", digits=digits) or "?"
            yield f"{ledger.recorded:>7,} {tokens_in:>11,} {tokens_out:>11,} {cost:>13}  {name}"

    def sums(self, *, dropped: Mapping[str, int] | None = None, unwritten: int = 0) -> str:
        """Return how many calls were sent and replayed, and what that cost and saved, or "" if there were none.

        ``dropped`` are the recordings that went, by cassette; ``unwritten`` calls were sent and not recorded.
        """
        if not (self._total.recorded or self._total.replayed or dropped):
            return ""
        return ", ".join(filter(None, (self._sent(unwritten), _gone(dropped or {}), self._saved())))

    def unpriced(self) -> list[str]:
        """Return the models that were called and have no price."""
        which: tuple[Any, ...] = ("recorded", "replayed")
        return sorted({name for one in which for name in self._total.cost(self._prices.cost, one)[1] if name})

    def _sent(self, unwritten: int) -> str:
        if not self.verb:
            return ""
        tokens_in, tokens_out = self._total.tokens("recorded")
        cost = cost_of(self._total, self._prices, "recorded")
        sums = f"{tokens_in:,} tokens in, {tokens_out:,} out{f', {cost}' if cost else ''}"
        if unwritten:
            return f"{self._total.recorded} paid for ({sums}), {unwritten} of them not written"
        return f"{self._total.recorded} {self.verb} ({sums})"

    def _saved(self) -> str:
        if self.verb == "verified":
            return ""
        if not self._total.replayed:
            return "0 replayed"
        cost = cost_of(self._total, self._prices, "replayed")
        saved = f"{tokens_of(self._total, 'replayed')}{f' and {cost}' if cost else ''} saved"
        return f"{self._total.replayed} replayed ({saved})"


def _gone(dropped: Mapping[str, int]) -> str:
    if not dropped:
        return ""
    names = f" ({', '.join(dropped)})" if len(dropped) <= _MOST_NAMED else f" (of {len(dropped)} cassettes)"
    return f"{sum(dropped.values())} dropped{names}"
