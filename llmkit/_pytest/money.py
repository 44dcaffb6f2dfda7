"""Showing what calls cost."""

from __future__ import annotations

from decimal import Decimal

from llmkit.recording.ledger import Ledger, Which
from llmkit.recording.prices import Prices


def dollars(amount: Decimal) -> str:
    """Return ``amount`` USD in as many digits as tell something: cents at least, six at most."""
    digits = 2 if amount >= 1 or not amount else 4 if amount >= Decimal("0.01") else 6
    return f"${amount:,.{digits}f}"


def cost_of(ledger: Ledger, prices: Prices, which: Which) -> str:
    """Return what calls of ``ledger`` cost, or "" where no model has a known price; "≥" where some have none."""
    amount, unpriced = ledger.cost(prices.cost, which)
    if amount is None:
        return ""
    return f"{'≥ ' if unpriced - {''} else ''}{dollars(amount)}"


def tokens_of(ledger: Ledger, which: Which) -> str:
    """Return the tokens of ``ledger`` in words."""
    return f"{sum(ledger.tokens(which)):,} tokens"
