"""Token counts as the API bills them, offline."""

from llmkit.tokens.counts import TokenCount
from llmkit.tokens.messages import count_tokens
from llmkit.tokens.text import count_text, encoding_for

__all__ = ["TokenCount", "count_text", "count_tokens", "encoding_for"]
