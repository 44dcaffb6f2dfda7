"""Showing what calls cost."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from llmkit.recording.replies.ledger import Ledger, Which
from llmkit.recording.replies.prices import Prices

_CENTS = 2
_MOST_DIGITS = 6
_LEAST = Decimal("0.000001")


def dollars(amount: Decimal, *, digits: int | None = None) -> str:
    """Return ``amount`` USD, in ``digits`` after the point or in as many as tell something: cents at least."""
    if digits is None:
        if 0 < amount < _LEAST:
            return f"< ${_LEAST}"
        whole, _, fraction = f"{amount:,.{digits_of([amount])}f}".partition(".")
        return f"${whole}.{fraction.rstrip('0'):0<{_CENTS}}"
    return f"${amount:,.{digits}f}"


def digits_of(amounts: Iterable[Decimal]) -> int:
    """Return how many digits after the point show each of ``amounts``: two at least, six at most."""
    smallest = min((amount for amount in amounts if amount), default=Decimal(1))
    return _CENTS if smallest >= 1 else 4 if smallest >= Decimal("0.01") else _MOST_DIGITS


def cost_of(ledger: Ledger, prices: Prices, which: Which, *, digits: int | None = None) -> str:
    """Return what calls of ``ledger`` cost, or "" where no model has a known price; "≥" where some have none."""
    amount, unpriced = ledger.cost(prices.cost, which)
    if amount is None:
        return ""
    return f"{'≥ ' if unpriced - {''} else ''}{dollars(amount, digits=digits)}"


def tokens_of(ledger: Ledger, which: Which) -> str:
    """Return the tokens of ``ledger`` in words."""
    return f"{sum(ledger.tokens(which)):,} tokens"
