"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# no deadline: CI machines are shared, and a slow run of a law is no failure; derandomized: a red build can be repeated
settings.register_profile("llmkit", deadline=None, derandomize=True)
settings.load_profile("llmkit")
