"""What may happen to a call: pure decisions, with the clock and the dice passed in."""
