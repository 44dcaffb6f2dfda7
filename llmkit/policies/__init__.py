"""What may happen to a call: pure decisions, with the clock and the dice passed in.

Rules with a memory (breaker, limiter, budget) are transitions: from a `State` and the time to a new `State` and what
follows. `llmkit.stores` applies one at a time to what all calls share, in this process or in many.
"""

State = tuple[object, ...] | None
"""What a rule remembers, as JSON can say it; None is the beginning, and whatever a rule does not understand is too."""
