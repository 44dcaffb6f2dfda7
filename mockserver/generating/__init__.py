"""Deterministic content: the same seed and request give the same text, arguments and vectors in every process."""
